//! Decodes arbitrary bytes of a worker, cut into pieces in arbitrary ways.
//!
//! The first two bytes set the sizes of the pieces, the third sets the frame limit, and the rest is
//! the input. The decoded frames must not depend on the pieces, and their encoding must equal the
//! input. The decoder must not allocate memory for a length that was only claimed.

use ostler_pool::testing::{Frames, frames};

/// Returns what was decoded. `None`: the input is shorter than three bytes.
pub(crate) fn run(data: &[u8]) -> Option<Frames> {
    let ([first, second, limit], bytes) = data.split_first_chunk()?;
    let max_frame = 16 << (limit % 16);
    let read = frames([bytes], max_frame);
    // Pieces of two alternating sizes of at least one byte.
    let sizes = [1 + usize::from(*first), 1 + usize::from(*second)];
    let mut rest = bytes;
    let pieces = sizes.iter().cycle().map_while(|size| {
        let (piece, others) = rest.split_at(rest.len().min(*size));
        rest = others;
        (!piece.is_empty()).then_some(piece)
    });
    let in_pieces = frames(pieces, max_frame);
    let without_memory = |read: &Frames| (read.frames.clone(), read.incomplete, read.error.clone());
    assert_eq!(without_memory(&in_pieces), without_memory(&read));
    let mut encoded = Vec::new();
    for frame in &read.frames {
        let length = u32::try_from(5 + frame.body.len()).expect("the length was a u32");
        assert!(length <= max_frame);
        encoded.extend_from_slice(&length.to_be_bytes());
        encoded.push(frame.kind);
        encoded.extend_from_slice(&frame.id.to_be_bytes());
        encoded.extend_from_slice(&frame.body);
    }
    assert_eq!(encoded, bytes[..encoded.len()]);
    assert_eq!(
        read.incomplete || read.error.is_some(),
        encoded.len() < bytes.len()
    );
    // The buffer of 64 KiB, and once that is full, 16 times the input.
    let ahead = if bytes.len() > 64 << 10 { 16 } else { 0 };
    assert!(
        read.peak_memory <= (64 << 10) + ahead * bytes.len(),
        "{}",
        read.peak_memory
    );
    Some(read)
}
