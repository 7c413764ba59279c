//! What the pool reads in the bytes of a worker.

use crate::transport::frame::Decoder;

/// A frame: see `PROTOCOL.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// What it says.
    pub kind: u8,
    /// The request that it is about.
    pub id: u32,
    /// What follows.
    pub body: Vec<u8>,
}

/// What there is in some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frames {
    /// The whole frames, up to the first error.
    pub frames: Vec<Frame>,
    /// Whether something is left of which the rest has not come.
    pub unfinished: bool,
    /// Why nothing after the last frame can be read.
    pub error: Option<String>,
    /// The most memory that was taken for it, in bytes.
    pub memory: usize,
}

/// Reads the bytes of a worker as the pool does, in pieces as they might arrive: for who writes a worker.
///
/// ```
/// use ostler_pool::testing::frames;
///
/// let read = frames([&b"\0\0\0\x07\x81\0\0"[..], b"\0\x01hi"], 1024);
/// assert_eq!((read.frames[0].kind, read.frames[0].id, &read.frames[0].body[..]), (129, 1, &b"hi"[..]));
/// assert_eq!(read.error, None);
/// ```
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_frame: u32) -> Frames {
    let mut decoder = Decoder::new(max_frame);
    let mut read = Frames {
        frames: Vec::new(),
        unfinished: false,
        error: None,
        memory: decoder.spare().len(),
    };
    for mut piece in pieces {
        while !piece.is_empty() && read.error.is_none() {
            let spare = decoder.spare();
            let count = piece.len().min(spare.len());
            spare[..count].copy_from_slice(&piece[..count]);
            decoder.filled(count);
            piece = &piece[count..];
            read.memory = read.memory.max(decoder.memory());
            read.take(&mut decoder);
        }
    }
    read.unfinished = read.error.is_none() && !decoder.is_empty();
    read
}

impl Frames {
    fn take(&mut self, decoder: &mut Decoder) {
        loop {
            match decoder.next() {
                Ok(Some(frame)) => self.frames.push(Frame {
                    kind: frame.kind,
                    id: frame.id,
                    body: frame.body.to_vec(),
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
