//! The lines that a pool logs about itself. Each names the pool, if it has a name.
//!
//! Called without the pool's lock: a subscriber may look at the pool.

use std::time::Duration;

use ostler::WorkerId;
use ostler::supervisor::{Event, Transition};
use tracing::field::display;

use super::ends::causes;
use super::held::Place;
use crate::end::WorkerEnd;
use crate::error::{Occupancy, RollingError, StartError};
use crate::text;

pub(super) struct Log {
    pool: Option<String>,
}

impl Log {
    pub(super) fn new(pool: Option<String>) -> Self {
        Self { pool }
    }

    /// The pool's name.
    pub(super) fn pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    pub(super) fn end(&self, end: &WorkerEnd) {
        let (pool, worker) = (self.pool(), end.worker);
        tracing::info!(target: "ostler::worker", pool, %worker, "{end}");
    }

    /// One line, and what takes more than a line for those who debug.
    pub(super) fn start_failure(&self, failure: &StartError) {
        let (pool, worker) = (self.pool(), failure.worker().map(display));
        let mut line = causes(failure);
        if let StartError::Exited { exit, .. } = failure
            && let Some(last) = text::last_line(&exit.stderr)
        {
            line.push_str("; last stderr: ");
            line.push_str(&last);
        }
        tracing::warn!(target: "ostler::worker", pool, worker, "start failed: {line}");
        let report = failure.report();
        tracing::debug!(target: "ostler::worker", pool, worker, %report, "start failed, in full");
    }

    pub(super) fn held_lease(&self, worker: WorkerId, since: Duration, place: Place) {
        let since = text::duration(since);
        tracing::warn!(
            target: "ostler::worker", pool = self.pool(), %worker,
            "worker {worker} has been leased for {since}, longer than `lease_warning`: the lease \
             was taken at {place}"
        );
    }

    pub(super) fn rolling_began(&self, workers: usize) {
        let workers = text::count(workers as u64, "worker");
        tracing::info!(target: "ostler::pool", pool = self.pool(), "rolling restart began: {workers}");
    }

    pub(super) fn rolling_ended(&self, took: Duration, outcome: &Result<usize, RollingError>) {
        let (pool, took) = (self.pool(), text::duration(took));
        match outcome {
            Ok(replaced) => {
                let workers = text::count(*replaced as u64, "worker");
                tracing::info!(
                    target: "ostler::pool", pool,
                    "rolling restart ended after {took}: {workers} replaced"
                );
            }
            Err(error) => tracing::warn!(
                target: "ostler::pool", pool,
                "rolling restart ended after {took}: {}", causes(error)
            ),
        }
    }

    pub(super) fn shutdown_began(&self, workers: &Occupancy, sessions: usize) {
        let (pool, sessions) = (self.pool(), text::count(sessions as u64, "session"));
        tracing::info!(target: "ostler::pool", pool, "shutdown began: {workers}, {sessions}");
    }

    pub(super) fn shutdown_ended(&self, took: Duration, released: usize, abandoned: usize) {
        let (pool, took) = (self.pool(), text::duration(took));
        let released = text::count(released as u64, "worker");
        tracing::info!(
            target: "ostler::pool", pool,
            "shutdown ended after {took}: {released} released, {abandoned} abandoned"
        );
    }

    pub(super) fn event(&self, event: Event) {
        let (pool, worker) = (self.pool(), event.worker());
        let WorkerId { slot, generation } = worker;
        match event {
            Event::Opened { .. } => tracing::debug!(
                target: "ostler::worker", pool, %worker, slot, generation, "opened"
            ),
            Event::Moved(Transition {
                from,
                input,
                to,
                reason,
                ..
            }) => tracing::debug!(
                target: "ostler::worker",
                pool, %worker, slot, generation, from = from.name(), input = input.name(),
                to = to.name(), reason = reason.map(tracing::field::display),
                "transition"
            ),
            Event::Replacing { reason, .. } => tracing::debug!(
                target: "ostler::worker", pool, %worker, slot, generation, %reason, "to be replaced"
            ),
            Event::Kept { .. } => tracing::debug!(
                target: "ostler::worker", pool, %worker, slot, generation, "kept after all"
            ),
            _ => {}
        }
    }
}
