//! Whether the pool serves, or cannot, for callers that wait until that is clear.

use std::sync::Arc;

use ostler::worker::Phase;
use tokio::sync::oneshot;

use super::Driver;
use super::effects::{Actions, Deferred};
use super::state::State;
use crate::error::StartError;

/// Whether a worker serves, or why none will soon.
pub(crate) type Readiness = Result<(), StartError>;

impl Driver {
    /// The receiver is told as soon as it is clear whether the pool serves.
    pub(crate) fn readiness(self: &Arc<Self>) -> oneshot::Receiver<Readiness> {
        let mut actions = Actions::default();
        let (receiver, gone) = {
            let mut state = self.lock();
            let (receiver, gone) = state.readying.add();
            state.tell_readiness(&mut actions);
            (receiver, gone)
        };
        drop(gone);
        self.perform(actions);
        receiver
    }
}

impl State {
    /// Tells the callers that wait whether the pool serves, if that is clear.
    pub(super) fn tell_readiness(&mut self, actions: &mut Actions) {
        if !self.readying.is_empty()
            && let Some(readiness) = self.is_ready()
        {
            let waiting = self.readying.take();
            actions.push(Deferred::Readied(waiting, Box::new(readiness)));
        }
    }

    /// `None`: the first workers are still starting, or failed starts may be repeated.
    fn is_ready(&self) -> Option<Readiness> {
        let serves = |phase| self.supervisor.workers_in(phase) > 0;
        if self.supervisor.is_closing() {
            Some(Err(StartError::Closed))
        } else if serves(Phase::Ready) || serves(Phase::Busy) {
            Some(Ok(()))
        } else if self.supervisor.is_crash_loop() {
            self.last_failure.as_deref().cloned().map(Err)
        } else {
            None
        }
    }
}
