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

use crate::error::RemoteError;

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
    /// Host to worker: several requests. The number of requests and the length of each, all `u32`,
    /// and then the requests. Answered by a `REPLY` or `ERROR` with its id for each of them, in
    /// order.
    pub(crate) const BATCH: u8 = 7;
    /// Host to worker: a `CALL` whose request is in shared memory. The offset of the request and
    /// its length, each `u64`.
    pub(crate) const SHARED_CALL: u8 = 8;
    /// Host to worker: what the worker may know of the request with this id, which follows in the
    /// same write. Entries, each a tag, a `u32` length and that many bytes. Not answered. Comes
    /// only to a worker that takes it.
    pub(crate) const DETAILS: u8 = 9;
    /// Host to worker, id 0: a session whose calls reached this worker is over. The number of the
    /// session, a `u64`, and its name. Comes between two requests, and is not answered.
    pub(crate) const SESSION_ENDED: u8 = 10;
    /// Worker to host, id 0: the protocol's version and flags, each `u32`. The flags may be
    /// missing.
    pub(crate) const READY: u8 = 128;
    /// Worker to host: the reply to a call; without a body, the end of a stream.
    pub(crate) const REPLY: u8 = 129;
    /// Worker to host: a call, a stream, the start or a health check failed. Type, message and
    /// traceback, each a `u32` length and UTF-8. Then, if `HELLO` has the flag `DETAILS`, entries
    /// as there.
    pub(crate) const ERROR: u8 = 130;
    /// Worker to host, no body: a healthy worker's answer to `PING`.
    pub(crate) const PONG: u8 = 131;
    /// Worker to host: a part of the reply to `STREAM`.
    pub(crate) const PART: u8 = 132;
    /// Worker to host: the reply to `CALL` or `SHARED_CALL`, in shared memory. The offset of the
    /// reply and its length, each `u64`.
    pub(crate) const SHARED_REPLY: u8 = 133;
}

/// The protocol version in `HELLO` and `READY`.
pub(crate) const VERSION: u32 = 1;

/// The `HELLO` flag that announces `CANCEL`. Without it, a worker need not look for one.
pub(crate) const MAY_CANCEL: u32 = 1;

/// The flag of `HELLO` that says that the host can send `BATCH`, and of `READY` that says that the
/// worker takes it.
pub(crate) const BATCHES: u32 = 2;

/// The flag of `HELLO` that says that its body goes on with the place of shared memory, and of
/// `READY` that says that the worker uses it.
pub(crate) const SHARED_MEMORY: u32 = 4;

/// The flag of `HELLO` that says that its body ends with the call timeout, and that the host can
/// send `DETAILS`, and of `READY` that says that the worker takes them and names its functions.
pub(crate) const DETAILS: u32 = 8;

pub(super) const KIND_AND_ID: usize = 5;
pub(super) const HEADER: usize = 4 + KIND_AND_ID;

/// Appends a frame to `out`.
pub(crate) fn encode(kind: u8, id: u32, body: &[u8], out: &mut Vec<u8>) {
    encode_header(kind, id, body.len(), out);
    out.extend_from_slice(body);
}

/// Appends what precedes a body of this size to `out`.
pub(crate) fn encode_header(kind: u8, id: u32, size: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(KIND_AND_ID + size).expect("the caller checks `max_frame`");
    let ([a, b, c, d], [e, f, g, h]) = (length.to_be_bytes(), id.to_be_bytes());
    out.extend_from_slice(&[a, b, c, d, kind, e, f, g, h]);
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
    #[error("text instead of a frame: {start:?}")]
    Text { start: String },
    #[error("a frame of {length} bytes is too short for a kind and an id")]
    TooShort { length: u32 },
}

/// What a worker says in `READY`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) flags: u32,
    /// Sorted. Empty if a request need not name one.
    pub(crate) functions: Vec<String>,
}

/// The body of `READY`. `None` if it is none, or speaks of another version of the protocol.
pub(crate) fn ready(body: &[u8]) -> Option<Ready> {
    let mut body = body.strip_prefix(&VERSION.to_be_bytes())?;
    if body.is_empty() {
        return Some(Ready::default());
    }
    let flags = word(&mut body)?;
    let mut functions = Vec::new();
    if flags & DETAILS != 0 {
        for _ in 0..word(&mut body)? {
            functions.push(string(&mut body)?);
        }
        functions.sort_unstable();
    }
    body.is_empty().then_some(Ready { flags, functions })
}

/// The tags of what may follow the strings of an `ERROR` frame.
mod tag {
    pub(super) const PLACE: u8 = 1;
    pub(super) const IS_FINAL: u8 = 2;
}

/// The body of `ERROR`: type, message and traceback, then entries as in `DETAILS`.
pub(crate) fn error(mut body: &[u8]) -> Option<RemoteError> {
    let mut error = RemoteError {
        kind: string(&mut body)?,
        message: string(&mut body)?,
        traceback: string(&mut body)?,
        place: None,
        is_final: false,
    };
    while let Some((&tag, rest)) = body.split_first() {
        body = rest;
        let value = string(&mut body)?;
        match tag {
            tag::PLACE => error.place = Some(value.into()),
            tag::IS_FINAL => error.is_final = true,
            _ => {}
        }
    }
    Some(error)
}

fn word(body: &mut &[u8]) -> Option<u32> {
    let (word, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u32::from_be_bytes(*word))
}

/// The bytes that follow their length.
pub(super) fn piece<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = word(body)?;
    let (piece, rest) = body.split_at_checked(length as usize)?;
    *body = rest;
    Some(piece)
}

fn string(body: &mut &[u8]) -> Option<String> {
    piece(body).map(|text| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that takes details names its functions, and sends nothing after them.
    #[test]
    fn ready_names_the_functions() {
        let ready = |body: &[u8]| ready(&[&[0, 0, 0, 1], body].concat());
        let of = |flags, functions: &[&str]| {
            let functions = functions.iter().map(|name| (*name).to_owned()).collect();
            Some(Ready { flags, functions })
        };
        assert_eq!(ready(b""), of(0, &[]));
        assert_eq!(ready(b"\0\0\0\x02"), of(2, &[]));
        assert_eq!(ready(b"\0\0\0\x02\0\0\0\0"), None);
        assert_eq!(ready(b"\0\0\0\x08"), None);
        assert_eq!(ready(b"\0\0\0\x08\0\0\0\0"), of(8, &[]));
        let two = b"\0\0\0\x08\0\0\0\x02\0\0\0\x02to\0\0\0\x01a";
        assert_eq!(ready(two), of(8, &["a", "to"]));
        assert_eq!(ready(&two[..two.len() - 1]), None);
        assert_eq!(ready(&[&two[..], b"?"].concat()), None);
    }

    /// An error has three strings, and then only whole entries.
    #[test]
    fn an_error_has_three_strings() {
        let bytes = b"\0\0\0\x01a\0\0\0\0\0\0\0\x02bc";
        let mut expected = RemoteError {
            kind: "a".to_owned(),
            message: String::new(),
            traceback: "bc".to_owned(),
            place: None,
            is_final: false,
        };
        assert_eq!(error(bytes).as_ref(), Some(&expected));
        assert_eq!(error(&bytes[..bytes.len() - 1]), None);
        let longer = |more: &[u8]| error(&[bytes, more].concat());
        assert_eq!(longer(b"\x01"), None);
        assert_eq!(longer(b"\x01\0\0\0\x02d"), None);
        assert_eq!(longer(b"\x09\0\0\0\x01d"), Some(expected.clone()));
        expected.place = Some("d".into());
        assert_eq!(longer(b"\x01\0\0\0\x01d"), Some(expected.clone()));
        expected.is_final = true;
        let both = longer(b"\x02\0\0\0\0\x01\0\0\0\x01d");
        assert_eq!(both, Some(expected));
    }
}
