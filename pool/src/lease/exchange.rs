//! One exchange on a lease: a request, its deadline, and what each frame of the answer means.

use std::time::Duration;

use ostler::supervisor::Fault;
use tokio::select;

use super::Lease;
use crate::codec::kind;
use crate::driver::Driver;
use crate::error::{CallError, RemoteError};
use crate::wire::{Answer, Broken, End, Wire};

/// How long a worker that has closed a pipe may take to exit before that counts as breaking the protocol. The end of a pipe
/// and the exit are two events, and the exit has more to say.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// What a frame adds to an answer: all of it, a part of it, or no more than that it is complete.
pub(super) struct Part {
    pub(super) body: Vec<u8>,
    pub(super) last: bool,
}

/// Reads a frame as an answer to a request of the kind `asked`: a part of it, or the exception that ended it. Otherwise
/// says how it breaks the protocol.
pub(super) fn read(asked: u8, answer: Answer) -> Result<Result<Part, RemoteError>, String> {
    let Answer { kind, body } = answer;
    let last = kind != kind::PART;
    match (asked, kind) {
        (kind::CALL, kind::REPLY) | (kind::STREAM, kind::PART) => Ok(Ok(Part { body, last })),
        (kind::STREAM, kind::REPLY) if body.is_empty() => Ok(Ok(Part { body, last })),
        (kind::STREAM, kind::REPLY) => Err("it ended a stream with a reply that has a body".into()),
        (_, kind::ERROR) => RemoteError::parse(&body)
            .map(Err)
            .ok_or_else(|| "it sent an error that cannot be read".into()),
        (_, kind) => Err(format!("it answered with a frame of kind {kind}")),
    }
}

/// An exchange under way. Dropped before its end, it takes the lease with it.
pub(super) struct Exchange<'a> {
    lease: &'a mut Lease,
    asked: u8,
    /// What becomes of the lease when this is dropped. `None`: nothing, as the exchange is whole.
    fault: Option<Fault>,
}

impl<'a> Exchange<'a> {
    /// Begins an exchange, if the lease and the request allow it. Nothing is sent yet.
    pub(super) fn begin(
        lease: &'a mut Lease,
        asked: u8,
        request: &[u8],
    ) -> Result<Self, CallError> {
        let worker = lease.worker();
        if lease.over {
            return Err(CallError::LeaseOver { worker });
        }
        let max = lease.wire.max_body();
        if request.len() > max {
            return Err(CallError::RequestTooLarge {
                size: request.len(),
                max,
            });
        }
        lease.wire.begin(asked, request);
        Ok(Self {
            lease,
            asked,
            fault: Some(Fault::Abandoned),
        })
    }

    /// Sends what the pipe takes at once of the request.
    pub(super) fn send_at_once(&self) {
        self.lease.wire.send_at_once();
    }

    /// Waits for the next part of the answer, for `call_timeout` at most. After the last part and after an error there
    /// is nothing more to wait for.
    ///
    /// Cancel safe: what has not been given out yet can be waited for again.
    pub(super) async fn next(&mut self) -> Result<Part, CallError> {
        let Lease { driver, wire, .. } = &*self.lease;
        let worker = self.lease.worker();
        let after = driver.limits.call_timeout;
        let answer = select! {
            biased;
            answer = answer(wire, driver) => answer,
            () = driver.sleep(after) => {
                self.fault = Some(Fault::TimedOut);
                let request_written = wire.request_written();
                return Err(CallError::TimedOut { worker, after, request_written });
            }
        };
        let broken = match answer {
            Ok(answer) => match read(self.asked, answer) {
                Ok(Ok(part)) => {
                    if part.last {
                        self.ended(0);
                    }
                    return Ok(part);
                }
                Ok(Err(source)) => {
                    self.ended(self.lease.errors + 1);
                    return Err(CallError::Raised { worker, source });
                }
                Err(problem) => Broken::Protocol(problem),
            },
            Err(broken) => broken,
        };
        self.fault = Some(Fault::ProtocolBroken);
        Err(self.failed(broken))
    }

    /// Takes note that the exchange is whole, and of how many in a row have now been answered with an error.
    fn ended(&mut self, errors: u64) {
        self.lease.calls += 1;
        self.lease.errors = errors;
        self.fault = None;
    }

    /// What the client is told of an exchange that cannot end any more.
    fn failed(&self, broken: Broken) -> CallError {
        let worker = self.lease.worker();
        let request_written = self.lease.wire.request_written();
        let problem = match broken {
            Broken::Protocol(problem) => problem,
            Broken::EndOfOutput => "it closed its output and went on living".to_owned(),
            Broken::EndOfInput => "it closed its input and went on living".to_owned(),
            Broken::Closed(End::Exited(exit)) => {
                return CallError::WorkerExited {
                    worker,
                    exit,
                    request_written,
                };
            }
            Broken::Closed(End::Stopped(reason)) => {
                return CallError::Stopped {
                    worker,
                    reason,
                    request_written,
                };
            }
        };
        CallError::Protocol {
            worker,
            problem,
            request_written,
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Some(fault) = self.fault {
            self.lease.give_up(self.asked, fault);
        }
    }
}

/// The worker's answer, or why there is none: its exit, where it comes soon after the end of a pipe.
async fn answer(wire: &Wire, driver: &Driver) -> Result<Answer, Broken> {
    match wire.answer().await {
        Err(broken @ (Broken::EndOfOutput | Broken::EndOfInput)) => select! {
            biased;
            end = wire.closed() => Err(Broken::Closed(end)),
            () = driver.sleep(EXIT_GRACE) => Err(broken),
        },
        answer => answer,
    }
}
