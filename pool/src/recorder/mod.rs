//! Writes down every step of a pool, to be checked against the specification afterwards.
//!
//! Without the feature `record` there is no recorder: the same names stand for what never exists, so that nobody else has to
//! tell the two cases apart.

#[cfg(feature = "record")]
mod json;
#[cfg(not(feature = "record"))]
mod never;

#[cfg(feature = "record")]
pub(crate) use self::json::{Recorder, Sink};
#[cfg(not(feature = "record"))]
pub(crate) use self::never::{Recorder, Sink};
