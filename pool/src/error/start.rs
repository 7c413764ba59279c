//! Why a pool could not be built, and why a worker could not be started.

use std::time::Duration;

use ostler::WorkerId;
use ostler::policy::InvalidOption;

use super::{ProtocolError, RemoteError, Report};
use crate::port::{Exit, OpenError};
use crate::text;

/// Why a pool could not be built. No worker was started.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An option is out of range.
    #[error(transparent)]
    InvalidOption(#[from] InvalidOption),
    /// No worker could ever be started.
    #[error(transparent)]
    Program(#[from] OpenError),
    /// `build` was called outside a tokio runtime. The pool's tasks run on the runtime that `build`
    /// is called in.
    #[error("a pool must be built inside a tokio runtime: call `build` from async code")]
    NoRuntime,
    /// The runtime that `build` was called in has no timers, or no I/O.
    #[error("the pool's runtime has no {lacks}: build the runtime with `enable_all`")]
    IncompleteRuntime {
        /// What it lacks: `timers` or `I/O`.
        lacks: &'static str,
    },
    /// The thread that writes the trace could not be started.
    #[error("the thread that writes the trace could not be started")]
    Recorder(#[source] std::io::Error),
}

/// How the start of a worker failed.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its port could not be opened.
    #[error("worker {worker} could not be opened")]
    Open {
        /// The worker.
        worker: WorkerId,
        /// Why.
        source: OpenError,
    },
    /// It answered the handshake with an error: its module could not be imported, or its `setup()`
    /// failed.
    #[error("worker {worker} refused to start")]
    Refused {
        /// The worker.
        worker: WorkerId,
        /// What it answered.
        source: RemoteError,
    },
    /// Its process exited before it answered the handshake.
    #[error("worker {worker} exited while it was starting: {}", .exit.explained())]
    Exited {
        /// The worker.
        worker: WorkerId,
        /// How it exited.
        exit: Exit,
    },
    /// It did not answer the handshake within `start_timeout`.
    #[error(
        "worker {worker} was not ready within {}: raise `start_timeout`, or look at its setup",
        text::duration(*.after)
    )]
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// The pool's `start_timeout`.
        after: Duration,
    },
    /// The task that owned its port panicked: a defect in the opener or the port.
    #[error(
        "the task of worker {worker} panicked: look for the panic message of its opener or port"
    )]
    Panicked {
        /// The worker.
        worker: WorkerId,
    },
    /// The pool was shut down before a worker served.
    #[error("the pool was shut down before a worker served")]
    Closed,
    /// It broke the protocol in the handshake: it speaks another protocol, or another version of
    /// it.
    #[error("worker {worker} broke the protocol in its handshake")]
    Protocol {
        /// The worker.
        worker: WorkerId,
        /// How.
        source: ProtocolError,
    },
}

impl BuildError {
    /// The error with its causes, for people: several lines.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

impl StartError {
    /// The worker that did not start. `None` for [`Closed`](Self::Closed), which is about all of
    /// them.
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Open { worker, .. }
            | Self::Refused { worker, .. }
            | Self::Exited { worker, .. }
            | Self::TimedOut { worker, .. }
            | Self::Panicked { worker }
            | Self::Protocol { worker, .. } => Some(*worker),
            Self::Closed => None,
        }
    }

    /// Whether another start would fail in the same way, because of a mistake that only a person
    /// can mend: a program that does not exist, a module that cannot be imported, a function that
    /// does not exist, or a syntax error.
    ///
    /// As long as no worker of the pool has served, callers then fail at once, and
    /// [`Pool::ready`](crate::Pool::ready) with them. Once one has served, the failure counts as
    /// any other. Either way, the pool goes on trying, at growing intervals.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("no_such_module:function")).build()?;
    /// assert!(pool.ready().await.unwrap_err().is_final());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Open { source, .. } => source.is_final(),
            Self::Refused { source, .. } => source.is_final,
            Self::Exited { .. }
            | Self::TimedOut { .. }
            | Self::Panicked { .. }
            | Self::Protocol { .. }
            | Self::Closed => false,
        }
    }

    /// The error with its causes, the remote traceback and the worker's last lines of stderr, for
    /// people: several lines.
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}
