//! The pool's deadlines, and the task that waits for the next one.

use std::collections::{BTreeMap, HashMap};
use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ostler::WorkerId;
use ostler::supervisor::{Input, Timer};
use tokio::select;

use super::Driver;
use crate::rt::{Instant, Sleep};

/// Every running timer of a pool. One task waits for the earliest.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeMap<Key, Timer>,
    /// The same by worker: a worker's timers end with it. The pool's own are under `None`.
    running: HashMap<Option<WorkerId>, Vec<(Timer, Key)>>,
    /// Tells timers with the same deadline apart.
    started: u64,
}

type Key = (Instant, u64);

impl Timers {
    /// Returns whether it is the next to elapse.
    pub(super) fn start(&mut self, timer: Timer, deadline: Instant) -> bool {
        self.started += 1;
        let is_next = self.next_deadline().is_none_or(|next| deadline < next);
        let key = (deadline, self.started);
        self.deadlines.insert(key, timer);
        let of_worker = self.running.entry(timer.worker()).or_default();
        of_worker.push((timer, key));
        is_next
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(of_worker) = self.running.get_mut(&timer.worker())
            && let Some(index) = of_worker.iter().position(|(running, _)| *running == timer)
        {
            let (_, key) = of_worker.swap_remove(index);
            self.deadlines.remove(&key);
        }
    }

    /// Drops the timers of a worker that was released.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        for (_, key) in self.running.remove(&Some(worker)).unwrap_or_default() {
            self.deadlines.remove(&key);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let (deadline, _) = self.deadlines.keys().next()?;
        Some(*deadline)
    }

    /// The earliest timer, if its deadline has passed.
    pub(super) fn take_elapsed(&mut self, now: Instant) -> Option<Timer> {
        let (_, timer) =
            (self.deadlines.iter().next()).filter(|((deadline, _), _)| *deadline <= now)?;
        let timer = *timer;
        self.cancel(timer);
        Some(timer)
    }
}

/// Polls a timer of the pool's runtime from a client's task, which may run on another runtime.
///
/// Pending once the pool's runtime has ended, where tokio panics. By then the pool has settled
/// whatever the client waits for beside the timer, and that has woken it. The panic hook runs, so
/// what tokio says is printed.
pub(crate) fn poll_timer(timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| timer.poll(cx))).unwrap_or(Poll::Pending)
}

/// The task that feeds elapsed timers to the core. It lives as long as the pool.
pub(super) struct Clock(pub(super) Arc<Driver>);

impl Clock {
    pub(super) async fn run(self) {
        let Self(driver) = &self;
        loop {
            while let Some(timer) = driver.take_elapsed() {
                driver.feed(Input::Elapsed { timer });
            }
            driver.time_out_clients();
            driver.log_held_leases();
            if driver.has_ended() {
                return;
            }
            let next = async {
                match driver.next_deadline() {
                    Some(deadline) => {
                        driver.sleep(deadline.duration_since(Instant::now())).await;
                    }
                    None => std::future::pending().await,
                }
            };
            select! {
                biased;
                () = driver.rearm.notified() => {}
                () = next => {}
            }
        }
    }
}

impl Drop for Clock {
    /// The runtime ended before the pool: the pool ends with it.
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.shutdown();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn backoff(generation: u64) -> Timer {
        Timer::Backoff { generation }
    }

    fn probe(slot: usize) -> Timer {
        let worker = WorkerId {
            slot,
            generation: 1,
        };
        let lease = ostler::LeaseId { worker, serial: 1 };
        Timer::Probe { lease }
    }

    /// Timers elapse in the order of their deadlines, and those with the same one in the order of
    /// their starts.
    #[test]
    fn timers_elapse_in_order() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut timers = Timers::default();
        for (timer, deadline) in [(backoff(1), later), (backoff(2), now), (probe(0), now)] {
            timers.start(timer, deadline);
        }
        assert_eq!(timers.next_deadline(), Some(now));
        assert_eq!(timers.take_elapsed(now), Some(backoff(2)));
        assert_eq!(timers.take_elapsed(now), Some(probe(0)));
        assert_eq!(timers.take_elapsed(now), None);
        assert_eq!(timers.take_elapsed(later), Some(backoff(1)));
        assert_eq!(timers.next_deadline(), None);
    }

    /// O5: a client that polls a timer of a runtime that has ended gets no panic.
    #[test]
    fn a_timer_of_an_ended_runtime_is_pending() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let mut timer = Box::pin(crate::rt::sleep(runtime.handle(), Duration::ZERO));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let before = poll_timer(timer.as_mut(), &mut cx);
        drop(runtime);
        let after = poll_timer(timer.as_mut(), &mut cx);
        assert_eq!((before, after), (Poll::Pending, Poll::Pending));
    }

    /// A cancelled timer does not elapse, and a worker's timers go with it, and no others. Nothing
    /// is kept of a timer that has elapsed.
    #[test]
    fn timers_can_be_cancelled_and_forgotten() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for timer in [backoff(1), backoff(2), probe(0), probe(1)] {
            timers.start(timer, now);
        }
        timers.cancel(backoff(1));
        timers.cancel(backoff(1));
        timers.forget(probe(0).worker().unwrap());
        assert_eq!(timers.take_elapsed(now), Some(backoff(2)));
        assert_eq!(timers.take_elapsed(now), Some(probe(1)));
        assert_eq!(timers.take_elapsed(now), None);
        assert_eq!(timers.deadlines.len(), 0);
        let running = timers.running.values().map(Vec::len).sum::<usize>();
        assert_eq!(running, 0);
    }
}
