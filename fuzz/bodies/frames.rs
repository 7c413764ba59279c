//! Any bytes of a worker, however they arrive.
//!
//! The first two bytes say how the rest is cut into pieces, the third how large a frame may be. What is read must not depend on the
//! cuts, must be what was there, and must not take memory for what a length claims.

use ostler_pool::testing::{Frames, frames};

pub(crate) fn run(data: &[u8]) -> Option<Frames> {
    let ([first, second, limit], bytes) = data.split_first_chunk()?;
    let max_frame = 16 << (limit % 16);
    let read = frames([bytes], max_frame);
    // Pieces of two sizes in turn, of which neither is empty.
    let sizes = [1 + usize::from(*first), 1 + usize::from(*second)];
    let mut rest = bytes;
    let pieces = sizes.iter().cycle().map_while(|size| {
        let (piece, others) = rest.split_at(rest.len().min(*size));
        rest = others;
        (!piece.is_empty()).then_some(piece)
    });
    let in_pieces = frames(pieces, max_frame);
    let essence = |read: &Frames| (read.frames.clone(), read.unfinished, read.error.clone());
    assert_eq!(essence(&in_pieces), essence(&read));
    let mut again = Vec::new();
    for frame in &read.frames {
        let length = u32::try_from(5 + frame.body.len()).expect("it was a length");
        assert!(length <= max_frame);
        again.extend_from_slice(&length.to_be_bytes());
        again.push(frame.kind);
        again.extend_from_slice(&frame.id.to_be_bytes());
        again.extend_from_slice(&frame.body);
    }
    assert_eq!(again, bytes[..again.len()]);
    assert_eq!(
        read.unfinished || read.error.is_some(),
        again.len() < bytes.len()
    );
    // The buffer that it begins with, or twice what has arrived.
    assert!(
        read.memory <= (64 << 10).max(2 * bytes.len()),
        "{}",
        read.memory
    );
    Some(read)
}
