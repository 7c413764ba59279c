//! Records every step of a pool, so that the trace can be checked against the specification later,
//! or drawn.
//!
//! Without the feature `record`, the same two types exist but have no values. The driver handles
//! both cases with the same code, and the compiler removes it.

#[cfg(not(feature = "record"))]
mod disabled;
#[cfg(feature = "record")]
mod json;
#[cfg(feature = "record")]
mod queue;

#[cfg(not(feature = "record"))]
pub(crate) use self::disabled::{Recorder, Sink};
#[cfg(feature = "record")]
pub(crate) use self::json::JsonLines;
#[cfg(feature = "record")]
pub(crate) use self::queue::{Listener, Recorder, Sink};
