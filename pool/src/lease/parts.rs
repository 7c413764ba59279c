//! An answer that comes in parts.

use std::fmt;

use super::Lease;
use super::exchange::Exchange;
use crate::codec::kind;
use crate::error::CallError;

/// The parts of an answer, as the worker produces them. Made by [`Lease::stream`].
///
/// Nothing is read ahead: a worker whose parts nobody takes fills its pipe (256 KiB on Linux) and the buffer that it is
/// read into (64 KiB, or one part that is larger), and then waits.
///
/// Taken to its end, a stream is one exchange, like a call. Dropped before, it is abandoned like a call: the worker is
/// stopped and replaced, unless it ends the stream within the pool's [`cancel_grace`](crate::Builder::cancel_grace). What
/// it sends meanwhile is thrown away.
///
/// Where a `futures::Stream` is needed, `unfold` makes one:
///
/// ```
/// # use ostler_pool::{CallError, Parts};
/// use futures_util::{Stream, stream::unfold};
///
/// fn adapt(parts: Parts<'_>) -> impl Stream<Item = Result<Vec<u8>, CallError>> {
///     unfold(parts, |mut parts| async move { Some((parts.next().await?, parts)) })
/// }
/// ```
#[must_use = "a stream that is dropped before its end costs its worker"]
pub struct Parts<'a> {
    /// Until the end.
    exchange: Option<Exchange<'a>>,
}

impl<'a> Parts<'a> {
    pub(super) fn begin(lease: &'a mut Lease, request: &[u8]) -> Result<Self, CallError> {
        let exchange = Exchange::begin(lease, kind::STREAM, request)?;
        exchange.send_at_once();
        Ok(Self {
            exchange: Some(exchange),
        })
    }

    /// Waits for the next part, for `call_timeout` at most. `None` after the last one, and after an error.
    ///
    /// The time between two calls of this does not count.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no part is lost, and the wait can begin anew.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. After [`Raised`](CallError::Raised) the lease is as good as before; after all others it is
    /// over.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        let next = self.exchange.as_mut()?.next().await;
        match next {
            Ok(part) if !part.last => return Some(Ok(part.body)),
            _ => self.exchange = None,
        }
        next.err().map(Err)
    }

    /// As [`next`](Self::next), with the part read as JSON.
    ///
    /// # Cancel safety
    ///
    /// As `next`.
    ///
    /// # Errors
    ///
    /// As `next`, and [`CallError::Json`], after which the stream goes on.
    #[cfg(feature = "json")]
    pub async fn next_json<R: serde::de::DeserializeOwned>(
        &mut self,
    ) -> Option<Result<R, CallError>> {
        let part = self.next().await?;
        Some(part.and_then(|part| {
            serde_json::from_slice(&part).map_err(|source| CallError::Json {
                what: "part",
                source,
            })
        }))
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("ended", &self.exchange.is_none())
            .finish_non_exhaustive()
    }
}
