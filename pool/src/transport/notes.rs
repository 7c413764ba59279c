//! Frames that are not answered, between two exchanges.

use std::task::Context;

use super::exchange::Exchange;
use super::frame;

impl Exchange {
    /// Sends a frame that is not answered, as soon as no exchange is under way: now as far as the
    /// pipe takes it without waiting, and otherwise before the next request.
    pub(super) fn note(&mut self, cx: &mut Context<'_>, kind: u8, body: &[u8]) {
        if !self.takes_details || self.pipe.is_none() {
            return;
        }
        frame::encode(kind, 0, body, &mut self.notes);
        if self.is_idle() {
            self.outgoing.clear();
            self.outgoing.precede(&mut self.notes);
            let _ = self.at_once(cx, |exchange, cx| exchange.poll_send(cx, &[]));
            // Part of a frame may be sent. Its rest comes before anything else.
            self.notes = self.outgoing.take_unsent();
        }
    }
}
