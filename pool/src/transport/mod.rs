//! The host's end of one worker's pipes, and the exchange on them.
//!
//! The worker's task owns the pipes for as long as the worker lives. A lease borrows them, one poll
//! at a time: a call runs in its caller's own task, without a hop to another one, and the worker's
//! task can still close the descriptors at any moment.

mod exchange;
pub(crate) mod frame;

use std::fmt;
use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use ostler::supervisor::Reason;

use self::exchange::Exchange;
use self::frame::kind;
use crate::error::{ProtocolError, RemoteError};
use crate::port::{Exit, Pipe};
use crate::rt::{Mutex, MutexGuard};

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
    max_frame: u32,
}

impl Transport {
    /// A transport without pipes yet.
    pub(crate) fn new(max_frame: u32) -> Self {
        Self {
            exchange: Mutex::new(Exchange::new(max_frame)),
            max_frame,
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
    pub(crate) async fn handshake(&self, may_cancel: bool) -> Result<Answer, TransportError> {
        let flags = if may_cancel { frame::MAY_CANCEL } else { 0 };
        let body = [frame::VERSION, self.max_frame, flags].map(u32::to_be_bytes);
        self.lock().begin(kind::HELLO, 0, body.as_flattened());
        self.answer().await
    }

    /// Begins an exchange with a request of this kind, at most [`max_body`](Self::max_body) bytes
    /// long. [`answer`](Self::answer) sends it. Until the answer has come, the exchange is under
    /// way, and [`is_clean`](Self::is_clean) is false.
    pub(crate) fn begin(&self, kind: u8, body: &[u8]) {
        let mut exchange = self.lock();
        let id = exchange.next_id();
        exchange.begin(kind, id, body);
    }

    /// Sends as much of the request as the pipe takes without waiting.
    pub(crate) fn send_at_once(&self) {
        self.lock().send_at_once();
    }

    /// Waits for the answer to the request, or for its next part. Every answer but a part ends the
    /// exchange. Reads no further ahead than the decoder's buffer.
    ///
    /// Cancel safe: an answer that was not returned can be waited for again.
    pub(crate) async fn answer(&self) -> Result<Answer, TransportError> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// As [`answer`](Self::answer).
    pub(crate) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Answer, TransportError>> {
        self.lock().poll_answer(cx)
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
        loop {
            match self.answer().await {
                Ok(Answer::Part(_)) => {}
                Ok(Answer::Done(_) | Answer::Error(_)) => break,
                Err(TransportError::PipeClosed(_) | TransportError::Closed(_)) => return None,
                Err(TransportError::Protocol(_)) => return Some(false),
            }
        }
        // The pipe may have been too full for the `CANCEL`. Now that the worker reads again, it
        // fits.
        poll_fn(|cx| self.lock().poll_sent(cx)).await;
        Some(self.is_clean())
    }

    /// Sends a health check and waits for its answer.
    ///
    /// Dropped before it resolves, it leaves the exchange under way.
    pub(crate) async fn ping(&self) -> Result<Answer, TransportError> {
        self.begin(kind::PING, &[]);
        self.answer().await
    }

    /// Ready once the transport is closed, with the reason.
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Closed> {
        self.lock().poll_closed(cx)
    }

    /// Whether no exchange is under way and no bytes are left over from the last one.
    pub(crate) fn is_clean(&self) -> bool {
        self.lock().is_clean()
    }

    /// Whether the pipe took the whole of the last request.
    pub(crate) fn request_written(&self) -> bool {
        self.lock().is_sent()
    }

    /// Closes both pipes and wakes the task that waits for an answer. With `farewell`, a worker
    /// between two exchanges is sent `SHUTDOWN` first, if its pipe takes the frame without waiting.
    ///
    /// What the worker had answered by then is read out of the pipe and still reaches the caller.
    pub(crate) fn close(&self, reason: Closed, farewell: bool) {
        let (pipe, waker) = self.lock().close(reason, farewell);
        drop(pipe);
        if let Some(waker) = waker {
            waker.wake();
        }
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn transport() -> (Transport, DuplexStream) {
        let (host, worker) = tokio::io::duplex(1024);
        let (reader, writer) = tokio::io::split(host);
        let transport = Transport::new(1024);
        transport.connect(Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
        });
        (transport, worker)
    }

    /// Reads a frame without a body and answers it. Returns the kind and id of the frame.
    async fn answer(worker: &mut DuplexStream, kind: u8, body: &[u8]) -> (u8, u32) {
        assert_eq!(worker.read_u32().await.unwrap(), 5);
        let asked = (
            worker.read_u8().await.unwrap(),
            worker.read_u32().await.unwrap(),
        );
        let mut bytes = Vec::new();
        frame::encode(kind, asked.1, body, &mut bytes);
        worker.write_all(&bytes).await.unwrap();
        asked
    }

    /// A ping is an exchange like any other: it takes the next id and leaves the transport clean,
    /// whatever the answer.
    #[tokio::test]
    async fn a_ping_is_an_exchange() {
        let (transport, mut worker) = transport();
        let strings: Vec<u8> = ["ValueError", "not well", ""]
            .iter()
            .flat_map(|text| {
                [
                    &u32::try_from(text.len()).unwrap().to_be_bytes(),
                    text.as_bytes(),
                ]
                .concat()
            })
            .collect();
        let error = RemoteError {
            kind: "ValueError".to_owned(),
            message: "not well".to_owned(),
            traceback: String::new(),
        };
        let exchanges = [
            (kind::PING, kind::PONG, vec![], Answer::Done(vec![])),
            (
                kind::CALL,
                kind::REPLY,
                b"reply".to_vec(),
                Answer::Done(b"reply".to_vec()),
            ),
            (kind::PING, kind::ERROR, strings, Answer::Error(error)),
        ];
        for (id, (asks, kind, body, expected)) in (1..).zip(exchanges) {
            let ask = async {
                match asks {
                    kind::PING => transport.ping().await,
                    _ => {
                        transport.begin(asks, b"");
                        transport.answer().await
                    }
                }
            };
            let (got, asked) = tokio::join!(ask, answer(&mut worker, kind, &body));
            assert_eq!(asked, (asks, id));
            assert_eq!(got.unwrap(), expected);
            assert!(transport.is_clean());
        }
    }

    /// A dropped ping stays under way, so that its late answer cannot be taken for another.
    #[tokio::test]
    async fn an_abandoned_ping_leaves_the_transport_unclean() {
        let (transport, mut worker) = transport();
        {
            let ping = std::pin::pin!(transport.ping());
            let asked = tokio::select! {
                answer = ping => panic!("{answer:?}"),
                length = worker.read_u32() => length.unwrap(),
            };
            assert_eq!(asked, 5);
        }
        assert!(!transport.is_clean());
    }

    /// A ping to a worker that is being stopped resolves with the reason.
    #[tokio::test]
    async fn a_ping_ends_with_its_transport() {
        let (transport, mut worker) = transport();
        let closing = async {
            worker.read_u32().await.unwrap();
            transport.close(Closed::Stopped(Reason::Shutdown), false);
        };
        let (answer, ()) = tokio::join!(transport.ping(), closing);
        let stopped = TransportError::Closed(Closed::Stopped(Reason::Shutdown));
        assert_eq!(format!("{:?}", answer.unwrap_err()), format!("{stopped:?}"));
    }

    /// C1: a call can be cancelled once the pipe took its whole request, even if the pipe has no
    /// room for the `CANCEL`. The call still ends with its answer, and the transport is clean once
    /// the `CANCEL` is out.
    #[tokio::test]
    async fn a_cancel_waits_for_room() {
        let (transport, mut worker) = transport();
        transport.begin(kind::CALL, &[b'x'; 1016]);
        assert!(transport.answer().now_or_never().is_none());
        assert!(!transport.can_cancel(), "a byte of the request is missing");
        worker.read_u8().await.unwrap();
        assert!(transport.answer().now_or_never().is_none());
        assert!(transport.can_cancel());
        let mut cancel = Box::pin(transport.cancel());
        assert!(cancel.as_mut().now_or_never().is_none());
        let mut bytes = Vec::new();
        frame::encode(kind::REPLY, 1, b"late", &mut bytes);
        worker.write_all(&bytes).await.unwrap();
        assert!(cancel.as_mut().now_or_never().is_none(), "the pipe is full");
        let mut request = [0; 1024];
        worker.read_exact(&mut request).await.unwrap();
        assert_eq!(cancel.await, Some(true));
        let mut frame = [0; 9];
        worker.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, [0, 0, 0, 5, kind::CANCEL, 0, 0, 0, 1]);
        assert!(!transport.can_cancel(), "no exchange is under way");
        assert_eq!(transport.cancel().await, Some(false));
    }
}
