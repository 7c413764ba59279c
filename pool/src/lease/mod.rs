//! What clients hold: leases, and sessions, and the calls and streams on them.

mod batch;
mod call;
mod checkout;
mod collect;
mod map;
mod options;
mod requests;
mod session;
mod stream;

use std::fmt;

use ostler::WorkerId;

use self::batch::MAX_BATCH;
use self::call::{Call, Held};
pub(crate) use self::checkout::{checkout, checkout_within, try_checkout};
pub(crate) use self::collect::Collector;
pub use self::map::{Iter, Map, MapUnordered};
pub(crate) use self::options::{CallOptions, check_function};
use self::requests::Requests;
pub use self::session::Session;
#[cfg(feature = "json")]
pub use self::stream::JsonStream;
pub use self::stream::ReplyStream;
use crate::driver::Grant;
use crate::error::CallError;
#[cfg(feature = "json")]
use crate::error::JsonPart;
use crate::transport::COPIED;
use crate::transport::frame::kind;

/// A worker, leased to one client.
///
/// Made by [`Pool::checkout`](crate::Pool::checkout). On drop, the worker returns to the pool, and
/// the longest-waiting client gets it. If a call on the lease ended early (its future was dropped,
/// it timed out, the worker broke the protocol), the worker serves no other client: it is stopped
/// and replaced, and the lease is over. In a pool that [lets abandoned calls
/// end](crate::AbandonedCalls), a worker that ends a dropped call in time is kept, but not for this
/// lease.
///
/// Dropping a lease never blocks and needs no runtime.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
/// let mut lease = pool.checkout().await?;
/// assert_eq!(lease.call(b"one").await?, b"b25l");
/// assert_eq!(lease.call(b"two").await?, b"dHdv");
/// # drop(lease);
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Lease {
    grant: Grant,
    /// Of its calls.
    options: CallOptions,
}

impl Lease {
    pub(crate) fn new(grant: Grant) -> Self {
        Self {
            grant,
            options: CallOptions::default(),
        }
    }

    /// The worker.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// assert_eq!(pool.checkout().await?.worker().to_string(), "0.1");
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.grant.worker()
    }

    /// The process id of the worker. `None` once the worker is released.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("os:getpgid").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// assert_eq!(lease.pid(), Some(lease.call_json(&0).await?));
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.grant.pid()
    }

    /// Sends `request` to the worker and waits for its reply, for `call_timeout` at most.
    ///
    /// The call runs in the caller's task: no other task is between it and the worker's pipes.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// assert_eq!(lease.call("hello").await?, b"aGVsbG8=");
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if it is dropped before it resolves, the call is abandoned and the reply is
    /// lost. The worker is stopped and replaced, unless the pool [lets abandoned calls
    /// end](crate::AbandonedCalls) and it does so in time. Either way the lease is over, and no
    /// other client ever sees the late reply.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. After [`Raised`](CallError::Raised),
    /// [`RequestTooLarge`](CallError::RequestTooLarge) and
    /// [`NoSuchFunction`](CallError::NoSuchFunction) the lease remains usable; after every other
    /// error it is over.
    pub async fn call(&mut self, request: impl AsRef<[u8]>) -> Result<Vec<u8>, CallError> {
        let grant = Held::Borrowed(&mut self.grant);
        let mut call = Call::begin(grant, kind::CALL, request.as_ref(), &self.options)?;
        if request.as_ref().len() > COPIED
            && let Some(early) = call.send(request.as_ref()).await
        {
            return Ok(early?.into_body());
        }
        drop(request);
        Ok(call.answer().await?.into_body())
    }

    /// Sends `request` to the worker, which streams its reply in parts.
    ///
    /// When this returns, as much of the request is sent as the worker's pipe takes without
    /// waiting.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// // The function returns an iterator, and each of its items is a part.
    /// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let mut reply = lease.stream("[1, 2, 3]")?;
    /// let mut countdown = Vec::new();
    /// while let Some(part) = reply.next_json::<u32>().await {
    ///     countdown.push(part?);
    /// }
    /// assert_eq!(countdown, [3, 2, 1]);
    /// # drop(reply);
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::LeaseOver`], [`Protocol`](CallError::Protocol) if the worker has sent something
    /// since the last call, and [`RequestTooLarge`](CallError::RequestTooLarge) and
    /// [`NoSuchFunction`](CallError::NoSuchFunction), after which the lease remains usable.
    /// [`ReplyStream::next`] returns later errors.
    pub fn stream(&mut self, request: impl AsRef<[u8]>) -> Result<ReplyStream<'_>, CallError> {
        let body = request.as_ref();
        let grant = Held::Borrowed(&mut self.grant);
        let call = Call::begin(grant, kind::STREAM, body, &self.options)?;
        call.send_at_once(body);
        Ok(ReplyStream::new(call))
    }

    /// As [`stream`](Self::stream). The lease ends with the stream.
    pub(crate) fn into_stream(self, body: &[u8]) -> Result<ReplyStream<'static>, CallError> {
        let call = Call::begin(Held::Owned(self.grant), kind::STREAM, body, &self.options)?;
        call.send_at_once(body);
        Ok(ReplyStream::new(call))
    }

    /// Sets what its calls say. The session stays.
    pub(crate) fn set_options(&mut self, options: &CallOptions) {
        let session = self.options.session.take();
        self.options = CallOptions {
            session,
            ..options.clone()
        };
    }

    /// Names the function that later calls on this lease run, for workers that have
    /// [several](crate::Python::module).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::module("statistics").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let mean: f64 = lease.function("mean").call_json(&[1, 2, 6]).await?;
    /// let median: f64 = lease.function("median").call_json(&[1, 2, 6]).await?;
    /// assert_eq!((mean, median), (3.0, 2.0));
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn function(&mut self, name: &str) -> &mut Self {
        self.options.function = Some(name.into());
        self
    }

    /// Makes a call for each request, one after another. Returns their outcomes in order.
    ///
    /// For a worker that takes batches, as [Python workers](crate::Python) do, many requests are
    /// one message each way. [`Pool::map`](crate::Pool::map) uses all workers, and takes any number
    /// of requests.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("zlib:decompress")).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let compressed = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    /// let replies = lease.call_many(&[&compressed[..], b"not compressed"]).await;
    /// assert_eq!(replies[0].as_ref().unwrap(), b"hello");
    /// assert!(replies[1].is_err());
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call). All replies are lost.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. The exception of one request does not concern the others. When the worker
    /// exits, does not answer a request within `call_timeout` of the one before, or breaks the
    /// protocol, the answers that have come are kept. The other requests of the same message get
    /// this error, and those that were not sent get [`LeaseOver`](CallError::LeaseOver).
    pub async fn call_many(
        &mut self,
        requests: &[impl AsRef<[u8]>],
    ) -> Vec<Result<Vec<u8>, CallError>> {
        let mut all = Requests::default();
        for request in requests {
            all.push(request.as_ref());
        }
        let mut outcomes = Vec::with_capacity(requests.len());
        batch::run(self, &all, 0, MAX_BATCH, &mut outcomes).await;
        let worker = self.worker();
        outcomes.resize_with(requests.len(), || Err(CallError::LeaseOver { worker }));
        outcomes
    }

    /// As [`call`](Self::call), with JSON both ways: for Python workers built with
    /// [`Python::json`](crate::Python::json).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("math:hypot").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let length: f64 = lease.call_json(&-3.5).await?;
    /// assert_eq!(length, 3.5);
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As `call`, and [`CallError::Json`] and [`NotJson`](CallError::NotJson), after which the
    /// lease remains usable.
    #[cfg(feature = "json")]
    pub async fn call_json<T, R>(&mut self, request: &T) -> Result<R, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        self.grant.limits().takes_json()?;
        let request = serde_json::to_vec(request).map_err(CallError::json(JsonPart::Request))?;
        let reply = self.call(request).await?;
        serde_json::from_slice(&reply).map_err(CallError::json(JsonPart::Reply))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("worker", &self.worker())
            .field("over", &self.grant.has_ended())
            .finish_non_exhaustive()
    }
}
