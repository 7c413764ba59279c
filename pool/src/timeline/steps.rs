//! Follows the steps of a pool.

use ostler::supervisor::{
    DrainEnd, Effect, Event, Input, LeaseEnd, Order, PortFact, Reason, Refusal, RollingEnd,
    Transition,
};
use ostler::trace::Step;
use ostler::worker::{Input as WorkerInput, Phase, Rung};
use ostler::{LeaseId, WaiterId, WorkerId};

use super::history::{History, Life, Mark, MarkKind, Outcome, Stay};
use crate::text;

impl History {
    /// Takes the next step, `at` microseconds after the beginning.
    pub(super) fn take(&mut self, at: u64, step: &Step) {
        // Another thread may have read the clock earlier and taken the lock later.
        let at = at.max(self.now);
        self.now = at;
        if let Some(input) = step.input {
            self.input(at, input);
        }
        for &effect in &step.effects {
            self.effect(at, effect);
        }
        // After the effects: a client that gets its lease at once never waited.
        let waiting = self.waiting.len();
        if self.queue.back().is_none_or(|&(_, len)| len != waiting) {
            match self.queue.back_mut() {
                Some(last) if last.0 == at => last.1 = waiting,
                _ => self.queue.push_back((at, waiting)),
            }
        }
        self.forget();
    }

    fn input(&mut self, at: u64, input: Input) {
        match input {
            Input::Checkout { waiter, .. } => drop(self.waiting.insert(waiter, at)),
            Input::GaveUp { waiter } => drop(self.waiting.remove(&waiter)),
            Input::LeaseEnded {
                lease,
                calls,
                errors,
                end,
                ..
            } => self.lease_ended(lease, calls, errors, end),
            Input::Probed {
                lease,
                healthy: false,
            } => self.outcome(lease, Outcome::Missed),
            Input::CancelEnded { lease, clean: true } => self.outcome(lease, Outcome::Cancelled),
            Input::Measured { worker, bytes } => {
                if let Some(life) = self.life(worker) {
                    life.memory = Some(bytes);
                }
            }
            Input::Port {
                worker,
                fact: PortFact::StartFailed { .. },
            } => self.about(at, MarkKind::Start, worker, "its start failed".to_owned()),
            Input::RecycleAll => self.mark(at, "a rolling restart begins".to_owned()),
            Input::Drain => self.mark(at, "the pool drains".to_owned()),
            Input::Resume => self.mark(at, "the pool accepts callers again".to_owned()),
            Input::Resize { size } => {
                self.mark(at, format!("resized from {} to {size}", self.size));
                self.size = size;
            }
            Input::Shutdown if !std::mem::replace(&mut self.is_closing, true) => {
                self.mark(at, "the shutdown begins".to_owned());
            }
            Input::ShutdownNow => {
                self.is_closing = true;
                self.mark(at, "every worker is killed".to_owned());
            }
            _ => {}
        }
    }

    fn effect(&mut self, at: u64, effect: Effect) {
        match effect {
            Effect::Worker { worker, order } => self.order(at, worker, order),
            Effect::Grant { waiter, lease } => self.granted(at, waiter, lease),
            Effect::Refuse { waiter, refusal } => self.refused(at, waiter, refusal),
            Effect::Event(event) => self.event(at, event),
            Effect::RollingEnded(end) => {
                let text = match end {
                    RollingEnd::Completed { replaced } => {
                        let replaced = text::count(replaced as u64, "worker");
                        format!("the rolling restart replaced {replaced}")
                    }
                    RollingEnd::StartFailed { kept, .. } => {
                        let kept = text::count(kept as u64, "worker");
                        format!("the rolling restart ends: a start failed; {kept} kept")
                    }
                    RollingEnd::Closed { .. } => {
                        "the rolling restart ends with the pool".to_owned()
                    }
                };
                self.mark(at, text);
            }
            Effect::DrainEnded(DrainEnd::Drained) => {
                self.mark(at, "the pool is drained".to_owned())
            }
            Effect::ShutdownDrained => {
                self.mark(at, "every worker that is left is stopped".to_owned());
            }
            Effect::Closed => {
                self.has_closed = true;
                self.mark(at, "the pool has ended".to_owned());
            }
            _ => {}
        }
    }

    fn event(&mut self, at: u64, event: Event) {
        match event {
            Event::Opened { worker } => {
                self.totals.workers += 1;
                self.alive.insert(worker.slot, Life::new(worker, at));
            }
            Event::Moved(transition) => self.moved(at, transition),
            Event::Replacing { worker, reason } => {
                // One too many gets no successor.
                self.totals.recycled += u64::from(reason != Reason::Surplus);
                if let Some(life) = self.life(worker) {
                    life.replacing = Some((at, reason));
                }
                let text = format!("to be replaced: {reason}");
                self.about(at, MarkKind::Replace, worker, text);
            }
            Event::Kept { worker } => {
                if let Some(life) = self.life(worker) {
                    life.replacing = None;
                }
                let text = "kept: a replacement failed to start".to_owned();
                self.about(at, MarkKind::Replace, worker, text);
            }
            _ => {}
        }
    }

    fn moved(&mut self, at: u64, transition: Transition) {
        let worker = transition.worker;
        let Some(life) = self.alive.get_mut(&worker.slot) else {
            return;
        };
        life.reason = transition.reason.or(life.reason);
        let was_leased = is_leased(transition.from);
        if was_leased && !is_leased(transition.to) {
            let outcome = stopped(transition.input, life.reason);
            if let Some(mut stay) = life.stay.take() {
                stay.to = at;
                if stay.outcome == Outcome::Running {
                    stay.outcome = outcome;
                }
                self.stays.push_back(stay);
            }
        }
        let to = shown(transition.to);
        if life.phases.last().is_none_or(|&(_, phase)| phase != to) {
            life.phases.push((at, to));
        }
        if to == Phase::Terminated {
            life.end = Some(at);
            self.ended.extend(self.alive.remove(&worker.slot));
        }
        if transition.input == WorkerInput::Exited && transition.from != Phase::Stopping {
            self.totals.exits += 1;
            let text = "its process exited by itself".to_owned();
            self.about(at, MarkKind::Exit, worker, text);
        }
        if transition.input == WorkerInput::Abandoned {
            let text = "abandoned: it cannot be killed".to_owned();
            self.about(at, MarkKind::Kill, worker, text);
        }
    }

    fn order(&mut self, at: u64, worker: WorkerId, order: Order) {
        match order {
            Order::Stop { rung, reason } => {
                if let Some(life) = self.life(worker)
                    && rung != Rung::Reap
                {
                    life.rung = Some(rung);
                }
                let signal = match rung {
                    Rung::Term => "SIGTERM",
                    Rung::Kill => "SIGKILL",
                    Rung::Ask | Rung::Reap => return,
                };
                self.totals.kills += u64::from(rung == Rung::Kill);
                self.about(at, MarkKind::Kill, worker, format!("{signal}: {reason}"));
            }
            Order::Probe { lease } => self.leased(at, 0, lease, Outcome::Checked),
            _ => {}
        }
    }

    fn granted(&mut self, at: u64, waiter: WaiterId, lease: LeaseId) {
        let since = self.waiting.remove(&waiter).unwrap_or(at);
        self.leased(at, at - since, lease, Outcome::Running);
    }

    fn leased(&mut self, at: u64, waited: u64, lease: LeaseId, outcome: Outcome) {
        if let Some(life) = self.life(lease.worker) {
            life.stay = Some(Stay {
                lease,
                from: at,
                to: at,
                waited,
                calls: 0,
                errors: 0,
                outcome,
            });
        }
    }

    fn lease_ended(&mut self, lease: LeaseId, calls: u64, errors: u64, end: LeaseEnd) {
        self.totals.calls += calls;
        let Some(life) = self.life(lease.worker) else {
            return;
        };
        life.calls += calls;
        life.errors += errors;
        let stay = match &mut life.stay {
            Some(stay) if stay.lease == lease => Some(stay),
            // The worker left first. Its last lease is among the last ones.
            _ => {
                let mut recent = self.stays.iter_mut().rev().take(RECENT);
                recent.find(|stay| stay.lease == lease)
            }
        };
        let Some(stay) = stay else {
            return;
        };
        stay.calls = u32::try_from(calls).unwrap_or(u32::MAX);
        stay.errors = u32::try_from(errors).unwrap_or(u32::MAX);
        stay.outcome = match (stay.outcome, end) {
            (Outcome::Running, LeaseEnd::Clean) if errors > 0 => Outcome::Error,
            (Outcome::Running, LeaseEnd::Clean) => Outcome::Ended,
            (Outcome::Running, LeaseEnd::Fault(fault) | LeaseEnd::Cancellable(fault)) => {
                Outcome::of_fault(fault)
            }
            (Outcome::Checked, LeaseEnd::Fault(_)) => Outcome::Missed,
            (outcome, _) => outcome,
        };
    }

    /// The lease that the worker is under ends like this.
    fn outcome(&mut self, lease: LeaseId, outcome: Outcome) {
        let stay = self.life(lease.worker).and_then(|life| life.stay.as_mut());
        if let Some(stay) = stay
            && stay.lease == lease
        {
            stay.outcome = outcome;
        }
    }

    fn refused(&mut self, at: u64, waiter: WaiterId, refusal: Refusal) {
        self.waiting.remove(&waiter);
        self.totals.refused += 1;
        self.marks.push_back(Mark {
            at,
            kind: MarkKind::Refused,
            worker: None,
            slot: None,
            text: format!("a caller was refused: {refusal}"),
        });
    }

    fn mark(&mut self, at: u64, text: String) {
        self.marks.push_back(Mark {
            at,
            kind: MarkKind::Pool,
            worker: None,
            slot: None,
            text,
        });
    }

    fn about(&mut self, at: u64, kind: MarkKind, worker: WorkerId, text: String) {
        self.marks.push_back(Mark {
            at,
            kind,
            worker: Some(worker.to_string()),
            slot: Some(worker.slot),
            text,
        });
    }

    /// The worker, unless it has ended.
    fn life(&mut self, worker: WorkerId) -> Option<&mut Life> {
        let life = self.alive.get_mut(&worker.slot);
        life.filter(|life| life.worker == worker)
    }
}

/// How far back the lease of a call is looked up whose end is reported after that of its worker.
const RECENT: usize = 1000;

const fn is_leased(phase: Phase) -> bool {
    matches!(phase, Phase::Busy | Phase::Finishing)
}

/// The phase without what a lease says.
const fn shown(phase: Phase) -> Phase {
    match phase {
        Phase::Busy => Phase::Ready,
        Phase::Finishing => Phase::Lingering,
        phase => phase,
    }
}

/// The outcome of a lease that its worker's transition ends.
const fn stopped(input: WorkerInput, reason: Option<Reason>) -> Outcome {
    match (input, reason) {
        (WorkerInput::Checkin, _) => Outcome::Ended,
        (WorkerInput::Exited, _) => Outcome::Exited,
        (WorkerInput::Fault, Some(Reason::Fault(fault))) => Outcome::of_fault(fault),
        (WorkerInput::Fault, _) => Outcome::Broke,
        _ => Outcome::Stopped,
    }
}
