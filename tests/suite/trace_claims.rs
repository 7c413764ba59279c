//! What must be true of a pool and of those around it, as far as its trace says, in the words of `spec/WorkerPool.tla`.

use crate::trace_mirror::{Client, Mirror, Worker, client_name};

impl Mirror {
    /// What must be true of the pool and those around it.
    pub(crate) fn claims(&self) -> impl Iterator<Item = String> {
        let waiting: Vec<String> = self.queue.iter().map(|c| client_name(*c)).collect();
        let open = self.sessions.iter().flatten().count();
        let of_pool = [
            format!("queue = << {} >>", waiting.join(", ")),
            format!("leases = {{{}}}", self.leases().join(", ")),
            format!("Count({{s \\in Sessions : session[s] # \"closed\"}}) = {open}"),
            format!("cooling = {}", self.pauses.len()),
            format!("failed = {}", self.failed()),
            format!("intake = \"{}\"", self.intake()),
            format!("stage = \"{}\"", self.stage()),
        ];
        let of_worker = |(n, worker): (usize, &Option<Worker>)| {
            let phase = worker.map_or("absent", |worker| worker.phase.name());
            format!("phase[{}] = \"{phase}\"", n + 1)
        };
        let of_workers = self.workers.iter().enumerate().map(of_worker);
        of_pool.into_iter().chain(of_workers)
    }

    /// The leases that are out, as the specification has them.
    fn leases(&self) -> Vec<String> {
        let of_client = |(c, client): (usize, &Client)| match client {
            Client::Holds(lease, _) => Some((client_name(c), lease.worker)),
            _ => None,
        };
        let of_clients = self.clients.iter().enumerate().filter_map(of_client);
        let of_monitor = self
            .probes
            .iter()
            .map(|lease| ("Monitor".into(), lease.worker));
        let leases = of_clients.chain(of_monitor);
        let number = |worker| self.number(worker).unwrap_or_default();
        leases
            .map(|(holder, worker)| format!("<< {holder}, {} >>", number(worker)))
            .collect()
    }

    /// As far as the specification counts them.
    pub(crate) fn failed(&self) -> u32 {
        self.failed.min(self.crash_loop)
    }

    pub(crate) fn intake(&self) -> &'static str {
        match (self.paused, self.drained) {
            (false, _) => "Open",
            (true, false) => "Paused",
            (true, true) => "Drained",
        }
    }

    pub(crate) fn stage(&self) -> &'static str {
        match (self.closing, self.closed) {
            (false, _) => "Open",
            (true, false) => "Closing",
            (true, true) => "Closed",
        }
    }
}
