//! What a pool shows of itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ostler::supervisor::{Counters, Reason};
use ostler::worker::{Phase, Rung};
use ostler::{PhaseSummary, WorkerId};

use crate::error::{Occupancy, StartError};
use crate::port::ExitStatus;

/// A pool at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many workers the pool is to have.
    pub size: usize,
    /// How many clients wait for a worker.
    pub waiting: usize,
    /// How many sessions are open.
    pub sessions: usize,
    /// Whether the pool is drained, and takes no new clients until it is resumed.
    pub draining: bool,
    /// Every worker whose port is not released.
    pub workers: Vec<WorkerStatus>,
    /// What has happened since the pool was built.
    pub counters: Counters,
    /// How the last start failed that did.
    pub last_failure: Option<Arc<StartError>>,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id, once its port is open.
    pub pid: Option<u32>,
    /// Where it is in its life, exactly. [`Phase::summary`] gives the phase as a dashboard shows it.
    pub phase: Phase,
    /// For how long it has been in that phase.
    pub in_phase: Duration,
    /// How long ago its port was ordered to be opened.
    pub age: Duration,
    /// The rung of the stop ladder that it stands on, while it is being stopped.
    pub rung: Option<Rung>,
    /// How many calls it has answered on leases that have ended.
    pub calls: u64,
    /// How many of the last of them in a row it answered with an error.
    pub errors: u64,
    /// How many sessions are bound to it.
    pub sessions: usize,
    /// The resident bytes of its processes, when they were last measured: at its start and with each probe.
    pub memory: Option<u64>,
    /// Its last probe, if it has answered one.
    pub last_probe: Option<Probe>,
    /// How many probes it has missed in a row.
    pub misses: u32,
    /// Why it will be retired as soon as its replacement is ready, if it will.
    pub replacing: Option<Reason>,
    /// Why it is on its way out, once it is.
    pub reason: Option<Reason>,
    /// Why the worker left, or is to, that it replaces. `None`: it replaces none.
    pub replaces: Option<Reason>,
}

/// A probe that a worker has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// How long ago.
    pub ago: Duration,
    /// Whether the worker said that it is well.
    pub healthy: bool,
}

impl PoolStatus {
    /// How many workers are in each phase.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        Occupancy::of(self.workers.iter().map(|worker| worker.phase), self.waiting)
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
        let draining = if self.draining { ", drained" } else { "" };
        let (size, sessions) = (self.size, self.sessions);
        writeln!(
            f,
            "pool of {size}{draining}: {}, {sessions} sessions",
            self.occupancy()
        )?;
        for worker in &self.workers {
            writeln!(f, "  {worker}")?;
        }
        Ok(())
    }
}

impl fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.worker.to_string();
        let pid = self.pid.map_or_else(|| "-".to_owned(), |p| p.to_string());
        let phase = self.phase.summary();
        let since = self.in_phase.as_secs();
        let calls = self.calls;
        write!(
            f,
            "worker {name:8} pid {pid:8} {phase:13} for {since:4} s, {calls:6} calls"
        )?;
        if let Some(bytes) = self.memory {
            write!(f, ", {:5} MiB", bytes >> 20)?;
        }
        if self.sessions > 0 {
            write!(f, ", {} sessions", self.sessions)?;
        }
        if self.misses > 0 {
            write!(f, ", {} probes missed", self.misses)?;
        }
        match (self.reason, self.replacing) {
            (Some(reason), _) => write!(f, "  ({reason})"),
            (None, Some(reason)) => write!(f, "  (to be replaced: {reason})"),
            (None, None) => Ok(()),
        }
    }
}

/// How a pool ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The workers that were alive when the shutdown began, in the order in which they ended.
    pub workers: Vec<WorkerEnd>,
    /// Workers that the operating system had not let go of when `shutdown_timeout` passed. They are waited for all
    /// the same, as long as the runtime lives.
    pub unreleased: Vec<WorkerId>,
    /// How long the whole shutdown took.
    pub took: Duration,
    /// How long of it calls and sessions were waited for. The rest was for the workers to end.
    pub drained_in: Duration,
    /// What happened in the pool's life.
    pub counters: Counters,
}

/// How one worker ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerEnd {
    /// The worker.
    pub worker: WorkerId,
    /// Why it was stopped, or that it exited by itself.
    pub reason: Option<Reason>,
    /// The last rung of the stop ladder that was taken before it exited. `None`: it was not asked.
    pub rung: Option<Rung>,
    /// What its process ended with. `None`: it never had one.
    pub status: Option<ExitStatus>,
    /// Processes that had left its group, and were found and killed.
    pub escaped: usize,
    /// Whether the kernel vouches for it that no descendant of it is alive. See [`Release`](crate::Release).
    pub confirmed: bool,
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
            "  workers: {} opened, {} started, {} released; {} exited by themselves, {} stopped in a call, \
             {} recycled",
            c.opened, c.started, c.released, c.exited, c.faulted, c.recycled
        )?;
        writeln!(
            f,
            "  leases:  {} granted, {} refused, {} given up; {} calls answered; {} probes, {} missed",
            c.granted, c.refused, c.gave_up, c.calls, c.probes, c.missed_probes
        )?;
        for end in &self.workers {
            let status = end
                .status
                .map_or_else(|| "no process".to_owned(), |s| s.to_string());
            let rung = end.rung.map_or("-", Rung::name);
            let worker = end.worker.to_string();
            write!(f, "  worker {worker:8} {status}, last rung {rung}")?;
            if end.escaped > 0 {
                write!(f, ", {} escaped processes killed", end.escaped)?;
            }
            match end.reason {
                Some(reason) => writeln!(f, "  ({reason})")?,
                None => writeln!(f)?,
            }
        }
        let unconfirmed = |end: &&WorkerEnd| end.status.is_some() && !end.confirmed;
        let unconfirmed = self.workers.iter().filter(unconfirmed).count();
        if unconfirmed > 0 {
            writeln!(
                f,
                "  not confirmed for {unconfirmed} workers: that nothing has left the group and dropped its environment, as only a \
                 control group that nothing has left can show"
            )?;
        }
        for worker in &self.unreleased {
            writeln!(
                f,
                "  worker {worker}: NOT released within the shutdown timeout"
            )?;
        }
        Ok(())
    }
}
