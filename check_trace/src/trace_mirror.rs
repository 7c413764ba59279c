//! Maps a trace to the actions of `spec/WorkerPool.tla`.
//!
//! [`Mirror::input`] maps an input to an action, [`Mirror::effect`] (in `trace_effects`) maps each
//! effect to at most one, and `trace_claims` says what must be true afterwards. The mirror knows
//! only what the trace says; the specification decides whether that is allowed.

use ostler::policy::{MAX_SIZE, Policy};
use ostler::supervisor::{Effect, Input, LeaseEnd, PortFact, Timer};
use ostler::trace::Step;
use ostler::worker::Phase;
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::trace_names::{client_name, session_name};

/// The pool's workers, clients, leases, sessions and timers, as far as the trace shows them.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    max_sessions: usize,
    pub(crate) crash_loop: u32,
    /// Workers to keep serving now.
    pub(crate) size: usize,
    /// By their numbers in the specification, from 1. A number is reused once its worker is
    /// forgotten.
    pub(crate) workers: Vec<Option<Worker>>,
    pub(crate) clients: Vec<Client>,
    /// The client or the session that the next input is of, where that is known.
    pub(crate) next: Option<usize>,
    /// Waiting clients, the longest-waiting first.
    pub(crate) queue: Vec<usize>,
    pub(crate) sessions: Vec<Option<Session>>,
    /// Leases of health checks.
    pub(crate) probes: Vec<LeaseId>,
    /// Leases under which a call is being cancelled.
    pub(crate) cancels: Vec<LeaseId>,
    /// Running backoffs.
    pub(crate) backoffs: Vec<Timer>,
    /// Consecutive failed starts.
    pub(crate) failed: u32,
    /// Whether a worker has ever served.
    pub(crate) served: bool,
    /// The rolling restart under way.
    pub(crate) rolling: Option<Rolling>,
    /// "Open", "Draining" or "Drained".
    pub(crate) intake: &'static str,
    /// "Open", "Draining", "Hurrying", "Stopping" or "Closed".
    pub(crate) stage: &'static str,
    /// Whether the grace of idle sessions runs.
    pub(crate) grace: bool,
}

/// A rolling restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rolling {
    /// How many workers it chose.
    pub(crate) chosen: usize,
    /// Those that still serve.
    pub(crate) left: Vec<WorkerId>,
    /// Those that are kept.
    pub(crate) kept: Vec<WorkerId>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) phase: Phase,
    /// In the specification's words.
    pub(crate) port: &'static str,
    /// The running timer of its machine.
    pub(crate) timer: Option<Timer>,
    /// Whether it serves until its replacement is ready.
    pub(crate) is_replaced: bool,
}

/// What a client waits for or holds, with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Free,
    /// It was not accepted, and must be refused in the same step.
    Outside(WaiterId),
    Waits(WaiterId, Option<usize>),
    Holds(LeaseId, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The worker of its first lease.
    pub(crate) home: Option<WorkerId>,
    /// Whether that worker no longer serves.
    pub(crate) lost: bool,
}

/// A step in the specification's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The actions, in order.
    pub(crate) actions: Vec<String>,
    /// What must be true afterwards.
    pub(crate) claims: Vec<String>,
}

/// How many names the specification needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) workers: usize,
    pub(crate) clients: usize,
    pub(crate) sessions: usize,
}

impl Mirror {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            max_sessions: policy.max_sessions,
            crash_loop: policy.crash_loop,
            size: policy.size,
            workers: Vec::new(),
            clients: Vec::new(),
            next: None,
            queue: Vec::new(),
            sessions: Vec::new(),
            probes: Vec::new(),
            cancels: Vec::new(),
            backoffs: Vec::new(),
            failed: 0,
            served: false,
            rolling: None,
            intake: "Open",
            stage: "Open",
            grace: false,
        }
    }

    /// How many names the specification has needed so far.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            workers: self.workers.len(),
            clients: self.clients.len(),
            sessions: self.sessions.len(),
        }
    }

    /// Follows a step.
    ///
    /// # Errors
    ///
    /// Why the step has no counterpart in the specification: for example, it names an unknown
    /// worker.
    pub(crate) fn step(&mut self, step: &Step) -> Result<Told, String> {
        let mut told = Told::default();
        if let Some(input) = step.input {
            told.actions.extend(self.input(input)?);
        }
        for effect in &step.effects {
            self.effect(step.input, *effect, &mut told)?;
        }
        if let Some(Input::Elapsed {
            timer: timer @ Timer::Probe { lease },
        }) = step.input
            && !step.effects.iter().any(|effect| starts(effect, timer))
            && self.forget_probe(lease.worker)
        {
            // The worker was being stopped already, so only the lease ends.
            told.actions
                .push(format!("ProbeEnds({})", self.number(lease.worker)?));
        }
        if let Some(waiter) = self.clients.iter().find_map(|client| match client {
            Client::Outside(waiter) => Some(waiter),
            _ => None,
        }) {
            return Err(format!(
                "client {} was not accepted and is not refused",
                waiter.0
            ));
        }
        self.lose_idle_sessions(&mut told);
        self.end_leases_of_the_pool(&mut told);
        told.claims.extend(self.claims());
        Ok(told)
    }

    /// The action that an input is, before the pool settles. `None` where it changes nothing: it is
    /// late.
    fn input(&mut self, input: Input) -> Result<Option<String>, String> {
        Ok(match input {
            Input::Checkout { waiter, session } => self.checkout(waiter, session),
            Input::GaveUp { waiter } => self
                .client(|client| matches!(client, Client::Waits(w, _) if w == waiter))
                .map(|c| {
                    self.leave(c);
                    format!("GiveUp({})", client_name(c))
                }),
            Input::LeaseEnded { lease, end, .. } => {
                self.lease_ended(lease, end != LeaseEnd::Clean)?
            }
            Input::CancelEnded { lease, clean } => self.cancel_ended(lease, clean)?,
            Input::Port { worker, fact } => self.port(worker, fact),
            Input::Elapsed { timer } => self.elapsed(timer)?,
            Input::Probed { lease, .. } => {
                // Whether an unhealthy worker retires shows in the effects.
                let known = self.probes.contains(&lease);
                self.probes.retain(|probe| *probe != lease);
                known
                    .then(|| self.number(lease.worker))
                    .transpose()?
                    .map(|n| format!("ProbeEnds({n})"))
            }
            Input::OpenSession { session } => self.opens(session),
            Input::EndSession { session } => self
                .session(session)
                .map(|s| format!("EndSession({})", session_name(s))),
            Input::Drain => {
                let before = std::mem::replace(&mut self.intake, "Draining");
                (before != "Draining").then(|| "Drain".into())
            }
            Input::Resume => {
                let before = std::mem::replace(&mut self.intake, "Open");
                (before != "Open").then(|| "Resume".into())
            }
            Input::Resize { size } => {
                self.size = size.clamp(1, MAX_SIZE);
                Some(format!("Resize({})", self.size))
            }
            // What else `ShutdownNow` does shows in the effects.
            Input::Shutdown | Input::ShutdownNow => {
                let is_first = self.stage == "Open";
                is_first.then(|| {
                    self.stage = "Draining";
                    "Shutdown".into()
                })
            }
            Input::RecycleAll => {
                let is_first = self.rolling.is_none();
                is_first.then(|| {
                    self.rolling = Some(Rolling::default());
                    "RecycleAll".into()
                })
            }
            // Their consequences show in the effects.
            Input::Measured { .. } | Input::Recycle { .. } => None,
        })
    }

    fn accepts_new(&self) -> bool {
        self.stage == "Open" && self.intake == "Open"
    }

    fn checkout(&mut self, waiter: WaiterId, session: Option<SessionId>) -> Option<String> {
        let free = self.client(|client| client == Client::Free);
        let c = self.next.take().or(free).unwrap_or_else(|| {
            self.clients.push(Client::Free);
            self.clients.len() - 1
        });
        let (name, accepts) = (client_name(c), self.accepts_new());
        let known = session.map(|id| self.session(id));
        let state = known.flatten().and_then(|s| self.sessions[s]);
        let (client, action) = match (known, state) {
            (None, _) if accepts => (Client::Waits(waiter, None), format!("Checkout({name})")),
            (Some(Some(s)), Some(Session { lost: true, .. })) => {
                self.clients[c] = Client::Outside(waiter);
                return Some(format!("TellLost({name}, {})", session_name(s)));
            }
            (Some(Some(s)), Some(Session { home, .. })) if accepts || home.is_some() => {
                let action = format!("CheckoutFor({name}, {})", session_name(s));
                (Client::Waits(waiter, Some(s)), action)
            }
            _ => {
                self.clients[c] = Client::Outside(waiter);
                return None;
            }
        };
        self.clients[c] = client;
        self.queue.push(c);
        Some(action)
    }

    /// Whether a call is being cancelled shows in the effects.
    fn lease_ended(&mut self, lease: LeaseId, fault: bool) -> Result<Option<String>, String> {
        let holder =
            self.client(|client| matches!(client, Client::Holds(held, _) if held == lease));
        if let Some(c) = holder {
            self.clients[c] = Client::Free;
            let how = if fault { "Fault" } else { "Checkin" };
            return Ok(Some(format!(
                "{how}({}, {})",
                client_name(c),
                self.number(lease.worker)?
            )));
        }
        if self.probes.contains(&lease) {
            self.probes.retain(|probe| *probe != lease);
            let how = if fault { "ProbeMissed" } else { "ProbeEnds" };
            return Ok(Some(format!("{how}({})", self.number(lease.worker)?)));
        }
        Ok(None)
    }

    fn cancel_ended(&mut self, lease: LeaseId, clean: bool) -> Result<Option<String>, String> {
        let before = self.cancels.len();
        self.cancels.retain(|cancel| *cancel != lease);
        if self.cancels.len() == before {
            return Ok(None);
        }
        let how = if clean { "CancelEnds" } else { "CancelFails" };
        Ok(Some(format!("{how}({})", self.number(lease.worker)?)))
    }

    fn port(&mut self, worker: WorkerId, fact: PortFact) -> Option<String> {
        let n = self.number(worker).ok()?;
        let known = self.workers[n - 1].as_mut()?;
        let (is_late, port) = match fact {
            PortFact::Started => (known.phase != Phase::Initializing, "open"),
            PortFact::StartFailed { .. } => (known.phase != Phase::Initializing, "broken"),
            PortFact::Broke => (
                matches!(known.phase, Phase::Stopping | Phase::Terminated),
                "broken",
            ),
            PortFact::Exited => (known.port == "exited", "exited"),
            PortFact::Released => (false, "released"),
        };
        (!is_late).then(|| {
            known.port = port;
            let name = match fact {
                PortFact::Started => "Started",
                PortFact::StartFailed { is_final: true } if !self.served => "StartFailedForGood",
                PortFact::StartFailed { .. } => "StartFailed",
                PortFact::Broke => "Broke",
                PortFact::Exited => "Exited",
                PortFact::Released => "Released",
            };
            format!("{name}({n})")
        })
    }

    fn elapsed(&mut self, timer: Timer) -> Result<Option<String>, String> {
        match timer {
            Timer::Worker {
                worker,
                timer: kind,
                ..
            } => {
                let Ok(n) = self.number(worker) else {
                    return Ok(None);
                };
                let known = self.workers[n - 1]
                    .as_mut()
                    .filter(|known| known.timer == Some(timer));
                Ok(known.map(|known| {
                    known.timer = None;
                    format!("{kind:?}Elapsed({n})")
                }))
            }
            Timer::Backoff { .. } => {
                let before = self.backoffs.len();
                self.backoffs.retain(|backoff| *backoff != timer);
                Ok((self.backoffs.len() < before).then(|| "BackoffElapsed".into()))
            }
            Timer::Cancel { lease } => self.cancel_ended(lease, false),
            Timer::SessionGrace => Ok(std::mem::take(&mut self.grace).then(|| {
                self.stage = "Hurrying";
                "GraceElapsed".into()
            })),
            // Their consequences show in the effects.
            Timer::Probe { .. } | Timer::Milestone { .. } | Timer::IdleSweep => Ok(None),
        }
    }

    fn opens(&mut self, id: SessionId) -> Option<String> {
        let open = self.sessions.iter().flatten().count();
        if !self.accepts_new() || open >= self.max_sessions {
            return None;
        }
        // A session's name is reused once no client uses it.
        let names = |client: &Client, s| matches!(client, Client::Waits(_, Some(of)) | Client::Holds(_, Some(of)) if *of == s);
        let free = |s: &usize| {
            self.sessions[*s].is_none() && !self.clients.iter().any(|client| names(client, *s))
        };
        let first = (0..self.sessions.len()).find(free);
        let s = self.next.take().or(first).unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        self.sessions[s] = Some(Session {
            id,
            home: None,
            lost: false,
        });
        Some(format!("OpenSession({})", session_name(s)))
    }
}

fn starts(effect: &Effect, timer: Timer) -> bool {
    matches!(effect, Effect::StartTimer { timer: started, .. } if *started == timer)
}
