//! The runtime of the simulation: shuttle's scheduler decides the order of every lock, spawn,
//! wake-up and timer. See `pool/simulation/`.

mod clock;
mod mutex;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::thread::panicking;

use shuttle::future::{AbortHandle, spawn};
use shuttle::sync::atomic::{AtomicBool, Ordering};
pub(crate) use shuttle::sync::mpsc::{Receiver, SyncSender, sync_channel};
pub(crate) use shuttle::thread::Builder as ThreadBuilder;

pub(crate) use self::clock::Instant;
pub use self::clock::{Sleep, advance, next_deadline, now, set_pauses, wait};
pub use self::mutex::mutexes;
pub(crate) use self::mutex::{Mutex, MutexGuard};

thread_local! {
    /// All tasks of a history run on one thread.
    static RUNTIME: RefCell<Runtime> = RefCell::default();
}

#[derive(Default)]
struct Runtime {
    /// The pool's tasks.
    tasks: Vec<AbortHandle>,
    has_ended: bool,
}

/// Forgets the clock, the timers, the tasks and the mutexes of the previous history.
pub fn reset() {
    clock::reset();
    mutex::reset();
    RUNTIME.take();
}

#[derive(Clone, Debug)]
pub(crate) struct Handle;

impl Handle {
    pub(crate) fn try_current() -> Result<Self, Infallible> {
        Ok(Self)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if RUNTIME.with_borrow(|runtime| runtime.has_ended) {
            return;
        }
        let task = spawn(survives_panics(task)).abort_handle();
        let has_ended = RUNTIME.with_borrow_mut(|runtime| {
            runtime.tasks.retain(|task| !task.is_finished());
            runtime.tasks.push(task.clone());
            runtime.has_ended
        });
        // The runtime may have ended within the spawn, which is a choice of the scheduler.
        if has_ended {
            task.abort();
        }
    }
}

/// Runs a task as tokio does: a panic ends the task, drops it while it unwinds, and is caught.
async fn survives_panics(task: impl Future<Output = ()>) {
    let mut task = Some(Box::pin(task));
    poll_fn(move |cx| {
        let ended = Ends(&mut task);
        let polled = catch_unwind(AssertUnwindSafe(move || {
            let polled = ended
                .0
                .as_mut()
                .map_or(Poll::Ready(()), |task| task.as_mut().poll(cx));
            if polled.is_pending() {
                std::mem::forget(ended);
            }
            polled
        }));
        polled.unwrap_or(Poll::Ready(()))
    })
    .await;
}

/// Drops a task, also while a panic unwinds.
struct Ends<'a, T>(&'a mut Option<T>);

impl<T> Drop for Ends<'_, T> {
    fn drop(&mut self) {
        *self.0 = None;
    }
}

/// Ends the runtime: drops each of the pool's tasks at its next await, and each later one at once.
pub fn end_runtime() {
    let tasks = RUNTIME.with_borrow_mut(|runtime| {
        runtime.has_ended = true;
        runtime.tasks.clone()
    });
    for task in tasks {
        task.abort();
    }
}

/// How many of the pool's tasks have not ended.
#[must_use]
pub fn tasks() -> usize {
    RUNTIME.with_borrow(|runtime| {
        let unfinished = runtime.tasks.iter().filter(|task| !task.is_finished());
        unfinished.count()
    })
}

/// The simulated runtime has everything.
pub(crate) fn lacks(_: &Handle) -> Option<&'static str> {
    None
}

/// A timer on the simulated clock.
pub(crate) fn sleep(_: &Handle, duration: std::time::Duration) -> Sleep {
    wait(duration)
}

/// The time since the epoch of the simulation, so that a record follows from its seed.
pub(crate) fn unix_time() -> std::time::Duration {
    now()
}

/// A step at which the scheduler may switch to another task, and at which this one may pause for
/// some time, as a thread does that the operating system does not run.
pub(crate) fn point() {
    // `thread::panicking` is true for all tasks while one of them unwinds, so it unwinds at once.
    if panicking() {
        return;
    }
    // Shuttle's atomics are scheduling points. Unlike `yield_now`, they do not lower the priority
    // of the current task.
    AtomicBool::new(false).load(Ordering::SeqCst);
    clock::pause();
}

/// The same seed for every history: only the simulation's scheduler adds randomness.
pub(crate) fn seed() -> u64 {
    0
}

/// The same key for every history.
pub(crate) type Keys = BuildHasherDefault<DefaultHasher>;
