//! A reply that comes in parts.

use std::fmt;
use std::future::poll_fn;
#[cfg(feature = "json")]
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::call::{Call, Received};
use crate::error::CallError;
#[cfg(feature = "json")]
use crate::error::JsonPart;

/// The parts of a streamed reply, as the worker produces them. Made by
/// [`Lease::stream`](crate::Lease::stream).
///
/// Nothing is read ahead. If the parts are not taken, the worker's pipe (256 KiB on Linux) and the
/// host's buffer (64 KiB, or one larger part) fill up, and the worker blocks.
///
/// Taken to its end, a stream is one call. Dropped before, it is an abandoned call: the worker is
/// stopped and replaced, unless the pool [lets abandoned calls end](crate::AbandonedCalls) and it
/// does so in time. Parts that it sends meanwhile are discarded.
///
/// It is a [`Stream`], so the combinators of `futures` and `tokio-stream` apply:
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::TryStreamExt;
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
/// let mut lease = pool.checkout().await?;
/// let parts: Vec<Vec<u8>> = lease.stream("[1, 2]")?.try_collect().await?;
/// assert_eq!(parts, [b"2", b"1"]);
/// # drop(lease);
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "a stream that is dropped before its end costs its worker"]
pub struct ReplyStream<'a> {
    /// `None` after the end and after an error.
    call: Option<Call<'a>>,
}

impl<'a> ReplyStream<'a> {
    /// The reply to a request that was sent at once.
    pub(super) fn new(call: Call<'a>) -> Self {
        Self { call: Some(call) }
    }

    /// Waits for the next part, for `call_timeout` at most. `None` after the last part, and after
    /// an error.
    ///
    /// The deadline runs from the first wait for a part until that part is returned. Time between
    /// parts does not count.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no part is lost. Called again, it waits on, until the same deadline.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. After [`Raised`](CallError::Raised) the lease remains usable; after every
    /// other error it is over.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        poll_fn(|cx| self.poll_part(cx)).await
    }

    /// As [`next`](Self::next), with the part parsed as JSON.
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
        Some(part.and_then(|body| read_part(&body)))
    }

    /// The parts, each parsed as JSON.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::TryStreamExt;
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let parts: Vec<_> = lease.stream("[1, 2]")?.json::<u32>().try_collect().await?;
    /// assert_eq!(parts, [2, 1]);
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "json")]
    pub fn json<R: serde::de::DeserializeOwned>(self) -> JsonStream<'a, R> {
        JsonStream {
            parts: self,
            read: PhantomData,
        }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, CallError>>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(None);
        };
        // Many parts come with one read. To take them costs no timer and no waker.
        if let Some(body) = call.take_part() {
            return Poll::Ready(Some(Ok(body)));
        }
        let received = ready!(call.poll_next(cx, &[]));
        Poll::Ready(match received {
            Ok(Received::Part(body)) => Some(Ok(body)),
            Ok(Received::Done(_)) => {
                self.call = None;
                None
            }
            Err(error) => {
                self.call = None;
                Some(Err(error))
            }
        })
    }
}

impl Stream for ReplyStream<'_> {
    type Item = Result<Vec<u8>, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_part(cx)
    }
}

/// The parts of a streamed reply, each parsed as JSON. Made by [`ReplyStream::json`].
///
/// After a part that is not the expected JSON, the stream goes on.
#[cfg(feature = "json")]
#[must_use = "a stream that is dropped before its end costs its worker"]
pub struct JsonStream<'a, R> {
    parts: ReplyStream<'a>,
    read: PhantomData<fn() -> R>,
}

#[cfg(feature = "json")]
impl<R: serde::de::DeserializeOwned> JsonStream<'_, R> {
    /// Waits for the next part. See [`ReplyStream::next`].
    ///
    /// # Cancel safety
    ///
    /// As `ReplyStream::next`.
    ///
    /// # Errors
    ///
    /// As `ReplyStream::next`, and [`CallError::Json`], after which the stream goes on.
    pub async fn next(&mut self) -> Option<Result<R, CallError>> {
        self.parts.next_json().await
    }
}

#[cfg(feature = "json")]
impl<R: serde::de::DeserializeOwned> Stream for JsonStream<'_, R> {
    type Item = Result<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = ready!(self.parts.poll_part(cx));
        Poll::Ready(part.map(|part| part.and_then(|body| read_part(&body))))
    }
}

#[cfg(feature = "json")]
impl<R> fmt::Debug for JsonStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

#[cfg(feature = "json")]
fn read_part<R: serde::de::DeserializeOwned>(body: &[u8]) -> Result<R, CallError> {
    serde_json::from_slice(body).map_err(CallError::json(JsonPart::Part))
}

impl fmt::Debug for ReplyStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("ended", &self.call.is_none())
            .finish_non_exhaustive()
    }
}
