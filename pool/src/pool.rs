//! The pool, as its users hold it.

use std::panic::Location;
use std::sync::Arc;

use crate::builder::Builder;
use crate::driver::Driver;
#[cfg(feature = "json")]
use crate::error::JsonPart;
use crate::error::{CallError, CheckoutError, SessionError};
use crate::events::Events;
use crate::lease::{self, Collector, Lease, Session};
use crate::port::{Batching, Opener};
use crate::status::PoolStatus;

/// A pool of external worker processes.
///
/// A handle: clones are cheap and refer to the same pool. When the last one is dropped without a
/// [`shutdown`](Pool::shutdown), the pool shuts down by itself while its runtime lives, and ends
/// with the runtime otherwise. Either way it leaves nothing behind.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
/// assert_eq!(pool.call("hello").await?, b"aGVsbG8=");
/// let report = pool.shutdown().await;
/// assert_eq!(report.counters.calls, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// What the handles of a pool share. The pool ends with the last of them.
#[derive(Debug)]
struct Owner {
    driver: Arc<Driver>,
    /// If the pool collects the requests of concurrent calls.
    collector: Option<Arc<Collector>>,
}

impl Pool {
    /// Starts to build a pool whose workers `opener` opens: a [`Python`](crate::Python) function, a
    /// [`Program`](crate::Program) that speaks the frame protocol, or an [`Opener`] of your own.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).size(2).build()?;
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn builder(opener: impl Opener) -> Builder {
        Builder::new(Box::new(opener))
    }

    pub(crate) fn new(driver: Arc<Driver>, batching: Option<Batching>) -> Self {
        let collector = batching.map(|batching| Collector::new(Arc::clone(&driver), batching));
        Self {
            owner: Arc::new(Owner { driver, collector }),
        }
    }

    /// Fails if the workers take bytes.
    #[cfg(feature = "json")]
    pub(crate) fn takes_json(&self) -> Result<(), CallError> {
        self.driver().limits.takes_json()
    }

    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.owner.driver
    }

    /// Leases a worker, waiting for `checkout_timeout` at most. Clients are served in FIFO order.
    ///
    /// Until a worker has served for the first time, `checkout_timeout` does not run: the client
    /// waits for as long as the first starts take, which `start_timeout` and `crash_loop` bound.
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
    /// Cancel safe: dropped before it resolves, the client leaves the queue, and a lease that was
    /// on its way to it goes to the next client.
    ///
    /// # Errors
    ///
    /// See [`CheckoutError`].
    #[track_caller]
    pub fn checkout(&self) -> impl Future<Output = Result<Lease, CheckoutError>> + Send {
        let driver = &self.owner.driver;
        lease::checkout_within(driver, None, Some(Location::caller()))
    }

    /// Leases a worker if one is idle and no client waits. Does not wait itself.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{CheckoutError, Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let lease = pool.checkout().await?;
    /// assert!(matches!(pool.try_checkout(), Err(CheckoutError::NoneIdle { .. })));
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CheckoutError::NoneIdle`], or as [`checkout`](Self::checkout).
    #[track_caller]
    pub fn try_checkout(&self) -> Result<Lease, CheckoutError> {
        lease::try_checkout(&self.owner.driver, Location::caller())
    }

    /// Leases a worker for one call.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// assert_eq!(pool.call("hello").await?, b"aGVsbG8=");
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`checkout`](Self::checkout) while it waits, then as [`Lease::call`].
    ///
    /// # Errors
    ///
    /// See [`CallError`]. A call is never repeated silently:
    /// [`request_written`](CallError::request_written) says whether the worker may have seen the
    /// request.
    pub async fn call(&self, request: impl AsRef<[u8]>) -> Result<Vec<u8>, CallError> {
        match &self.owner.collector {
            None => {
                lease::checkout(&self.owner.driver)
                    .await?
                    .call(request)
                    .await
            }
            Some(collector) => collector.call(request.as_ref().to_vec()).await,
        }
    }

    /// Leases a worker for one call with JSON both ways. See [`Lease::call_json`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("statistics:median").json()).size(1).build()?;
    /// let median: f64 = pool.call_json(&[3, 1, 4, 1, 5]).await?;
    /// assert_eq!(median, 3.0);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`CallError::Json`] and [`NotJson`](CallError::NotJson).
    #[cfg(feature = "json")]
    pub async fn call_json<T, R>(&self, request: &T) -> Result<R, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        self.takes_json()?;
        let request = serde_json::to_vec(request).map_err(CallError::json(JsonPart::Request))?;
        let reply = self.call(request).await?;
        serde_json::from_slice(&reply).map_err(CallError::json(JsonPart::Reply))
    }

    /// The session of this name. Opens it if it is not open. See [`Session`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let session = pool.session("user 42")?;
    /// assert_eq!(session.call("hello").await?, b"aGVsbG8=");
    /// # session.end();
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::TooMany`], [`Draining`](SessionError::Draining) or
    /// [`Closed`](SessionError::Closed) when it is not open and cannot be opened now.
    pub fn session(&self, name: &str) -> Result<Session, SessionError> {
        let driver = &self.owner.driver;
        Ok(Session::new(Arc::clone(driver), driver.session(name)?))
    }

    /// What happens to the workers from now on. See [`Events`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let mut events = pool.events();
    /// println!("{:?}", events.recv().await?);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.owner.driver))
    }

    /// The pool at this moment.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// println!("{}", pool.status());
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.owner.driver.status()
    }

    /// Whether the pool is shutting down or has shut down.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// assert!(!pool.is_closed());
    /// pool.shutdown();
    /// assert!(pool.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.owner.driver.is_closed()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.driver.shutdown();
    }
}
