//! What a pool did, in the words of the specification.

use crate::WorkerId;
use crate::worker::{Input, Phase};

/// One step of one worker: a row of the transition table that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    /// The worker.
    pub worker: WorkerId,
    /// The phase that it left.
    pub from: Phase,
    /// What happened.
    pub input: Input,
    /// The phase that it is in now.
    pub to: Phase,
}
