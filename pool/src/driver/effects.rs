//! The core's effects: dispatched under the lock, performed after it is released.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use ostler::PhaseSummary;
use ostler::supervisor::{
    DrainEnd, Effect, Event, Illegal, Input, LeaseEnd, PortFact, Reason, RollingEnd, Transition,
};
use ostler::trace::Step;
use ostler::worker::{self, Phase};
use smallvec::SmallVec;
use tokio::sync::{Notify, oneshot};
use tracing::level_filters::LevelFilter;

use super::held::Place;
use super::sessions::SessionTag;
use super::state::{NewTask, State, WorkerEntry};
use super::worker::Task;
use super::{Answer, Driver, Readiness, ends};
use crate::error::{RollingError, StartError};
use crate::metrics::Pending;
use crate::rt::{self, Instant};

/// Room for this many effects is kept between two inputs. Most inputs have one or two.
const KEPT: usize = 64;

/// What an input leads to after the lock is released.
#[derive(Default)]
pub(super) struct Actions {
    /// In this order. A checkout and a checkin lead to no more than fit without an allocation.
    deferred: SmallVec<[Deferred; 2]>,
    /// The answer to the client that entered with this input. Any other client waits for its
    /// answer.
    pub(super) answer: Option<Answer>,
    /// When the input came, once that is asked.
    now: Option<Instant>,
    /// Where the client that entered with this input asks for a lease.
    pub(super) place: Option<Place>,
    /// What happened, for the metrics.
    pub(super) pending: Pending,
}

impl Actions {
    pub(super) fn push(&mut self, action: Deferred) {
        self.deferred.push(action);
    }

    pub(super) fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }
}

/// One thing to do after the lock is released.
pub(super) enum Deferred {
    Spawn(NewTask),
    Wake(Arc<Notify>),
    WakeClient(Waker),
    /// The earliest deadline has changed.
    Rearm,
    RollingEnded {
        waiting: Vec<oneshot::Sender<Result<usize, RollingError>>>,
        outcome: Box<Result<usize, RollingError>>,
        /// `None`: it had nothing to do.
        began: Option<Instant>,
    },
    DrainEnded(Vec<oneshot::Sender<DrainEnd>>, DrainEnd),
    Readied(Vec<oneshot::Sender<Readiness>>, Box<Readiness>),
    Log(Event),
    LogStartFailure(Arc<StartError>),
    WakeReaders(Vec<Waker>),
    /// Dropped without the lock, because a client's waker may go with it.
    Drop(Box<WorkerEntry>),
    /// Dropped without the lock, because the worker may be told.
    SessionOver(Arc<SessionTag>),
    Close,
    Complain(Illegal),
}

impl Deferred {
    fn drop(entry: WorkerEntry) -> Self {
        Self::Drop(Box::new(entry))
    }
}

impl Driver {
    /// Feeds an input to the core and dispatches its effects. `cause` is what the input means for a
    /// worker that is starting or serving: recorded only if the core decides that the input ended
    /// its start, or that it exited by itself.
    pub(super) fn feed_locked(
        self: &Arc<Self>,
        state: &mut State,
        input: Input,
        cause: Option<StartError>,
        actions: &mut Actions,
    ) {
        let fed = state.supervisor.feed(input);
        self.dispatch(state, Some(input), cause, actions);
        if let Input::Port {
            worker,
            fact: PortFact::Released,
        } = input
        {
            let abandoned = state.take_abandoned(worker);
            actions.deferred.extend(abandoned.map(Deferred::drop));
        }
        if let Input::LeaseEnded {
            lease,
            end: LeaseEnd::Cancellable(_),
            ..
        } = input
        {
            // The supervisor holds it now.
            state.forget_place(lease);
        }
        if let Err(illegal) = fed {
            actions.push(Deferred::Complain(illegal));
        }
    }

    /// Takes the effects of `input`, queues each worker's orders, and adds what to do after the
    /// lock is released. A new pool has effects without an input.
    pub(super) fn dispatch(
        self: &Arc<Self>,
        state: &mut State,
        input: Option<Input>,
        mut cause: Option<StartError>,
        actions: &mut Actions,
    ) {
        let mut effects = mem::take(&mut state.effects);
        state.supervisor.swap_effects(&mut effects);
        if let Some(recorder) = &mut state.recorder {
            let effects = effects.clone();
            recorder.take(Step { input, effects });
        }
        for &effect in &effects {
            match effect {
                Effect::Worker { worker, order } => {
                    actions.push(match state.queue(worker, order) {
                        Some(wakeup) => Deferred::Wake(wakeup),
                        None => {
                            Deferred::Spawn(state.add_worker(worker, order, self.limits.max_frame))
                        }
                    });
                }
                Effect::Grant { waiter, lease } => {
                    let taken = state.taken_by(waiter, self.limits.lease_warning, actions);
                    let grant = state.grant(self, lease, taken);
                    state.answer(waiter, Ok(grant), actions);
                }
                Effect::Refuse { waiter, refusal } => {
                    let refused = Box::new(state.refused(refusal));
                    state.answer(waiter, Err(refused), actions);
                }
                Effect::SessionEnded { session, end } => {
                    let ended = state.sessions.ended(session, end);
                    actions.deferred.extend(ended.map(Deferred::SessionOver));
                }
                Effect::StartTimer { timer, after } => {
                    // A later deadline needs no wakeup: the clock then wakes once for nothing.
                    if state.timers.start(timer, actions.now() + after) {
                        actions.push(Deferred::Rearm);
                    }
                }
                Effect::CancelTimer { timer } => state.timers.cancel(timer),
                Effect::Event(event) => state.happened(event, &mut cause, actions),
                Effect::RollingEnded(end) => actions.push(state.rolling_ended(end)),
                Effect::DrainEnded(end) => {
                    let waiting = state.draining.take();
                    actions.push(Deferred::DrainEnded(waiting, end));
                }
                Effect::ShutdownDrained => {
                    if let Some(shutdown) = &mut state.shutdown {
                        shutdown.drained = Some(actions.now());
                    }
                }
                Effect::Closed => {
                    state.ended = true;
                    actions.deferred.extend([Deferred::Rearm, Deferred::Close]);
                }
            }
        }
        state.start_checkout_clock(self.limits.checkout_timeout, actions);
        state.tell_readiness(actions);
        effects.clear();
        effects.shrink_to(KEPT);
        state.effects = effects;
    }

    pub(super) fn perform(self: &Arc<Self>, mut actions: Actions) {
        self.metrics.record(&actions.pending);
        for action in actions.deferred.drain(..) {
            rt::point();
            match action {
                Deferred::Spawn(new) => {
                    let task = Task::new(Arc::clone(self), new.worker, new.wakeup, new.transport);
                    self.runtime.spawn(task.run());
                }
                Deferred::Wake(wakeup) => wakeup.notify_one(),
                Deferred::WakeClient(waker) => waker.wake(),
                Deferred::Rearm => self.rearm.notify_one(),
                Deferred::RollingEnded {
                    waiting,
                    outcome,
                    began,
                } => {
                    if let Some(began) = began {
                        self.log.rolling_ended(began.elapsed(), &outcome);
                    }
                    for sender in waiting {
                        let _ = sender.send(Result::clone(&outcome));
                    }
                }
                Deferred::DrainEnded(waiting, end) => {
                    for sender in waiting {
                        let _ = sender.send(end);
                    }
                }
                Deferred::Readied(waiting, readiness) => {
                    for sender in waiting {
                        let _ = sender.send(Readiness::clone(&readiness));
                    }
                }
                Deferred::Log(event) => self.log.event(event),
                Deferred::LogStartFailure(error) => self.log.start_failure(&error),
                Deferred::WakeReaders(readers) => readers.into_iter().for_each(Waker::wake),
                Deferred::Drop(entry) => drop(entry),
                Deferred::SessionOver(tag) => drop(tag),
                Deferred::Close => self.close(),
                Deferred::Complain(illegal) => {
                    tracing::error!(target: "ostler::pool", %illegal, "defect in the driver");
                    debug_assert!(false, "{illegal}");
                }
            }
        }
    }

    /// Closes the opener and finishes the trace. Only then has the pool ended.
    fn close(self: &Arc<Self>) {
        let closing = Closing(Arc::clone(self));
        self.runtime.spawn(async move {
            if let Some(opener) = closing.0.opener() {
                opener.close().await;
            }
            // Before the record: a report tells an opener that is not closed by its being there.
            closing.0.drop_opener();
            let recorder = closing.0.lock().recorder.take();
            if let Some(recorder) = recorder {
                recorder.finish().await;
            }
        });
    }
}

/// Drops the opener and reports the end of the pool when dropped, also when the runtime ends first
/// and drops the task unfinished.
struct Closing(Arc<Driver>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.drop_opener();
        self.0.log_shutdown_end();
        self.0.closed.send_replace(Some(Instant::now()));
        // After the pool is closed: a reader that finds it open waits on.
        let readers = self.0.lock().log.waiting();
        readers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn happened(&mut self, event: Event, cause: &mut Option<StartError>, actions: &mut Actions) {
        match event {
            Event::Opened { .. } => actions.pending.opened(),
            Event::Moved(transition) => self.moved(transition, cause, actions),
            _ => {}
        }
        if self.log.push(event) {
            actions.push(Deferred::WakeReaders(self.log.waiting()));
        }
        if LevelFilter::current() >= LevelFilter::DEBUG {
            actions.push(Deferred::Log(event));
        }
    }

    fn moved(
        &mut self,
        transition: Transition,
        cause: &mut Option<StartError>,
        actions: &mut Actions,
    ) {
        let Transition {
            worker,
            from,
            input,
            to,
            reason,
        } = transition;
        // The input caused the first transition of this worker.
        let cause = cause.take_if(|cause| cause.worker() == Some(worker));
        match (from, input, cause) {
            (Phase::Initializing, worker::Input::Started | worker::Input::Retire, _) => {}
            (Phase::Initializing, _, cause) => {
                let after = self.supervisor.policy().start_timeout;
                // Only the start deadline has no cause: it is the core's own.
                let failure = cause.unwrap_or(StartError::TimedOut { worker, after });
                if let Some(entry) = self.worker(worker) {
                    entry.detail = ends::start_detail(&failure);
                }
                let failure = Arc::new(failure);
                self.last_failure = Some(Arc::clone(&failure));
                actions.push(Deferred::LogStartFailure(failure));
            }
            _ => {}
        }
        if to == Phase::Terminated {
            actions.pending.moved(transition, None, None);
            self.timers.forget(worker);
            match input {
                worker::Input::Abandoned => self.abandon(worker),
                _ => actions
                    .deferred
                    .extend(self.take_worker(worker).map(Deferred::drop)),
            }
        } else if to != from
            && let Some(entry) = self.worker(worker)
        {
            let (opened, drains) = (entry.opened, entry.drains);
            (actions.pending).moved(transition, Some(opened), drains);
            entry.since = actions.now();
            if !matches!(to, Phase::Busy | Phase::Finishing) {
                entry.taken = None;
            }
            if to.summary() == PhaseSummary::Draining && to != Phase::Stopping {
                entry.drains.get_or_insert(actions.now());
                if LevelFilter::current() >= LevelFilter::INFO {
                    actions.push(Deferred::Wake(Arc::clone(&entry.wakeup)));
                }
            }
            if to == Phase::Stopping {
                self.left(worker, from, reason.unwrap_or(Reason::Shutdown));
            }
        }
    }

    fn rolling_ended(&mut self, end: RollingEnd) -> Deferred {
        let outcome = match end {
            RollingEnd::Completed { replaced } => Ok(replaced),
            RollingEnd::Closed { replaced, kept } => Err(RollingError::Closed { replaced, kept }),
            RollingEnd::StartFailed { replaced, kept } => Err(RollingError::StartFailed {
                replaced,
                kept,
                last: self.last_failure.as_deref().cloned(),
            }),
        };
        Deferred::RollingEnded {
            waiting: self.rolling.take(),
            outcome: Box::new(outcome),
            began: self.rolling_since.take(),
        }
    }
}
