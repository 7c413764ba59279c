//! Violations of the frame protocol.

/// How a worker violated the frame protocol. `PROTOCOL.md` defines it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// It sent a frame longer than the pool's `max_frame`.
    #[error("it sent a frame of {length} bytes, and `max_frame` is {max_frame}")]
    FrameTooLong {
        /// The length that the frame claims, in bytes.
        length: u32,
        /// The pool's `max_frame`, in bytes.
        max_frame: u32,
    },
    /// It printed text where a frame must be. A worker's stdout is for frames, and its stderr for
    /// text.
    #[error(
        "its output begins with {:?}, which is no frame: print to stderr, and see PROTOCOL.md for frames",
        format!("{start}...")
    )]
    Text {
        /// The first four bytes where the frame should begin.
        start: String,
    },
    /// It sent a frame too short for a kind and an id.
    #[error("it sent a frame of {length} bytes, too short for a kind and an id")]
    FrameTooShort {
        /// The length that the frame claims, in bytes.
        length: u32,
    },
    /// It answered a request that is not under way.
    #[error("it answered request {id}, which is not under way")]
    UnexpectedId {
        /// The id in its frame.
        id: u32,
    },
    /// It sent something while no request was under way: after an answer, or before a request.
    #[error("it sent bytes that answer no request")]
    Unsolicited,
    /// It answered with a frame of a kind that does not answer the request.
    #[error("it answered with a frame of kind {kind}, which does not answer the request")]
    UnexpectedKind {
        /// The kind of its frame.
        kind: u8,
    },
    /// It answered before it had read the whole request.
    #[error("it answered before it had read the request")]
    EarlyAnswer,
    /// It ended a stream with a reply that has a body.
    #[error("it ended a stream with a reply that has a body")]
    StreamEndedWithBody,
    /// It sent an `ERROR` frame whose body cannot be decoded.
    #[error("it sent an error that cannot be decoded")]
    MalformedError,
    /// It sent a reply in shared memory that lies outside the area for replies and outside the
    /// request, or that is longer than a frame.
    #[error("it sent a reply in shared memory with an invalid offset or length")]
    MalformedSharedReply,
    /// It answered the handshake with another version of the protocol.
    #[error("it speaks another version of the protocol: version {expected} is needed")]
    WrongVersion {
        /// The version that this pool speaks.
        expected: u32,
    },
    /// It closed its output and kept running.
    #[error("it closed its output and kept running")]
    OutputClosed,
    /// It closed its input and kept running.
    #[error("it closed its input and kept running")]
    InputClosed,
}
