//! How one worker ended.

use std::fmt;
use std::time::Duration;

use ostler::WorkerId;
use ostler::supervisor::{Fault, Limit, Reason};
use ostler::worker::{Phase, Rung};

use crate::port::ExitStatus;
use crate::text;

/// How one worker ended: in [`PoolStatus::recent_ends`](crate::PoolStatus::recent_ends), in the
/// [`ShutdownReport`](crate::ShutdownReport), and as a line of the log.
///
/// `Display` writes the same line everywhere. With the feature `serde`, durations serialize as
/// seconds.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use ostler_pool::{Fault, Pool, Python, Reason};
///
/// let sleep = Python::function("time:sleep").json();
/// let pool = Pool::builder(sleep).size(1).call_timeout(Duration::from_millis(200)).build()?;
/// assert!(pool.call("1000").await.is_err());
/// pool.shutdown().await;
/// let ends = pool.status().recent_ends;
/// let end = ends.iter().find(|end| end.reason == Reason::Fault(Fault::TimedOut)).unwrap();
/// // worker 0.1 ended: call timed out after 200 ms; SIGTERM; 0 calls; 316 ms
/// assert!(end.to_string().contains("call timed out after 200 ms"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerEnd {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id. `None`: it never had a process, or is no process of this machine.
    pub pid: Option<u32>,
    /// How long ago its port was released.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub ago: Duration,
    /// How long it existed: from the order to open its port until the port was released.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub age: Duration,
    /// Calls answered under leases that had ended.
    pub calls: u64,
    /// The phase that it was in when it was stopped or exited.
    pub phase: Phase,
    /// Why it left the pool.
    pub reason: Reason,
    /// What is known about the reason: the timeout that passed (`after 200 ms`), why its start
    /// failed, how it broke the protocol, or what its last health check said.
    pub detail: Option<String>,
    /// The last rung of the stop ladder that was taken before it exited. `None`: it exited without
    /// being asked, or it never had a process.
    pub rung: Option<Rung>,
    /// The exit status of its process. `None`: it never had a process, or its task ended before it.
    pub status: Option<ExitStatus>,
    /// The end of what it wrote to stderr, at most [`STDERR_TAIL`](crate::port::STDERR_TAIL) bytes.
    pub stderr: String,
    /// Processes that had left its process group, and were found and killed.
    pub escaped: usize,
    /// Whether the kernel confirmed that no descendant is alive. `None`: it was not asked, because
    /// the workers have no control groups. See [`Release`](crate::port::Release).
    pub confirmed: Option<bool>,
    /// Processes of the host's user that started during the worker's life and whose environment
    /// could not be read. Each could be a descendant that hides.
    pub unchecked: usize,
}

impl fmt::Display for WorkerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match (self.reason, self.phase) {
            (Reason::Exited, Phase::Initializing) => "exited while it started",
            (reason, _) => why(reason),
        };
        write!(f, "worker {} ended: {why}", self.worker)?;
        if let Some(detail) = &self.detail {
            write!(f, "{}{detail}", joint(self.reason))?;
        }
        f.write_str("; ")?;
        self.fmt_exit(f)?;
        let (calls, age) = (text::count(self.calls, "call"), text::duration(self.age));
        write!(f, "; {calls}; {age}")?;
        if self.escaped > 0 {
            let escaped = text::count(self.escaped as u64, "escaped process");
            write!(f, "; {escaped} killed")?;
        }
        if self.unchecked > 0 {
            let unchecked = text::count(self.unchecked as u64, "process");
            write!(f, "; {unchecked} could not be checked")?;
        }
        match text::last_line(&self.stderr) {
            // What a worker said long before the pool retired it has nothing to do with its end.
            Some(line) if !is_planned(self.reason) => write!(f, "; last stderr: {line}"),
            _ => Ok(()),
        }
    }
}

impl WorkerEnd {
    /// What was done to it, and how it exited.
    fn fmt_exit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SIGKILL: ExitStatus = ExitStatus::Signal(9);
        const SIGTERM: ExitStatus = ExitStatus::Signal(15);
        let was_starting = self.phase == Phase::Initializing;
        match (self.rung, self.status) {
            (_, None) if self.pid.is_none() => f.write_str("no process"),
            (_, None) => f.write_str("no exit status"),
            // The exit code of a worker that was stopped before it was ready says nothing:
            // interpreters exit with 1.
            (Some(rung), _) if was_starting => write!(f, "was starting, {}", taken(rung)),
            (Some(Rung::Kill), Some(SIGKILL)) => f.write_str("SIGKILL"),
            (Some(Rung::Term), Some(SIGTERM)) => f.write_str("SIGTERM"),
            (Some(rung), Some(status)) => write!(f, "{}, {status}", taken(rung)),
            (None, Some(status)) => f.write_str(&status.explained()),
        }
    }
}

/// What a rung of the stop ladder did.
fn taken(rung: Rung) -> &'static str {
    match rung {
        Rung::Ask => "asked to exit",
        Rung::Term => "SIGTERM",
        Rung::Kill => "SIGKILL",
        _ => "reaped",
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::StartFailed => "start failed",
        Reason::StartTimedOut => "start timed out",
        Reason::Exited => "exited by itself",
        Reason::Fault(Fault::Abandoned) => "call abandoned",
        Reason::Fault(Fault::TimedOut) => "call timed out",
        Reason::Fault(Fault::ProtocolBroken) => "broke the protocol",
        Reason::Unhealthy => "failed its health checks",
        Reason::Limit(Limit::Age) => "reached `max_worker_age`",
        Reason::Limit(Limit::Requests) => "reached `max_worker_requests`",
        Reason::Limit(Limit::Memory) => "reached `max_worker_memory`",
        Reason::Limit(Limit::Errors) => "reached `error_threshold`",
        Reason::Recycled => "recycled",
        Reason::Surplus => "more workers than `size`",
        Reason::Shutdown => "pool shut down",
        _ => "left the pool",
    }
}

/// What is between a reason and its detail.
fn joint(reason: Reason) -> &'static str {
    match reason {
        Reason::StartTimedOut | Reason::Fault(Fault::TimedOut) => " ",
        _ => ": ",
    }
}

/// Whether the pool or its operator chose the moment.
fn is_planned(reason: Reason) -> bool {
    match reason {
        Reason::Limit(limit) => limit != Limit::Errors,
        Reason::Recycled | Reason::Surplus | Reason::Shutdown => true,
        _ => false,
    }
}
