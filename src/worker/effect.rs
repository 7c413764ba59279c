//! What is to be done about a worker.

use core::ops::Deref;

use super::Rung;
use crate::vocabulary::vocabulary;

/// An order about one worker. Each says which input answers it.
#[must_use = "an effect that is not performed leaves the worker waiting for its answer"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Open the port and make the handshake. Answered by `Started` or `StartFailed`; `Exited` may come first.
    Open,
    /// Take this rung of the ladder. Answered by `Exited`, and on [`Rung::Reap`] by `Released`.
    Stop(Rung),
    /// Start this timer, which is not running. Answered by its `…Elapsed` unless it is cancelled first.
    StartTimer(Timer),
    /// Cancel this timer. An answer that is already on its way is recognised as stale.
    CancelTimer(Timer),
}

vocabulary! {
    /// The deadlines of a worker. At most one of them runs at any time.
    pub enum Timer {
        /// From the order to open to the answered handshake; then `StartElapsed`.
        Start,
        /// From retirement to the order to stop; then `DrainElapsed`.
        Drain,
        /// From each rung to the next; then `RungElapsed`.
        Rung,
    }
}

/// The effects of one input, in the order in which they are to be performed.
///
/// A fixed array with a length, so that handling an input allocates nothing.
#[must_use = "every effect must be performed"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects {
    items: [Effect; Self::MAX],
    len: usize,
}

impl Effects {
    /// The most that one input can order: cancel the old phase's timer, take a rung, start its timer.
    const MAX: usize = 3;

    pub(super) const NONE: Self = Self {
        items: [Effect::Open; Self::MAX],
        len: 0,
    };

    pub(super) fn push(&mut self, effect: Effect) {
        debug_assert!(
            self.len < Self::MAX,
            "more effects than a transition can have"
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
