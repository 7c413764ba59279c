//! Decodes the bytes of a worker with the pool's own decoder.

use std::task::{Context, Waker};

use crate::transport::decoder::Decoder;

/// One frame. `PROTOCOL.md` lists the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The kind of the frame, such as 129 for a reply.
    pub kind: u8,
    /// The id of the request that the frame belongs to.
    pub id: u32,
    /// The payload, without the header.
    pub body: Vec<u8>,
}

/// The result of [`frames()`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frames {
    /// The complete frames before the first error.
    pub frames: Vec<Frame>,
    /// Whether the bytes end in the middle of a frame. False after an error.
    pub incomplete: bool,
    /// The error that ended decoding, if any. The pool stops a worker that causes one.
    pub error: Option<String>,
    /// The largest size of the decoder's buffers, in bytes.
    pub peak_memory: usize,
}

/// Decodes the bytes of a worker as the pool does.
///
/// `pieces` are the bytes in the order and the sizes in which they arrive; the result does not
/// depend on how they are cut. `max_frame` is the largest allowed length of a frame in bytes, as in
/// the builder's option. Use it to test the output of a worker that you write.
///
/// ```
/// use ostler_pool::testing::frames;
///
/// // A reply (kind 129) to request 1 with the body "hi", in two pieces.
/// let read = frames([&b"\0\0\0\x07\x81\0\0"[..], b"\0\x01hi"], 1024);
/// assert_eq!((read.frames[0].kind, read.frames[0].id), (129, 1));
/// assert_eq!(read.frames[0].body, b"hi");
/// assert_eq!((read.incomplete, read.error), (false, None));
/// ```
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_frame: u32) -> Frames {
    let mut decoder = Decoder::new(max_frame);
    let mut read = Frames {
        frames: Vec::new(),
        incomplete: false,
        error: None,
        peak_memory: decoder.memory(),
    };
    for mut piece in pieces {
        while !piece.is_empty() && read.error.is_none() {
            // Ready at once, because the bytes are there.
            let _ = decoder.poll_read(&mut Context::from_waker(Waker::noop()), &mut piece);
            read.peak_memory = read.peak_memory.max(decoder.memory());
            read.decode_available(&mut decoder);
        }
    }
    read.incomplete = read.error.is_none() && !decoder.is_empty();
    read
}

impl Frames {
    /// Moves every complete frame out of the decoder.
    fn decode_available(&mut self, decoder: &mut Decoder) {
        loop {
            match decoder.next() {
                Ok(Some(frame)) => self.frames.push(Frame {
                    kind: frame.kind,
                    id: frame.id,
                    body: frame.body,
                }),
                Ok(None) => return,
                Err(error) => {
                    self.error = Some(error.to_string());
                    return;
                }
            }
        }
    }
}
