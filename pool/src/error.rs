//! What can go wrong, one variant for each thing that a caller would treat differently.

use std::sync::Arc;
use std::time::Duration;

use ostler::policy::InvalidOption;
use ostler::supervisor::Reason;
use ostler::{Phase, PhaseSummary, WorkerId};

use crate::port::{Exit, OpenError};

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option is out of its range.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// No worker could ever be started.
    #[error(transparent)]
    Program(#[from] OpenError),
    /// `build` was called outside a tokio runtime. The pool's tasks run on the one that it is called in.
    #[error("a pool must be built inside a tokio runtime: call `build` from async code")]
    NoRuntime,
    /// The thread that was to write the trace could not be started.
    #[error("the thread that writes the trace cannot be started: {0}")]
    Recorder(#[from] std::io::Error),
}

/// Why a client got no lease.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// No worker became free in time.
    #[error("no worker became free within {after:?}: {pool}")]
    TimedOut {
        /// How long the client waited: the pool's `checkout_timeout`.
        after: Duration,
        /// What the pool looked like then.
        pool: Occupancy,
    },
    /// As many clients wait as may: the pool's `max_waiting`.
    #[error("{max_waiting} clients are waiting already, as many as may: {pool}")]
    QueueFull {
        /// The limit.
        max_waiting: usize,
        /// What the pool looked like then.
        pool: Occupancy,
    },
    /// Starts keep failing and nothing serves. The pool goes on trying, more and more seldom.
    #[error("no worker can be started: {last}")]
    CrashLoop {
        /// How the last start failed.
        last: Arc<StartError>,
    },
    /// No worker was idle, and the client did not want to wait.
    #[error("no worker is idle: {pool}")]
    NoneIdle {
        /// What the pool looked like then.
        pool: Occupancy,
    },
    /// The worker of the session did not become free in time.
    #[error("worker {worker} did not become free for its session within {after:?}: {pool}")]
    SessionTimedOut {
        /// The session's worker.
        worker: WorkerId,
        /// How long the client waited: the pool's `checkout_timeout`.
        after: Duration,
        /// What the pool looked like then.
        pool: Occupancy,
    },
    /// The session's worker is gone, and what it kept for the session with it. A session that is opened anew may be
    /// on another worker.
    #[error("the session is lost with its worker: {reason}")]
    SessionLost {
        /// Why the worker is gone.
        reason: Reason,
    },
    /// The session was ended, or nobody had used it for `session_idle_timeout`.
    #[error("the session has ended: open it anew")]
    SessionEnded,
    /// As many sessions are open as may: the pool's `max_sessions`.
    #[error("{max_sessions} sessions are open already, as many as may")]
    TooManySessions {
        /// The limit.
        max_sessions: usize,
    },
    /// The pool was drained, and takes no new clients until it is resumed.
    #[error("the pool is drained and takes no new clients: {pool}")]
    Draining {
        /// What the pool looked like then.
        pool: Occupancy,
    },
    /// The pool shuts down, or has.
    #[error("the pool is shut down")]
    Closed,
}

/// Why a rolling restart did not replace every worker.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollingError {
    /// A worker could not be started. Those that were not replaced yet serve on.
    #[error(
        "a start failed after {} workers had been replaced, and {} were kept{}",
        .replaced, .kept, .last.as_ref().map(|last| format!(": {last}")).unwrap_or_default()
    )]
    StartFailed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers that were not replaced.
        kept: usize,
        /// How the start failed.
        last: Option<Arc<StartError>>,
    },
    /// The pool was shut down meanwhile.
    #[error("the pool was shut down after {} workers had been replaced", .replaced)]
    Closed {
        /// Workers replaced before that.
        replaced: usize,
        /// Workers that were not replaced.
        kept: usize,
    },
}

/// How many workers of a pool are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Starting.
    pub initializing: usize,
    /// Idle.
    pub ready: usize,
    /// Leased.
    pub busy: usize,
    /// On their way out.
    pub draining: usize,
    /// Clients that wait.
    pub waiting: usize,
}

impl Occupancy {
    pub(crate) fn of(phases: impl Iterator<Item = Phase>, waiting: usize) -> Self {
        let mut occupancy = Self {
            waiting,
            ..Self::default()
        };
        for phase in phases {
            match phase.summary() {
                PhaseSummary::Initializing => occupancy.initializing += 1,
                PhaseSummary::Ready => occupancy.ready += 1,
                PhaseSummary::Busy => occupancy.busy += 1,
                PhaseSummary::Draining => occupancy.draining += 1,
                PhaseSummary::Terminated => {}
            }
        }
        occupancy
    }
}

impl std::fmt::Display for Occupancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            initializing,
            ready,
            busy,
            draining,
            waiting,
        } = self;
        write!(
            f,
            "{initializing} workers initializing, {ready} ready, {busy} busy, {draining} draining, \
             {waiting} clients waiting"
        )
    }
}

/// How a worker's start failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its port could not be opened.
    #[error("worker {worker}: {source}")]
    Open {
        /// The worker.
        worker: WorkerId,
        /// Why not.
        source: OpenError,
    },
    /// It answered the handshake with an error: its module could not be imported, or its `setup()` failed.
    #[error("worker {worker} refused to start: {source}")]
    Refused {
        /// The worker.
        worker: WorkerId,
        /// What it said.
        source: RemoteError,
    },
    /// Its process exited before it answered the handshake, or before it was ever leased.
    #[error("worker {worker} exited at its start, with {}{}", .exit.status, Tail(&.exit.stderr))]
    Exited {
        /// The worker.
        worker: WorkerId,
        /// How it ended.
        exit: Exit,
    },
    /// It did not answer the handshake within `start_timeout`.
    #[error(
        "worker {worker} was not ready within {after:?}: raise `start_timeout` or look at its setup"
    )]
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// The pool's `start_timeout`.
        after: Duration,
    },
    /// The task that owned its port panicked: a defect in the opener or the port.
    #[error("the task of worker {worker} panicked: see the panic's message")]
    Panicked {
        /// The worker.
        worker: WorkerId,
    },
    /// It answered the handshake with something else: it does not speak the frame protocol, or another version.
    #[error("worker {worker} broke the handshake: {problem}")]
    Protocol {
        /// The worker.
        worker: WorkerId,
        /// What it did.
        problem: String,
    },
}

/// Why a call returned no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There was no worker to call. The request was not sent.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// The worker's function raised an exception. The exchange was whole and the worker goes on serving.
    #[error("worker {worker} raised {source}")]
    Raised {
        /// The worker.
        worker: WorkerId,
        /// The exception.
        source: RemoteError,
    },
    /// The worker's process ended during the call. It is replaced.
    #[error("worker {worker} exited during the call, with {}{}", .exit.status, Tail(&.exit.stderr))]
    WorkerExited {
        /// The worker.
        worker: WorkerId,
        /// How it ended.
        exit: Exit,
        /// Whether the worker may have seen the whole request. If not, it cannot have acted on it.
        request_written: bool,
    },
    /// The worker did not answer within `call_timeout`. It is stopped and replaced, unless it ends the call within the
    /// pool's `cancel_grace`.
    #[error("worker {worker} did not answer within {after:?}, and the call was given up")]
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// The pool's `call_timeout`.
        after: Duration,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The pool stopped the worker under the call: its drain deadline passed.
    #[error("worker {worker} was stopped during the call: {reason}")]
    Stopped {
        /// The worker.
        worker: WorkerId,
        /// Why it was stopped.
        reason: Reason,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The worker sent what the protocol does not allow. It is stopped and replaced.
    #[error("worker {worker} broke the protocol: {problem}")]
    Protocol {
        /// The worker.
        worker: WorkerId,
        /// What it did.
        problem: String,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The request is larger than a frame may be. It was not sent, and the lease is as good as before.
    #[error("a request of {size} bytes is larger than the {max} that `max_frame` allows")]
    RequestTooLarge {
        /// The request's size in bytes.
        size: usize,
        /// The largest request in bytes.
        max: usize,
    },
    /// An earlier call on this lease was dropped, timed out or failed, and its worker is no longer this client's.
    #[error("the lease on worker {worker} is over: an earlier call on it did not end well")]
    LeaseOver {
        /// The worker.
        worker: WorkerId,
    },
    /// The request could not be written as JSON, or the reply is not the JSON that was expected.
    #[cfg(feature = "json")]
    #[error("the {what} of the call is not the expected JSON: {source}")]
    Json {
        /// `request`, `reply` or `part`.
        what: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// An exception in a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct RemoteError {
    /// Its type, such as `ValueError` or `json.decoder.JSONDecodeError`.
    pub kind: String,
    /// What it says.
    pub message: String,
    /// Where it was raised, as the worker prints it.
    pub traceback: String,
}

/// The end of a worker's stderr, on lines of its own, or nothing.
struct Tail<'a>(&'a str);

impl std::fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.trim_end() {
            "" => Ok(()),
            tail => write!(f, "; its stderr ends:\n{tail}"),
        }
    }
}
