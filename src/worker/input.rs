//! What can happen to a worker.

use super::Phase;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// A fact about one worker, fed to [`Worker::feed`](super::Worker::feed).
    ///
    /// Inputs carry no data and the machine keeps no counters. The supervisor compares the numbers
    /// (which limit is reached, how many sessions are left) and sends the input that follows. That
    /// keeps the table of phases and inputs finite and exact.
    #[non_exhaustive]
    pub enum Input {
        /// The worker answered the handshake.
        Started,
        /// The port could not be opened, or the worker refused or broke the handshake.
        StartFailed,
        /// The start deadline passed.
        StartElapsed,
        /// A client is granted a lease on the worker.
        Checkout,
        /// The lease ended between two calls.
        Checkin,
        /// The lease ended in the middle of a call, or the worker broke the protocol.
        Fault,
        /// The supervisor retires the worker: it is to be replaced, it is unhealthy or surplus, or
        /// the pool shuts down.
        Retire,
        /// The last session of a draining worker ended.
        SessionsEnded,
        /// The drain deadline passed.
        DrainElapsed,
        /// The deadline of the current rung passed.
        RungElapsed,
        /// The leader of the port's process group exited.
        Exited,
        /// The port is released: its leader is reaped, its group is empty, its descriptors are
        /// closed.
        Released,
        /// The supervisor gives up the port: it was not released within `release_timeout` after
        /// `SIGKILL` or after the exit.
        Abandoned,
    }
}

/// An input that is illegal in the current phase. The worker is unchanged.
///
/// It means a defect in the driver, not in the worker: no sequence of facts from a correct driver
/// is rejected. The specification states that as `NeverRefused`, and `cargo test` checks it.
// Exhaustive on purpose: a rejection is one cell of the table, so it has these two coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal input: {input} in phase {phase}")]
pub struct Rejected {
    /// The phase of the worker, before and after.
    pub phase: Phase,
    /// The input that this phase rejects.
    pub input: Input,
}
