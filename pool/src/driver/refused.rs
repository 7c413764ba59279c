//! A refusal, as the driver hands it out, and the errors that it becomes.

use ostler::supervisor::Refusal;

use crate::error::{CheckoutError, Occupancy, SessionError, StartError};

/// Why a client gets no lease, and the pool at that moment.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) last_failure: Option<StartError>,
    pub(super) max_waiting: usize,
    pub(super) max_sessions: usize,
    pub(super) pool: Occupancy,
}

impl From<Refused> for CheckoutError {
    fn from(refused: Refused) -> Self {
        let pool = refused.pool;
        match (refused.refusal, refused.last_failure) {
            (Refusal::CrashLoop, Some(last)) => Self::CrashLoop { last },
            (Refusal::QueueFull, _) => Self::QueueFull {
                max_waiting: refused.max_waiting,
                pool,
            },
            (Refusal::Draining, _) => Self::Draining { pool },
            // A crash loop has a last failure, and a client without a session is not refused for
            // one.
            _ => Self::Closed,
        }
    }
}

impl From<Refused> for SessionError {
    fn from(refused: Refused) -> Self {
        let pool = refused.pool;
        match (refused.refusal, refused.last_failure) {
            (Refusal::CrashLoop, Some(last)) => Self::CrashLoop { last },
            (Refusal::QueueFull, _) => Self::QueueFull {
                max_waiting: refused.max_waiting,
                pool,
            },
            (Refusal::TooManySessions, _) => Self::TooMany {
                max_sessions: refused.max_sessions,
            },
            (Refusal::SessionLost(reason), _) => Self::Lost { reason },
            (Refusal::SessionEnded, _) => Self::Ended,
            (Refusal::Draining, _) => Self::Draining { pool },
            // A crash loop has a last failure.
            (Refusal::Closed | Refusal::CrashLoop, _) => Self::Closed,
        }
    }
}
