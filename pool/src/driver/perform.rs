//! Performing what the core orders: what is sorted under the lock, and what is done without it.

use std::sync::Arc;
use std::time::Duration;

use ostler::WorkerId;
use ostler::supervisor::{DrainEnd, Effect, Event, Illegal, Input, RollingEnd, Timer, Transition};
use ostler::trace::Step;
use ostler::worker::{self, Phase};
use tokio::sync::{Notify, oneshot};

use super::inner::{Inner, Record};
use super::{Answer, Driver};
use crate::error::{RollingError, StartError};
use crate::rt::{self, AbortHandle, Instant};
use crate::task;
use crate::wire::Wire;

/// What is to be done after the lock has been released.
pub(super) enum Deferred {
    Spawn {
        worker: WorkerId,
        mail: Arc<Notify>,
        wire: Arc<Wire>,
    },
    Wake(Arc<Notify>),
    Answer(Option<oneshot::Sender<Answer>>, Answer),
    StartTimer(Timer, Duration),
    CancelTimer(AbortHandle),
    Rolled(
        Vec<oneshot::Sender<Result<usize, RollingError>>>,
        Result<usize, RollingError>,
    ),
    Drained(Vec<oneshot::Sender<()>>),
    Log(Event),
    /// Somebody reads the log.
    Announce,
    /// Dropped without the lock, because a client's waker may go with it.
    Forget(Record),
    Close,
    Complain(Illegal),
}

impl Driver {
    pub(super) fn decide(self: &Arc<Self>, inner: &mut Inner, input: Input) -> Vec<Deferred> {
        let handled = inner.supervisor.feed(input);
        let mut deferred = self.sort(inner, Some(input));
        if let Err(illegal) = handled {
            deferred.push(Deferred::Complain(illegal));
        }
        deferred
    }

    /// Takes the effects of `input`, puts each worker's orders into its queue, and gives back what is to be done without the
    /// lock. A pool that opens has effects without an input.
    pub(super) fn sort(self: &Arc<Self>, inner: &mut Inner, input: Option<Input>) -> Vec<Deferred> {
        let mut deferred = Vec::new();
        let effects: Vec<Effect> = inner.supervisor.take_effects().collect();
        if let Some(recorder) = &mut inner.recorder {
            let effects = effects.clone();
            recorder.take(Step { input, effects });
        }
        for effect in effects {
            match effect {
                Effect::Worker { worker, order } => deferred.push(inner.queue(worker, order, self)),
                Effect::Grant { waiter, lease } => {
                    let granted = inner.lease(self, lease);
                    deferred.push(inner.answer(waiter, Ok(granted)));
                }
                Effect::Refuse { waiter, refusal } => {
                    let error = inner.refused(refusal);
                    deferred.push(inner.answer(waiter, Err(error)));
                }
                Effect::SessionEnded { session, end } => inner.sessions.over(session, end),
                Effect::StartTimer { timer, after } => {
                    inner.timers.insert(timer, None);
                    deferred.push(Deferred::StartTimer(timer, after));
                }
                Effect::CancelTimer { timer } => {
                    let sleeping = inner.timers.remove(&timer).flatten();
                    deferred.extend(sleeping.map(Deferred::CancelTimer));
                }
                Effect::Event(event) => inner.trace(event, &mut deferred),
                Effect::RollingEnded(end) => deferred.push(inner.rolled(end)),
                Effect::DrainEnded(DrainEnd::Drained) => {
                    deferred.push(Deferred::Drained(std::mem::take(&mut inner.draining)));
                }
                Effect::DrainEnded(DrainEnd::Resumed) => {}
                Effect::ShutdownDrained => {
                    if let Some(shutdown) = &mut inner.shutdown {
                        shutdown.drained = Some(Instant::now());
                    }
                }
                Effect::Closed => deferred.push(Deferred::Close),
            }
        }
        deferred
    }

    pub(super) fn perform(self: &Arc<Self>, deferred: Vec<Deferred>) {
        for action in deferred {
            rt::point();
            match action {
                Deferred::Spawn { worker, mail, wire } => {
                    let task = task::Task::new(Arc::clone(self), worker, mail, wire);
                    self.runtime.spawn(task.run());
                }
                Deferred::Wake(mail) => mail.notify_one(),
                // What a client that is gone by now does not take is a lease like any other: dropped, it checks in.
                Deferred::Answer(Some(sender), answer) => drop(sender.send(answer)),
                Deferred::Answer(None, answer) => drop(answer),
                Deferred::StartTimer(timer, after) => self.start_timer(timer, after),
                Deferred::CancelTimer(sleeping) => sleeping.abort(),
                Deferred::Rolled(waiting, rolled) => {
                    for sender in waiting {
                        let _ = sender.send(rolled.clone());
                    }
                }
                Deferred::Drained(waiting) => {
                    for sender in waiting {
                        let _ = sender.send(());
                    }
                }
                Deferred::Log(event) => log(event),
                Deferred::Announce => self.news.notify_waiters(),
                Deferred::Forget(record) => drop(record),
                Deferred::Close => self.close(),
                Deferred::Complain(illegal) => {
                    tracing::error!(target: "ostler::pool", %illegal, "a defect in the driver");
                    debug_assert!(false, "{illegal}");
                }
            }
        }
    }

    /// Closes the opener, and then says that the pool has ended.
    fn close(self: &Arc<Self>) {
        let closing = Closing(Arc::clone(self));
        self.runtime.spawn(async move {
            closing.0.opener.close().await;
            closing.0.finish_record().await;
        });
    }

    /// Nothing happens any more that is worth recording.
    async fn finish_record(&self) {
        let recorder = self.lock().recorder.take();
        if let Some(recorder) = recorder {
            let _ = tokio::task::spawn_blocking(|| recorder.finish()).await;
        }
    }

    fn start_timer(self: &Arc<Self>, timer: Timer, after: Duration) {
        let driver = Arc::clone(self);
        let sleeping = self.runtime.spawn(async move {
            driver.sleep(after).await;
            driver.lock().timers.remove(&timer);
            driver.feed(Input::Elapsed { timer });
        });
        match self.lock().timers.get_mut(&timer) {
            Some(handle) => *handle = Some(sleeping.abort_handle()),
            // It was cancelled, or has elapsed, before this thread came here.
            None => sleeping.abort(),
        }
    }
}

/// Dropped, it says that the pool has ended: also where its runtime has ended first, and drops the task unfinished.
struct Closing(Arc<Driver>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closed.send_replace(true);
        self.0.news.notify_waiters();
    }
}

impl Inner {
    fn trace(&mut self, event: Event, deferred: &mut Vec<Deferred>) {
        if let Event::Moved(transition) = event {
            self.moved(transition, deferred);
        }
        if self.log.push(event) {
            deferred.push(Deferred::Announce);
        }
        deferred.push(Deferred::Log(event));
    }

    fn moved(&mut self, transition: Transition, deferred: &mut Vec<Deferred>) {
        let Transition {
            worker,
            from,
            input,
            to,
            ..
        } = transition;
        if (from, input) == (Phase::Initializing, worker::Input::StartElapsed) {
            let after = self.supervisor.policy().start_timeout;
            self.last_failure = Some(Arc::new(StartError::TimedOut { worker, after }));
        }
        if to == Phase::Terminated {
            let of_worker = |timer: &Timer| timer.worker() == Some(worker);
            let over: Vec<Timer> = self.timers.keys().copied().filter(of_worker).collect();
            for timer in over {
                deferred.extend(
                    self.timers
                        .remove(&timer)
                        .flatten()
                        .map(Deferred::CancelTimer),
                );
            }
            deferred.extend(self.take_record(worker).map(Deferred::Forget));
        } else if to != from
            && let Some(record) = self.record(worker)
        {
            record.since = Instant::now();
        }
    }

    fn rolled(&mut self, end: RollingEnd) -> Deferred {
        let outcome = match end {
            RollingEnd::Completed { replaced } => Ok(replaced),
            RollingEnd::Closed { replaced, kept } => Err(RollingError::Closed { replaced, kept }),
            RollingEnd::StartFailed { replaced, kept } => Err(RollingError::StartFailed {
                replaced,
                kept,
                last: self.last_failure.clone(),
            }),
        };
        Deferred::Rolled(std::mem::take(&mut self.rolling), outcome)
    }
}

fn log(event: Event) {
    let worker = event.worker();
    let WorkerId { slot, generation } = worker;
    match event {
        Event::Opened { .. } => {
            tracing::debug!(target: "ostler::worker", %worker, slot, generation, "opened");
        }
        Event::Moved(Transition {
            from,
            input,
            to,
            reason,
            ..
        }) => tracing::debug!(
            target: "ostler::worker",
            %worker, slot, generation, from = from.name(), input = input.name(), to = to.name(),
            reason = reason.map(tracing::field::display),
            "transition"
        ),
        Event::Replacing { reason, .. } => tracing::debug!(
            target: "ostler::worker", %worker, slot, generation, %reason, "to be replaced"
        ),
        Event::Kept { .. } => tracing::debug!(
            target: "ostler::worker", %worker, slot, generation, "to be kept after all"
        ),
        _ => {}
    }
}
