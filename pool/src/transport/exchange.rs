//! The exchange on a transport: what is being sent, what has come back, and to which request it
//! belongs.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::coop::unconstrained;

use super::frame::{self, Decoder, FrameError, kind};
use super::{Answer, Closed, TransportError};
use crate::error::{ProtocolError, RemoteError};
use crate::port::Pipe;

/// The most that is read out of the pipe of a worker that ended in the middle of a stream, in
/// bytes. A pipe on Linux holds no more, unless a privileged process enlarged it.
const LAST_PARTS: usize = 1 << 20;

pub(super) struct Exchange {
    /// `None` before it is connected, and once it is closed.
    pipe: Option<Pipe>,
    closed: Option<Closed>,
    decoder: Decoder,
    /// The frame that is being sent, and how much of it is sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Bytes to send before the first frame.
    preamble: Vec<u8>,
    /// The request that is under way.
    current: Option<Request>,
    /// Whether the outgoing frame is a `CANCEL`.
    cancels: bool,
    last_id: u32,
    /// The task that waits for the answer. At most one waits at a time.
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
struct Request {
    id: u32,
    kind: u8,
}

impl Exchange {
    /// Without pipes yet.
    pub(super) fn new(max_frame: u32) -> Self {
        Self {
            pipe: None,
            closed: None,
            decoder: Decoder::new(max_frame),
            outgoing: Vec::new(),
            sent: 0,
            preamble: Vec::new(),
            current: None,
            cancels: false,
            last_id: 0,
            waker: None,
        }
    }

    pub(super) fn connect(&mut self, mut pipe: Pipe) {
        self.preamble = std::mem::take(&mut pipe.preamble);
        self.pipe = Some(pipe);
    }

    pub(super) fn next_id(&mut self) -> u32 {
        // 0 belongs to the handshake. Ids repeat after 2^32 exchanges.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    pub(super) fn begin(&mut self, kind: u8, id: u32, body: &[u8]) {
        self.outgoing.clear();
        self.outgoing.shrink_to(frame::KEPT);
        self.outgoing.append(&mut self.preamble);
        self.sent = 0;
        frame::encode(kind, id, body, &mut self.outgoing);
        self.current = Some(Request { id, kind });
        self.cancels = false;
    }

    pub(super) fn can_cancel(&self) -> bool {
        // A partial request has no id that the worker could know, and it would take what follows
        // for the rest of the request.
        self.current.is_some() && self.pipe.is_some() && self.is_sent()
    }

    /// Begins to send a `CANCEL`, if the worker can be told to cancel.
    pub(super) fn cancel(&mut self) -> bool {
        let Some(request) = self.current.filter(|_| self.can_cancel()) else {
            return false;
        };
        self.outgoing.clear();
        self.sent = 0;
        frame::encode(kind::CANCEL, request.id, &[], &mut self.outgoing);
        self.cancels = true;
        true
    }

    /// Sends what the pipe takes without waiting.
    pub(super) fn send_at_once(&mut self) {
        self.at_once(Self::poll_send);
    }

    /// Whether no exchange is under way and no bytes are left over from the last one.
    pub(super) fn is_clean(&self) -> bool {
        self.current.is_none() && self.decoder.is_empty()
    }

    /// Whether the pipe took the whole of the last frame.
    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.outgoing.len()
    }

    /// Closes, as [`Transport::close`](super::Transport::close) describes. The caller drops and
    /// wakes what it gets after it has released the lock.
    pub(super) fn close(
        &mut self,
        reason: Closed,
        farewell: bool,
    ) -> (Option<Pipe>, Option<Waker>) {
        match self.current {
            None if farewell && self.is_sent() => {
                self.begin(kind::SHUTDOWN, 0, &[]);
                self.send_at_once();
                self.current = None;
            }
            None => {}
            Some(request) => {
                let mut room = if request.kind == kind::STREAM {
                    LAST_PARTS
                } else {
                    0
                };
                self.at_once(|exchange, cx| exchange.poll_read_answer(cx, &mut room));
            }
        }
        self.closed.get_or_insert(reason);
        (self.pipe.take(), self.waker.take())
    }

    /// Ready once the transport is closed, with the reason.
    pub(super) fn poll_closed(&mut self, cx: &Context<'_>) -> Poll<Closed> {
        match &self.closed {
            Some(reason) => Poll::Ready(reason.clone()),
            None => self.wait(cx),
        }
    }

    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer, TransportError>> {
        // Sending and receiving go on side by side. Otherwise a worker that answers before it has
        // read everything and this host could wait for each other.
        let sending = self.poll_send(cx);
        if let Poll::Ready(answer) = self.poll_receive(cx) {
            // An answer may well come before a `CANCEL` is out.
            if answer.is_ok() && sending.is_pending() && !self.cancels {
                return Poll::Ready(Err(ProtocolError::EarlyAnswer.into()));
            }
            if let Ok(Answer::Done(_) | Answer::Error(_)) = answer {
                self.current = None;
            }
            return Poll::Ready(answer);
        }
        if let Some(reason) = &self.closed {
            return Poll::Ready(Err(TransportError::Closed(reason.clone())));
        }
        // The request before a `CANCEL` was read in full, and may still be answered.
        if sending.is_ready() && !self.is_sent() && !self.cancels {
            return Poll::Ready(Err(TransportError::PipeClosed(ProtocolError::InputClosed)));
        }
        self.wait(cx)
    }

    /// Ready once the frame is sent, or cannot be.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_send(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.wait(cx),
        }
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

    /// Ready once the frame is sent, or cannot be because the worker no longer reads.
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

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, TransportError>> {
        loop {
            if let Some(frame) = self.decoder.next().map_err(ProtocolError::from)? {
                let request = self.current.filter(|request| request.id == frame.id);
                let request = request.ok_or(ProtocolError::UnexpectedId { id: frame.id })?;
                return Poll::Ready(Ok(request.interpret(frame.kind, frame.body)?));
            }
            if ready!(self.poll_read(cx)) == 0 {
                return Poll::Ready(Err(TransportError::PipeClosed(ProtocolError::OutputClosed)));
            }
        }
    }

    /// Reads what is there into the decoder. Returns the number of bytes, 0 at the end of the
    /// worker's output.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Poll::Pending;
        };
        let mut buffer = ReadBuf::new(self.decoder.spare());
        // A read error says no more than the end of the output does.
        let count = match ready!(Pin::new(&mut pipe.reader).poll_read(cx, &mut buffer)) {
            Ok(()) => buffer.filled().len(),
            Err(_) => 0,
        };
        self.decoder.filled(count);
        Poll::Ready(count)
    }

    /// Reads until an answer is complete and, beyond it, until `room` bytes are read or no more are
    /// there. The bytes stay in the decoder.
    fn poll_read_answer(&mut self, cx: &mut Context<'_>, room: &mut usize) -> Poll<()> {
        loop {
            let whole = !matches!(self.decoder.whole(), Ok(None));
            if whole && *room == 0 {
                return Poll::Ready(());
            }
            let count = ready!(self.poll_read(cx));
            if count == 0 {
                return Poll::Ready(());
            }
            *room = room.saturating_sub(count);
        }
    }

    /// Polls once, for what can be done without waiting.
    fn at_once(&mut self, mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<()>) {
        // Outside tokio's cooperative budget, which could make a ready pipe look pending.
        let mut once = unconstrained(poll_fn(|cx| poll(self, cx)));
        let _ = Pin::new(&mut once).poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl Request {
    /// What a frame of this kind means as an answer to the request.
    fn interpret(self, kind: u8, body: &[u8]) -> Result<Answer, ProtocolError> {
        match (self.kind, kind) {
            (kind::STREAM, kind::REPLY) if !body.is_empty() => {
                Err(ProtocolError::StreamEndedWithBody)
            }
            (kind::STREAM, kind::PART) => Ok(Answer::Part(body.to_vec())),
            (kind::CALL | kind::STREAM, kind::REPLY)
            | (kind::HELLO, kind::READY)
            | (kind::PING, kind::PONG) => Ok(Answer::Done(body.to_vec())),
            (_, kind::ERROR) => match frame::strings(body) {
                Some([kind, message, traceback]) => Ok(Answer::Error(RemoteError {
                    kind,
                    message,
                    traceback,
                })),
                None => Err(ProtocolError::MalformedError),
            },
            (_, kind) => Err(ProtocolError::UnexpectedKind { kind }),
        }
    }
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLong { length, max_frame } => Self::FrameTooLong { length, max_frame },
            FrameError::TooShort { length } => Self::FrameTooShort { length },
        }
    }
}

impl From<ProtocolError> for TransportError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}
