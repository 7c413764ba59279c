//! The host's end of one worker's pipes, and the exchange on them.
//!
//! The worker's task owns the pipes for as long as the worker lives. A lease borrows them, one poll
//! at a time: a call runs in its caller's own task, without a hop to another one, and the worker's
//! task can still close the descriptors at any moment.
//!
//! Between two exchanges the pipes are watched: a worker that sends something then has broken the
//! protocol. The bytes are found by the worker's task, or by the next exchange before it sends its
//! request, whichever comes first.

mod alarm;
pub(crate) mod decoder;
pub(crate) mod details;
mod exchange;
pub(crate) mod frame;
mod greeting;
mod ids;
mod lane;
mod notes;
mod outgoing;
mod request;
#[cfg(test)]
mod tests;
mod wakers;

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ostler::supervisor::Reason;

use self::alarm::Alarm;
use self::exchange::Exchange;
use self::frame::kind;
pub(crate) use self::outgoing::COPIED;
use self::wakers::Wakers;
use crate::error::{ProtocolError, RemoteError};
use crate::port::{Exit, Pipe};
use crate::rt::{Mutex, MutexGuard};

/// How long a worker that has closed a pipe may take to exit before that counts as a protocol
/// violation. The end of a pipe and the exit are two events, and the exit says more.
pub(crate) const EXIT_GRACE: Duration = Duration::from_secs(1);

/// Why a transport was closed. The first reason is kept.
#[derive(Clone, Debug)]
pub(crate) enum Closed {
    /// The worker's leader exited.
    Exited(Exit),
    /// The worker was ordered to stop, or its task is gone.
    Stopped(Reason),
}

/// What the worker answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A part of a streamed reply. More follows.
    Part(Vec<u8>),
    /// The answer to a request of a batch. Those to others follow.
    Item(Result<Vec<u8>, RemoteError>),
    /// The end of the exchange, and the body of the last frame.
    Done(Vec<u8>),
    /// The end of the exchange, with an error.
    Error(RemoteError),
}

/// Why an exchange got no answer.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// The transport was closed.
    Closed(Closed),
    /// The worker closed a pipe: its output, or its input before it had read the request. Its exit
    /// may follow. If it does not, this is a violation of the protocol.
    PipeClosed(ProtocolError),
    /// The worker violated the protocol.
    Protocol(ProtocolError),
}

/// The pipes of one worker.
pub(crate) struct Transport {
    exchange: Mutex<Exchange>,
    wakers: Arc<Wakers>,
    /// The waker that the pipes get: `wakers`.
    waker: Waker,
    alarm: Alarm,
    max_frame: u32,
    functions: OnceLock<Arc<[String]>>,
}

impl Transport {
    /// A transport without pipes yet.
    pub(crate) fn new(max_frame: u32) -> Self {
        let wakers = Arc::new(Wakers::new());
        Self {
            exchange: Mutex::new(Exchange::new(max_frame, Arc::clone(&wakers))),
            waker: Waker::from(Arc::clone(&wakers)),
            alarm: Alarm::new(Arc::clone(&wakers)),
            wakers,
            max_frame,
            functions: OnceLock::new(),
        }
    }

    /// The largest request body, in bytes.
    pub(crate) fn max_body(&self) -> usize {
        frame::max_body(self.max_frame)
    }

    /// Supplies the pipes. The preamble goes out with the first frame.
    pub(crate) fn connect(&self, pipe: Pipe) {
        self.lock().connect(pipe);
    }

    /// Sends `HELLO` and waits for its answer.
    ///
    /// Dropped before it resolves, it leaves the exchange under way: do not begin another one.
    pub(crate) async fn handshake(
        &self,
        may_cancel: bool,
        call_timeout: Duration,
    ) -> Result<Answer, TransportError> {
        (self.lock()).greet(self.max_frame, may_cancel, call_timeout);
        self.answer().await
    }

    /// The worker has answered the handshake with these flags, and runs these functions.
    pub(crate) fn agreed(&self, flags: u32, functions: Arc<[String]>) {
        // A worker answers once.
        let _ = self.functions.set(functions);
        let unused = self.lock().agreed(flags);
        drop(unused);
    }

    /// The names of the worker's functions, sorted. Empty if a request need not name one.
    pub(crate) fn functions(&self) -> &[String] {
        self.functions.get().map_or(&[], |functions| &functions[..])
    }

    /// Whether the worker takes `BATCH`.
    pub(crate) fn takes_batches(&self) -> bool {
        self.lock().takes_batches()
    }

    /// Begins an exchange with a request of this kind, at most [`max_body`](Self::max_body) bytes
    /// long. [`poll_answer`](Self::poll_answer) sends it. It gets the same body if that is larger
    /// than [`COPIED`], until the request is [written](Self::request_written). Until the answer has
    /// come, the exchange is under way, and [`is_clean`](Self::is_clean) is false. `details` are
    /// those of [`details`], for a worker that takes them.
    ///
    /// Fails if the worker has sent something since the last exchange, or has closed its output.
    /// Then no exchange is under way.
    pub(crate) fn begin(
        &self,
        kind: u8,
        body: &[u8],
        details: &[u8],
    ) -> Result<(), TransportError> {
        (self.lock()).begin(&mut self.pipe_context(), kind, body, details)
    }

    /// Tells the worker that a session is over, once no exchange is under way.
    pub(crate) fn session_ended(&self, session: u64, name: &str) {
        let body = [&session.to_be_bytes(), name.as_bytes()].concat();
        (self.lock()).note(&mut self.pipe_context(), kind::SESSION_ENDED, &body);
    }

    /// Sends as much of the request as the pipe takes without waiting, and copies the rest.
    pub(crate) fn send_at_once(&self, body: &[u8]) {
        self.lock().send_at_once(&mut self.pipe_context(), body);
    }

    /// Waits for the answer to a request whose body was copied.
    ///
    /// Cancel safe: an answer that was not returned can be waited for again.
    pub(crate) async fn answer(&self) -> Result<Answer, TransportError> {
        poll_fn(|cx| self.poll_answer(cx, &[], false)).await
    }

    /// Polls for the answer to the request, or for its next part. `body` is that of the request,
    /// unless it was copied. Every answer but a part ends the exchange. Reads no further ahead than
    /// the decoder's buffer.
    ///
    /// `was_woken`: the task waited before, so the answer is probably there.
    pub(crate) fn poll_answer(
        &self,
        cx: &mut Context<'_>,
        body: &[u8],
        was_woken: bool,
    ) -> Poll<Result<Answer, TransportError>> {
        let poll = |exchange: &mut Exchange, cx: &mut Context<'_>| exchange.poll_answer(cx, body);
        self.poll_exchange(cx, poll, was_woken)
    }

    /// The next part of a stream, or the next reply to a batch but the last, if it was read before.
    pub(crate) fn take_part(&self) -> Option<Vec<u8>> {
        self.lock().take_part()
    }

    /// Polls the exchange for the task of `cx`, and watches the worker once it has ended.
    fn poll_exchange<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Exchange, &mut Context<'_>) -> Poll<T>,
        was_woken: bool,
    ) -> Poll<T> {
        let mut poll = || {
            let mut exchange = self.lock();
            let polled = poll(&mut exchange, &mut self.pipe_context());
            if polled.is_ready() {
                self.leave(exchange);
            }
            polled
        };
        // A task that finds its answer needs no waker.
        if was_woken && let Poll::Ready(answer) = poll() {
            return Poll::Ready(answer);
        }
        // Before the poll, so that what comes in between wakes the task.
        self.wakers.wait_for_answer(cx.waker());
        poll()
    }

    /// Forgets the caller. If its exchange has ended, what the worker sends from now on wakes the
    /// worker's task.
    fn leave(&self, mut exchange: MutexGuard<'_, Exchange>) {
        let (caller, watcher);
        if exchange.is_idle() {
            caller = self.wakers.end();
            let unsolicited = exchange.poll_unsolicited(&mut self.pipe_context());
            // Something is there already, so the pipe will not wake the task for it.
            watcher = (unsolicited.is_ready()).then(|| self.wakers.take_watcher());
        } else {
            (caller, watcher) = (self.wakers.take_caller(), None);
        }
        drop(exchange);
        drop(caller);
        if let Some(watcher) = watcher.flatten() {
            watcher.wake();
        }
    }

    /// The timer of the calls.
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Drops the waker of the task that waited last. For a caller that waits no more.
    pub(crate) fn forget_caller(&self) {
        drop(self.wakers.take_caller());
    }

    /// Whether the worker has sent something since the last exchange, as far as the runtime knows.
    pub(crate) fn is_broken(&self) -> bool {
        let unsolicited = self.lock().poll_unsolicited(&mut self.pipe_context());
        unsolicited == Poll::Ready(ProtocolError::Unsolicited)
    }

    /// Waits until the worker sends something between two exchanges, or closes its output. Only the
    /// worker's task waits for it.
    pub(crate) async fn unsolicited(&self) -> ProtocolError {
        poll_fn(|cx| {
            self.wakers.watch(cx.waker());
            self.lock().poll_unsolicited(&mut self.pipe_context())
        })
        .await
    }

    /// Whether the worker can be told to cancel: an exchange is under way, the pipe took its whole
    /// request, and the transport is open.
    pub(crate) fn can_cancel(&self) -> bool {
        self.lock().can_cancel()
    }

    /// Tells the worker that the answer is no longer wanted, and waits until it ends the exchange.
    /// True if it does so as the protocol requires, with nothing left over.
    ///
    /// `None`: the worker's output ended, and its exit says more than this could.
    pub(crate) async fn cancel(&self) -> Option<bool> {
        if !self.lock().cancel() {
            return Some(false);
        }
        self.finish().await
    }

    /// Waits until the worker ends the exchange. Returns the same as [`cancel`](Self::cancel).
    pub(crate) async fn finish(&self) -> Option<bool> {
        loop {
            match self.answer().await {
                Ok(Answer::Part(_) | Answer::Item(_)) => {}
                Ok(Answer::Done(_) | Answer::Error(_)) => break,
                Err(TransportError::PipeClosed(_) | TransportError::Closed(_)) => return None,
                Err(TransportError::Protocol(_)) => return Some(false),
            }
        }
        // The pipe may have been too full for the `CANCEL`. Now that the worker reads again, it
        // fits.
        let send = |exchange: &mut Exchange, cx: &mut Context<'_>| exchange.poll_send(cx, &[]);
        poll_fn(|cx| self.poll_exchange(cx, send, false)).await;
        Some(self.is_clean())
    }

    /// Sends a health check and waits for its answer.
    ///
    /// Dropped before it resolves, it leaves the exchange under way.
    pub(crate) async fn ping(&self) -> Result<Answer, TransportError> {
        self.begin(kind::PING, &[], &[])?;
        self.answer().await
    }

    /// Ready once the transport is closed, with the reason.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Closed> {
        self.wakers.wait_for_close(cx.waker());
        match self.lock().closed() {
            Some(reason) => Poll::Ready(reason.clone()),
            None => Poll::Pending,
        }
    }

    /// Whether no exchange is under way and no bytes are left over from the last one.
    pub(crate) fn is_clean(&self) -> bool {
        self.lock().is_clean()
    }

    /// Whether a request is under way, and the pipe took the whole of it.
    pub(crate) fn request_written(&self) -> bool {
        self.lock().request_written()
    }

    /// Closes both pipes and wakes the task that waits for an answer. With `farewell`, a worker
    /// between two exchanges is sent `SHUTDOWN` first, if its pipe takes the frame without waiting.
    ///
    /// What the worker had answered by then is read out of the pipe and still reaches the caller.
    pub(crate) fn close(&self, reason: Closed, farewell: bool) {
        let closed = (self.lock()).close(&mut self.pipe_context(), reason, farewell);
        drop(closed);
        // A closed transport answers at once.
        self.alarm.disarm();
        if let Some(caller) = self.wakers.take_caller() {
            caller.wake();
        }
    }

    fn pipe_context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        // Nothing that runs under the lock leaves it half done, so another thread's panic is
        // harmless.
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}
