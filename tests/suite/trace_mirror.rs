//! A trace, told in the actions of `spec/WorkerPool.tla`.
//!
//! [`Mirror::input`] and, in `trace_effects`, [`Mirror::effect`] are the mapping: the first says which action an input is,
//! the second which one each effect is; and `trace_claims` says what is true afterwards. The mirror knows nothing but what the trace says; what of that is true, the
//! specification decides.

use ostler::policy::{MAX_SIZE, Policy};
use ostler::supervisor::{Effect, Input, Order, PortFact, Timer};
use ostler::trace::Step;
use ostler::worker::Phase;
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

/// Who is around the pool, and what it has told them.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    max_sessions: usize,
    pub(crate) crash_loop: u32,
    /// By their numbers in the specification, which begin with 1. A number is free when its worker is forgotten.
    pub(crate) workers: Vec<Option<Worker>>,
    pub(crate) clients: Vec<Client>,
    /// The clients that wait, the first to come at the head.
    pub(crate) queue: Vec<usize>,
    pub(crate) sessions: Vec<Option<Session>>,
    /// Leases of the health monitor.
    pub(crate) probes: Vec<LeaseId>,
    /// Pauses that run.
    pub(crate) pauses: Vec<Timer>,
    /// Failed starts since the last one that did not.
    pub(crate) failed: u32,
    pub(crate) paused: bool,
    pub(crate) drained: bool,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) phase: Phase,
    /// As the specification has it.
    pub(crate) port: &'static str,
    /// The deadline of its machine that runs.
    pub(crate) timer: Option<Timer>,
}

/// What a client wants, or has, with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Free,
    /// It came in vain, and is about to be told.
    Outside(WaiterId),
    Waits(WaiterId, Option<usize>),
    Holds(LeaseId, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The worker of its first lease.
    pub(crate) home: Option<WorkerId>,
    /// Whether that is gone.
    pub(crate) lost: bool,
}

/// A step in the words of the specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What was done, in this order.
    pub(crate) actions: Vec<String>,
    /// What must be true after it.
    pub(crate) claims: Vec<String>,
}

/// How much of everything there is at one time: what the specification needs names for.
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
            workers: Vec::new(),
            clients: Vec::new(),
            queue: Vec::new(),
            sessions: Vec::new(),
            probes: Vec::new(),
            pauses: Vec::new(),
            failed: 0,
            paused: false,
            drained: false,
            closing: false,
            closed: false,
        }
    }

    /// How many names have been needed so far.
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
    /// What cannot be said in the words of the specification, because it is about nobody that there is.
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
            // The worker was being stopped already, so that it is only the monitor that lets go.
            told.actions
                .push(format!("ProbeEnds({})", self.number(lease.worker)?));
        }
        if let Some(waiter) = self.clients.iter().find_map(|client| match client {
            Client::Outside(waiter) => Some(waiter),
            _ => None,
        }) {
            return Err(format!(
                "client {} has come in vain and is not told",
                waiter.0
            ));
        }
        told.claims.extend(self.claims());
        Ok(told)
    }

    /// The action that an input is, before the pool settles. `None` where it changes nothing, as when it comes too late.
    fn input(&mut self, input: Input) -> Result<Option<String>, String> {
        Ok(match input {
            Input::Checkout { waiter, session } => self.comes(waiter, session),
            Input::GaveUp { waiter } => self
                .client(|client| matches!(client, Client::Waits(w, _) if w == waiter))
                .map(|c| {
                    self.leave(c);
                    format!("GiveUp({})", client_name(c))
                }),
            Input::LeaseEnded { lease, fault, .. } => self.lets_go(lease, fault.is_some())?,
            Input::Port { worker, fact } => self.hears(worker, fact),
            Input::Elapsed { timer } => self.elapses(timer)?,
            Input::Probed { lease, .. } => {
                // Whether one that is not well has said so too often shows in what comes of it.
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
            Input::Drain if self.paused && !self.drained => None,
            Input::Drain => {
                (self.paused, self.drained) = (true, false);
                Some("Pause".into())
            }
            Input::Resume => std::mem::replace(&mut self.paused, false).then(|| "Resume".into()),
            Input::Resize { size } => Some(format!("Resize({})", size.clamp(1, MAX_SIZE))),
            Input::Shutdown => {
                (!std::mem::replace(&mut self.closing, true)).then(|| "Shutdown".into())
            }
            // What comes of them shows in the effects.
            Input::Measured { .. } | Input::Recycle { .. } | Input::RecycleAll => None,
        })
    }

    fn takes_newcomers(&self) -> bool {
        !self.closing && !self.paused
    }

    fn comes(&mut self, waiter: WaiterId, session: Option<SessionId>) -> Option<String> {
        let c = self
            .client(|client| client == Client::Free)
            .unwrap_or_else(|| {
                self.clients.push(Client::Free);
                self.clients.len() - 1
            });
        let (name, taking) = (client_name(c), self.takes_newcomers());
        let known = session.map(|id| self.session(id));
        let state = known.flatten().and_then(|s| self.sessions[s]);
        let (client, action) = match (known, state) {
            (None, _) if taking => (Client::Waits(waiter, None), format!("Checkout({name})")),
            (Some(Some(s)), Some(Session { lost: true, .. })) => {
                self.clients[c] = Client::Outside(waiter);
                return Some(format!("TellLost({name}, {})", session_name(s)));
            }
            (Some(Some(s)), Some(Session { home, .. })) if taking || home.is_some() => {
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

    fn lets_go(&mut self, lease: LeaseId, fault: bool) -> Result<Option<String>, String> {
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

    fn hears(&mut self, worker: WorkerId, fact: PortFact) -> Option<String> {
        let n = self.number(worker).ok()?;
        let known = self.workers[n - 1].as_mut()?;
        let (is_late, port) = match fact {
            PortFact::Started => (known.phase != Phase::Initializing, "open"),
            PortFact::StartFailed => (known.phase != Phase::Initializing, "broken"),
            PortFact::Exited => (known.port == "exited", "exited"),
            PortFact::Released => (false, "released"),
        };
        (!is_late).then(|| {
            known.port = port;
            format!("{fact:?}({n})")
        })
    }

    fn elapses(&mut self, timer: Timer) -> Result<Option<String>, String> {
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
                let before = self.pauses.len();
                self.pauses.retain(|pause| *pause != timer);
                Ok((self.pauses.len() < before).then(|| "CoolingEnds".into()))
            }
            // What comes of them shows in the effects.
            Timer::Probe { .. } | Timer::Milestone { .. } | Timer::IdleSweep => Ok(None),
        }
    }

    fn opens(&mut self, id: SessionId) -> Option<String> {
        let open = self.sessions.iter().flatten().count();
        if !self.takes_newcomers() || open >= self.max_sessions {
            return None;
        }
        // A session's name is given to another one only when nobody uses it any more.
        let names = |client: &Client, s| matches!(client, Client::Waits(_, Some(of)) | Client::Holds(_, Some(of)) if *of == s);
        let free = |s: &usize| {
            self.sessions[*s].is_none() && !self.clients.iter().any(|client| names(client, *s))
        };
        let s = (0..self.sessions.len()).find(free).unwrap_or_else(|| {
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

    /// The client waits no longer.
    pub(crate) fn leave(&mut self, c: usize) {
        self.queue.retain(|waiting| *waiting != c);
        self.clients[c] = Client::Free;
    }

    /// Forgets workers that are gone and that nobody holds any more: in the words of the specification.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        let mut forgotten = Vec::new();
        for (n, worker) in self.workers.iter_mut().enumerate() {
            let holds = |client: &Client, id| matches!(client, Client::Holds(lease, _) if lease.worker == id);
            if let Some(Worker {
                id,
                phase: Phase::Terminated,
                ..
            }) = *worker
                && !self.clients.iter().any(|client| holds(client, id))
            {
                *worker = None;
                forgotten.push(format!("Forget({})", n + 1));
            }
        }
        forgotten
    }

    /// The number of a worker in the specification.
    pub(crate) fn number(&self, id: WorkerId) -> Result<usize, String> {
        let known = |worker: &Option<Worker>| worker.is_some_and(|worker| worker.id == id);
        let index = self.workers.iter().position(known);
        index.map_or_else(
            || Err(format!("there is no worker {id}")),
            |index| Ok(index + 1),
        )
    }

    pub(crate) fn client(&self, is: impl Fn(Client) -> bool) -> Option<usize> {
        self.clients.iter().position(|client| is(*client))
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<usize> {
        let is = |session: &Option<Session>| session.is_some_and(|session| session.id == id);
        self.sessions.iter().position(is)
    }

    pub(crate) fn waiting(&self, waiter: WaiterId) -> Result<(usize, Option<usize>), String> {
        let waits = |(c, client): (usize, &Client)| match client {
            Client::Waits(known, session) if *known == waiter => Some((c, *session)),
            Client::Outside(known) if *known == waiter => Some((c, None)),
            _ => None,
        };
        let found = self.clients.iter().enumerate().find_map(waits);
        found.ok_or_else(|| format!("client {} is answered and does not wait", waiter.0))
    }

    pub(crate) fn forget_probe(&mut self, worker: WorkerId) -> bool {
        let before = self.probes.len();
        self.probes.retain(|lease| lease.worker != worker);
        self.probes.len() < before
    }
}

fn starts(effect: &Effect, timer: Timer) -> bool {
    matches!(effect, Effect::Worker { order: Order::StartTimer { timer: started, .. }, .. } if *started == timer)
}

/// The names of clients and sessions in the specification.
pub(crate) fn client_name(client: usize) -> String {
    format!("\"c{}\"", client + 1)
}

pub(crate) fn session_name(session: usize) -> String {
    format!("\"s{}\"", session + 1)
}
