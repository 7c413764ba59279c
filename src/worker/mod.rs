//! One worker: its phases, its inputs, its effects, and the machine that connects them.
//!
//! [`Worker`] is a plain value, without clock, I/O or lock. The caller feeds it [`Input`]s, which
//! are facts that happened, and performs the [`Effect`]s that it returns, in the order given. Each
//! effect names the input that answers it.

mod effect;
mod input;
mod machine;
mod phase;

pub use effect::{Effect, Effects, Timer};
pub use input::{Input, Rejected};
pub use machine::{Reaction, Superstate, Worker};
pub use phase::{Phase, PhaseSummary, Rung};
