//! What host and worker agree on in the handshake.

use std::time::Duration;

use super::details;
use super::exchange::Exchange;
use super::frame::{self, kind};
use crate::port::SharedMemory;

impl Exchange {
    /// Begins the handshake.
    pub(super) fn greet(&mut self, max_frame: u32, may_cancel: bool, call_timeout: Duration) {
        let mut flags = frame::BATCHES | frame::DETAILS;
        if may_cancel {
            flags |= frame::MAY_CANCEL;
        }
        let offer = self.lane.offer();
        if !offer.is_empty() {
            flags |= frame::SHARED_MEMORY;
        }
        let body = [frame::VERSION, max_frame, flags].map(u32::to_be_bytes);
        let timeout = details::milliseconds(call_timeout).to_be_bytes();
        let body = [body.as_flattened(), &offer, &timeout].concat();
        self.send(kind::HELLO, 0, &body, &[]);
        self.outgoing.copy_rest(&body);
    }

    /// The worker has answered the handshake with these flags. Returns the shared memory that it
    /// does not use. The caller drops it after it has released the lock.
    pub(super) fn agreed(&mut self, flags: u32) -> Option<SharedMemory> {
        self.takes_batches = flags & frame::BATCHES != 0;
        self.takes_details = flags & frame::DETAILS != 0;
        self.lane.agreed(flags & frame::SHARED_MEMORY != 0)
    }
}
