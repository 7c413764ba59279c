//! What happens to workers, for observers.

use super::Reason;
use crate::WorkerId;
use crate::worker::{Input, Phase};

/// Something that happened to a worker. The events of a worker, in order, tell its whole life.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// The worker exists from now on, and is [`Initializing`](Phase::Initializing).
    Opened {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker made a transition.
    Moved(Transition),
    /// The worker will be replaced. It serves until its replacement is ready.
    Replacing {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: Reason,
    },
    /// The worker is kept after all: a replacement failed to start during a rolling restart.
    Kept {
        /// The worker.
        worker: WorkerId,
    },
}

impl Event {
    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        match self {
            Self::Opened { worker } | Self::Replacing { worker, .. } | Self::Kept { worker } => {
                *worker
            }
            Self::Moved(transition) => transition.worker,
        }
    }
}

/// One step of one worker: a row of the transition table that was taken.
// Exhaustive: a row of the table has no other columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transition {
    /// The worker.
    pub worker: WorkerId,
    /// The phase that it left.
    pub from: Phase,
    /// What happened.
    pub input: Input,
    /// The phase that it is in now. Equal to `from` when it took the next rung of the stop ladder.
    pub to: Phase,
    /// Why it leaves the pool, once it does.
    pub reason: Option<Reason>,
}
