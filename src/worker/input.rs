//! What can happen to a worker.

use super::Phase;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// A fact about one worker, fed to [`Worker::handle`](super::Worker::handle).
    ///
    /// Inputs carry no data, and the machine asks no questions: what depends on numbers (which limit was crossed, how
    /// many sessions are left) is decided by whoever sends the input. So the table of phases and inputs is finite
    /// and exact.
    pub enum Input {
        /// The worker answered the handshake.
        Started,
        /// The port could not be opened, or the worker refused or broke the handshake.
        StartFailed,
        /// The start deadline passed.
        StartElapsed,
        /// A lease on the worker is granted.
        Checkout,
        /// The lease ended between two whole calls.
        Checkin,
        /// The lease ended in the middle of an exchange, or the worker broke the protocol.
        Fault,
        /// The worker is to be drained: for its age, its uses, its errors, or because the pool shrinks or shuts down.
        Retire,
        /// The last session of a draining worker ended.
        SessionsEnded,
        /// The drain deadline passed.
        DrainElapsed,
        /// The deadline of the current rung passed.
        RungElapsed,
        /// The leader of the port has exited.
        Exited,
        /// The port is released: leader reaped, group empty, descriptors closed.
        Released,
    }
}

/// An input that is illegal in the phase in which it came. The worker is unchanged.
///
/// No sequence of facts from a correct driver leads here (the specification's `NeverRefused`), so it means a defect
/// in the driver, not in the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal input: {input} in phase {phase}")]
pub struct Rejected {
    /// The phase that the worker was, and still is, in.
    pub phase: Phase,
    /// The input that it does not accept there.
    pub input: Input,
}
