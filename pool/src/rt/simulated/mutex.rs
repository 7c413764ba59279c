//! A mutex whose every lock is a choice of the scheduler.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{self, LockResult, PoisonError};

use shuttle::thread::{self, Thread};

use super::point;

thread_local! {
    static MUTEXES: Cell<usize> = const { Cell::new(0) };
}

/// How many mutexes there are. The pool's driver has some, and so has each worker's transport.
#[must_use]
pub fn mutexes() -> usize {
    MUTEXES.get()
}

pub(super) fn reset() {
    MUTEXES.set(0);
}

struct Counted;

impl Counted {
    fn new() -> Self {
        MUTEXES.set(MUTEXES.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        MUTEXES.set(MUTEXES.get().saturating_sub(1));
    }
}

/// A mutex that parks a waiting thread. Shuttle's own mutex blocks the task instead: inside a poll
/// it would consume wake-ups meant for the polled future, which then look lost.
pub(crate) struct Mutex<T> {
    _counted: Counted,
    queue: sync::Mutex<Queue>,
    value: sync::Mutex<T>,
}

#[derive(Default)]
struct Queue {
    holder: Option<thread::ThreadId>,
    waiting: Vec<Thread>,
}

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// `None` only during the drop.
    value: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            _counted: Counted::new(),
            queue: sync::Mutex::default(),
            value: sync::Mutex::new(value),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        point();
        while !self.try_take() {
            thread::park();
        }
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard {
            mutex: self,
            value: Some(value),
        })
    }

    /// Takes the lock if it is free; otherwise registers this thread to be unparked.
    fn try_take(&self) -> bool {
        let me = thread::current();
        let mut queue = self.queue();
        let held = queue.holder.is_some();
        if held {
            assert!(
                queue.holder != Some(me.id()),
                "deadlock: a thread locks a mutex that it holds"
            );
            queue.waiting.push(me);
        } else {
            queue.holder = Some(me.id());
        }
        !held
    }

    fn queue(&self) -> sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("held until the drop")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("held until the drop")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        let waiting = {
            let mut queue = self.mutex.queue();
            queue.holder = None;
            std::mem::take(&mut queue.waiting)
        };
        for thread in waiting {
            thread.unpark();
        }
        point();
    }
}
