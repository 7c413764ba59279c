//! A clock that jumps from one deadline to the next when the simulation's scheduler lets it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::ops::Add;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use shuttle::future::spawn;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread::{self, Thread};

/// A timer of this length or longer never fires. Histories use it for timeouts that would hide a
/// lost wake-up.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The time that has passed since the start of the history.
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
        Self(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    pub(crate) fn duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time, and a random number that orders timers with the same time.
type Deadline = (Duration, u64);

#[derive(Default)]
struct Clock {
    now: Duration,
    timers: BTreeMap<Deadline, Option<Waker>>,
    /// The task of [`advance`], while there is no timer.
    idle: Option<Waker>,
    /// The wakers of timers that have fired.
    due: VecDeque<Waker>,
    /// The tasks of [`ring`] that have nothing to do.
    idle_rings: Vec<Waker>,
    /// See [`set_pauses`].
    pauses: Option<(u32, Duration)>,
}

thread_local! {
    /// All tasks of a history run on one thread and share this clock.
    static CLOCK: RefCell<Clock> = RefCell::default();
}

pub(super) fn reset() {
    CLOCK.take();
}

/// The time that has passed since the start of the history.
#[must_use]
pub fn now() -> Duration {
    CLOCK.with_borrow(|clock| clock.now)
}

/// When the next timer fires.
#[must_use]
pub fn next_deadline() -> Option<Duration> {
    CLOCK.with_borrow(|clock| Some(clock.timers.first_key_value()?.0.0))
}

/// Lets one in so many points pause its thread, for at most so long. `None`: none does.
pub fn set_pauses(pauses: Option<(u32, Duration)>) {
    CLOCK.with_borrow_mut(|clock| clock.pauses = pauses);
}

/// Fires the earliest timer, once there is one. The history's scheduler decides when this goes on:
/// as soon as it likes, or only once no other task can run.
pub async fn advance() {
    poll_fn(|cx| {
        CLOCK.with_borrow_mut(|clock| {
            if clock.timers.is_empty() {
                clock.idle = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
    })
    .await;
    let waker = CLOCK.with_borrow_mut(|clock| {
        let (deadline, waker) = clock.timers.pop_first()?;
        clock.now = clock.now.max(deadline.0);
        waker
    });
    let Some(waker) = waker else {
        return;
    };
    let idle = CLOCK.with_borrow_mut(|clock| {
        clock.due.push_back(waker);
        clock.idle_rings.pop()
    });
    match idle {
        Some(idle) => idle.wake(),
        None => drop(spawn(ring())),
    }
}

/// Calls the wakers of timers that have fired. A waker may wait for a lock whose holder waits for
/// time to pass. Each waker that waits keeps one of these tasks, and the others go on.
async fn ring() {
    loop {
        let waker = poll_fn(|cx| {
            CLOCK.with_borrow_mut(|clock| match clock.due.pop_front() {
                Some(waker) => Poll::Ready(waker),
                None => {
                    let idle = &mut clock.idle_rings;
                    // Tasks are polled more often than they are woken.
                    if !idle.iter().any(|ring| ring.will_wake(cx.waker())) {
                        idle.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            })
        })
        .await;
        waker.wake();
    }
}

/// A timer. `None`: it never fires.
#[derive(Debug)]
pub struct Sleep(Option<Deadline>);

/// A timer that fires after `duration`.
#[must_use]
pub fn wait(duration: Duration) -> Sleep {
    if duration >= NEVER {
        return Sleep(None);
    }
    let number = thread_rng().r#gen();
    let (deadline, idle) = CLOCK.with_borrow_mut(|clock| {
        let deadline = (clock.now + duration, number);
        clock.timers.insert(deadline, None);
        (deadline, clock.idle.take())
    });
    if let Some(idle) = idle {
        idle.wake();
    }
    Sleep(Some(deadline))
}

impl Sleep {
    fn has_fired(&self, waker: &Waker) -> bool {
        let Some(deadline) = &self.0 else {
            return false;
        };
        CLOCK.with_borrow_mut(|clock| match clock.timers.get_mut(deadline) {
            Some(known) => {
                *known = Some(waker.clone());
                false
            }
            None => true,
        })
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_fired(cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(deadline) = &self.0 {
            CLOCK.with_borrow_mut(|clock| clock.timers.remove(deadline));
        }
    }
}

/// Blocks this thread for some time, if it is its turn to pause.
pub(super) fn pause() {
    let Some((of, at_most)) = CLOCK.with_borrow(|clock| clock.pauses) else {
        return;
    };
    if !thread_rng().gen_ratio(1, of) {
        return;
    }
    let sleep = wait(at_most.mul_f64(thread_rng().r#gen()));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while !sleep.has_fired(&waker) {
        thread::park();
    }
}

/// A timer wakes a thread that pauses.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
