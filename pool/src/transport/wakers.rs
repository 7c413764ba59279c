//! Whom a transport's pipes wake.

use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::rt::{Mutex, MutexGuard};

/// Stands between the pipes and the tasks that wait for them. The pipes only ever hold this, so
/// they pin no caller's task, and dropping what they hold runs no foreign code.
///
/// Each method returns the wakers that it displaces. They are dropped or woken without a lock.
pub(super) struct Wakers {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Whether an exchange is under way, and the pipes concern its caller.
    in_exchange: bool,
    /// The task that waits for the answer. At most one waits at a time.
    caller: Option<Waker>,
    /// The worker's task, which watches the worker between two exchanges.
    watcher: Option<Waker>,
}

impl Wakers {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting::default()),
        }
    }

    pub(super) fn begin(&self) {
        self.lock().in_exchange = true;
    }

    /// From now on, the pipes wake the watcher. Returns the caller.
    #[must_use]
    pub(super) fn end(&self) -> Option<Waker> {
        let mut waiting = self.lock();
        waiting.in_exchange = false;
        waiting.caller.take()
    }

    #[must_use]
    pub(super) fn take_caller(&self) -> Option<Waker> {
        self.lock().caller.take()
    }

    #[must_use]
    pub(super) fn take_watcher(&self) -> Option<Waker> {
        self.lock().watcher.take()
    }

    pub(super) fn set_caller(&self, waker: &Waker) {
        self.set(waker, |waiting| &mut waiting.caller);
    }

    pub(super) fn set_watcher(&self, waker: &Waker) {
        self.set(waker, |waiting| &mut waiting.watcher);
    }

    fn set(&self, waker: &Waker, place: impl Fn(&mut Waiting) -> &mut Option<Waker>) {
        let is_set = |known: &Option<Waker>| known.as_ref().is_some_and(|w| w.will_wake(waker));
        if is_set(place(&mut self.lock())) {
            return;
        }
        // Cloned and dropped without the lock, because both may run foreign code.
        let waker = waker.clone();
        let previous = place(&mut self.lock()).replace(waker);
        drop(previous);
    }

    #[cfg(test)]
    pub(super) fn is_unlocked(&self) -> bool {
        self.waiting.try_lock().is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut waiting = self.lock();
        let waker = if waiting.in_exchange {
            waiting.caller.take()
        } else {
            waiting.watcher.take()
        };
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
