//! Frames: how requests and answers are laid out on a pipe. Knows bytes, and nothing of processes.
//! `PROTOCOL.md` describes the same for authors of workers.
//!
//! ```text
//! u32 big-endian   length of what follows: 5 + body
//! u8               kind
//! u32 big-endian   request id
//! ...              body
//! ```
//!
//! One request is under way at a time, and each frame of its answer carries its id. The length
//! prefix is that of Erlang's `{:packet, 4}`.

use std::mem;
use std::ops::Range;

/// Frame kinds. The highest bit is clear in frames from the host, and set in frames from the
/// worker.
pub(crate) mod kind {
    /// Host to worker, id 0: the protocol's version, the frame limit and flags, each `u32`.
    /// Answered by `READY` or `ERROR`. A worker ignores whatever follows the frame limit that it
    /// has no use for.
    pub(crate) const HELLO: u8 = 1;
    /// Host to worker: a request. Answered by `REPLY` or `ERROR` with its id.
    pub(crate) const CALL: u8 = 2;
    /// Host to worker, id 0, no body: finish and exit. Not answered.
    pub(crate) const SHUTDOWN: u8 = 3;
    /// Host to worker, no body: a health check. Answered by `PONG` or `ERROR` with its id.
    pub(crate) const PING: u8 = 4;
    /// Host to worker: a request with a streamed reply. Answered by any number of `PART`s and then
    /// a `REPLY` without a body, or at any point by `ERROR`, all with its id. The pipe is the only
    /// flow control: a worker blocks on writing while the host does not read.
    pub(crate) const STREAM: u8 = 5;
    /// Host to worker, no body: the answer to the `CALL`, `STREAM` or `PING` with this id is no
    /// longer wanted. The worker still ends the exchange, and may do so early. Sent at most once,
    /// after the whole request, and so possibly after its answer: then it is ignored. A worker may
    /// ignore every `CANCEL`.
    pub(crate) const CANCEL: u8 = 6;
    /// Worker to host, id 0: the protocol's version, `u32`.
    pub(crate) const READY: u8 = 128;
    /// Worker to host: the reply to a call; without a body, the end of a stream.
    pub(crate) const REPLY: u8 = 129;
    /// Worker to host: a call, a stream, the start or a health check failed. Type, message and
    /// traceback, each a `u32` length and UTF-8.
    pub(crate) const ERROR: u8 = 130;
    /// Worker to host, no body: a healthy worker's answer to `PING`.
    pub(crate) const PONG: u8 = 131;
    /// Worker to host: a part of the reply to `STREAM`.
    pub(crate) const PART: u8 = 132;
}

/// The protocol version in `HELLO` and `READY`.
pub(crate) const VERSION: u32 = 1;

/// The `HELLO` flag that announces `CANCEL`. Without it, a worker need not look for one.
pub(crate) const MAY_CANCEL: u32 = 1;

const LENGTH: usize = 4;
const KIND_AND_ID: usize = 5;

/// The size of a decoder's buffer when it reads, in bytes. Small in the simulation, which moves few
/// bytes, so that frames outgrow it there, too.
const BUFFER: usize = if cfg!(shuttle) { 256 } else { 64 * 1024 };

/// The largest buffer that is kept from one frame to the next, in bytes. Frames up to this size
/// reuse the buffer; the memory of a larger frame goes with the frame.
pub(crate) const KEPT: usize = 4 * BUFFER;

/// Appends a frame to `out`.
pub(crate) fn encode(kind: u8, id: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(KIND_AND_ID + body.len()).expect("the caller checks `max_frame`");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(body);
}

/// The largest body that fits into a frame of `max_frame`.
pub(crate) fn max_body(max_frame: u32) -> usize {
    max_frame as usize - KIND_AND_ID
}

/// A whole frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) id: u32,
    pub(crate) body: Vec<u8>,
}

/// Bytes that are not a valid frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes exceeds `max_frame`, which is {max_frame}")]
    TooLong { length: u32, max_frame: u32 },
    #[error("a frame of {length} bytes is too short for a kind and an id")]
    TooShort { length: u32 },
}

/// Assembles frames from bytes, however the bytes were split.
///
/// Its memory grows with the bytes that have arrived, never with the length that a prefix claims.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// The bytes that have arrived and were not returned as part of a frame.
    unread: Range<usize>,
    max_frame: u32,
}

impl Decoder {
    pub(crate) fn new(max_frame: u32) -> Self {
        Self {
            buffer: vec![0; BUFFER],
            unread: 0..0,
            max_frame,
        }
    }

    /// The space to read the next bytes into. Never empty.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len() {
            if self.unread.start > 0 {
                self.buffer.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            } else {
                // At most doubled, because a prefix may lie. No larger than the frame needs, with
                // room for the start of another: a read that fills the buffer would be repeated to
                // see whether there is more.
                let double = 2 * self.buffer.len();
                let size = match self.claimed() {
                    claimed if claimed > self.buffer.len() => double.min(claimed + BUFFER / 16),
                    // Whole frames fill it.
                    _ => double,
                };
                self.buffer.resize(size, 0);
            }
        }
        &mut self.buffer[self.unread.end..]
    }

    /// Records that `count` bytes were read into [`spare`](Self::spare).
    pub(crate) fn filled(&mut self, count: usize) {
        self.unread.end += count;
        debug_assert!(
            self.unread.end <= self.buffer.len(),
            "more bytes than there was room for"
        );
    }

    /// The size of its buffer, in bytes.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn memory(&self) -> usize {
        self.buffer.len()
    }

    /// Whether every byte that has arrived was returned as part of a frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// The length of the next frame, if the whole frame has arrived. An error is final, because the
    /// start of the next frame is unknown.
    pub(crate) fn whole(&self) -> Result<Option<usize>, FrameError> {
        let Some((prefix, rest)) = self.buffer[self.unread.clone()].split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix);
        if length > self.max_frame {
            return Err(FrameError::TooLong {
                length,
                max_frame: self.max_frame,
            });
        }
        if (length as usize) < KIND_AND_ID {
            return Err(FrameError::TooShort { length });
        }
        Ok((rest.len() >= length as usize).then_some(length as usize))
    }

    /// The bytes that the next frame takes, as its prefix claims.
    fn claimed(&self) -> usize {
        let prefix = self.buffer[self.unread.clone()].first_chunk();
        prefix.map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize + LENGTH)
    }

    /// Returns the next frame, if the whole frame has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.whole()? else {
            return Ok(None);
        };
        let start = self.unread.start + LENGTH;
        let end = start + length;
        let head = &self.buffer[start..start + KIND_AND_ID];
        let (kind, id) = (head[0], [head[1], head[2], head[3], head[4]]);
        let body = start + KIND_AND_ID..end;
        self.unread.start = end;
        Ok(Some(Frame {
            kind,
            id: u32::from_be_bytes(id),
            body: if self.buffer.len() > KEPT {
                self.hand_over(body)
            } else {
                self.buffer[body].to_vec()
            },
        }))
    }

    /// Turns a large buffer into the body that it holds, which costs no second copy of the memory.
    /// What follows the body moves to a new buffer.
    fn hand_over(&mut self, body: Range<usize>) -> Vec<u8> {
        let rest = &self.buffer[self.unread.clone()];
        let mut kept = vec![0; BUFFER.max(rest.len())];
        kept[..rest.len()].copy_from_slice(rest);
        self.unread = 0..rest.len();
        let mut bytes = mem::replace(&mut self.buffer, kept);
        bytes.truncate(body.end);
        bytes.drain(..body.start);
        bytes.shrink_to_fit();
        bytes
    }
}

/// The strings of an `ERROR` frame: type, message, traceback.
pub(crate) fn strings(mut body: &[u8]) -> Option<[String; 3]> {
    let mut next = || {
        let (length, rest) = body.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        body = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let strings = [next()?, next()?, next()?];
    body.is_empty().then_some(strings)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(
        decoder: &mut Decoder,
        mut bytes: &[u8],
    ) -> Result<Vec<(u8, u32, Vec<u8>)>, FrameError> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            decoder.filled(count);
            bytes = &bytes[count..];
            while let Some(frame) = decoder.next()? {
                frames.push((frame.kind, frame.id, frame.body));
            }
        }
        Ok(frames)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Frames of any sizes arrive whole and in order, however the reads split them.
        #[test]
        fn frames_survive_any_split(
            frames in prop::collection::vec((any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..100_000)), 0..4),
            pieces in prop::collection::vec(1usize..70_000, 1..8),
        ) {
            let mut bytes = Vec::new();
            for (kind, id, body) in &frames {
                encode(*kind, *id, body, &mut bytes);
            }
            let mut decoder = Decoder::new(u32::MAX);
            let mut received = Vec::new();
            let mut rest = bytes.as_slice();
            for size in pieces.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, later) = rest.split_at((*size).min(rest.len()));
                received.extend(feed(&mut decoder, piece).unwrap());
                rest = later;
            }
            prop_assert_eq!(received, frames);
        }

        /// Arbitrary bytes decode to frames or to a typed error, and never panic.
        #[test]
        fn garbage_is_an_error_or_frames(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = feed(&mut Decoder::new(300), &bytes);
            let _ = strings(&bytes);
        }
    }

    /// P13: a claimed length of 4 GiB is refused by its prefix; one within the limit takes no
    /// memory early.
    #[test]
    fn a_claimed_length_takes_no_memory() {
        let mut decoder = Decoder::new(1 << 30);
        assert_eq!(feed(&mut decoder, &(1u32 << 30).to_be_bytes()), Ok(vec![]));
        decoder.spare();
        // As the documentation of streams says.
        assert_eq!(decoder.buffer.len(), 64 << 10);
        let refused = feed(&mut Decoder::new(1 << 30), &[0xff; 4]);
        assert_eq!(
            refused,
            Err(FrameError::TooLong {
                length: u32::MAX,
                max_frame: 1 << 30
            })
        );
    }

    /// M1: the memory of a large frame goes with the frame, exactly as large as its body. What
    /// follows the frame is kept.
    #[test]
    fn a_large_frame_leaves_no_large_buffer() {
        let mut bytes = Vec::new();
        encode(kind::REPLY, 1, &vec![7; 10 * BUFFER], &mut bytes);
        encode(kind::PART, 2, b"next", &mut bytes);
        let mut decoder = Decoder::new(u32::MAX);
        while !bytes.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            decoder.filled(count);
            bytes.drain(..count);
        }
        let large = decoder.next().unwrap().unwrap();
        assert_eq!(large.body, vec![7; 10 * BUFFER]);
        assert_eq!(large.body.capacity(), large.body.len());
        assert_eq!(decoder.buffer.capacity(), BUFFER);
        assert_eq!(decoder.next().unwrap().unwrap().body, b"next");
        assert!(decoder.is_empty());
    }

    /// M1: however many small frames arrive, the buffer does not grow.
    #[test]
    fn small_frames_need_no_large_buffer() {
        let mut bytes = Vec::new();
        encode(kind::PART, 1, &[7; 991], &mut bytes);
        let mut decoder = Decoder::new(u32::MAX);
        let frames = feed(&mut decoder, &bytes.repeat(500)).unwrap();
        assert_eq!((frames.len(), decoder.memory()), (500, BUFFER));
    }

    /// M1: the buffer grows to what the frame needs and the start of another, and doubles if whole
    /// frames fill it.
    #[test]
    fn the_buffer_grows_as_needed() {
        let whole = LENGTH + KIND_AND_ID;
        for (body, grown) in [
            (100_000, whole + 100_000 + BUFFER / 16),
            (BUFFER - whole, 2 * BUFFER),
        ] {
            let mut bytes = Vec::new();
            encode(kind::REPLY, 1, &vec![7; body], &mut bytes);
            let mut decoder = Decoder::new(u32::MAX);
            decoder.spare().copy_from_slice(&bytes[..BUFFER]);
            decoder.filled(BUFFER);
            decoder.spare();
            assert_eq!(decoder.memory(), grown);
        }
    }

    /// A frame of exactly the limit is accepted, with the largest body that fits; one byte more is
    /// refused.
    #[test]
    fn the_limit_is_the_largest_frame() {
        let largest = vec![7; max_body(300)];
        let mut bytes = Vec::new();
        encode(kind::REPLY, 1, &largest, &mut bytes);
        assert_eq!(bytes.len(), LENGTH + 300);
        let read = feed(&mut Decoder::new(300), &bytes);
        assert_eq!(read, Ok(vec![(kind::REPLY, 1, largest)]));
        let refused = feed(&mut Decoder::new(299), &bytes);
        let (length, max_frame) = (300, 299);
        assert_eq!(refused, Err(FrameError::TooLong { length, max_frame }));
    }

    /// An error has three strings, and nothing after them.
    #[test]
    fn an_error_has_three_strings() {
        let bytes = b"\0\0\0\x01a\0\0\0\0\0\0\0\x02bc";
        let read = strings(bytes);
        assert_eq!(read, Some(["a".to_owned(), String::new(), "bc".to_owned()]));
        assert_eq!(strings(&bytes[..bytes.len() - 1]), None);
        assert_eq!(strings(&[&bytes[..], b"?"].concat()), None);
    }

    /// A frame without room for a kind and an id is refused.
    #[test]
    fn a_short_frame_is_refused() {
        let refused = feed(&mut Decoder::new(100), &[0, 0, 0, 4, 1, 0, 0, 0]);
        assert_eq!(refused, Err(FrameError::TooShort { length: 4 }));
    }
}
