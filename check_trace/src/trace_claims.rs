//! What must be true of the state of `spec/WorkerPool.tla` after each step of a trace.

use ostler::WorkerId;

use crate::trace_mirror::{Client, Mirror, Session, Worker};
use crate::trace_names::{client_name, session_name, truth};

impl Mirror {
    /// What the trace says about the state, as predicates of the specification.
    pub(crate) fn claims(&self) -> impl Iterator<Item = String> {
        let waiting: Vec<String> = self.queue.iter().map(|c| client_name(*c)).collect();
        let of_pool = [
            format!("queue = << {} >>", waiting.join(", ")),
            format!("leases = {{{}}}", self.leases().join(", ")),
            format!(
                "{{ << s, session[s], home[s] >> : s \\in {{ t \\in Sessions : session[t] # \"closed\" }} }} = {{{}}}",
                self.open_sessions().join(", ")
            ),
            format!("replacing = {{{}}}", self.replacing().join(", ")),
            format!("size = {}", self.size),
            format!("backoff = {}", self.backoffs.len()),
            format!("failed = {}", self.failed()),
            format!("served = {}", truth(self.served)),
            format!("restart = \"{}\"", self.restart()),
            format!("rolling = {{{}}}", self.rolling().join(", ")),
            format!("intake = \"{}\"", self.intake),
            format!("stage = \"{}\"", self.stage),
        ];
        let of_worker = |(n, worker): (usize, &Option<Worker>)| {
            let phase = worker.map_or("absent", |worker| worker.phase.name());
            format!("phase[{}] = \"{phase}\"", n + 1)
        };
        let of_workers = self.workers.iter().enumerate().map(of_worker);
        of_pool.into_iter().chain(of_workers)
    }

    /// The leases that are out, in the specification's terms.
    pub(crate) fn leases(&self) -> Vec<String> {
        let of_client = |(c, client): (usize, &Client)| match client {
            Client::Holds(lease, _) => Some((client_name(c), lease.worker)),
            _ => None,
        };
        let of_clients = self.clients.iter().enumerate().filter_map(of_client);
        let of_monitor = self
            .probes
            .iter()
            .map(|lease| ("Monitor".into(), lease.worker));
        let of_canceller = self
            .cancels
            .iter()
            .map(|lease| ("Canceller".into(), lease.worker));
        let leases = of_clients.chain(of_monitor).chain(of_canceller);
        let number = |worker| self.number(worker).unwrap_or_default();
        leases
            .map(|(holder, worker)| format!("<< {holder}, {} >>", number(worker)))
            .collect()
    }

    /// Each open session with its state and its worker, in the specification's terms.
    fn open_sessions(&self) -> Vec<String> {
        let of = |(s, session): (usize, &Option<Session>)| {
            let (state, home) = match (*session)? {
                Session { lost: true, .. } => ("lost", 0),
                Session { home: None, .. } => ("unbound", 0),
                Session {
                    home: Some(worker), ..
                } => ("bound", self.number(worker).unwrap_or_default()),
            };
            Some(format!("<< {}, \"{state}\", {home} >>", session_name(s)))
        };
        self.sessions.iter().enumerate().filter_map(of).collect()
    }

    /// The workers that serve until their replacements are ready.
    fn replacing(&self) -> Vec<String> {
        let replaced = |worker: &Option<Worker>| worker.is_some_and(|worker| worker.is_replaced);
        let numbers = (1..)
            .zip(&self.workers)
            .filter(|(_, worker)| replaced(worker));
        numbers.map(|(n, _): (usize, _)| n.to_string()).collect()
    }

    /// Consecutive failed starts, as far as the specification counts them.
    pub(crate) fn failed(&self) -> u32 {
        self.failed.min(self.crash_loop)
    }

    pub(crate) fn restart(&self) -> &'static str {
        match self.rolling {
            Some(_) => "rolling",
            None => "idle",
        }
    }

    /// The workers that the rolling restart chose and that still serve.
    pub(crate) fn rolling(&self) -> Vec<String> {
        let left = self.rolling.iter().flat_map(|rolling| &rolling.left);
        let number = |worker: &WorkerId| self.number(*worker).unwrap_or_default().to_string();
        left.map(number).collect()
    }
}
