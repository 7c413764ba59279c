//! Tools for testing a pool, or a program that uses one. Requires the feature `testing`.
//!
//! - [`Sim`]: simulated workers on tokio's paused clock. A closure of the test answers what the
//!   application asks; see [`Sim::answering`].
//! - [`Resources`]: snapshots of the processes and descriptors of this process, to find leaks.
//!   Linux only.
//! - [`isolated`]: runs a test in its own process, so that it counts only its own resources.
//! - [`frames()`]: decodes bytes as the pool does, for authors of workers.
//! - [`strategies`]: random faults, worker scripts and client actions for `proptest`.
//! - [`check_port`]: checks that a [`Port`](crate::port::Port) of your own meets the contract that
//!   the pool relies on.
//!
//! ostler's own tests use these tools. They panic when a test has to fail or when the operating
//! system denies what they need, so keep them out of production code.

mod contract;
mod frames;
mod process;
mod resources;
mod sim;
pub mod strategies;

pub use self::contract::{ContractViolation, PortCheck, Unchecked, check_port};
pub use self::frames::{Frame, Frames, frames};
pub use self::process::{Process, resident_bytes};
pub use self::resources::{Leaks, Resources, isolated};
pub use self::sim::{Answer, Fault, Request, Script, Sim, SimStats};
