//! One state of the real [`Supervisor`] with what is around it, as `spec/WorkerPool.tla` sees it.
//!
//! [`Node::variables`] is the mapping: a line for each variable of the specification.

use std::fmt::Write as _;

use ostler::supervisor::{Supervisor, Timer};
use ostler::worker::Phase;
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId};

/// What a client wants, or has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Free,
    Waits(WaiterId, Option<usize>),
    Holds(LeaseId, Option<usize>),
}

/// What has become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The worker of its first lease.
    pub(crate) home: Option<WorkerId>,
    /// Whether that is gone.
    pub(crate) lost: bool,
}

/// A worker that there is or has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) port: &'static str,
    /// The deadline of its machine that runs.
    pub(crate) timer: Option<Timer>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) supervisor: Supervisor,
    /// In the order in which they were opened. The first is worker 1 of the specification.
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Vec<Client>,
    pub(crate) sessions: Vec<Option<Session>>,
    /// The clients that wait, the first to come at the head.
    pub(crate) queue: Vec<usize>,
    /// Leases of the health monitor.
    pub(crate) probes: Vec<LeaseId>,
    /// Pauses that run.
    pub(crate) pauses: Vec<Timer>,
    /// Failed starts since the last one that did not.
    pub(crate) failed: u32,
    pub(crate) drained: bool,
    pub(crate) closed: bool,
    /// How many names have been given out.
    pub(crate) names: u64,
    /// How much may still go wrong. What an exploration stops at; the pool knows nothing of it.
    pub(crate) trouble: usize,
}

impl Node {
    pub(crate) fn new(policy: Policy, clients: usize, sessions: usize, trouble: usize) -> Self {
        Self {
            supervisor: Supervisor::new(policy, 1).expect("a valid policy"),
            workers: Vec::new(),
            clients: vec![Client::Free; clients],
            sessions: vec![None; sessions],
            queue: Vec::new(),
            probes: Vec::new(),
            pauses: Vec::new(),
            failed: 0,
            drained: false,
            closed: false,
            names: 0,
            trouble,
        }
    }

    /// The number of a worker in the specification.
    pub(crate) fn number(&self, id: WorkerId) -> usize {
        let known = self.workers.iter().position(|worker| worker.id == id);
        1 + known.expect("a worker is opened before anything else happens to it")
    }

    pub(crate) fn worker_mut(&mut self, id: WorkerId) -> &mut Worker {
        let number = self.number(id);
        &mut self.workers[number - 1]
    }

    pub(crate) fn phase(&self, id: WorkerId) -> Phase {
        let view = self.supervisor.workers().find(|view| view.worker == id);
        view.map_or(Phase::Terminated, |view| view.phase)
    }

    /// The clients and sessions by their names in the specification.
    pub(crate) fn client_name(client: usize) -> String {
        format!("\"c{}\"", client + 1)
    }

    pub(crate) fn session_name(session: usize) -> String {
        format!("\"s{}\"", session + 1)
    }

    /// The state of the specification that this is: each of its variables, from what the code shows of itself and what
    /// its surroundings remember. `workers` is how many there can ever be.
    pub(crate) fn variables(&self, workers: usize) -> [(&'static str, String); 14] {
        [
            (
                "phase",
                self.of_workers(workers, "absent", |w| self.phase(w.id).name()),
            ),
            (
                "rung",
                self.of_workers(workers, "none", |w| self.rung(w.id)),
            ),
            ("port", self.of_workers(workers, "none", |w| w.port)),
            ("marked", self.marked()),
            (
                "queue",
                tuple(self.queue.iter().map(|c| Self::client_name(*c))),
            ),
            ("asked", self.of_clients()),
            ("leases", self.leases()),
            (
                "session",
                self.of_sessions(|node, s| quoted(node.session_state(s))),
            ),
            ("home", self.of_sessions(Self::session_home)),
            ("size", self.supervisor.policy().size.to_string()),
            ("cooling", self.pauses.len().to_string()),
            (
                "failed",
                self.failed
                    .min(self.supervisor.policy().crash_loop)
                    .to_string(),
            ),
            ("intake", quoted(self.intake())),
            ("stage", quoted(self.stage())),
        ]
    }

    pub(crate) fn rung(&self, id: WorkerId) -> &'static str {
        let view = self.supervisor.workers().find(|view| view.worker == id);
        let rung = view.and_then(|view| view.rung);
        rung.map_or("none", |rung| rung.name())
    }

    fn marked(&self) -> String {
        let marked = self.supervisor.workers().filter(|view| {
            view.marked.is_some() && matches!(view.phase, Phase::Ready | Phase::Busy)
        });
        set(marked.map(|view| self.number(view.worker).to_string()))
    }

    fn leases(&self) -> String {
        let clients = self
            .clients
            .iter()
            .enumerate()
            .filter_map(|(c, client)| match client {
                Client::Holds(lease, _) => Some((Self::client_name(c), *lease)),
                _ => None,
            });
        let probes = self.probes.iter().map(|lease| (quoted("monitor"), *lease));
        set(clients
            .chain(probes)
            .map(|(holder, lease)| format!("<<{holder}, {}>>", self.number(lease.worker))))
    }

    fn intake(&self) -> &'static str {
        match (self.supervisor.is_paused(), self.drained) {
            (false, _) => "Open",
            (true, false) => "Paused",
            (true, true) => "Drained",
        }
    }

    fn stage(&self) -> &'static str {
        match (self.supervisor.is_closing(), self.closed) {
            (false, _) => "Open",
            (true, false) => "Closing",
            (true, true) => "Closed",
        }
    }

    pub(crate) fn session_state(&self, session: usize) -> &'static str {
        match self.sessions[session] {
            None => "closed",
            Some(known) if self.supervisor.session_worker(known.id).is_some() => "bound",
            Some(known) if known.lost => "lost",
            Some(_) => "unbound",
        }
    }

    fn session_home(&self, session: usize) -> String {
        let known = self.sessions[session];
        let home = known.and_then(|known| self.supervisor.session_worker(known.id));
        home.map_or(0, |home| self.number(home)).to_string()
    }

    fn of_workers(
        &self,
        workers: usize,
        absent: &'static str,
        value: impl Fn(&Worker) -> &'static str,
    ) -> String {
        let values = (0..workers).map(|n| quoted(self.workers.get(n).map_or(absent, &value)));
        format!("[w \\in Workers |-> {}[w]]", tuple(values))
    }

    fn of_clients(&self) -> String {
        let asked = self.clients.iter().map(|client| match client {
            Client::Free => quoted("nothing"),
            Client::Waits(_, session) | Client::Holds(_, session) => {
                session.map_or_else(|| quoted("any"), Self::session_name)
            }
        });
        cases(
            "c \\in Clients",
            "c",
            asked.enumerate().map(|(c, v)| (Self::client_name(c), v)),
        )
    }

    fn of_sessions(&self, value: impl Fn(&Self, usize) -> String) -> String {
        let values = (0..self.sessions.len()).map(|s| (Self::session_name(s), value(self, s)));
        cases("s \\in Sessions", "s", values)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn tuple(items: impl Iterator<Item = String>) -> String {
    format!("<<{}>>", items.collect::<Vec<_>>().join(", "))
}

fn set(items: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
}

/// A function, case by case.
fn cases(domain: &str, argument: &str, values: impl Iterator<Item = (String, String)>) -> String {
    let mut body = String::new();
    for (name, value) in values {
        let or = if body.is_empty() { "CASE" } else { " []" };
        write!(body, "{or} {argument} = {name} -> {value}").expect("a string can be written to");
    }
    if body.is_empty() {
        body.push('0');
    }
    format!("[{domain} |-> {body}]")
}
