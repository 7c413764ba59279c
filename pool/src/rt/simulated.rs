//! The runtime simulated by shuttle: its scheduler decides the order of every lock, spawn and
//! timer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::{Add, Deref, DerefMut};
use std::pin::Pin;
use std::sync::{self, LockResult, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::panicking;
use std::time::Duration;

use shuttle::future::{JoinHandle, spawn, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::{self, Thread};

/// A timer of this length or longer never fires. Tests use it for the timeouts that would hide a
/// lost wake-up.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) struct Handle;

impl Handle {
    /// Each schedule builds one pool, which calls this once. It resets the clock.
    pub(crate) fn try_current() -> Result<Self, Infallible> {
        CLOCK.take();
        Ok(Self)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        spawn(task)
    }
}

/// The simulated runtime has everything.
pub(crate) fn lacks(_: &Handle) -> Option<&'static str> {
    None
}

/// A step at which the scheduler may switch to another task.
pub(crate) fn point() {
    // Shuttle's atomics are scheduling points. Unlike `yield_now`, they do not lower the priority
    // of the current task.
    AtomicBool::new(false).load(Ordering::SeqCst);
}

/// The same seed for every schedule: only the scheduler adds randomness.
pub(crate) fn seed() -> u64 {
    0
}

/// The same key for every schedule.
pub(crate) type Keys = BuildHasherDefault<DefaultHasher>;

/// The time that has passed since the pool was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Instant {
    pub(crate) fn now() -> Self {
        Self(CLOCK.with_borrow(|clock| clock.now))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A clock that only jumps from one deadline to the next.
#[derive(Default)]
struct Clock {
    now: Duration,
    last: u64,
    timers: BTreeMap<Deadline, Option<Waker>>,
}

/// The time, and a counter that orders timers with the same time.
type Deadline = (Duration, u64);

thread_local! {
    /// All tasks of a schedule run on one thread and share this clock.
    static CLOCK: RefCell<Clock> = RefCell::default();
}

/// `None`: the timer never fires.
pub(crate) struct Sleep(Option<Deadline>);

pub(crate) fn sleep(_: &Handle, duration: Duration) -> Sleep {
    if duration >= NEVER {
        return Sleep(None);
    }
    let deadline = CLOCK.with_borrow_mut(|clock| {
        clock.last += 1;
        let deadline = (clock.now + duration, clock.last);
        clock.timers.insert(deadline, None);
        deadline
    });
    drop(spawn(tick()));
    Sleep(Some(deadline))
}

/// Fires the next timer after a random number of steps. Each timer spawns one of these tasks, so
/// every timer fires.
async fn tick() {
    for _ in 0..1 << thread_rng().gen_range(0..7) {
        if CLOCK.with_borrow(|clock| clock.timers.is_empty()) {
            return;
        }
        yield_now().await;
    }
    let waker = CLOCK.with_borrow_mut(|clock| {
        let (deadline, waker) = clock.timers.pop_first()?;
        clock.now = clock.now.max(deadline.0);
        waker
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = &self.0 else {
            return Poll::Pending;
        };
        CLOCK.with_borrow_mut(|clock| match clock.timers.get_mut(deadline) {
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(deadline) = &self.0 {
            CLOCK.with_borrow_mut(|clock| clock.timers.remove(deadline));
        }
    }
}

/// A mutex that parks a waiting thread. Shuttle's own mutex blocks the task instead: inside a poll
/// it would consume wake-ups meant for the polled future, which then look lost.
pub(crate) struct Mutex<T> {
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
        // While a failure unwinds, it must be reported, not interleaved with other tasks.
        if !panicking() {
            point();
        }
    }
}
