//! Takes frames out of the bytes that a pipe delivers.

use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::frame::{Frame, FrameError, HEADER, KIND_AND_ID};

/// The size of a decoder's buffer, in bytes. Small in the simulation, which moves few bytes, so
/// that frames outgrow it there, too.
pub(crate) const BUFFER: usize = if cfg!(shuttle) { 256 } else { 64 * 1024 };

/// How much memory a frame that outgrows the buffer takes for each byte of it that has arrived. So
/// the first `BUFFER` bytes make room for a frame of 1 MiB. The system provides the memory only as
/// it is filled.
const AHEAD: usize = 16;

/// Assembles frames from bytes, however the bytes were split.
///
/// A frame that fits into the buffer is copied out of it. The body of a larger one is read into
/// memory of its own, which goes with the frame. That memory grows with the bytes that have
/// arrived, never with the length that a prefix claims.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// The bytes in the buffer that were not returned as part of a frame.
    unread: Range<usize>,
    /// The frame before those bytes, if it does not fit into the buffer.
    large: Option<Large>,
    max_frame: u32,
}

/// The header of a frame.
struct Header {
    kind: u8,
    id: u32,
    /// The size of the body that follows.
    size: usize,
}

/// A frame with as much of its body as has arrived.
#[derive(Debug)]
struct Large {
    frame: Frame,
    /// The size of the whole body.
    size: usize,
}

impl Decoder {
    pub(crate) fn new(max_frame: u32) -> Self {
        Self {
            buffer: vec![0; BUFFER],
            unread: 0..0,
            large: None,
            max_frame,
        }
    }

    /// Reads the next bytes. Returns their number, 0 at the end of what there is to read.
    pub(crate) fn poll_read<R: AsyncRead + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        if let Some(large) = &mut self.large
            && let room @ 1.. = large.room()
        {
            // What follows the frame is left for the buffer.
            let mut reader = reader.take(room as u64);
            return pin!(reader.read_buf(&mut large.frame.body)).poll(cx);
        }
        let mut spare = ReadBuf::new(&mut self.buffer[self.unread.end..]);
        ready!(Pin::new(reader).poll_read(cx, &mut spare))?;
        let count = spare.filled().len();
        self.unread.end += count;
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        if self.unread.end < self.buffer.len() {
            return;
        }
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        } else if let (None, Ok(Some(header))) = (&self.large, self.header())
            && header.size > self.buffer.len() - HEADER
        {
            self.large = Some(Large::begin(header, &self.buffer[HEADER..]));
            self.unread = 0..0;
        } else {
            // Whole frames fill it. Only a transport that is being closed reads on.
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
    }

    /// The size of its buffers, in bytes.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn memory(&self) -> usize {
        let large = self.large.as_ref();
        self.buffer.len() + large.map_or(0, |large| large.frame.body.capacity())
    }

    /// Whether every byte that has arrived was returned as part of a frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.large.is_none()
    }

    /// Whether the next frame has arrived. An error is final, because the start of the next frame
    /// is unknown.
    pub(crate) fn has_frame(&self) -> Result<bool, FrameError> {
        if let Some(large) = &self.large {
            return Ok(large.is_whole());
        }
        let header = self.header()?;
        Ok(header.is_some_and(|header| self.unread.len() >= HEADER + header.size))
    }

    /// Returns the next frame, if the whole frame has arrived. An error is final.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.large.is_some() {
            let large = self.large.take_if(|large| large.is_whole());
            return Ok(large.map(|large| large.frame));
        }
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        let Header { kind, id, .. } = header;
        let body = self.take_body(&header);
        Ok(body.map(|body| Frame { kind, id, body }))
    }

    /// Returns the body of the next frame, if the whole frame has arrived, is of this kind and has
    /// this id.
    pub(crate) fn next_if(&mut self, kind: u8, id: u32) -> Option<Vec<u8>> {
        let header = self.header().ok().flatten()?;
        if self.large.is_some() || (header.kind, header.id) != (kind, id) {
            return None;
        }
        self.take_body(&header)
    }

    /// The header of the next frame in the buffer, if it has arrived.
    fn header(&self) -> Result<Option<Header>, FrameError> {
        let unread = &self.buffer[self.unread.clone()];
        let Some(prefix) = unread.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix);
        if length > self.max_frame {
            return Err(too_long(*prefix, self.max_frame));
        }
        let Some(size) = (length as usize).checked_sub(KIND_AND_ID) else {
            return Err(FrameError::TooShort { length });
        };
        let header = unread.first_chunk::<HEADER>();
        Ok(header.map(|&[_, _, _, _, kind, a, b, c, d]| {
            let id = u32::from_be_bytes([a, b, c, d]);
            Header { kind, id, size }
        }))
    }

    /// Takes the frame with this header out of the buffer, if it has arrived.
    fn take_body(&mut self, header: &Header) -> Option<Vec<u8>> {
        let start = self.unread.start + HEADER;
        if self.unread.end - start < header.size {
            return None;
        }
        self.unread.start = start + header.size;
        Some(self.buffer[start..self.unread.start].to_vec())
    }
}

/// What four bytes are that claim too long a frame. A program that prints instead of writing frames
/// claims more than 500 MB.
fn too_long(prefix: [u8; 4], max_frame: u32) -> FrameError {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if prefix.iter().all(is_text) {
        let start = prefix.map(char::from).iter().collect();
        return FrameError::Text { start };
    }
    FrameError::TooLong {
        length: u32::from_be_bytes(prefix),
        max_frame,
    }
}

impl Large {
    fn begin(header: Header, arrived: &[u8]) -> Self {
        let Header { kind, id, size } = header;
        let body = Vec::new();
        let frame = Frame { kind, id, body };
        let mut large = Self { frame, size };
        large.room();
        large.frame.body.extend_from_slice(arrived);
        large
    }

    /// Makes room for more of the body. Returns how much is to be read, 0 once it is whole.
    fn room(&mut self) -> usize {
        let body = &mut self.frame.body;
        if body.len() == body.capacity() {
            let most = AHEAD * body.len().max(BUFFER);
            body.reserve_exact(self.size.min(most) - body.len());
        }
        self.size.min(body.capacity()) - body.len()
    }

    fn is_whole(&self) -> bool {
        self.frame.body.len() == self.size
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::super::frame::{encode, error, kind, max_body};
    use super::*;

    /// Reads once.
    fn read(decoder: &mut Decoder, bytes: &mut &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match decoder.poll_read(&mut cx, bytes) {
            Poll::Ready(Ok(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    fn feed(
        decoder: &mut Decoder,
        mut bytes: &[u8],
    ) -> Result<Vec<(u8, u32, Vec<u8>)>, FrameError> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            read(decoder, &mut bytes);
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
            let _ = error(&bytes);
        }
    }

    /// P13: a claimed length of 4 GiB is refused by its prefix; one within the limit takes no
    /// memory early.
    #[test]
    fn a_claimed_length_takes_no_memory() {
        let mut decoder = Decoder::new(1 << 30);
        assert_eq!(feed(&mut decoder, &(1u32 << 30).to_be_bytes()), Ok(vec![]));
        // As the documentation of streams says.
        assert_eq!(decoder.memory(), 64 << 10);
        let refused = feed(&mut Decoder::new(1 << 30), &[0xff; 4]);
        assert_eq!(
            refused,
            Err(FrameError::TooLong {
                length: u32::MAX,
                max_frame: 1 << 30
            })
        );
    }

    /// P13, M1: a frame takes no memory beside the buffer while it fits, then 16 times as much as
    /// has arrived of it, and never more than its body.
    #[test]
    fn memory_grows_with_what_has_arrived() {
        for size in [1, BUFFER, 10 * BUFFER, 300 * BUFFER] {
            let mut bytes = Vec::new();
            encode(kind::REPLY, 1, &vec![7; size], &mut bytes);
            let mut decoder = Decoder::new(u32::MAX);
            let mut arrived = 0;
            while arrived < bytes.len() {
                let mut piece = &bytes[arrived..bytes.len().min(arrived + BUFFER / 3)];
                arrived += read(&mut decoder, &mut piece);
                let large = decoder.memory() - BUFFER;
                let most = if arrived > BUFFER { 16 * arrived } else { 0 };
                assert!(large <= most.min(size), "{large} of {size} for {arrived}");
            }
            assert_eq!(decoder.next().unwrap().unwrap().body, vec![7; size]);
        }
    }

    /// M1: the memory of a large frame goes with the frame, exactly as large as its body. What
    /// follows the frame is kept.
    #[test]
    fn a_large_frame_leaves_no_large_buffer() {
        let mut bytes = Vec::new();
        encode(kind::REPLY, 1, &vec![7; 10 * BUFFER], &mut bytes);
        encode(kind::PART, 2, b"next", &mut bytes);
        let mut decoder = Decoder::new(u32::MAX);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            read(&mut decoder, &mut rest);
        }
        assert_eq!(decoder.next_if(kind::PART, 2), None, "it is not the first");
        let large = decoder.next().unwrap().unwrap();
        assert_eq!(large.body, vec![7; 10 * BUFFER]);
        assert_eq!(large.body.capacity(), large.body.len());
        assert_eq!(decoder.memory(), BUFFER);
        assert_eq!(decoder.next_if(kind::PART, 1), None, "it has another id");
        assert_eq!(decoder.next_if(kind::REPLY, 2), None, "it is a part");
        assert_eq!(decoder.next_if(kind::PART, 2).unwrap(), b"next");
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

    /// C4: frames that no caller takes while their transport is closed are all kept, even large
    /// ones.
    #[test]
    fn frames_that_wait_are_kept() {
        let sizes = [BUFFER, 10, BUFFER - HEADER, BUFFER, 3 * BUFFER, 0];
        let mut bytes = Vec::new();
        for size in sizes {
            encode(kind::PART, 1, &vec![7; size], &mut bytes);
        }
        let mut decoder = Decoder::new(u32::MAX);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            assert!(read(&mut decoder, &mut rest) > 0);
        }
        for size in sizes {
            assert_eq!(decoder.has_frame(), Ok(true));
            assert_eq!(decoder.next().unwrap().unwrap().body, vec![7; size]);
        }
        assert_eq!(decoder.has_frame(), Ok(false));
        assert!(decoder.is_empty());
    }

    /// A frame of exactly the limit is accepted, with the largest body that fits; one byte more is
    /// refused.
    #[test]
    fn the_limit_is_the_largest_frame() {
        let largest = vec![7; max_body(300)];
        let mut bytes = Vec::new();
        encode(kind::REPLY, 1, &largest, &mut bytes);
        assert_eq!(bytes.len(), HEADER - KIND_AND_ID + 300);
        let read = feed(&mut Decoder::new(300), &bytes);
        assert_eq!(read, Ok(vec![(kind::REPLY, 1, largest)]));
        let refused = feed(&mut Decoder::new(299), &bytes);
        let (length, max_frame) = (300, 299);
        assert_eq!(refused, Err(FrameError::TooLong { length, max_frame }));
    }

    /// Text that a program prints is no frame, whatever it would be as a length.
    #[test]
    fn text_is_quoted() {
        for text in ["Load", "[20 ", "ok\r\n"] {
            let refused = feed(&mut Decoder::new(1024), text.as_bytes());
            let start = text.to_owned();
            assert_eq!(refused, Err(FrameError::Text { start }));
        }
        let refused = feed(&mut Decoder::new(1024), b"Loa\0");
        assert!(matches!(refused, Err(FrameError::TooLong { .. })));
    }

    /// A frame without room for a kind and an id is refused.
    #[test]
    fn a_short_frame_is_refused() {
        let refused = feed(&mut Decoder::new(100), &[0, 0, 0, 4, 1, 0, 0, 0]);
        assert_eq!(refused, Err(FrameError::TooShort { length: 4 }));
    }
}
