//! The host's end of a worker's input, which notes each request that the pipe has taken in full.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ostler_pool::WorkerId;
use ostler_pool::rt::simulated::now;
use tokio::io::AsyncWrite;

use crate::batches;
use crate::ledger::{Company, Message};
use crate::pipe::Writer;
use crate::process::{BATCH, CALL, DETAILS, STREAM};
use crate::world::World;

pub(crate) struct HostWriter {
    writer: Writer,
    world: World,
    worker: WorkerId,
    taken: Vec<u8>,
    /// When the first byte of the message was taken that is not complete yet.
    begun: Option<Duration>,
}

impl HostWriter {
    pub(crate) fn new(writer: Writer, world: World, worker: WorkerId) -> Self {
        Self {
            writer,
            world,
            worker,
            taken: Vec::new(),
            begun: None,
        }
    }

    /// The pipe took these bytes, not before `now`.
    fn took(&mut self, now: Duration, bytes: &[u8]) {
        self.taken.extend(bytes);
        while let Some(frame) = Frame::take(&mut self.taken) {
            let begun = *self.begun.get_or_insert(now);
            // Details are the beginning of their request's message, also if that is written later.
            if frame.kind != DETAILS {
                self.wrote(&frame.requests(), begun);
                self.begun = None;
            }
        }
        if !self.taken.is_empty() {
            self.begun.get_or_insert(now);
        }
    }

    /// A message with these requests, begun at this time, is written.
    fn wrote(&self, requests: &[u64], begun: Duration) {
        let mut ledger = self.world.ledger();
        let Some(first) = requests.first() else {
            return;
        };
        let company = ledger.entry(*first).company;
        if requests.len() > 1 {
            self.judge_batch(requests.len(), company);
        }
        ledger.messages += 1;
        let message = Message {
            number: ledger.messages,
            begun,
        };
        let (stamp, worker) = (ledger.stamp(), self.worker);
        for number in requests {
            ledger.note(format_args!("worker {worker}: request {number} is written"));
            let entry = ledger.entry(*number);
            assert_eq!(entry.written, None, "request {number} is written twice");
            assert!(!entry.is_unwritten, "request {number} is written after all");
            assert_eq!(
                entry.company, company,
                "request {number} is in another's batch"
            );
            entry.written = Some((worker, stamp));
            entry.message = Some(message);
        }
    }

    fn judge_batch(&self, requests: usize, company: Company) {
        let plan = self.world.plan();
        let most = match company {
            Company::Alone => 1,
            Company::Collected => plan.batching.map_or(1, |batching| batching.max),
            Company::Many(_) | Company::Map(_) => usize::MAX,
        };
        assert!(
            requests <= most,
            "{requests} requests in a batch, {company:?}"
        );
    }
}

impl AsyncWrite for HostWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before the write, because time may pass whenever it is asked.
        let now = now();
        let written = Pin::new(&mut self.writer).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.took(now, &bytes[..count]);
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

    /// The numbers of the simulation's requests in a call, a stream or a batch.
    pub(crate) fn requests(&self) -> Vec<u64> {
        let bodies = match self.kind {
            CALL | STREAM => vec![&self.body[..]],
            BATCH => batches::bodies(&self.body),
            _ => Vec::new(),
        };
        let numbers = bodies.into_iter().map(number);
        numbers
            .map(|number| number.expect("a request has a number"))
            .collect()
    }
}

/// The number at the beginning of a body.
pub(crate) fn number(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    text.strip_prefix('[')?.split_once(',')?.0.parse().ok()
}
