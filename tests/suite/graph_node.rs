//! One state of the real [`Supervisor`] and its environment, as a state of `spec/WorkerPool.tla`.
//!
//! [`Node::variables`] is the mapping: an entry for each variable of the specification.

use std::fmt::Write as _;

use ostler::supervisor::Supervisor;
use ostler::worker::Phase;
use ostler::{Policy, WorkerId};

use crate::trace_mirror::{Client, Mirror, Worker};
use crate::trace_names::{client_name, session_name, truth};

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) supervisor: Supervisor,
    /// Its environment. Released workers are never forgotten here.
    pub(crate) mirror: Mirror,
    /// How many ids were given out.
    pub(crate) names: u64,
    /// How much may still go wrong: the bound of an exploration.
    pub(crate) trouble: usize,
}

impl Node {
    pub(crate) fn new(policy: Policy, clients: usize, sessions: usize, trouble: usize) -> Self {
        let mut mirror = Mirror::new(&policy);
        mirror.clients = vec![Client::Free; clients];
        mirror.sessions = vec![None; sessions];
        Self {
            supervisor: Supervisor::new(policy, 1).expect("a valid policy"),
            mirror,
            names: 0,
            trouble,
        }
    }

    /// The number of a worker in the specification.
    fn number(&self, id: WorkerId) -> usize {
        let number = self.mirror.number(id);
        number.expect("a worker is opened before anything else happens to it")
    }

    pub(crate) fn phase(&self, id: WorkerId) -> Phase {
        let view = self.supervisor.workers().find(|view| view.worker == id);
        view.map_or(Phase::Terminated, |view| view.phase)
    }

    /// The state of the specification: each of its variables, from what the supervisor shows and
    /// what its environment remembers. `workers` is how many there can ever be.
    pub(crate) fn variables(&self, workers: usize) -> [(&'static str, String); 17] {
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
            ("replacing", self.replacing()),
            ("rolling", set(self.mirror.rolling().into_iter())),
            (
                "queue",
                tuple(self.mirror.queue.iter().map(|c| client_name(*c))),
            ),
            ("asked", self.of_clients()),
            ("leases", set(self.mirror.leases().into_iter())),
            (
                "session",
                self.of_sessions(|node, s| quoted(node.session_state(s))),
            ),
            ("home", self.of_sessions(Self::session_home)),
            ("size", self.supervisor.policy().size.to_string()),
            ("backoff", self.mirror.backoffs.len().to_string()),
            ("failed", self.mirror.failed().to_string()),
            ("served", truth(self.supervisor.has_served())),
            ("restart", quoted(self.mirror.restart())),
            ("intake", quoted(self.intake())),
            ("stage", quoted(self.stage())),
        ]
    }

    pub(crate) fn rung(&self, id: WorkerId) -> &'static str {
        let view = self.supervisor.workers().find(|view| view.worker == id);
        let rung = view.and_then(|view| view.rung);
        rung.map_or("none", |rung| rung.name())
    }

    fn worker(&self, n: usize) -> Option<&Worker> {
        self.mirror.workers.get(n)?.as_ref()
    }

    fn replacing(&self) -> String {
        let replacing = self.supervisor.workers().filter(|view| {
            view.replacing.is_some() && matches!(view.phase, Phase::Ready | Phase::Busy)
        });
        set(replacing.map(|view| self.number(view.worker).to_string()))
    }

    fn intake(&self) -> &'static str {
        match self.supervisor.is_draining() {
            false => "Open",
            true => self.mirror.intake,
        }
    }

    fn stage(&self) -> &'static str {
        match self.supervisor.is_closing() {
            false => "Open",
            true => self.mirror.stage,
        }
    }

    pub(crate) fn session_state(&self, session: usize) -> &'static str {
        match self.mirror.sessions[session] {
            None => "closed",
            Some(known) if self.supervisor.session_worker(known.id).is_some() => "bound",
            Some(known) if known.lost => "lost",
            Some(_) => "unbound",
        }
    }

    fn session_home(&self, session: usize) -> String {
        let known = self.mirror.sessions[session];
        let home = known.and_then(|known| self.supervisor.session_worker(known.id));
        home.map_or(0, |home| self.number(home)).to_string()
    }

    fn of_workers(
        &self,
        workers: usize,
        absent: &'static str,
        value: impl Fn(&Worker) -> &'static str,
    ) -> String {
        let values = (0..workers).map(|n| quoted(self.worker(n).map_or(absent, &value)));
        format!("[w \\in Workers |-> {}[w]]", tuple(values))
    }

    fn of_clients(&self) -> String {
        let asked = self.mirror.clients.iter().map(|client| match client {
            Client::Free | Client::Outside(_) => quoted("nothing"),
            Client::Waits(_, session) | Client::Holds(_, session) => {
                session.map_or_else(|| quoted("any"), session_name)
            }
        });
        cases(
            "c \\in Clients",
            "c",
            asked.enumerate().map(|(c, v)| (client_name(c), v)),
        )
    }

    fn of_sessions(&self, value: impl Fn(&Self, usize) -> String) -> String {
        let values = (0..self.mirror.sessions.len()).map(|s| (session_name(s), value(self, s)));
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
