//! A request that is under way, and what answers it.

use super::frame::{self, Frame, FrameError, kind};
use super::{Answer, TransportError};
use crate::error::ProtocolError;

#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) id: u32,
    pub(super) kind: u8,
    /// How many requests of a batch are not answered. 1 for every other request.
    pub(super) left: u32,
}

impl Request {
    pub(super) fn new(id: u32, kind: u8, body: &[u8]) -> Self {
        let left = match (kind, body.first_chunk()) {
            (kind::BATCH, Some(count)) => u32::from_be_bytes(*count),
            _ => 1,
        };
        Self { id, kind, left }
    }

    /// What a frame means as an answer to the request.
    pub(super) fn interpret(self, frame: Frame) -> Result<Answer, ProtocolError> {
        let Frame { kind, body, .. } = frame;
        match (self.kind, kind) {
            (kind::STREAM, kind::REPLY) if !body.is_empty() => {
                Err(ProtocolError::StreamEndedWithBody)
            }
            (kind::STREAM, kind::PART) => Ok(Answer::Part(body)),
            (kind::BATCH, kind::REPLY) if self.left > 1 => Ok(Answer::Item(Ok(body))),
            (kind::CALL | kind::STREAM | kind::BATCH, kind::REPLY)
            | (kind::HELLO, kind::READY)
            | (kind::PING, kind::PONG) => Ok(Answer::Done(body)),
            (_, kind::ERROR) => match (frame::error(&body), self.left) {
                (Some(error), 1) => Ok(Answer::Error(error)),
                (Some(error), _) => Ok(Answer::Item(Err(error))),
                (None, _) => Err(ProtocolError::MalformedError),
            },
            (_, kind) => Err(ProtocolError::UnexpectedKind { kind }),
        }
    }
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLong { length, max_frame } => Self::FrameTooLong { length, max_frame },
            FrameError::Text { start } => Self::Text { start },
            FrameError::TooShort { length } => Self::FrameTooShort { length },
        }
    }
}

impl From<ProtocolError> for TransportError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}
