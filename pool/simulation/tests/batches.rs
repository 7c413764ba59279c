//! The body of a `BATCH`, as `PROTOCOL.md` lays it out.

/// The requests of a batch.
pub(crate) fn bodies(batch: &[u8]) -> Vec<&[u8]> {
    let (lengths, mut rest) = split(batch).expect("a batch has its lengths");
    let bodies = lengths.iter().map(|length| {
        let (body, others) = rest.split_at(*length);
        rest = others;
        body
    });
    let bodies = bodies.collect();
    assert!(rest.is_empty(), "a batch ends with its last request");
    bodies
}

/// What is there of the first request of a batch.
pub(crate) fn first(batch: &[u8]) -> &[u8] {
    split(batch).map_or(&[], |(lengths, rest)| &rest[..lengths[0].min(rest.len())])
}

/// The lengths of the requests, and the requests.
fn split(batch: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let word = |bytes: &[u8; 4]| usize::try_from(u32::from_be_bytes(*bytes)).expect("a size fits");
    let (count, rest) = batch.split_first_chunk()?;
    let count = word(count);
    assert!(count > 0, "a batch has a request");
    let (lengths, rest) = rest.split_at_checked(4 * count)?;
    let (lengths, _) = lengths.as_chunks();
    Some((lengths.iter().map(word).collect(), rest))
}
