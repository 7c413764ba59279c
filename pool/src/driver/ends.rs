//! How workers end: what the log, the status and the report of a shutdown say about it.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ostler::WorkerId;
use ostler::supervisor::Reason;
use ostler::worker::Phase;

use super::Driver;
use super::state::{State, WorkerEntry};
use crate::end::WorkerEnd;
use crate::error::StartError;
use crate::port::{Exit, Release};
use crate::rt::Instant;
use crate::text;

/// How many ends a status shows.
const KEPT: usize = 64;

/// An end, and when it was.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    at: Instant,
    /// Shared, because a status copies it under the lock, and its stderr may be long.
    end: Arc<WorkerEnd>,
}

impl Ended {
    pub(super) fn show(&self) -> WorkerEnd {
        WorkerEnd {
            ago: self.at.elapsed(),
            ..WorkerEnd::clone(&self.end)
        }
    }
}

/// The most recent ends, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentEnds(VecDeque<Ended>);

impl RecentEnds {
    fn push(&mut self, ended: Ended) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(ended);
    }

    pub(super) fn show(&self) -> Vec<WorkerEnd> {
        self.0.iter().map(Ended::show).collect()
    }
}

impl Driver {
    /// Records what is known about the reason for which a worker is about to be stopped. It says so
    /// if that turns out to be the reason.
    pub(crate) fn explain(&self, worker: WorkerId, reason: Reason, detail: String) {
        if let Some(entry) = self.lock().worker(worker) {
            entry.detail = Some((reason, detail));
        }
    }

    /// A worker has ended: nothing of it is left.
    pub(super) fn ended(&self, worker: WorkerId, exit: Option<Exit>, release: Release) {
        let end = self.lock().ended(worker, exit, release);
        if let Some(end) = end {
            self.metrics.ended(end.reason);
            self.log.end(&end);
        }
    }
}

impl State {
    fn ended(
        &mut self,
        worker: WorkerId,
        exit: Option<Exit>,
        release: Release,
    ) -> Option<Arc<WorkerEnd>> {
        // Calls may have been reported since it left. An abandoned worker has no slot any more.
        let calls = self.supervisor.worker(worker).map(|view| view.calls);
        let entry = self.worker(worker)?;
        let calls = calls.unwrap_or(entry.calls);
        let end = Arc::new(entry.end(calls, exit, release)?);
        let ended = Ended {
            at: Instant::now(),
            end: Arc::clone(&end),
        };
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.ended.push(ended.clone());
        }
        self.recent_ends.push(ended);
        Some(end)
    }

    /// A worker leaves its phase for good.
    pub(super) fn left(&mut self, worker: WorkerId, from: Phase, reason: Reason) {
        let view = self.supervisor.worker(worker);
        if let Some(entry) = self.worker(worker) {
            entry.left = Some((from, reason));
            entry.calls = view.map_or(0, |view| view.calls);
        }
    }
}

impl WorkerEntry {
    fn end(&self, calls: u64, exit: Option<Exit>, release: Release) -> Option<WorkerEnd> {
        let (phase, reason) = self.left?;
        let detail = self.detail.clone().filter(|(of, _)| *of == reason);
        let (status, stderr) = exit.map(|exit| (exit.status, exit.stderr)).unzip();
        Some(WorkerEnd {
            worker: self.worker,
            pid: self.pid,
            ago: Duration::ZERO,
            age: self.opened.elapsed(),
            calls,
            phase,
            reason,
            detail: detail.map(|(_, detail)| detail),
            rung: self.rung,
            status,
            stderr: stderr.unwrap_or_default(),
            escaped: release.escaped,
            confirmed: release.confirmed,
            unchecked: release.unchecked,
        })
    }
}

/// What an end says about a start that failed. The exit status says the rest.
pub(super) fn start_detail(failure: &StartError) -> Option<(Reason, String)> {
    match failure {
        StartError::Exited { .. } => None,
        StartError::TimedOut { after, .. } => {
            let after = text::duration(*after);
            Some((Reason::StartTimedOut, format!("after {after}")))
        }
        StartError::Panicked { .. } => Some((Reason::StartFailed, "its task panicked".to_owned())),
        failure => {
            let detail = failure.source().map(causes);
            detail.map(|detail| (Reason::StartFailed, detail))
        }
    }
}

/// An error and its causes in one line.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut level = error.source();
    while let Some(cause) = level {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        level = cause.source();
    }
    line
}
