//! Why a call returned no reply.

use std::time::Duration;

use ostler::WorkerId;
use ostler::supervisor::Reason;

use super::{CheckoutError, ProtocolError, Report, SessionError};
use crate::port::Exit;
use crate::text;

/// Why a call returned no reply.
///
/// A call is never repeated silently. [`request_written`](Self::request_written) says whether the
/// worker may have seen the request, and with it whether a retry is safe.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call got no worker. The request was not sent.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// The session's call got no worker. The request was not sent.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The worker's function raised an exception. The call is complete, and the worker serves on.
    #[error("the call on worker {worker} raised an exception")]
    Raised {
        /// The worker.
        worker: WorkerId,
        /// The exception.
        source: RemoteError,
    },
    /// The worker's process exited during the call, or before the request was written. The worker
    /// is replaced.
    #[error("worker {worker} exited {}: {}", when(*.request_written), .exit.explained())]
    WorkerExited {
        /// The worker.
        worker: WorkerId,
        /// How it exited.
        exit: Exit,
        /// Whether the worker may have seen the whole request. If not, it cannot have acted on it.
        request_written: bool,
    },
    /// The worker did not answer within `call_timeout`. It is stopped and replaced, unless it ends
    /// the call within the grace of [`AbandonedCalls::Cancel`](crate::AbandonedCalls::Cancel).
    #[error(
        "worker {worker} did not answer within {}: raise `call_timeout` if the call may take longer",
        text::duration(*.after)
    )]
    TimedOut {
        /// The worker.
        worker: WorkerId,
        /// The pool's `call_timeout`, or that of the request.
        after: Duration,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The pool stopped the worker during the call, or before the request was written: its drain
    /// deadline passed.
    #[error("worker {worker} was stopped {}: {reason}", when(*.request_written))]
    Stopped {
        /// The worker.
        worker: WorkerId,
        /// Why it was stopped.
        reason: Reason,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The worker violated the frame protocol, in the call or since the last one on this lease. It
    /// is stopped and replaced.
    #[error("worker {worker} broke the protocol")]
    Protocol {
        /// The worker.
        worker: WorkerId,
        /// How.
        source: ProtocolError,
        /// Whether the worker may have seen the whole request.
        request_written: bool,
    },
    /// The request does not fit into a frame. It was not sent, and the lease remains usable.
    #[error("the request is {size} bytes, and `max_frame` allows {max}")]
    RequestTooLarge {
        /// The request's size in bytes.
        size: usize,
        /// The largest request in bytes.
        max: usize,
    },
    /// The workers do not run the function that was named, or run several and none was named. The
    /// request was not sent, and the lease remains usable.
    #[error("{}", no_such_function(.function.as_deref(), .known))]
    NoSuchFunction {
        /// The function that was named.
        function: Option<String>,
        /// The functions that can be named, sorted. Empty if none is to be named.
        known: Vec<String>,
    },
    /// An earlier call on this lease failed or was dropped, and the lease ended with it.
    #[error("the lease on worker {worker} ended with an earlier call: check out again")]
    LeaseOver {
        /// The worker.
        worker: WorkerId,
    },
    /// The pool's workers take bytes, not JSON. The request was not sent.
    #[cfg(feature = "json")]
    #[error("the workers take bytes: add `.json()` to `Python::function`, or use `call`")]
    NotJson,
    /// The request cannot be written as JSON, or the worker's answer is not the expected JSON. The
    /// lease remains usable.
    #[cfg(feature = "json")]
    #[error("the {part} is not the expected JSON")]
    Json {
        /// Which part of the call.
        part: JsonPart,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn no_such_function(function: Option<&str>, known: &[String]) -> String {
    let known = known.join("`, `");
    match function {
        Some(name) if known.is_empty() => format!(
            "`{name}` was named, but the workers run one function: build the pool with `Python::module`, or name none"
        ),
        Some(name) => format!("the workers have no function `{name}`: they have `{known}`"),
        None => format!(
            "name a function with `Pool::function_json` or `Request::function`: the workers have `{known}`"
        ),
    }
}

/// When a worker ended, as far as its caller knows.
fn when(request_written: bool) -> &'static str {
    if request_written {
        "during the call"
    } else {
        "before the request was written"
    }
}

/// The part of a call whose JSON is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonPart {
    /// The request. It was not sent.
    Request,
    /// The worker's reply.
    Reply,
    /// A part of the worker's streamed reply.
    Part,
}

impl std::fmt::Display for JsonPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Reply => "reply",
            Self::Part => "part of the reply",
        })
    }
}

impl CallError {
    /// What is wrong with JSON in this part of a call.
    #[cfg(feature = "json")]
    pub(crate) fn json(part: JsonPart) -> impl Fn(serde_json::Error) -> Self {
        move |source| Self::Json { part, source }
    }

    /// Whether time ran out: waiting for a worker, or waiting for its answer.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Checkout(error) => error.is_timeout(),
            Self::Session(error) => error.is_timeout(),
            Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// Whether the worker may have seen the whole request. If not, it cannot have acted on it, and
    /// a retry is safe.
    #[must_use]
    pub fn request_written(&self) -> bool {
        match self {
            Self::Checkout(_)
            | Self::Session(_)
            | Self::RequestTooLarge { .. }
            | Self::NoSuchFunction { .. }
            | Self::LeaseOver { .. } => false,
            Self::Raised { .. } => true,
            Self::WorkerExited {
                request_written, ..
            }
            | Self::TimedOut {
                request_written, ..
            }
            | Self::Stopped {
                request_written, ..
            }
            | Self::Protocol {
                request_written, ..
            } => *request_written,
            #[cfg(feature = "json")]
            Self::NotJson => false,
            #[cfg(feature = "json")]
            Self::Json { part, .. } => *part != JsonPart::Request,
        }
    }

    /// The worker that the call ran on. `None` when it got none.
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Raised { worker, .. }
            | Self::WorkerExited { worker, .. }
            | Self::TimedOut { worker, .. }
            | Self::Stopped { worker, .. }
            | Self::Protocol { worker, .. }
            | Self::LeaseOver { worker } => Some(*worker),
            _ => None,
        }
    }

    /// The error of another request that had the same fate: it waited for the same lease, or was
    /// with the same worker.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Checkout(error) => Self::Checkout(error.clone()),
            Self::WorkerExited {
                worker,
                exit,
                request_written,
            } => Self::WorkerExited {
                worker: *worker,
                exit: exit.clone(),
                request_written: *request_written,
            },
            Self::TimedOut {
                worker,
                after,
                request_written,
            } => Self::TimedOut {
                worker: *worker,
                after: *after,
                request_written: *request_written,
            },
            Self::Stopped {
                worker,
                reason,
                request_written,
            } => Self::Stopped {
                worker: *worker,
                reason: *reason,
                request_written: *request_written,
            },
            Self::Protocol {
                worker,
                source,
                request_written,
            } => Self::Protocol {
                worker: *worker,
                source: source.clone(),
                request_written: *request_written,
            },
            Self::LeaseOver { worker } => Self::LeaseOver { worker: *worker },
            Self::NoSuchFunction { function, known } => Self::NoSuchFunction {
                function: function.clone(),
                known: known.clone(),
            },
            Self::RequestTooLarge { size, max } => Self::RequestTooLarge {
                size: *size,
                max: *max,
            },
            other => unreachable!("{other} is the error of one request"),
        }
    }

    /// The error with its causes, the remote traceback and the worker's last lines of stderr, for
    /// people: several lines.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
    /// let error = pool.call_json::<_, f64>(&-1).await.unwrap_err();
    /// assert_eq!(error.to_string(), "the call on worker 0.1 raised an exception");
    /// assert!(error.report().to_string().contains("caused by: ValueError: "));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

/// An exception in a worker, such as `KeyError: 'absent' (model.py:4, in lookup)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}{}", first_line(.message), shown(.place.as_deref()))]
#[non_exhaustive]
pub struct RemoteError {
    /// Its type, such as `ValueError` or `json.decoder.JSONDecodeError`.
    pub kind: String,
    /// Its message. `Display` prints the first line.
    pub message: String,
    /// Where it was raised, as the worker formats it.
    pub traceback: String,
    /// The line that raised it, such as `model.py:4, in lookup`: the innermost frame outside
    /// libraries. `None` if the worker does not say.
    pub place: Option<Box<str>>,
    /// Whether each start would fail in this way: the module cannot be imported, or has no such
    /// function. Only the error of a start is final.
    pub is_final: bool,
}

fn shown(place: Option<&str>) -> String {
    place.map_or_else(String::new, |place| format!(" ({place})"))
}

fn first_line(message: &str) -> String {
    let mut lines = message.lines();
    match (lines.next(), lines.next()) {
        (Some(first), Some(_)) => format!(": {first} [...]"),
        (Some(first), None) => format!(": {first}"),
        (None, _) => String::new(),
    }
}
