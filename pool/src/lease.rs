//! A worker, for one client's own use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ostler::supervisor::{Fault, Input};
use ostler::{LeaseId, WorkerId};
use tokio::select;

use crate::codec::kind;
use crate::driver::Driver;
use crate::error::{CallError, RemoteError};
use crate::wire::{Answer, Broken, End, Wire};

/// How long a worker that has closed its output may take to exit before that counts as breaking the protocol. The
/// end of the output and the exit are two events, and the exit has more to say.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// A worker, leased to one client.
///
/// Made by [`Pool::checkout`](crate::Pool::checkout). Dropped, it goes back to the pool and to the client that has
/// waited longest. If an exchange on it did not end well (its future was dropped, it timed out, the worker broke the
/// protocol), the worker cannot be given to anyone: it is stopped and replaced at once, and the lease is over.
///
/// Dropping a lease never blocks and needs no runtime.
pub struct Lease {
    driver: Arc<Driver>,
    wire: Arc<Wire>,
    id: LeaseId,
    exchanges: u64,
    /// How many of the last of them in a row were answered with an error.
    errors: u64,
    over: bool,
}

impl Lease {
    pub(crate) fn new(driver: Arc<Driver>, wire: Arc<Wire>, id: LeaseId) -> Self {
        Self {
            driver,
            wire,
            id,
            exchanges: 0,
            errors: 0,
            over: false,
        }
    }

    /// The worker.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.id.worker
    }

    /// The process id of the worker, while it is alive.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.driver.pid(self.id.worker)
    }

    /// Sends `request` to the worker and waits for its reply, for `call_timeout` at most.
    ///
    /// The exchange runs in the caller's task: there is no other one between it and the worker's pipes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe in that the reply is lost: dropped before it is ready, the call counts as abandoned, and the
    /// worker is stopped and replaced. No other client ever sees the late reply.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. After [`Raised`](CallError::Raised) and
    /// [`RequestTooLarge`](CallError::RequestTooLarge) the lease is as good as before; after all others it is over.
    pub async fn call(&mut self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        let worker = self.worker();
        if self.over {
            return Err(CallError::LeaseOver { worker });
        }
        let max = self.wire.max_body();
        if request.len() > max {
            return Err(CallError::RequestTooLarge {
                size: request.len(),
                max,
            });
        }
        let mut exchange = Exchange {
            lease: self,
            fault: Some(Fault::Abandoned),
        };
        let result = exchange.run(request).await;
        exchange.fault = match &result {
            Ok(_) | Err(CallError::Raised { .. }) => None,
            Err(CallError::TimedOut { .. }) => Some(Fault::TimedOut),
            Err(_) => Some(Fault::ProtocolBroken),
        };
        result
    }

    /// As [`call`](Self::call), with JSON both ways: for Python workers built with
    /// [`Python::json`](crate::Python::json).
    ///
    /// # Errors
    ///
    /// As `call`, and [`CallError::Json`], after which the lease is as good as before.
    #[cfg(feature = "json")]
    pub async fn call_json<T, R>(&mut self, request: &T) -> Result<R, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        let request = serde_json::to_vec(request).map_err(|source| CallError::Json {
            what: "request",
            source,
        })?;
        let reply = self.call(&request).await?;
        serde_json::from_slice(&reply).map_err(|source| CallError::Json {
            what: "reply",
            source,
        })
    }

    /// Tells the pool how the lease ended. The first word counts.
    fn settle(&mut self, fault: Option<Fault>) {
        if self.over {
            return;
        }
        self.over = true;
        self.driver.handle(Input::LeaseEnded {
            lease: self.id,
            exchanges: self.exchanges,
            errors: self.errors,
            fault,
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Bytes that nobody asked for would be the next client's.
        let fault = (!self.wire.is_clean()).then_some(Fault::ProtocolBroken);
        self.settle(fault);
    }
}

/// A call under way. Dropped before it has its answer, it takes the lease with it.
struct Exchange<'a> {
    lease: &'a mut Lease,
    fault: Option<Fault>,
}

impl Exchange<'_> {
    async fn run(&mut self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        let Lease {
            driver,
            wire,
            id: LeaseId { worker, .. },
            exchanges,
            errors,
            ..
        } = &mut *self.lease;
        let worker = *worker;
        let after = driver.limits.call_timeout;
        let answer = select! {
            biased;
            answer = answer(wire, driver, request) => answer,
            () = driver.sleep(after) => {
                let request_written = wire.request_written();
                return Err(CallError::TimedOut { worker, after, request_written });
            }
        };
        let problem = match answer {
            Ok(Answer {
                kind: kind::REPLY,
                body,
            }) => {
                *exchanges += 1;
                *errors = 0;
                return Ok(body);
            }
            Ok(Answer {
                kind: kind::ERROR,
                body,
            }) => match RemoteError::parse(&body) {
                Some(source) => {
                    *exchanges += 1;
                    *errors += 1;
                    return Err(CallError::Raised { worker, source });
                }
                None => "it sent an error that cannot be read".to_owned(),
            },
            Ok(Answer { kind, .. }) => format!("it answered with a frame of kind {kind}"),
            Err(Broken::Protocol(problem)) => problem,
            Err(Broken::EndOfOutput) => "it closed its output and went on living".to_owned(),
            Err(Broken::Closed(end)) => {
                let request_written = wire.request_written();
                return Err(match end {
                    End::Exited(exit) => CallError::WorkerExited {
                        worker,
                        exit,
                        request_written,
                    },
                    End::Stopped(reason) => CallError::Stopped {
                        worker,
                        reason,
                        request_written,
                    },
                });
            }
        };
        let request_written = wire.request_written();
        Err(CallError::Protocol {
            worker,
            problem,
            request_written,
        })
    }
}

/// The worker's answer, or why there is none: its exit, where it comes soon after the end of its output.
async fn answer(wire: &Wire, driver: &Driver, request: &[u8]) -> Result<Answer, Broken> {
    match wire.call(request).await {
        Err(Broken::EndOfOutput) => select! {
            biased;
            end = wire.closed() => Err(Broken::Closed(end)),
            () = driver.sleep(EXIT_GRACE) => Err(Broken::EndOfOutput),
        },
        answer => answer,
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Some(fault) = self.fault {
            self.lease.settle(Some(fault));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
