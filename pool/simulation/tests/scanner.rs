//! The host's end of a worker's input, which notes each request that the pipe has taken in full.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ostler_pool::WorkerId;
use tokio::io::AsyncWrite;

use crate::pipe::Writer;
use crate::world::World;

pub(crate) struct HostWriter {
    writer: Writer,
    world: World,
    worker: WorkerId,
    taken: Vec<u8>,
}

impl HostWriter {
    pub(crate) fn new(writer: Writer, world: World, worker: WorkerId) -> Self {
        Self {
            writer,
            world,
            worker,
            taken: Vec::new(),
        }
    }

    fn took(&mut self, bytes: &[u8]) {
        self.taken.extend(bytes);
        while let Some(frame) = Frame::take(&mut self.taken) {
            if let Some(id) = frame.request() {
                let mut ledger = self.world.ledger();
                let stamp = ledger.stamp();
                let worker = self.worker;
                ledger.note(format_args!("worker {worker}: request {id} is written"));
                let entry = ledger.requests.get_mut(&id).expect("the request is known");
                assert_eq!(entry.written, None, "request {id} is written twice");
                assert!(!entry.is_unwritten, "request {id} is written after all");
                entry.written = Some((worker, stamp));
            }
        }
    }
}

impl AsyncWrite for HostWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.writer).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.took(&bytes[..count]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A frame of the protocol, as `PROTOCOL.md` lays it out.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) id: [u8; 4],
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// Takes the first whole frame.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length fits");
        if rest.len() < length {
            return None;
        }
        let (kind, rest) = rest.split_first().expect("a frame has a kind");
        let (id, rest) = rest.split_first_chunk().expect("a frame has an id");
        let frame = Self {
            kind: *kind,
            id: *id,
            body: rest[..length - 5].to_vec(),
        };
        bytes.drain(..4 + length);
        Some(frame)
    }

    pub(crate) fn encode(kind: u8, id: [u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(5 + body.len()).expect("the body is short");
        [&length.to_be_bytes()[..], &[kind], &id, body].concat()
    }

    /// The number of the simulation's request, if this is a call or a stream.
    pub(crate) fn request(&self) -> Option<u64> {
        matches!(self.kind, 2 | 5).then(|| number(&self.body).expect("a request has a number"))
    }
}

/// The number at the beginning of a body.
pub(crate) fn number(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    text.strip_prefix('[')?.split_once(',')?.0.parse().ok()
}
