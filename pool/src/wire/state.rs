//! The state of a wire: what is being sent, what has come back, and which exchange it belongs to.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::task::coop::unconstrained;

use super::{Answer, Broken, End};
use crate::codec::{self, Decoder, FrameError, kind};
use crate::port::Pipe;

/// The most that is read out of the pipe of a worker that has ended in the middle of a stream. No pipe on Linux holds
/// more, unless a privileged process made it larger.
const LAST_PARTS: usize = 1 << 20;

pub(super) struct State {
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
    /// Whether its answer comes in parts.
    streams: bool,
    /// Whether what is being sent is a `CANCEL`.
    cancels: bool,
    last_id: u32,
    /// Who waits for the answer. There is one client at a time.
    waker: Option<Waker>,
}

impl State {
    /// Without pipes yet.
    pub(super) fn new(max_frame: u32) -> Self {
        Self {
            pipe: None,
            end: None,
            decoder: Decoder::new(max_frame),
            outgoing: Vec::new(),
            sent: 0,
            preamble: Vec::new(),
            current: None,
            streams: false,
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
        // 0 is the handshake's; after 2^32 calls the ids begin again.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    pub(super) fn begin(&mut self, kind: u8, id: u32, body: &[u8]) {
        self.outgoing.clear();
        self.outgoing.shrink_to(codec::KEPT);
        self.outgoing.append(&mut self.preamble);
        self.sent = 0;
        codec::encode(kind, id, body, &mut self.outgoing);
        self.current = Some(id);
        self.streams = kind == kind::STREAM;
        self.cancels = false;
    }

    /// Begins to send a `CANCEL`, as [`Wire::cancel`](super::Wire::cancel) says.
    pub(super) fn cancel(&mut self) -> bool {
        let Some(id) = self.current else {
            return false;
        };
        // Half a request has no id that the worker could know, and what follows it would be taken for its rest.
        if self.pipe.is_none() || !self.is_sent() {
            return false;
        }
        self.outgoing.clear();
        self.sent = 0;
        codec::encode(kind::CANCEL, id, &[], &mut self.outgoing);
        self.cancels = true;
        true
    }

    /// Sends what the pipe takes without waiting.
    pub(super) fn send_at_once(&mut self) {
        self.at_once(Self::poll_send);
    }

    /// Whether no exchange is under way and nothing is left over of the last one.
    pub(super) fn is_clean(&self) -> bool {
        self.current.is_none() && self.decoder.is_empty()
    }

    /// Whether the whole of the last frame was handed to the pipe.
    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.outgoing.len()
    }

    /// Closes the wire, as [`Wire::close`](super::Wire::close) says: what is to be dropped and woken without the lock.
    pub(super) fn close(&mut self, end: End, farewell: bool) -> (Option<Pipe>, Option<Waker>) {
        if farewell && self.current.is_none() && self.is_sent() {
            self.begin(kind::SHUTDOWN, 0, &[]);
            self.send_at_once();
            self.current = None;
        } else if self.current.is_some() {
            let mut room = if self.streams { LAST_PARTS } else { 0 };
            self.at_once(|state, cx| state.poll_read_answer(cx, &mut room));
        }
        self.end.get_or_insert(end);
        (self.pipe.take(), self.waker.take())
    }

    /// Ready once the wire is closed, with why.
    pub(super) fn poll_closed(&mut self, cx: &Context<'_>) -> Poll<End> {
        match &self.end {
            Some(end) => Poll::Ready(end.clone()),
            None => self.wait(cx),
        }
    }

    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Broken>> {
        // Sending and receiving go on side by side, so that a worker which answers before it has read everything
        // and this host never wait for each other.
        let sending = self.poll_send(cx);
        if let Poll::Ready(answer) = self.poll_receive(cx) {
            if let Ok(answer) = &answer {
                // What is late is no answer to the `CANCEL`, and may well come before it is read.
                if sending.is_pending() && !self.cancels {
                    let early = String::from("it answered before it had read the request");
                    return Poll::Ready(Err(Broken::Protocol(early)));
                }
                if answer.kind != kind::PART {
                    self.current = None;
                }
            }
            return Poll::Ready(answer);
        }
        if let Some(end) = &self.end {
            return Poll::Ready(Err(Broken::Closed(end.clone())));
        }
        // What was asked before a `CANCEL` was read as a whole, and may be answered all the same.
        if sending.is_ready() && !self.is_sent() && !self.cancels {
            return Poll::Ready(Err(Broken::EndOfInput));
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

    /// Ready once the frame is sent, or cannot be, because the worker does not read any more.
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

    /// Reads until an answer is whole and, beyond it, until as much as `room` is taken or nothing more is there. What
    /// was read stays in the decoder.
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
