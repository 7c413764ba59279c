//! One call on a lease: a request, its deadline, and its answer.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ostler::supervisor::{Fault, Reason};
use tracing::{Span, field};

use super::options::CallOptions;
use crate::driver::{Grant, poll_timer};
use crate::error::{CallError, ProtocolError};
use crate::metrics::{Outcome, Timer};
use crate::rt::{Instant, Sleep};
use crate::text;
use crate::transport::{Answer, Closed, EXIT_GRACE, TransportError};

/// What a worker sent.
pub(super) enum Received {
    /// A part of a streamed reply.
    Part(Vec<u8>),
    /// The end of the reply.
    Done(Vec<u8>),
}

impl Received {
    pub(super) fn into_body(self) -> Vec<u8> {
        match self {
            Self::Part(body) | Self::Done(body) => body,
        }
    }
}

/// The lease of a call: borrowed from its caller, or taken for this call.
pub(super) enum Held<'a> {
    Borrowed(&'a mut Grant),
    Owned(Grant),
}

impl Deref for Held<'_> {
    type Target = Grant;

    fn deref(&self) -> &Grant {
        match self {
            Self::Borrowed(grant) => grant,
            Self::Owned(grant) => grant,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Grant {
        match self {
            Self::Borrowed(grant) => grant,
            Self::Owned(grant) => grant,
        }
    }
}

/// A call under way. Dropped before its end, it ends the lease.
pub(super) struct Call<'a> {
    grant: Held<'a>,
    /// How long an answer, or the next part of it, is waited for.
    timeout: Duration,
    /// Whether that is not the timeout of the pool, by which the transport's alarm may be armed.
    has_own_timeout: bool,
    /// What is wrong with the lease when this is dropped. `None` once the call has completed.
    fault: Option<Fault>,
    /// When what is being waited for is due. `None`: nothing was waited for yet.
    deadline: Option<Instant>,
    /// The pipe that the worker closed, and how long its exit is still waited for.
    pipe_end: Option<(ProtocolError, Pin<Box<Sleep>>)>,
    /// For the metrics, until the call has ended.
    timer: Option<Timer>,
    /// Open until the call has ended. A child of the span that was current when it began.
    span: Span,
}

impl<'a> Call<'a> {
    /// Begins a call, if the lease, the request and the worker allow it. Nothing is sent yet.
    pub(super) fn begin(
        grant: Held<'a>,
        kind: u8,
        body: &[u8],
        options: &CallOptions,
    ) -> Result<Self, CallError> {
        let worker = grant.worker();
        if grant.has_ended() {
            return Err(CallError::LeaseOver { worker });
        }
        let transport = grant.transport();
        let max = transport.max_body();
        if body.len() > max {
            return Err(CallError::RequestTooLarge {
                size: body.len(),
                max,
            });
        }
        let details = options.details(&grant)?;
        if details.bytes().len() > max {
            return Err(CallError::RequestTooLarge {
                size: details.bytes().len(),
                max,
            });
        }
        let begun = transport.begin(kind, body, details.bytes());
        if let (Ok(()), Some(session)) = (&begun, &options.session) {
            session.reaches(transport);
        }
        if options.call_timeout.is_some() {
            transport.alarm().disarm();
        }
        let timeout = options.call_timeout;
        let mut call = Self {
            timeout: timeout.unwrap_or(grant.limits().call_timeout),
            has_own_timeout: timeout.is_some(),
            span: tracing::debug_span!(
                target: "ostler::call", "call",
                pool = grant.pool_name(), %worker, outcome = field::Empty
            ),
            grant,
            fault: Some(Fault::Abandoned),
            deadline: None,
            pipe_end: None,
            timer: Some(Timer::start()),
        };
        match begun {
            Ok(()) => Ok(call),
            // Nothing is sent, and the first poll waits for the exit.
            Err(TransportError::PipeClosed(problem)) => {
                call.pipe_ended(problem);
                Ok(call)
            }
            Err(failure) => Err(call.failed(failure)),
        }
    }
}

impl Call<'_> {
    /// Sends as much of the request as the pipe takes without waiting, and copies the rest.
    pub(super) fn send_at_once(&self, body: &[u8]) {
        self.grant.transport().send_at_once(body);
    }

    /// Sends a request that was not copied. `None` once it is written, unless the worker has
    /// answered by then.
    pub(super) async fn send(&mut self, body: &[u8]) -> Option<Result<Received, CallError>> {
        poll_fn(|cx| match self.poll_next(cx, body) {
            Poll::Pending if self.grant.transport().request_written() => Poll::Ready(None),
            polled => polled.map(Some),
        })
        .await
    }

    /// Waits for the worker's answer, for `call_timeout` at most.
    pub(super) async fn answer(&mut self) -> Result<Received, CallError> {
        poll_fn(|cx| self.poll_next(cx, &[])).await
    }

    /// Polls for the worker's answer or its next part, for `call_timeout` at most. After the end of
    /// the call and after an error there is nothing more to poll for.
    ///
    /// `body` is that of the request, unless it was copied or is written.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        body: &[u8],
    ) -> Poll<Result<Received, CallError>> {
        let worker = self.grant.worker();
        let Poll::Ready(answer) = self.poll_answer(cx, body) else {
            ready!(self.poll_deadline());
            self.fault = Some(Fault::TimedOut);
            self.observe(Outcome::TimedOut);
            let after = text::duration(self.timeout);
            self.grant
                .explain(Fault::TimedOut, format!("after {after}"));
            return Poll::Ready(Err(CallError::TimedOut {
                worker,
                after: self.timeout,
                request_written: self.grant.transport().request_written(),
            }));
        };
        Poll::Ready(match answer {
            Ok(Answer::Part(body)) => {
                self.deadline = None;
                Ok(Received::Part(body))
            }
            Ok(Answer::Item(answer)) => {
                self.deadline = None;
                self.grant.record_call(answer.is_err());
                (answer.map(Received::Part)).map_err(|source| CallError::Raised { worker, source })
            }
            Ok(Answer::Done(body)) => {
                self.completed(false);
                Ok(Received::Done(body))
            }
            Ok(Answer::Error(source)) => {
                self.completed(true);
                Err(CallError::Raised { worker, source })
            }
            Err(failure) => Err(self.failed(failure)),
        })
    }

    /// The next part, if it was read before.
    pub(super) fn take_part(&mut self) -> Option<Vec<u8>> {
        let part = self.grant.transport().take_part()?;
        self.deadline = None;
        Some(part)
    }

    /// The next reply to a batch but the last, if it was read before.
    pub(super) fn take_reply(&mut self) -> Option<Vec<u8>> {
        let reply = self.take_part()?;
        self.grant.record_call(false);
        Some(reply)
    }

    /// Ready once the deadline has passed, which is the timeout after the first wait. Until
    /// then, the transport's alarm wakes the task that waits for the answer.
    fn poll_deadline(&mut self) -> Poll<()> {
        let timeout = self.timeout;
        let deadline = *(self.deadline).get_or_insert_with(|| Instant::now() + timeout);
        let alarm = self.grant.transport().alarm();
        if alarm.is_armed() {
            return Poll::Pending;
        }
        let left = deadline.duration_since(Instant::now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        alarm.arm(Box::pin(self.grant.sleep(left)), poll_timer)
    }

    /// The worker's answer. If it closed a pipe: its exit, when that follows within [`EXIT_GRACE`].
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        body: &[u8],
    ) -> Poll<Result<Answer, TransportError>> {
        if self.pipe_end.is_none() {
            let was_woken = self.deadline.is_some();
            let transport = self.grant.transport();
            let problem = match ready!(transport.poll_answer(cx, body, was_woken)) {
                Err(TransportError::PipeClosed(problem)) => problem,
                answer => return Poll::Ready(answer),
            };
            self.pipe_ended(problem);
        }
        let closed = self.grant.transport().poll_closed(cx);
        let Some((problem, grace)) = &mut self.pipe_end else {
            return Poll::Pending;
        };
        Poll::Ready(Err(match closed {
            // The worker's task found the same.
            Poll::Ready(Closed::Stopped(Reason::Fault(Fault::ProtocolBroken))) => {
                TransportError::Protocol(problem.clone())
            }
            Poll::Ready(reason) => TransportError::Closed(reason),
            Poll::Pending => {
                ready!(poll_timer(grace.as_mut(), cx));
                TransportError::Protocol(problem.clone())
            }
        }))
    }

    /// From now on, only the worker's exit is waited for.
    fn pipe_ended(&mut self, problem: ProtocolError) {
        self.pipe_end = Some((problem, Box::pin(self.grant.sleep(EXIT_GRACE))));
    }

    /// The call has ended.
    fn observe(&mut self, outcome: Outcome) {
        if let Some(timer) = self.timer.take() {
            self.grant.observe(outcome, timer);
            self.span.record("outcome", outcome.label());
            self.span = Span::none();
        }
    }

    fn completed(&mut self, is_error: bool) {
        self.grant.record_call(is_error);
        self.fault = None;
        self.observe(if is_error {
            Outcome::Raised
        } else {
            Outcome::Ok
        });
    }

    /// What the caller is told about a call that can no longer complete.
    fn failed(&mut self, failure: TransportError) -> CallError {
        self.fault = Some(Fault::ProtocolBroken);
        self.observe(Outcome::Failed);
        let worker = self.grant.worker();
        let request_written = self.grant.transport().request_written();
        let source = match failure {
            TransportError::Closed(Closed::Exited(exit)) => {
                return CallError::WorkerExited {
                    worker,
                    exit,
                    request_written,
                };
            }
            TransportError::Closed(Closed::Stopped(reason)) => {
                return CallError::Stopped {
                    worker,
                    reason,
                    request_written,
                };
            }
            TransportError::Protocol(source) | TransportError::PipeClosed(source) => source,
        };
        self.grant
            .explain(Fault::ProtocolBroken, source.to_string());
        CallError::Protocol {
            worker,
            source,
            request_written,
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.has_own_timeout {
            self.grant.transport().alarm().disarm();
        }
        if let Some(fault) = self.fault {
            // Its waker is left behind, and would keep the caller's task.
            self.grant.transport().forget_caller();
            self.observe(Outcome::Abandoned);
            self.grant.give_up(fault);
        }
    }
}
