//! The exchange on a transport: what is being sent, what has come back, and to which request it
//! belongs.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::coop::{has_budget_remaining, unconstrained};

use super::decoder::Decoder;
use super::frame::{self, kind};
use super::ids::Ids;
use super::lane::Lane;
use super::outgoing::{COPIED, Outgoing};
use super::request::Request;
use super::wakers::Wakers;
use super::{Answer, Closed, TransportError};
use crate::error::ProtocolError;
use crate::port::{Pipe, SharedMemory};

/// The most that is read out of the pipe when it is closed, in bytes. A pipe on Linux holds no
/// more, unless a privileged process enlarged it, and a worker that goes on writing is not waited
/// for.
const LAST_WORDS: usize = 1 << 20;

/// The pipes are polled with the transport's own waker: see [`Wakers`].
pub(super) struct Exchange {
    /// `None` before it is connected, and once it is closed.
    pub(super) pipe: Option<Pipe>,
    closed: Option<Closed>,
    wakers: Arc<Wakers>,
    /// Whether the pipe had nothing to read when it was last asked. Then it need not be asked again
    /// until it wakes the transport's waker.
    is_drained: bool,
    decoder: Decoder,
    pub(super) outgoing: Outgoing,
    /// Bytes to send before the first frame.
    preamble: Vec<u8>,
    /// The request that is under way.
    current: Option<Request>,
    /// Whether the outgoing frame is a `CANCEL`.
    cancels: bool,
    /// Whether the worker has said that it takes `BATCH`.
    pub(super) takes_batches: bool,
    /// Whether the worker has said that it takes `DETAILS`.
    pub(super) takes_details: bool,
    /// Frames that are not answered, to send when no exchange is under way.
    pub(super) notes: Vec<u8>,
    pub(super) lane: Lane,
    /// Whether the worker's output was found to have ended between two exchanges.
    has_ended: bool,
    ids: Ids,
}

impl Exchange {
    /// Without pipes yet.
    pub(super) fn new(max_frame: u32, wakers: Arc<Wakers>) -> Self {
        Self {
            pipe: None,
            closed: None,
            wakers,
            is_drained: false,
            decoder: Decoder::new(max_frame),
            outgoing: Outgoing::default(),
            preamble: Vec::new(),
            current: None,
            cancels: false,
            takes_batches: false,
            takes_details: false,
            notes: Vec::new(),
            lane: Lane::new(frame::max_body(max_frame)),
            has_ended: false,
            ids: Ids::default(),
        }
    }

    pub(super) fn connect(&mut self, mut pipe: Pipe) {
        self.preamble = std::mem::take(&mut pipe.preamble);
        self.lane.connect(pipe.shared.take());
        self.pipe = Some(pipe);
    }

    /// Begins an exchange, unless the worker has sent something already, or closed its output.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        kind: u8,
        body: &[u8],
        details: &[u8],
    ) -> Result<(), TransportError> {
        match self.poll_unsolicited(cx) {
            Poll::Pending => {}
            Poll::Ready(ended @ ProtocolError::OutputClosed) => {
                return Err(TransportError::PipeClosed(ended));
            }
            Poll::Ready(problem) => return Err(problem.into()),
        }
        if kind == kind::PING {
            self.lane.check();
        }
        let id = self.ids.next();
        self.send(kind, id, body, details);
        Ok(())
    }

    pub(super) fn send(&mut self, kind: u8, id: u32, body: &[u8], details: &[u8]) {
        self.outgoing.clear();
        self.outgoing.precede(&mut self.preamble);
        if !self.notes.is_empty() {
            self.outgoing.precede(&mut self.notes);
        }
        if !details.is_empty() && self.takes_details {
            self.outgoing.precede_with(kind::DETAILS, id, details);
        }
        self.lane.reset();
        if kind == kind::CALL
            && body.len() > COPIED
            && let Some(place) = self.lane.begin(body.len())
        {
            self.outgoing.frame(kind::SHARED_CALL, id, &place);
        } else {
            self.outgoing.frame(kind, id, body);
        }
        self.current = Some(Request::new(id, kind, body));
        self.cancels = false;
    }

    pub(super) fn takes_batches(&self) -> bool {
        self.takes_batches
    }

    /// The request goes through the pipe after all.
    fn use_pipe(&mut self, body: &[u8]) {
        self.lane.reset();
        self.outgoing.take_back();
        if let Some(Request { id, .. }) = self.current {
            self.outgoing.frame(kind::CALL, id, body);
        }
    }

    /// Ends the exchange. A large request releases its memory now, not at the next exchange.
    fn end(&mut self) {
        self.current = None;
        self.outgoing.clear();
        self.lane.reset();
    }

    pub(super) fn can_cancel(&self) -> bool {
        // A partial request has no id that the worker could know, and it would take what follows
        // for the rest of the request.
        self.pipe.is_some() && self.request_written()
    }

    /// Begins to send a `CANCEL`, if the worker can be told to cancel.
    pub(super) fn cancel(&mut self) -> bool {
        let Some(request) = self.current.filter(|_| self.can_cancel()) else {
            return false;
        };
        self.outgoing.clear();
        self.outgoing.frame(kind::CANCEL, request.id, &[]);
        self.cancels = true;
        true
    }

    /// Sends what the pipe takes without waiting, and copies the rest of the body.
    pub(super) fn send_at_once(&mut self, cx: &mut Context<'_>, body: &[u8]) {
        let _ = self.at_once(cx, |exchange, cx| exchange.poll_send(cx, body));
        self.outgoing.copy_rest(body);
    }

    /// The next part of a stream, or the next reply to a batch but the last, if it was read before.
    pub(super) fn take_part(&mut self) -> Option<Vec<u8>> {
        // An answer to what is not sent is a violation, which `poll_answer` finds.
        if !self.is_sent() {
            return None;
        }
        let request = self.current.as_mut()?;
        match request.kind {
            kind::STREAM => self.decoder.next_if(kind::PART, request.id),
            kind::BATCH if request.left > 1 => {
                let reply = self.decoder.next_if(kind::REPLY, request.id)?;
                request.left -= 1;
                Some(reply)
            }
            _ => None,
        }
    }

    /// Whether no exchange is under way: nothing is to be sent and nothing is to come.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.is_sent()
    }

    /// Whether no exchange is under way and no bytes are left over from the last one.
    pub(super) fn is_clean(&self) -> bool {
        self.is_idle() && self.decoder.is_empty()
    }

    /// Whether a request is under way, and the pipe took the whole of it.
    pub(super) fn request_written(&self) -> bool {
        self.current.is_some() && self.is_sent()
    }

    fn is_sent(&self) -> bool {
        self.outgoing.is_sent()
    }

    /// The size of its buffers, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.outgoing.memory() + self.decoder.memory()
    }

    /// The id of the request that is under way.
    #[cfg(test)]
    pub(super) fn current_id(&self) -> u32 {
        self.current.expect("a request is under way").id
    }

    /// Closes, as [`Transport::close`](super::Transport::close) describes. The caller drops
    /// both after it has released the lock.
    pub(super) fn close(
        &mut self,
        cx: &mut Context<'_>,
        reason: Closed,
        farewell: bool,
    ) -> (Option<Pipe>, Option<SharedMemory>) {
        if let Some(request) = self.current {
            let mut room = LAST_WORDS;
            let all = matches!(request.kind, kind::STREAM | kind::BATCH);
            let _ = self.at_once(cx, |exchange, cx| {
                exchange.poll_last_words(cx, all, &mut room)
            });
            // What is in the shared memory is read now, because the memory goes with the pipe.
            self.begin_shared_reply(request);
            self.lane.read_rest();
        } else if farewell && self.is_idle() && self.pipe.is_some() {
            self.send(kind::SHUTDOWN, 0, &[], &[]);
            self.send_at_once(cx, &[]);
            self.end();
        }
        self.closed.get_or_insert(reason);
        (self.pipe.take(), self.lane.close())
    }

    /// Why the transport was closed.
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// `body` is that of the request.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        body: &[u8],
    ) -> Poll<Result<Answer, TransportError>> {
        // Sending and receiving go on side by side. Otherwise a worker that answers before it has
        // read everything and this host could wait for each other.
        let sending = self.poll_send(cx, body);
        if let Poll::Ready(answer) = self.poll_receive(cx) {
            // An answer may well come before a `CANCEL` is out. Whether the rest of a request waits
            // for room or found the input closed makes no difference: it was not read.
            if answer.is_ok() && !self.is_sent() && !self.cancels {
                return Poll::Ready(Err(ProtocolError::EarlyAnswer.into()));
            }
            match &answer {
                Ok(Answer::Done(_) | Answer::Error(_)) if self.is_sent() => self.end(),
                // The rest of the `CANCEL` follows the answer, unless the input is closed.
                Ok(Answer::Done(_) | Answer::Error(_)) => self.current = None,
                Ok(Answer::Item(_)) => {
                    if let Some(request) = &mut self.current {
                        request.left -= 1;
                    }
                }
                _ => {}
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
        Poll::Pending
    }

    /// Ready once the worker sends something between two exchanges, or closes its output. What it
    /// sent stays in the decoder.
    ///
    /// While nothing comes, this makes no system call, because the pipe wakes the transport's waker
    /// for what comes.
    pub(super) fn poll_unsolicited(&mut self, cx: &mut Context<'_>) -> Poll<ProtocolError> {
        if !self.is_idle() {
            return Poll::Pending;
        }
        if self.decoder.is_empty() {
            self.has_ended = self.has_ended || ready!(self.at_once(cx, Self::poll_read)) == 0;
        }
        Poll::Ready(if self.has_ended {
            ProtocolError::OutputClosed
        } else {
            ProtocolError::Unsolicited
        })
    }

    /// Ready once the frame is sent, or cannot be because the worker no longer reads. `body` is
    /// that of the request.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, body: &[u8]) -> Poll<()> {
        if self.pipe.is_some() && !self.lane.is_written() {
            // The system may have no memory for it.
            if ready!(self.lane.poll_write(cx, body)).is_err() {
                self.use_pipe(body);
            }
        }
        match &mut self.pipe {
            Some(pipe) => self.outgoing.poll_send(cx, &mut pipe.writer, body),
            None => Poll::Ready(()),
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, TransportError>> {
        loop {
            if let Some(request) = self.current {
                self.begin_shared_reply(request);
            }
            if let Some(polled) = self.lane.poll_reply(cx) {
                let reply = ready!(polled)?;
                return Poll::Ready(Ok(Answer::Done(reply)));
            }
            if let Some(frame) = self.decoder.next().map_err(ProtocolError::from)? {
                let request = self.current.filter(|request| request.id == frame.id);
                let request = request.ok_or(ProtocolError::UnexpectedId { id: frame.id })?;
                return Poll::Ready(Ok(request.interpret(frame)?));
            }
            if ready!(self.poll_read(cx)) == 0 {
                return Poll::Ready(Err(TransportError::PipeClosed(ProtocolError::OutputClosed)));
            }
        }
    }

    /// Begins to read the reply to a call in shared memory, if its frame has arrived.
    fn begin_shared_reply(&mut self, request: Request) {
        if request.kind == kind::CALL
            && self.lane.is_open()
            && let Some(place) = self.decoder.next_if(kind::SHARED_REPLY, request.id)
        {
            self.lane.begin_reply(&place);
        }
    }

    /// Reads what is there into the decoder. Returns the number of bytes, 0 at the end of the
    /// worker's output.
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        // Taken before the read, so that what comes meanwhile is news.
        if self.is_drained && !self.wakers.take_news() {
            return Poll::Pending;
        }
        self.poll_pipe(cx)
    }

    fn poll_pipe(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Poll::Pending;
        };
        let read = self.decoder.poll_read(cx, &mut pipe.reader);
        // A task that has used up its budget is told that there is nothing, whatever there is.
        self.is_drained = read.is_pending() && has_budget_remaining();
        // A read error says no more than the end of the output does.
        read.map(|read| read.unwrap_or(0))
    }

    /// Reads until an answer is complete, or everything is read if `all`. Reads `room` bytes at
    /// most, and what is there without waiting. The bytes stay in the decoder.
    fn poll_last_words(&mut self, cx: &mut Context<'_>, all: bool, room: &mut usize) -> Poll<()> {
        while *room > 0 && (all || matches!(self.decoder.has_frame(), Ok(false))) {
            let count = ready!(self.poll_read(cx));
            if count == 0 {
                break;
            }
            *room = room.saturating_sub(count);
        }
        Poll::Ready(())
    }

    /// Polls outside tokio's cooperative budget, which could make a ready pipe look pending.
    pub(super) fn at_once<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut once = unconstrained(poll_fn(|cx| poll(self, cx)));
        Pin::new(&mut once).poll(cx)
    }
}
