//! One worker: its phases, what can happen to it, what is then to be done, and the machine that decides it.
//!
//! [`Worker`] is a value without a clock, an operating system or a lock. Facts go in as [`Input`]s, orders come out as
//! [`Effect`]s. Who drives it performs every effect, in the order in which it was given, and reports what comes of
//! it as further inputs.

mod effect;
mod input;
mod machine;
mod phase;
mod render;
mod table;

pub use effect::{Effect, Effects, Timer};
pub use input::{Input, Rejected};
pub use machine::{Reaction, Superstate, Worker};
pub use phase::{Phase, PhaseSummary, Rung};
pub use render::Format;
pub use table::{Cell, State, Table, Verdict};
