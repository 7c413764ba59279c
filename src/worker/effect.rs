//! What a worker's machine orders.

use core::ops::Deref;

use super::Rung;
use crate::vocabulary::vocabulary;

/// An order about one worker. Each variant names the input that answers it.
// Exhaustive on purpose: a driver that ignores a new order leaves its worker waiting for the
// answer.
#[must_use = "an effect that is not performed leaves the worker waiting for its answer"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Open the port and perform the handshake. Answered by `Started` or `StartFailed`, or by
    /// `Exited` if the process exits first.
    Open,
    /// Take this rung of the stop ladder. Answered by `Exited`, and on [`Rung::Reap`] by
    /// `Released`. If the last rungs are not answered in time, the port is abandoned.
    Stop(Rung),
    /// Start this timer, which is not running. Answered by its `…Elapsed`, unless it is cancelled
    /// first.
    StartTimer(Timer),
    /// Cancel this timer. Not answered. If its `…Elapsed` is already on its way, the supervisor
    /// recognizes it by its generation.
    CancelTimer(Timer),
}

vocabulary! {
    /// The deadlines of a worker. At most one runs at any time.
    // Exhaustive on purpose: a driver must run every timer.
    pub enum Timer {
        /// From [`Effect::Open`] to the completed handshake. Its expiry is `StartElapsed`.
        Start,
        /// From retirement to the first rung of the stop ladder. Its expiry is `DrainElapsed`.
        Drain,
        /// From one rung to the next. Its expiry is `RungElapsed`.
        Rung,
    }
}

/// The effects of one input, in the order in which the driver must perform them. Dereferences to a
/// slice.
///
/// A fixed array with a length, so that handling an input does not allocate.
#[must_use = "every effect must be performed"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects {
    items: [Effect; Self::MAX],
    len: usize,
}

impl Effects {
    /// The longest list: cancel the timer of the old phase, take a rung, start its timer.
    const MAX: usize = 3;

    pub(super) const NONE: Self = Self {
        items: [Effect::Open; Self::MAX],
        len: 0,
    };

    pub(super) fn push(&mut self, effect: Effect) {
        debug_assert!(
            self.len < Self::MAX,
            "a transition has at most three effects"
        );
        if let Some(free) = self.items.get_mut(self.len) {
            *free = effect;
            self.len += 1;
        }
    }
}

impl Deref for Effects {
    type Target = [Effect];

    fn deref(&self) -> &[Effect] {
        &self.items[..self.len]
    }
}
