//! The host's end of one worker's pipes, and the exchange on it.
//!
//! The worker's task owns the pipes for as long as the worker lives; a lease only borrows them, one poll at a time. So
//! a call runs in its caller's own task, without a hop to another one, and yet the worker's task can close the
//! descriptors at any moment, whatever the caller does.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use ostler::supervisor::Reason;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::coop::unconstrained;

use crate::codec::{self, Decoder, FrameError, kind};
use crate::port::{Exit, Pipe};

/// Why a wire was closed. The first reason stays.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The worker's leader exited.
    Exited(Exit),
    /// The worker was ordered to be stopped, or the task that owned it is gone.
    Stopped(Reason),
}

/// What the worker answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// Why an exchange got no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The wire was closed.
    Closed(End),
    /// The worker closed its output, and nothing more is known yet.
    EndOfOutput,
    /// The worker sent what the protocol does not allow.
    Protocol(String),
}

/// The pipes of one worker.
pub(crate) struct Wire {
    state: Mutex<State>,
    max_frame: u32,
}

struct State {
    /// Until the wire is closed.
    pipe: Option<Pipe>,
    end: Option<End>,
    decoder: Decoder,
    /// The frame that is being sent, and how much of it has been.
    outgoing: Vec<u8>,
    sent: usize,
    /// What is to be sent before the first frame.
    preamble: Vec<u8>,
    /// The exchange that is under way.
    current: Option<u32>,
    last_id: u32,
    /// Who waits for the answer. There is one client at a time.
    waker: Option<Waker>,
}

impl Wire {
    /// A wire that has no pipes yet.
    pub(crate) fn new(max_frame: u32) -> Self {
        let state = State {
            pipe: None,
            end: None,
            decoder: Decoder::new(max_frame),
            outgoing: Vec::new(),
            sent: 0,
            preamble: Vec::new(),
            current: None,
            last_id: 0,
            waker: None,
        };
        Self {
            state: Mutex::new(state),
            max_frame,
        }
    }

    /// The largest body that a request can have.
    pub(crate) fn max_body(&self) -> usize {
        codec::max_body(self.max_frame)
    }

    /// Gives the wire its pipes. The preamble goes out with the first frame.
    pub(crate) fn connect(&self, mut pipe: Pipe) {
        let mut state = self.lock();
        state.preamble = std::mem::take(&mut pipe.preamble);
        state.pipe = Some(pipe);
    }

    /// Sends `HELLO` and waits for what comes back to it. Cancel safe only in that a second one must not follow.
    pub(crate) async fn handshake(&self) -> Result<Answer, Broken> {
        let mut body = codec::VERSION.to_be_bytes().to_vec();
        body.extend_from_slice(&self.max_frame.to_be_bytes());
        self.exchange(kind::HELLO, 0, &body).await
    }

    /// Sends a request and waits for its answer. The body must not be longer than [`max_body`](Self::max_body).
    ///
    /// Dropped before it is ready, it leaves the exchange under way, which [`is_clean`](Self::is_clean) tells.
    pub(crate) async fn call(&self, request: &[u8]) -> Result<Answer, Broken> {
        let id = self.lock().next_id();
        self.exchange(kind::CALL, id, request).await
    }

    /// Asks the worker whether it is well, and waits for its answer: `PONG`, or an `ERROR` with what is wrong.
    ///
    /// An exchange like [`call`](Self::call), and under the same rules: one at a time, and dropped before it is ready,
    /// it is left under way.
    pub(crate) async fn ping(&self) -> Result<Answer, Broken> {
        let id = self.lock().next_id();
        self.exchange(kind::PING, id, &[]).await
    }

    async fn exchange(&self, kind: u8, id: u32, body: &[u8]) -> Result<Answer, Broken> {
        self.lock().begin(kind, id, body);
        poll_fn(|cx| self.lock().poll_answer(cx)).await
    }

    /// Resolves once the wire is closed, with why.
    pub(crate) async fn closed(&self) -> End {
        poll_fn(|cx| {
            let mut state = self.lock();
            match &state.end {
                Some(end) => Poll::Ready(end.clone()),
                None => state.wait(cx),
            }
        })
        .await
    }

    /// Whether no exchange is under way and nothing is left over of the last one.
    pub(crate) fn is_clean(&self) -> bool {
        let state = self.lock();
        state.current.is_none() && state.decoder.is_empty()
    }

    /// Whether the whole of the last request was handed to the pipe.
    pub(crate) fn request_written(&self) -> bool {
        let state = self.lock();
        state.sent == state.outgoing.len()
    }

    /// Closes both pipes and wakes whoever waits for an answer. With `farewell`, a worker between two exchanges is
    /// sent `SHUTDOWN` first, as far as its pipe takes it at once.
    ///
    /// What the worker had answered before it ended is read out of the pipe, and still reaches the client.
    pub(crate) fn close(&self, end: End, farewell: bool) {
        let (pipe, waker) = {
            let mut state = self.lock();
            if farewell && state.current.is_none() {
                state.begin(kind::SHUTDOWN, 0, &[]);
                state.at_once(State::poll_send);
                state.current = None;
            } else if state.current.is_some() {
                state.at_once(State::poll_read_answer);
            }
            state.end.get_or_insert(end);
            (state.pipe.take(), state.waker.take())
        };
        drop(pipe);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves it half done, so a panic elsewhere does not concern it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_id(&mut self) -> u32 {
        // 0 is the handshake's; after 2^32 exchanges the ids begin again.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    fn begin(&mut self, kind: u8, id: u32, body: &[u8]) {
        self.outgoing.clear();
        self.outgoing.shrink_to(codec::KEPT);
        self.outgoing.append(&mut self.preamble);
        self.sent = 0;
        codec::encode(kind, id, body, &mut self.outgoing);
        self.current = Some(id);
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Broken>> {
        // Sending and receiving go on side by side, so that a worker which answers before it has read everything
        // and this host never wait for each other.
        let sending = self.poll_send(cx);
        if let Poll::Ready(answer) = self.poll_receive(cx) {
            if answer.is_ok() {
                if sending.is_pending() {
                    let early = String::from("it answered before it had read the request");
                    return Poll::Ready(Err(Broken::Protocol(early)));
                }
                self.current = None;
            }
            return Poll::Ready(answer);
        }
        if let Some(end) = &self.end {
            return Poll::Ready(Err(Broken::Closed(end.clone())));
        }
        self.wait(cx)
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Ready once the frame is sent, or cannot be: that the worker does not read any more shows in what it sends.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pipe) = &mut self.pipe else {
            return Poll::Ready(());
        };
        while self.sent < self.outgoing.len() {
            let rest = &self.outgoing[self.sent..];
            match ready!(Pin::new(&mut pipe.writer).poll_write(cx, rest)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(count) => self.sent += count,
            }
        }
        Poll::Ready(())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Broken>> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                if Some(frame.id) != self.current {
                    let other = format!("it answered request {}, which was not asked", frame.id);
                    return Poll::Ready(Err(Broken::Protocol(other)));
                }
                let answer = Answer {
                    kind: frame.kind,
                    body: frame.body.to_vec(),
                };
                return Poll::Ready(Ok(answer));
            }
            if ready!(self.poll_read(cx)) == 0 {
                return Poll::Ready(Err(Broken::EndOfOutput));
            }
        }
    }

    /// Reads what there is into the decoder: how many bytes, 0 at the end of the worker's output.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Poll::Pending;
        };
        let mut buffer = ReadBuf::new(self.decoder.spare());
        // A broken pipe says no more than its end does.
        let count = match ready!(Pin::new(&mut pipe.reader).poll_read(cx, &mut buffer)) {
            Ok(()) => buffer.filled().len(),
            Err(_) => 0,
        };
        self.decoder.filled(count);
        Poll::Ready(count)
    }

    /// Reads until an answer is whole, or nothing more is there. The answer stays in the decoder.
    fn poll_read_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Ok(None) = self.decoder.whole() {
            if ready!(self.poll_read(cx)) == 0 {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Polls once, for what can be done without waiting.
    fn at_once(&mut self, mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<()>) {
        // Outside tokio's budget, which would make a ready pipe look as if it were not.
        let mut once = unconstrained(poll_fn(|cx| poll(self, cx)));
        let _ = Pin::new(&mut once).poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        Self::Protocol(format!("it sent {error}"))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    fn wire() -> (Wire, DuplexStream) {
        let (host, worker) = tokio::io::duplex(1024);
        let (reader, writer) = tokio::io::split(host);
        let wire = Wire::new(1024);
        wire.connect(Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
        });
        (wire, worker)
    }

    /// Reads a frame without a body, and answers it: what the frame was, as its kind and its id.
    async fn answer(worker: &mut DuplexStream, kind: u8, body: &[u8]) -> (u8, u32) {
        assert_eq!(worker.read_u32().await.unwrap(), 5);
        let asked = (
            worker.read_u8().await.unwrap(),
            worker.read_u32().await.unwrap(),
        );
        let mut frame = Vec::new();
        codec::encode(kind, asked.1, body, &mut frame);
        worker.write_all(&frame).await.unwrap();
        asked
    }

    /// A ping is an exchange among the others: it takes the next id, and leaves the wire clean whatever the answer.
    #[tokio::test]
    async fn a_ping_is_an_exchange() {
        let (wire, mut worker) = wire();
        let exchanges = [
            (kind::PING, kind::PONG, &b""[..]),
            (kind::CALL, kind::REPLY, b"reply"),
            (kind::PING, kind::ERROR, b"not well"),
        ];
        for (id, (asks, kind, body)) in (1..).zip(exchanges) {
            let ask = async {
                match asks {
                    kind::PING => wire.ping().await,
                    _ => wire.call(b"").await,
                }
            };
            let (got, asked) = tokio::join!(ask, answer(&mut worker, kind, body));
            assert_eq!(asked, (asks, id));
            let body = body.to_vec();
            assert_eq!(got.unwrap(), Answer { kind, body });
            assert!(wire.is_clean());
        }
    }

    /// A ping that is given up is left under way, so that its late answer can be nobody else's.
    #[tokio::test]
    async fn an_abandoned_ping_leaves_the_wire_unclean() {
        let (wire, mut worker) = wire();
        {
            let ping = std::pin::pin!(wire.ping());
            let asked = tokio::select! {
                answer = ping => panic!("{answer:?}"),
                length = worker.read_u32() => length.unwrap(),
            };
            assert_eq!(asked, 5);
        }
        assert!(!wire.is_clean());
    }

    /// A ping to a worker that ends ends with it, and says how it did.
    #[tokio::test]
    async fn a_ping_ends_with_its_wire() {
        let (wire, mut worker) = wire();
        let closing = async {
            worker.read_u32().await.unwrap();
            wire.close(End::Stopped(Reason::Shutdown), false);
        };
        let (answer, ()) = tokio::join!(wire.ping(), closing);
        assert!(
            matches!(answer, Err(Broken::Closed(End::Stopped(Reason::Shutdown)))),
            "{answer:?}"
        );
    }
}
