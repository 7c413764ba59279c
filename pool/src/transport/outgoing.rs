//! The frame that is being sent.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::decoder::BUFFER;
use super::frame;

/// The largest body that is copied behind its header, in bytes. To copy it costs less than to write
/// two pieces at once. A larger one stays with the caller until it is sent.
pub(crate) const COPIED: usize = BUFFER / 16;

/// The largest buffer that is kept between two frames, in bytes.
pub(super) const KEPT: usize = BUFFER;

#[derive(Default)]
pub(super) struct Outgoing {
    /// The frame, or what precedes its body, if the caller keeps that.
    bytes: Vec<u8>,
    /// How many bytes precede the frame.
    before: usize,
    /// The size of the body that the caller keeps.
    kept: usize,
    /// How much of both is sent.
    sent: usize,
}

impl Outgoing {
    /// Forgets the frame. A large one releases its memory now, not at the next frame.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.before = 0;
        self.kept = 0;
        self.sent = 0;
    }

    /// Sends these bytes before the next frame, and leaves none.
    pub(super) fn precede(&mut self, bytes: &mut Vec<u8>) {
        self.bytes.append(bytes);
        self.before = self.bytes.len();
    }

    /// Sends this frame before the next one, in the same write.
    pub(super) fn precede_with(&mut self, kind: u8, id: u32, body: &[u8]) {
        frame::encode(kind, id, body, &mut self.bytes);
        self.before = self.bytes.len();
    }

    /// Takes the frame back, of which nothing is sent, and leaves what precedes it.
    pub(super) fn take_back(&mut self) {
        self.bytes.truncate(self.before);
        self.kept = 0;
    }

    /// Takes back what is not sent.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        let unsent = self.bytes.split_off(self.sent.min(self.bytes.len()));
        self.clear();
        unsent
    }

    /// The next frame. The caller keeps a body that is larger than [`COPIED`].
    pub(super) fn frame(&mut self, kind: u8, id: u32, body: &[u8]) {
        if body.len() <= COPIED {
            frame::encode(kind, id, body, &mut self.bytes);
        } else {
            frame::encode_header(kind, id, body.len(), &mut self.bytes);
            self.kept = body.len();
        }
    }

    /// Copies what is left of the body that the caller keeps.
    pub(super) fn copy_rest(&mut self, body: &[u8]) {
        if self.kept > 0 {
            let sent = self.sent.saturating_sub(self.bytes.len());
            self.bytes.drain(..self.sent.min(self.bytes.len()));
            self.bytes.extend_from_slice(&body[sent..]);
            (self.kept, self.sent) = (0, 0);
        }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.bytes.len() + self.kept
    }

    /// Ready once the frame is sent, or cannot be because the worker no longer reads. `body` is
    /// that of the frame.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut (impl AsyncWrite + Unpin + ?Sized),
        body: &[u8],
    ) -> Poll<()> {
        while !self.is_sent() {
            let writer = Pin::new(&mut *writer);
            let polled = match self.bytes.get(self.sent..) {
                Some(rest) if self.kept == 0 => writer.poll_write(cx, rest),
                Some(rest) => writer.poll_write_vectored(cx, &[rest, body].map(IoSlice::new)),
                None => writer.poll_write(cx, &body[self.sent - self.bytes.len()..]),
            };
            match ready!(polled) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(count) => self.sent += count,
            }
        }
        Poll::Ready(())
    }

    /// The size of its buffer, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}
