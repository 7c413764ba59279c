//! Whom a transport's pipes wake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::rt::{Mutex, MutexGuard};

/// Stands between the pipes and the tasks that wait for them. The pipes only ever hold this, so
/// they pin no caller's task, and dropping what they hold runs no foreign code.
///
/// Each method returns the wakers that it displaces. They are dropped or woken without a lock.
pub(super) struct Wakers {
    waiting: Mutex<Waiting>,
    /// Whether the pipes have woken this since the news were last taken.
    has_news: AtomicBool,
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
            has_news: AtomicBool::new(false),
        }
    }

    /// From now on, the pipes wake the watcher. Returns the caller.
    #[must_use]
    pub(super) fn end(&self) -> Option<Waker> {
        let mut waiting = self.lock();
        waiting.in_exchange = false;
        waiting.caller.take()
    }

    /// Whether the pipes have woken this since the last time that they were asked for it.
    pub(super) fn take_news(&self) -> bool {
        // Most often there are none, and a load costs less.
        self.has_news.load(Ordering::Acquire) && self.has_news.swap(false, Ordering::AcqRel)
    }

    #[must_use]
    pub(super) fn take_caller(&self) -> Option<Waker> {
        self.lock().caller.take()
    }

    #[must_use]
    pub(super) fn take_watcher(&self) -> Option<Waker> {
        self.lock().watcher.take()
    }

    /// The task that waits for the answer. From now on, the pipes wake it.
    pub(super) fn wait_for_answer(&self, waker: &Waker) {
        self.set(waker, |waiting| {
            waiting.in_exchange = true;
            &mut waiting.caller
        });
    }

    /// The task that waits until the transport is closed.
    pub(super) fn wait_for_close(&self, waker: &Waker) {
        self.set(waker, |waiting| &mut waiting.caller);
    }

    pub(super) fn watch(&self, waker: &Waker) {
        self.set(waker, |waiting| &mut waiting.watcher);
    }

    fn set(&self, waker: &Waker, place: impl FnOnce(&mut Waiting) -> &mut Option<Waker>) {
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
        // First, so that a task that registers too late to be woken finds the news.
        self.has_news.store(true, Ordering::Release);
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
