//! What a pool shows of itself.

use std::fmt;
use std::time::Duration;

use ostler::supervisor::{Counters, Reason};
use ostler::worker::{Phase, Rung};
use ostler::{PhaseSummary, WorkerId};

use crate::end::WorkerEnd;
use crate::error::{Occupancy, StartError};
use crate::port::Survivor;
use crate::text;

/// How many of the recent ends the `Display` of a status shows. The page stays readable, and the
/// last ones answer most questions.
const SHOWN: usize = 5;

/// A pool at one moment. With the feature `serde`, durations serialize as seconds.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolStatus {
    /// Workers to keep serving.
    pub size: usize,
    /// Waiting clients.
    pub waiting: usize,
    /// Open sessions.
    pub sessions: usize,
    /// Whether the pool rejects new clients until it is resumed.
    pub draining: bool,
    /// Every worker whose port is neither released nor abandoned.
    pub workers: Vec<WorkerStatus>,
    /// Ports that were not released within `release_timeout` and are not released yet, the
    /// longest-abandoned first. At most `size`, or more after the pool was resized to a smaller
    /// one.
    pub abandoned: Vec<AbandonedPort>,
    /// How the last 64 workers ended, the most recent end last.
    pub recent_ends: Vec<WorkerEnd>,
    /// What has happened since the pool was built.
    pub counters: Counters,
    /// The most recent start failure. Serializes as its report.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_report"))]
    pub last_failure: Option<StartError>,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerId,
    /// Its position, a number below the pool's size, which its replacement inherits. Two workers
    /// have the same while one replaces the other. See
    /// [`Program::env_for_position`](crate::Program::env_for_position).
    pub position: usize,
    /// Its process id, once its port is open.
    pub pid: Option<u32>,
    /// Its exact phase. [`Phase::summary`] gives the phase that a dashboard shows.
    pub phase: Phase,
    /// How long it has been in that phase.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub in_phase: Duration,
    /// How long ago it was opened.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub age: Duration,
    /// The rung of the stop ladder that it is on, while it is being stopped.
    pub rung: Option<Rung>,
    /// Calls answered under leases that have ended.
    pub calls: u64,
    /// How many of the most recent of those calls were answered with an error, in a row.
    pub errors: u64,
    /// Sessions bound to it.
    pub sessions: usize,
    /// Resident bytes of its processes, when last measured: at its start and with each health
    /// check.
    pub memory: Option<u64>,
    /// Its most recent health check, if it has answered one.
    pub last_probe: Option<Probe>,
    /// Consecutive missed health checks.
    pub misses: u32,
    /// Why it will be replaced, if it will. It serves until its replacement is ready.
    pub replacing: Option<Reason>,
    /// Why it leaves the pool, once it does.
    pub reason: Option<Reason>,
    /// Why the worker that it replaces left or is leaving. `None`: it replaces no worker.
    pub replaces: Option<Reason>,
}

/// The port of a worker that is gone for the pool, although its processes are not. It was not
/// released within `release_timeout`, and the pool goes on with the release in the background.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AbandonedPort {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id.
    pub pid: Option<u32>,
    /// How long ago it was abandoned.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub ago: Duration,
    /// What held up the release when it was abandoned. Empty: nothing is known.
    pub survivors: Vec<Survivor>,
}

impl fmt::Display for AbandonedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.worker.to_string();
        let pid = shown_pid(self.pid);
        let ago = self.ago.as_secs();
        write!(f, "worker {name:8} pid {pid:8} abandoned {ago} s ago")?;
        for (n, survivor) in self.survivors.iter().enumerate() {
            write!(f, "{} {survivor}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

fn shown_pid(pid: Option<u32>) -> String {
    pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())
}

/// A health check that a worker has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Probe {
    /// How long ago.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub ago: Duration,
    /// Whether the worker reported itself healthy.
    pub healthy: bool,
}

impl PoolStatus {
    /// How many workers are in each phase.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        Occupancy::of(
            self.workers.iter().map(|worker| (worker.phase, 1)),
            self.waiting,
        )
    }

    /// How many workers serve: they are ready or busy.
    #[must_use]
    pub fn serving(&self) -> usize {
        let serves = |worker: &&WorkerStatus| {
            matches!(
                worker.phase.summary(),
                PhaseSummary::Ready | PhaseSummary::Busy
            )
        };
        self.workers.iter().filter(serves).count()
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let draining = if self.draining { ", draining" } else { "" };
        let (size, occupancy) = (self.size, self.occupancy());
        let sessions = text::count(self.sessions as u64, "session");
        writeln!(f, "pool of {size}{draining}: {occupancy}, {sessions}")?;
        for worker in &self.workers {
            writeln!(f, "  {worker}")?;
        }
        for port in &self.abandoned {
            writeln!(f, "  {port}")?;
        }
        let hidden = self.recent_ends.len().saturating_sub(SHOWN);
        for end in &self.recent_ends[hidden..] {
            writeln!(f, "  {} ago: {end}", text::duration(end.ago))?;
        }
        Ok(())
    }
}

impl fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.worker.to_string();
        let pid = shown_pid(self.pid);
        let phase = self.phase.summary();
        let since = self.in_phase.as_secs();
        let calls = text::count(self.calls, "call");
        write!(
            f,
            "worker {name:8} pid {pid:8} {phase:13} for {since:4} s, {calls:>12}"
        )?;
        if let Some(bytes) = self.memory {
            write!(f, ", {:5} MiB", bytes >> 20)?;
        }
        if self.sessions > 0 {
            write!(f, ", {}", text::count(self.sessions as u64, "session"))?;
        }
        if self.misses > 0 {
            let misses = text::count(u64::from(self.misses), "missed health check");
            write!(f, ", {misses}")?;
        }
        match (self.reason, self.replacing) {
            (Some(reason), _) => write!(f, "  ({reason})"),
            (None, Some(reason)) => write!(f, "  (to be replaced: {reason})"),
            (None, None) => Ok(()),
        }
    }
}

/// How a pool ended. With the feature `serde`, durations serialize as seconds.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The workers whose ports were released since the shutdown began, in that order.
    pub workers: Vec<WorkerEnd>,
    /// Workers that the operating system had not released when `shutdown_timeout` passed. The pool
    /// keeps waiting for them as long as its runtime lives.
    pub unreleased: Vec<WorkerId>,
    /// Ports that were not released within `release_timeout`, and were not released when the report
    /// was made. The pool has ended without them, and goes on with their release as long as its
    /// runtime lives.
    pub abandoned: Vec<AbandonedPort>,
    /// Whether [`Opener::close`](crate::port::Opener::close) was called and had not returned when
    /// the report was made. The pool keeps waiting for it as long as its runtime lives.
    pub unclosed_opener: bool,
    /// How long the whole shutdown took.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub took: Duration,
    /// How much of it passed until calls and sessions had ended. The rest stopped the workers.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub drained_in: Duration,
    /// What happened in the pool's life.
    pub counters: Counters,
}

impl ShutdownReport {
    /// Whether every port was released, so that none is abandoned or unreleased, and the opener was
    /// closed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unreleased.is_empty() && self.abandoned.is_empty() && !self.unclosed_opener
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counters;
        let (took, drained) = (self.took.as_secs_f64(), self.drained_in.as_secs_f64());
        writeln!(
            f,
            "pool shut down in {took:.3} s: {drained:.3} s to drain, {:.3} s to stop",
            took - drained
        )?;
        writeln!(
            f,
            "  workers: {} opened, {} started, {} released, {} abandoned; {} exited by themselves, \
             {} stopped during a call, {} recycled",
            c.opened, c.started, c.released, c.abandoned, c.exited, c.faulted, c.recycled
        )?;
        writeln!(
            f,
            "  leases:  {} granted, {} refused, {} given up; {} answered; {}, {} missed",
            c.granted,
            c.refused,
            c.gave_up,
            text::count(c.calls, "call"),
            text::count(c.probes, "health check"),
            c.missed_probes
        )?;
        for end in &self.workers {
            writeln!(f, "  {end}")?;
        }
        let unconfirmed = |end: &&WorkerEnd| end.confirmed == Some(false);
        let unconfirmed = self.workers.iter().filter(unconfirmed).count();
        if unconfirmed > 0 {
            let unconfirmed = text::count(unconfirmed as u64, "worker");
            writeln!(
                f,
                "  {unconfirmed} had processes outside their control groups: the kernel could not confirm their end"
            )?;
        }
        for port in &self.abandoned {
            writeln!(f, "  {port}")?;
        }
        for worker in &self.unreleased {
            writeln!(
                f,
                "  worker {worker} was NOT released within `shutdown_timeout`"
            )?;
        }
        if self.unclosed_opener {
            writeln!(
                f,
                "  the opener was NOT closed within `shutdown_timeout`: its `close` has not returned"
            )?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
fn as_report<S: serde::Serializer>(failure: &Option<StartError>, to: S) -> Result<S::Ok, S::Error> {
    match failure {
        Some(failure) => to.collect_str(&failure.report()),
        None => to.serialize_none(),
    }
}
