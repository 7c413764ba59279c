//! What a pool did, in the words of the specification.

use alloc::vec::Vec;

use crate::WorkerId;
use crate::policy::Policy;
use crate::supervisor::{self, Effect, Reason};
use crate::worker::{Input, Phase};

/// Something that happened to a worker. In the order in which these are given, they tell its whole life.
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
    /// The worker is to be replaced. It serves on until its replacement does.
    Marked {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: Reason,
    },
    /// The worker is not to be replaced after all: a replacement failed during a rolling restart.
    Unmarked {
        /// The worker.
        worker: WorkerId,
    },
}

/// One step of one worker: a row of the transition table that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transition {
    /// The worker: its slot and its generation.
    pub worker: WorkerId,
    /// The phase that it left.
    pub from: Phase,
    /// What happened.
    pub input: Input,
    /// The phase that it is in now. Equal to `from` when it took the next rung of the stop ladder.
    pub to: Phase,
    /// Why it is on its way out, once it is.
    pub reason: Option<Reason>,
}

/// What a trace begins with: how the pool was to be. [`Step`]s follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Head {
    /// How a trace is written: [`VERSION`].
    pub ostler_trace: u32,
    /// What the pool decided by.
    pub policy: Policy,
}

/// The version of what [`Head`] and [`Step`] look like when they are written.
pub const VERSION: u32 = 1;

/// One step of a pool: what it was told, and all that it ordered because of it. In their order, from the first one on, a
/// pool's steps tell its whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// `None` in the first one: a pool that opens orders its workers before it is told anything.
    pub input: Option<supervisor::Input>,
    /// In the order in which they were given.
    pub effects: Vec<Effect>,
}

impl Event {
    /// The worker that this is about.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        match self {
            Self::Opened { worker } | Self::Marked { worker, .. } | Self::Unmarked { worker } => {
                *worker
            }
            Self::Moved(transition) => transition.worker,
        }
    }
}
