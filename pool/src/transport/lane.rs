//! The shared memory lane: large requests and replies of calls bypass the pipe.
//!
//! The pipe stays the doorbell. A request is in the memory before its frame is sent, and a reply
//! before its frame arrives, so the frames order what both sides do. Whatever a worker writes at
//! other moments, it reaches no caller: the host reads only what the frame of the current request
//! names, after that frame.

use std::io;
use std::mem::take;
use std::ops::Range;
use std::task::{Context, Poll};

use crate::error::ProtocolError;
use crate::port::SharedMemory;

/// The smallest body that bypasses the pipe, in bytes. Smaller ones cost the same either way.
const LEAST: usize = 64 * 1024;

/// How much is copied without a pause, in bytes. Takes about 0.1 ms, for which the other tasks of
/// the thread wait.
const CHUNK: usize = 512 * 1024;

pub(super) struct Lane {
    /// `None` if none is offered, if the worker does not use it, and once it is closed.
    shared: Option<SharedMemory>,
    /// Whether the worker has said that it uses the memory.
    is_used: bool,
    /// The largest body of a frame, and so of a reply.
    max_body: usize,
    /// How large the request in the memory is, and how much of it is written.
    request: usize,
    written: usize,
    reply: Option<Result<Reply, ProtocolError>>,
    /// Whether the memory may hold anything, and whether it was used since the last health check.
    is_filled: bool,
    is_active: bool,
}

/// A reply with as much of it as was read.
struct Reply {
    body: Vec<u8>,
    offset: u64,
    size: usize,
}

impl Lane {
    pub(super) fn new(max_body: usize) -> Self {
        Self {
            shared: None,
            is_used: false,
            max_body,
            request: 0,
            written: 0,
            reply: None,
            is_filled: false,
            is_active: false,
        }
    }

    pub(super) fn connect(&mut self, shared: Option<SharedMemory>) {
        self.shared = shared;
    }

    /// What `HELLO` says about the memory. Empty if there is none.
    pub(super) fn offer(&self) -> Vec<u8> {
        let mut offer = Vec::new();
        if let Some(shared) = &self.shared {
            offer.extend(shared.process.to_be_bytes());
            offer.extend(shared.descriptor.to_be_bytes());
            offer.extend(shared.inode.to_be_bytes());
            offer.extend(shared.area.to_be_bytes());
        }
        offer
    }

    /// The worker uses the memory from now on, or never. Returns what it does not use.
    pub(super) fn agreed(&mut self, is_used: bool) -> Option<SharedMemory> {
        self.is_used = is_used;
        if is_used { None } else { self.close() }
    }

    /// Gives up the memory. A reply that was read stays.
    pub(super) fn close(&mut self) -> Option<SharedMemory> {
        self.shared.take()
    }

    /// Whether the worker uses the memory.
    pub(super) fn is_open(&self) -> bool {
        self.is_used && self.shared.is_some()
    }

    /// Begins a request of this size. Returns the body of its frame, or `None` if the request must
    /// use the pipe.
    pub(super) fn begin(&mut self, size: usize) -> Option<[u8; 16]> {
        let shared = self.shared.as_ref().filter(|_| self.is_used)?;
        if size < LEAST || size as u64 > shared.area || is_in_use(shared) {
            return None;
        }
        self.request = size;
        self.filled();
        Some(place(0, size))
    }

    /// Forgets the request and the reply.
    pub(super) fn reset(&mut self) {
        (self.request, self.written) = (0, 0);
        self.reply = None;
    }

    fn filled(&mut self) {
        (self.is_filled, self.is_active) = (true, true);
    }

    /// Frees the memory if it was not used since the last health check.
    pub(super) fn check(&mut self) {
        if let Some(shared) = &self.shared
            && !take(&mut self.is_active)
            && self.is_filled
        {
            self.is_filled = is_in_use(shared);
            let start = if self.is_filled { shared.area } else { 0 };
            // If it fails, the memory stays for as long as the worker.
            let _ = shared.memory.free(start, 2 * shared.area - start);
        }
    }

    pub(super) fn is_written(&self) -> bool {
        self.written == self.request
    }

    /// Writes a part of the request. Pending until the last part.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        request: &[u8],
    ) -> Poll<io::Result<()>> {
        let Some(shared) = &self.shared else {
            return Poll::Ready(Ok(()));
        };
        let rest = &request[self.written..];
        let part = &rest[..rest.len().min(CHUNK)];
        self.written += shared.memory.write_at(part, self.written as u64)?;
        if self.is_written() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins to read the reply that a frame with this body announces.
    pub(super) fn begin_reply(&mut self, frame: &[u8]) {
        self.filled();
        let Some(shared) = &self.shared else {
            return;
        };
        // A reply may also be a part of its request.
        let areas = [0..self.request as u64, shared.area..2 * shared.area];
        let placed = placed(frame).filter(|&(offset, size)| {
            let end = offset.checked_add(size as u64);
            let holds = |area: &Range<u64>| area.start <= offset && end <= Some(area.end);
            size <= self.max_body && end.is_some() && areas.iter().any(holds)
        });
        let reply = placed.map(|(offset, size)| Reply {
            body: Vec::with_capacity(size),
            offset,
            size,
        });
        self.reply = Some(reply.ok_or(ProtocolError::MalformedSharedReply));
    }

    /// The reply that was begun, once it is read. `None` if none was begun.
    pub(super) fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Result<Vec<u8>, ProtocolError>>> {
        self.read_part();
        match &mut self.reply {
            Some(Ok(reply)) if !reply.is_whole() => {
                cx.waker().wake_by_ref();
                Some(Poll::Pending)
            }
            reply => Some(Poll::Ready(reply.take()?.map(|reply| reply.body))),
        }
    }

    /// Reads the rest of the reply.
    pub(super) fn read_rest(&mut self) {
        while matches!(&self.reply, Some(Ok(reply)) if !reply.is_whole()) {
            self.read_part();
        }
    }

    fn read_part(&mut self) {
        if let (Some(Ok(reply)), Some(shared)) = (&mut self.reply, &self.shared) {
            // The size of the memory is sealed, so a read never finds its end.
            if !reply.is_whole() && !matches!(reply.read(shared), Ok(1..)) {
                self.reply = Some(Err(ProtocolError::MalformedSharedReply));
            }
        }
    }
}

impl Reply {
    fn is_whole(&self) -> bool {
        self.body.len() == self.size
    }

    fn read(&mut self, shared: &SharedMemory) -> io::Result<usize> {
        let left = self.size - self.body.len();
        let offset = self.offset + self.body.len() as u64;
        (shared.memory).read_at(&mut self.body, left.min(CHUNK), offset)
    }
}

/// Whether the worker still uses the area of the requests, for a request that was answered.
fn is_in_use(shared: &SharedMemory) -> bool {
    let mut state = Vec::new();
    let read = shared.memory.read_at(&mut state, 4, 2 * shared.area);
    read.is_err() || state != [0; 4]
}

/// The body of a frame that says where a request or a reply is.
fn place(offset: u64, size: usize) -> [u8; 16] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&offset.to_be_bytes());
    place[8..].copy_from_slice(&(size as u64).to_be_bytes());
    place
}

/// What the body of such a frame says: offset and size.
fn placed(body: &[u8]) -> Option<(u64, usize)> {
    let (offset, size) = body.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*offset),
        usize::try_from(u64::from_be_bytes(size.try_into().ok()?)).ok()?,
    ))
}
