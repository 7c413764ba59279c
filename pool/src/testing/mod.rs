//! Means to test a pool, and what a program does with one: feature `testing`.
//!
//! - [`Sim`]: simulated workers, for everything that no real one does on command, on a paused clock.
//! - [`Resources`]: what the operating system says of this process, before and after. Linux only.
//! - [`frames`]: what the pool reads in the bytes of a worker.
//! - [`strategies`]: random workers and clients for `proptest`.
//! - [`check_port`]: does a port of one's own keep the contract that the pool relies on?
//!
//! ostler's own tests are made of these. This module is for tests, where a panic is an outcome like any other.

mod contract;
mod frames;
mod process;
mod resources;
mod sim;
pub mod strategies;

pub use self::contract::{Breach, check_port};
pub use self::frames::{Frame, Frames, frames};
pub use self::process::{Process, resident};
pub use self::resources::{Left, Resources, isolated};
pub use self::sim::{Script, Sim, SimResources};
