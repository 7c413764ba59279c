//! Why a worker leaves the pool.

use core::fmt;

/// What was wrong when a lease ended in the middle of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fault {
    /// The client dropped the call, or the lease with a call under way.
    Abandoned,
    /// The call exceeded `call_timeout`.
    TimedOut,
    /// The worker violated the frame protocol.
    ProtocolBroken,
}

/// A limit that a worker can reach. A worker that does is recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Limit {
    /// `max_worker_age`.
    Age,
    /// `max_worker_requests`.
    Requests,
    /// `max_worker_memory`.
    Memory,
    /// `error_threshold`.
    Errors,
}

/// Why a worker leaves the pool. The first reason is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Reason {
    /// Its start failed.
    StartFailed,
    /// It exceeded `start_timeout`.
    StartTimedOut,
    /// Its process exited without being told to.
    Exited,
    /// A lease on it ended in the middle of a call.
    Fault(Fault),
    /// It missed `health_failure_threshold` health checks in a row, or reported itself unhealthy as
    /// often.
    Unhealthy,
    /// It reached a limit.
    Limit(Limit),
    /// The application asked for its replacement.
    Recycled,
    /// The pool has more workers than `size`, or the worker has no position of its own below it.
    Surplus,
    /// The pool is shutting down.
    Shutdown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StartFailed => "its start failed",
            Self::StartTimedOut => "its start timed out",
            Self::Exited => "its process exited",
            Self::Fault(Fault::Abandoned) => "a call on it was abandoned",
            Self::Fault(Fault::TimedOut) => "a call on it timed out",
            Self::Fault(Fault::ProtocolBroken) => "it broke the protocol",
            Self::Unhealthy => "it failed its health checks",
            Self::Limit(Limit::Age) => "it reached `max_worker_age`",
            Self::Limit(Limit::Requests) => "it reached `max_worker_requests`",
            Self::Limit(Limit::Memory) => "it reached `max_worker_memory`",
            Self::Limit(Limit::Errors) => "it reached `error_threshold`",
            Self::Recycled => "it was recycled",
            Self::Surplus => "the pool has more workers than `size`",
            Self::Shutdown => "the pool is shutting down",
        })
    }
}
