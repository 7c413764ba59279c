//! What must be true of the state of `spec/WorkerPool.tla` after each step of a trace.

use ostler::WorkerId;

use crate::trace_mirror::{Client, Mirror, Worker};
use crate::trace_names::{client_name, truth};

impl Mirror {
    /// What the trace says about the state, as predicates of the specification.
    pub(crate) fn claims(&self) -> impl Iterator<Item = String> {
        let waiting: Vec<String> = self.queue.iter().map(|c| client_name(*c)).collect();
        let open = self.sessions.iter().flatten().count();
        let of_pool = [
            format!("queue = << {} >>", waiting.join(", ")),
            format!("leases = {{{}}}", self.leases().join(", ")),
            format!("Count({{s \\in Sessions : session[s] # \"closed\"}}) = {open}"),
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
