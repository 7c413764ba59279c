//! Maps the effects of a trace to the actions of `spec/WorkerPool.tla`: the second half of
//! [`Mirror`].

use ostler::supervisor::{
    DrainEnd, Effect, Event, Input, Order, PortFact, Reason, Refusal, RollingEnd, SessionEnd,
    Timer, Transition,
};
use ostler::worker::{self, Phase};
use ostler::{WaiterId, WorkerId};

use crate::trace_mirror::{Client, Mirror, Told, Worker};
use crate::trace_names::{client_name, session_name};

impl Mirror {
    /// Applies an effect, and adds the actions that it shows.
    pub(crate) fn effect(
        &mut self,
        input: Option<Input>,
        effect: Effect,
        told: &mut Told,
    ) -> Result<(), String> {
        match effect {
            Effect::Event(event) => self.event(input, event, told)?,
            Effect::Grant { waiter, lease } => {
                let (c, session) = self.waiting(waiter)?;
                self.leave(c);
                self.clients[c] = Client::Holds(lease, session);
                if let Some(known) = session.and_then(|s| self.sessions[s].as_mut()) {
                    known.home = Some(lease.worker);
                }
                told.actions.push(format!(
                    "Grant({}, {})",
                    client_name(c),
                    self.number(lease.worker)?
                ));
            }
            Effect::Refuse { waiter, refusal } => {
                told.actions.extend(self.refused(waiter, refusal)?)
            }
            Effect::SessionEnded { session, end } => match (self.session(session), end) {
                (Some(s), _) => {
                    self.sessions[s] = None;
                    if end == SessionEnd::Expired {
                        told.actions.push(format!("Expire({})", session_name(s)));
                    }
                }
                (None, SessionEnd::Refused(_)) => {}
                (None, _) => return Err(format!("session {} ends and is not open", session.0)),
            },
            Effect::RollingEnded(end) => told.actions.push(self.rolling_ended(end)?),
            Effect::DrainEnded(DrainEnd::Drained) => {
                self.intake = "Drained";
                told.actions.push("ReportDrained".into());
            }
            Effect::DrainEnded(DrainEnd::Resumed) => told.actions.push("ReportResumed".into()),
            Effect::ShutdownDrained => {
                self.stage = "Stopping";
                told.actions.push("ReportShutdownDrained".into());
            }
            Effect::Closed => {
                self.stage = "Closed";
                told.actions.push("Close".into());
            }
            Effect::StartTimer { timer, .. } => match timer {
                Timer::Backoff { .. } => self.backoffs.push(timer),
                Timer::SessionGrace => self.grace = true,
                Timer::Worker { worker, .. } => {
                    let n = self.number(worker)?;
                    self.workers[n - 1].as_mut().expect("it has a number").timer = Some(timer);
                }
                _ => {}
            },
            Effect::CancelTimer {
                timer: timer @ Timer::Backoff { .. },
            } => {
                let running = self.backoffs.iter().position(|backoff| *backoff == timer);
                let running = running.ok_or("a backoff is cancelled that does not run")?;
                self.backoffs.remove(running);
                // Shutdown cancels all of them.
                if !matches!(input, Some(Input::Shutdown | Input::ShutdownNow)) {
                    told.actions.push("CancelBackoff".into());
                }
            }
            Effect::CancelTimer {
                timer: Timer::Worker { worker, .. },
            } => {
                let n = self.number(worker)?;
                self.workers[n - 1].as_mut().expect("it has a number").timer = None;
            }
            Effect::CancelTimer {
                timer: Timer::SessionGrace,
            } => self.grace = false,
            Effect::CancelTimer { .. } => {}
            Effect::Worker { worker, order } => self.ordered(input, worker, order, told)?,
        }
        Ok(())
    }

    fn event(&mut self, input: Option<Input>, event: Event, told: &mut Told) -> Result<(), String> {
        match event {
            Event::Opened { worker } => {
                let n = self
                    .workers
                    .iter()
                    .position(Option::is_none)
                    .unwrap_or_else(|| {
                        self.workers.push(None);
                        self.workers.len() - 1
                    });
                self.workers[n] = Some(Worker {
                    id: worker,
                    phase: Phase::Initializing,
                    port: "opening",
                    timer: None,
                    is_replaced: false,
                });
                told.actions.push(format!("Start({})", n + 1));
            }
            Event::Moved(moved) => self.moved(input, moved, told)?,
            Event::Replacing { worker, reason } => {
                let n = self.number(worker)?;
                self.workers[n - 1]
                    .as_mut()
                    .expect("it has a number")
                    .is_replaced = true;
                match (&mut self.rolling, input, reason) {
                    // It is a part of RecycleAll.
                    (Some(rolling), Some(Input::RecycleAll), Reason::Recycled) => {
                        rolling.chosen += 1;
                        rolling.left.push(worker);
                    }
                    _ => told.actions.push(format!("Replace({n})")),
                }
            }
            Event::Kept { worker } => {
                let n = self.number(worker)?;
                self.workers[n - 1]
                    .as_mut()
                    .expect("it has a number")
                    .is_replaced = false;
                told.actions.push(format!("Keep({n})"));
                let rolling = self.rolling.as_mut();
                let rolling = rolling.ok_or("a worker is kept without a rolling restart")?;
                rolling.kept.push(worker);
            }
            other => return Err(format!("{other:?} has no place in the specification")),
        }
        Ok(())
    }

    /// The numbers that a rolling restart ends with are those of the workers that it chose and that
    /// were kept.
    fn rolling_ended(&mut self, end: RollingEnd) -> Result<String, String> {
        let rolling = self.rolling.take();
        let rolling = rolling.ok_or("a rolling restart ends that is not under way")?;
        let left = rolling.left.len();
        let (name, replaced, kept, left) = match end {
            RollingEnd::Completed { replaced } => ("Completed", replaced, 0, left),
            RollingEnd::StartFailed { replaced, kept } => {
                ("StartFailed", replaced, kept, rolling.kept.len())
            }
            RollingEnd::Closed { replaced, kept } => ("Closed", replaced, kept, left),
        };
        if (replaced, kept) != (rolling.chosen - left, left) {
            return Err(format!("{end:?} of {rolling:?}"));
        }
        Ok(format!("ReportRolling(\"{name}\")"))
    }

    fn moved(
        &mut self,
        input: Option<Input>,
        moved: Transition,
        told: &mut Told,
    ) -> Result<(), String> {
        let Transition {
            worker, from, to, ..
        } = moved;
        let n = self.number(worker)?;
        let known = self.workers[n - 1].as_mut().expect("it has a number");
        if known.phase != from {
            return Err(format!(
                "worker {worker} leaves {from}, but was {}",
                known.phase
            ));
        }
        known.phase = to;
        known.is_replaced &= matches!(to, Phase::Ready | Phase::Busy);
        told.claims
            .push(format!("Cell[\"{from}\"][\"{}\"] = \"{to}\"", moved.input));
        let retired = moved.input == worker::Input::Retire;
        match (moved.input, moved.reason) {
            (worker::Input::Started, _) => {
                self.failed = 0;
                self.served = true;
            }
            // A part of it, as if that deadline passed.
            (elapsed @ (worker::Input::DrainElapsed | worker::Input::RungElapsed), _)
                if input == Some(Input::ShutdownNow) =>
            {
                told.actions.push(format!("{elapsed}({n})"));
            }
            (worker::Input::SessionsEnded, _) => {
                self.lose_idle_sessions(told);
                told.actions.push(format!("EndDrain({n})"));
            }
            // It is what the elapsed deadline of the rung led to.
            (worker::Input::Abandoned, _) => {
                told.actions.pop();
                told.actions.push(format!("Abandon({n})"));
            }
            (_, Some(Reason::Recycled)) if retired && from == Phase::Initializing => {
                told.actions.push(format!("RecycleStarting({n})"));
            }
            (_, Some(Reason::Surplus)) if retired && from == Phase::Initializing => {
                told.actions.push(format!("RetireSurplus({n})"));
            }
            (_, Some(Reason::Recycled | Reason::Limit(_) | Reason::Surplus)) if retired => {
                told.actions.push(format!("RetireReplaced({n})"));
            }
            // It is the second half of an action whose first half was the answer to the health
            // check.
            (_, Some(Reason::Unhealthy)) if retired => {
                told.actions.pop();
                told.actions.push(format!("ProbeUnhealthy({n})"));
            }
            (worker::Input::Fault, _)
                if matches!(
                    input,
                    Some(Input::Elapsed {
                        timer: Timer::Probe { .. }
                    })
                ) =>
            {
                self.forget_probe(worker);
                told.actions.push(format!("ProbeMissed({n})"));
            }
            _ => {}
        }
        if from == Phase::Initializing && to == Phase::Stopping && !retired {
            self.failed += 1;
            if is_final(input) && !self.served {
                self.failed = self.failed.max(self.crash_loop);
            }
        }
        if to == Phase::Stopping && from != Phase::Stopping {
            for (s, session) in self.sessions.iter_mut().enumerate() {
                if let Some(known) = session
                    && known.home == Some(worker)
                    && !known.lost
                {
                    known.lost = true;
                    told.actions
                        .push(format!("LoseSession({})", session_name(s)));
                }
            }
        }
        if let Some(rolling) = &mut self.rolling
            && !matches!(to, Phase::Ready | Phase::Busy)
        {
            rolling.left.retain(|left| *left != worker);
        }
        Ok(())
    }

    fn refused(&mut self, waiter: WaiterId, refusal: Refusal) -> Result<Option<String>, String> {
        if let Some(c) = self.client(|client| client == Client::Outside(waiter)) {
            // A client that is not accepted never joins the queue.
            self.clients[c] = Client::Free;
            return Ok(None);
        }
        let (c, _) = self.waiting(waiter)?;
        self.leave(c);
        Ok(match refusal {
            Refusal::QueueFull => Some(format!("RefuseFull({})", client_name(c))),
            Refusal::CrashLoop | Refusal::Closed => Some(format!("Refuse({})", client_name(c))),
            // It is a part of LoseSession or EndSession.
            Refusal::SessionLost(_) | Refusal::SessionEnded => None,
            Refusal::Draining | Refusal::TooManySessions => {
                return Err(format!("a waiting client is refused: {refusal}"));
            }
        })
    }

    fn ordered(
        &mut self,
        input: Option<Input>,
        worker: WorkerId,
        order: Order,
        told: &mut Told,
    ) -> Result<(), String> {
        let n = self.number(worker)?;
        match order {
            Order::Cancel { lease } => {
                if !matches!(input, Some(Input::LeaseEnded { lease: ended, .. }) if ended == lease)
                {
                    return Err(format!(
                        "a call under {lease:?} is cancelled, which has not ended"
                    ));
                }
                // The lease ended with a fault, as far as the input says.
                let begun = told.actions.pop().unwrap_or_default();
                let begun = begun.replace("Fault(", "CancelBegins(");
                told.actions.push(begun);
                self.cancels.push(lease);
            }
            Order::Probe { lease } => {
                self.probes.push(lease);
                told.actions.push(format!("ProbeBegins({n})"));
            }
            Order::Stop { rung, .. } => {
                told.claims
                    .retain(|claim| !claim.starts_with(&format!("rung[{n}] ")));
                told.claims.push(format!("rung[{n}] = \"{rung}\""));
            }
            // That it is abandoned shows in its transition.
            Order::Open { .. } | Order::Measure | Order::Abandon => {}
        }
        Ok(())
    }
}

fn is_final(input: Option<Input>) -> bool {
    let Some(Input::Port { fact, .. }) = input else {
        return false;
    };
    fact == PortFact::StartFailed { is_final: true }
}
