//! What a pool orders, told in the actions of `spec/WorkerPool.tla`: the second half of [`Mirror`].

use ostler::supervisor::{Effect, Input, Order, Reason, Refusal, SessionEnd, Timer};
use ostler::supervisor::{Event, Transition};
use ostler::worker::{self, Phase};
use ostler::{WaiterId, WorkerId};

use crate::trace_mirror::{Client, Mirror, Told, Worker, client_name, session_name};

impl Mirror {
    /// Takes note of an effect, and tells the actions that it shows.
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
                (None, _) => return Err(format!("session {} ends, which is not open", session.0)),
            },
            Effect::Rolled(_) => {}
            Effect::Drained => {
                self.drained = true;
                told.actions.push("SayDrained".into());
            }
            Effect::Closed => {
                self.closed = true;
                told.actions.push("Close".into());
            }
            Effect::StartTimer { timer, .. } => {
                if let Timer::Backoff { .. } = timer {
                    self.pauses.push(timer);
                }
            }
            Effect::CancelTimer {
                timer: timer @ Timer::Backoff { .. },
            } => {
                let running = self.pauses.iter().position(|pause| *pause == timer);
                let running = running.ok_or("a pause is ended that does not run")?;
                self.pauses.remove(running);
                // All of them end with the pool, which is a part of Shutdown.
                if input != Some(Input::Shutdown) {
                    told.actions.push("EndPause".into());
                }
            }
            Effect::CancelTimer { .. } => {}
            Effect::Worker { worker, order } => self.ordered(worker, order, told)?,
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
                });
                told.actions.push(format!("Start({})", n + 1));
            }
            Event::Moved(moved) => self.moved(input, moved, told)?,
            Event::Replacing { worker, .. } => told
                .actions
                .push(format!("Limit({})", self.number(worker)?)),
            Event::Kept { worker } => told
                .actions
                .push(format!("Unmark({})", self.number(worker)?)),
            other => return Err(format!("{other:?} has no place in the specification")),
        }
        Ok(())
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
        told.claims
            .push(format!("Cell[\"{from}\"][\"{}\"] = \"{to}\"", moved.input));
        let retired = moved.input == worker::Input::Retire;
        match (moved.input, moved.reason) {
            (worker::Input::Started, _) => self.failed = 0,
            (worker::Input::SessionsEnded, _) => told.actions.push(format!("EndDrain({n})")),
            (_, Some(Reason::Recycled | Reason::Limit(_))) if retired => {
                told.actions.push(format!("RetireReplaced({n})"));
            }
            (_, Some(Reason::Surplus)) if retired => {
                told.actions.push(format!("RetireSurplus({n})"))
            }
            // It is the second half of one action, whose first half the probe's answer was.
            (_, Some(Reason::Unhealthy)) if retired => {
                told.actions.pop();
                told.actions.push(format!("ProbeUnwell({n})"));
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
        if to == Phase::Terminated && self.forget_probe(worker) {
            // The monitor lets go with the worker.
            told.actions.insert(0, format!("ProbeEnds({n})"));
        }
        Ok(())
    }

    fn refused(&mut self, waiter: WaiterId, refusal: Refusal) -> Result<Option<String>, String> {
        if let Some(c) = self.client(|client| client == Client::Outside(waiter)) {
            // Whoever comes in vain does not come in at all.
            self.clients[c] = Client::Free;
            return Ok(None);
        }
        let (c, _) = self.waiting(waiter)?;
        self.leave(c);
        Ok(match refusal {
            Refusal::QueueFull => Some(format!("RefuseFull({})", client_name(c))),
            Refusal::CrashLoop | Refusal::Closed => Some(format!("Refuse({})", client_name(c))),
            // That is a part of LoseSession or EndSession.
            Refusal::SessionLost(_) | Refusal::SessionEnded => None,
            Refusal::Draining | Refusal::TooManySessions => {
                return Err(format!("a client that waits is refused: {refusal}"));
            }
        })
    }

    fn ordered(&mut self, worker: WorkerId, order: Order, told: &mut Told) -> Result<(), String> {
        let n = self.number(worker)?;
        let known = self.workers[n - 1].as_mut().expect("it has a number");
        match order {
            Order::StartTimer {
                timer: timer @ Timer::Worker { .. },
                ..
            } => known.timer = Some(timer),
            Order::CancelTimer {
                timer: Timer::Worker { .. },
            } => known.timer = None,
            Order::Probe { lease } => {
                self.probes.push(lease);
                told.actions.push(format!("ProbeBegins({n})"));
            }
            Order::Stop { rung, .. } => {
                told.claims
                    .retain(|claim| !claim.starts_with(&format!("rung[{n}] ")));
                told.claims.push(format!("rung[{n}] = \"{rung}\""));
            }
            _ => {}
        }
        Ok(())
    }
}
