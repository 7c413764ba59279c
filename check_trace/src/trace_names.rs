//! The names of workers, clients and sessions in `spec/WorkerPool.tla`.

use ostler::worker::Phase;
use ostler::{LeaseId, SessionId, WaiterId, WorkerId};

use crate::trace_mirror::{Client, Mirror, Session, Told, Worker};

impl Mirror {
    /// The client no longer waits.
    pub(crate) fn leave(&mut self, c: usize) {
        self.queue.retain(|waiting| *waiting != c);
        self.clients[c] = Client::Free;
    }

    /// Once its grace is over, a shutdown takes the worker from each session that is not used. No
    /// effect shows that: the next client of the session is told.
    pub(crate) fn lose_idle_sessions(&mut self, told: &mut Told) {
        let uses = |client: &Client, s| matches!(client, Client::Waits(_, Some(of)) | Client::Holds(_, Some(of)) if *of == s);
        for (s, session) in self.sessions.iter_mut().enumerate() {
            if self.stage == "Hurrying"
                && let Some(known) = session
                && known.home.is_some()
                && !known.lost
                && !self.clients.iter().any(|client| uses(client, s))
            {
                known.lost = true;
                told.actions
                    .push(format!("LoseSession({})", session_name(s)));
            }
        }
    }

    /// The pool's own leases end with their worker. Each is a late input of its own, so it comes
    /// after the step, when the pool has settled.
    pub(crate) fn end_leases_of_the_pool(&mut self, told: &mut Told) {
        let gone =
            |worker: &Option<Worker>| worker.filter(|worker| worker.phase == Phase::Terminated);
        let workers = self.workers.iter().enumerate();
        let gone = workers.filter_map(|(n, worker)| Some((n + 1, gone(worker)?.id)));
        for (n, worker) in gone.collect::<Vec<_>>() {
            if self.forget_probe(worker) {
                told.actions.push(format!("ProbeEnds({n})"));
            }
            if self.forget_cancel(worker) {
                told.actions.push(format!("CancelEnds({n})"));
            }
        }
    }

    /// Forgets released workers on which no lease is out. Returns the actions.
    pub(crate) fn forget(&mut self) -> Vec<String> {
        let mut forgotten = Vec::new();
        for (n, worker) in self.workers.iter_mut().enumerate() {
            let holds = |client: &Client, id| matches!(client, Client::Holds(lease, _) if lease.worker == id);
            if let Some(Worker {
                id,
                phase: Phase::Terminated,
                port: "released",
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
        forget(&mut self.probes, worker)
    }

    pub(crate) fn forget_cancel(&mut self, worker: WorkerId) -> bool {
        forget(&mut self.cancels, worker)
    }
}

fn forget(leases: &mut Vec<LeaseId>, worker: WorkerId) -> bool {
    let before = leases.len();
    leases.retain(|lease| lease.worker != worker);
    leases.len() < before
}

/// The name of an action without its parameters.
pub(crate) fn kind(action: &str) -> &str {
    action.split('(').next().unwrap_or_default()
}

/// The names of clients and sessions in the specification.
pub(crate) fn client_name(client: usize) -> String {
    format!("\"c{}\"", client + 1)
}

pub(crate) fn session_name(session: usize) -> String {
    format!("\"s{}\"", session + 1)
}

pub(crate) fn truth(is: bool) -> String {
    if is { "TRUE" } else { "FALSE" }.to_owned()
}
