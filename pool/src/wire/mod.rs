//! The host's end of one worker's pipes, and the exchange on it.
//!
//! The worker's task owns the pipes for as long as the worker lives; a lease only borrows them, one poll at a time. So
//! a call runs in its caller's own task, without a hop to another one, and yet the worker's task can close the
//! descriptors at any moment, whatever the caller does.

mod state;

use std::fmt;
use std::future::poll_fn;
use std::sync::PoisonError;

use ostler::supervisor::Reason;

use self::state::State;
use crate::codec::{self, kind};
use crate::port::{Exit, Pipe};
use crate::rt::{Mutex, MutexGuard};

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
    /// The worker closed its input before it had read the request, and nothing more is known yet.
    EndOfInput,
    /// The worker sent what the protocol does not allow.
    Protocol(String),
}

/// The pipes of one worker.
pub(crate) struct Wire {
    state: Mutex<State>,
    max_frame: u32,
}

impl Wire {
    /// A wire that has no pipes yet.
    pub(crate) fn new(max_frame: u32) -> Self {
        Self {
            state: Mutex::new(State::new(max_frame)),
            max_frame,
        }
    }

    /// The largest body that a request can have.
    pub(crate) fn max_body(&self) -> usize {
        codec::max_body(self.max_frame)
    }

    /// Gives the wire its pipes. The preamble goes out with the first frame.
    pub(crate) fn connect(&self, pipe: Pipe) {
        self.lock().connect(pipe);
    }

    /// Sends `HELLO` and waits for what comes back to it. Cancel safe only in that a second one must not follow.
    pub(crate) async fn handshake(&self, may_cancel: bool) -> Result<Answer, Broken> {
        let flags = if may_cancel { codec::MAY_CANCEL } else { 0 };
        let body = [codec::VERSION, self.max_frame, flags].map(u32::to_be_bytes);
        self.lock().begin(kind::HELLO, 0, body.as_flattened());
        self.answer().await
    }

    /// Begins the exchange that a request of this kind is one half of. It is sent as [`answer`](Self::answer) is waited
    /// for. The body must not be longer than [`max_body`](Self::max_body).
    ///
    /// Until the answer has come, the exchange is under way, which [`is_clean`](Self::is_clean) tells.
    pub(crate) fn begin(&self, kind: u8, body: &[u8]) {
        let mut state = self.lock();
        let id = state.next_id();
        state.begin(kind, id, body);
    }

    /// Sends what the pipe takes at once of the request that was begun.
    pub(crate) fn send_at_once(&self) {
        self.lock().send_at_once();
    }

    /// Waits for the answer to the request that was begun, or for the next part of it. All but a `PART` end the
    /// exchange. No more is read than belongs to the answer, but for what comes with it into the decoder's buffer.
    ///
    /// Cancel safe: what has not been given out yet can be waited for again.
    pub(crate) async fn answer(&self) -> Result<Answer, Broken> {
        poll_fn(|cx| self.lock().poll_answer(cx)).await
    }

    /// Tells the worker that the answer is no longer wanted, which [`answer`](Self::answer) is to wait for all the same:
    /// true. False where it is of no use, because no exchange is under way, its request was not sent as a whole, or the
    /// wire is closed.
    pub(crate) fn cancel(&self) -> bool {
        self.lock().cancel()
    }

    /// Waits until the last frame was handed to the pipe, or cannot be.
    pub(crate) async fn sent(&self) {
        poll_fn(|cx| self.lock().poll_sent(cx)).await;
    }

    /// Asks the worker whether it is well, and waits for its answer: `PONG`, or an `ERROR` with what is wrong.
    ///
    /// Dropped before it is ready, it leaves the exchange under way.
    pub(crate) async fn ping(&self) -> Result<Answer, Broken> {
        self.begin(kind::PING, &[]);
        self.answer().await
    }

    /// Resolves once the wire is closed, with why.
    pub(crate) async fn closed(&self) -> End {
        poll_fn(|cx| self.lock().poll_closed(cx)).await
    }

    /// Whether no exchange is under way and nothing is left over of the last one.
    pub(crate) fn is_clean(&self) -> bool {
        self.lock().is_clean()
    }

    /// Whether the whole of the last request was handed to the pipe.
    pub(crate) fn request_written(&self) -> bool {
        self.lock().is_sent()
    }

    /// Closes both pipes and wakes whoever waits for an answer. With `farewell`, a worker between two calls is
    /// sent `SHUTDOWN` first, as far as its pipe takes it at once.
    ///
    /// What the worker had answered before it ended is read out of the pipe, and still reaches the client.
    pub(crate) fn close(&self, end: End, farewell: bool) {
        let (pipe, waker) = self.lock().close(end, farewell);
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

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
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
        let calls = [
            (kind::PING, kind::PONG, &b""[..]),
            (kind::CALL, kind::REPLY, b"reply"),
            (kind::PING, kind::ERROR, b"not well"),
        ];
        for (id, (asks, kind, body)) in (1..).zip(calls) {
            let ask = async {
                match asks {
                    kind::PING => wire.ping().await,
                    _ => {
                        wire.begin(asks, b"");
                        wire.answer().await
                    }
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

    /// C1: an exchange can be cancelled once its request is in the pipe, even if that has no room left for the cancel. It
    /// ends with its answer all the same, and the wire is as good as before when the cancel is out too.
    #[tokio::test]
    async fn a_cancel_waits_for_room() {
        let (wire, mut worker) = wire();
        wire.begin(kind::CALL, &[b'x'; 1016]);
        assert!(wire.answer().now_or_never().is_none());
        assert!(!wire.cancel(), "a byte of the request is not in the pipe");
        worker.read_u8().await.unwrap();
        assert!(wire.answer().now_or_never().is_none());
        assert!(wire.cancel());
        let mut frame = Vec::new();
        codec::encode(kind::REPLY, 1, b"late", &mut frame);
        worker.write_all(&frame).await.unwrap();
        assert_eq!(wire.answer().await.unwrap().body, b"late");
        assert!(wire.sent().now_or_never().is_none());
        let mut request = [0; 1024];
        worker.read_exact(&mut request).await.unwrap();
        wire.sent().await;
        assert!(wire.is_clean());
        let mut cancel = [0; 9];
        worker.read_exact(&mut cancel).await.unwrap();
        assert_eq!(cancel, [0, 0, 0, 5, kind::CANCEL, 0, 0, 0, 1]);
        assert!(!wire.cancel(), "there is nothing to cancel any more");
    }
}
