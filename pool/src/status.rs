//! What a pool shows of itself.

use std::fmt;
use std::time::Duration;

use ostler::supervisor::{Counters, Reason};
use ostler::worker::{Phase, Rung};
use ostler::{PublicPhase, WorkerId};

use crate::error::Occupancy;
use crate::port::ExitStatus;

/// A pool at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many workers the pool is to have.
    pub size: usize,
    /// How many clients wait for a worker.
    pub waiting: usize,
    /// Every worker whose port is not released.
    pub workers: Vec<WorkerStatus>,
    /// What has happened since the pool was built.
    pub counters: Counters,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id, once its port is open.
    pub pid: Option<u32>,
    /// Where it is in its life, exactly. [`Phase::public`] gives the phase as a dashboard shows it.
    pub phase: Phase,
    /// The rung of the stop ladder that it stands on, while it is being stopped.
    pub rung: Option<Rung>,
    /// Whether it will be retired as soon as its replacement is ready.
    pub recycling: bool,
    /// How many calls it has answered on leases that have ended.
    pub calls: u64,
    /// Why it is on its way out, once it is.
    pub reason: Option<Reason>,
}

impl PoolStatus {
    /// How many workers are in each phase.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        let mut occupancy = Occupancy {
            waiting: self.waiting,
            ..Occupancy::default()
        };
        for worker in &self.workers {
            occupancy.count(worker.phase.public());
        }
        occupancy
    }

    /// How many workers serve: they are ready or busy.
    #[must_use]
    pub fn serving(&self) -> usize {
        let serves = |worker: &&WorkerStatus| {
            matches!(
                worker.phase.public(),
                PublicPhase::Ready | PublicPhase::Busy
            )
        };
        self.workers.iter().filter(serves).count()
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pool of {}: {}", self.size, self.occupancy())?;
        for worker in &self.workers {
            let name = worker.worker.to_string();
            let pid = worker
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            let phase = worker.phase.public();
            write!(
                f,
                "  worker {name:8} pid {pid:8} {phase:13} {} calls",
                worker.calls
            )?;
            match worker.reason {
                Some(reason) => writeln!(f, "  ({reason})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
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
    /// How long the shutdown took.
    pub took: Duration,
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
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counters;
        writeln!(f, "pool shut down in {:.3} s", self.took.as_secs_f64())?;
        writeln!(
            f,
            "  workers: {} opened, {} started, {} released; {} exited by themselves, {} stopped in a call, \
             {} recycled",
            c.opened, c.started, c.released, c.exited, c.faulted, c.recycled
        )?;
        writeln!(
            f,
            "  leases:  {} granted, {} refused, {} given up; {} calls answered",
            c.granted, c.refused, c.gave_up, c.exchanges
        )?;
        for end in &self.workers {
            let status = end
                .status
                .map_or_else(|| "no process".to_owned(), |s| s.to_string());
            let rung = end.rung.map_or("-", Rung::name);
            writeln!(
                f,
                "  worker {:8} {status}, last rung {rung}",
                end.worker.to_string()
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
