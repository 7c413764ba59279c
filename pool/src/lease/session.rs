//! A client's affinity to one worker.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use ostler::supervisor::Input;
use ostler::{SessionId, WorkerId};

use super::checkout::checkout_for;
use crate::driver::Driver;
use crate::error::{CallError, SessionError};
use crate::lease::Lease;

/// A session: its calls all run on one worker, one at a time and in order, so the worker can keep
/// state for it.
///
/// Made by [`Pool::session`](crate::Pool::session). A handle: clones, and handles with the same
/// name, are the same session. Dropping them does not end it; [`end`](Session::end) does, or
/// `session_idle_timeout` without a call.
///
/// The first call binds the session to a worker: the idle one with the fewest sessions. Several
/// sessions share a worker. A worker that is retired takes no new sessions, and serves its own
/// until they end or its drain deadline passes. When a worker leaves the pool, its sessions are
/// lost, and the next call on each returns [`SessionError::Lost`] with the reason. A session never
/// moves to another worker.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
///
/// // Each worker leads its own process group, so the group tells them apart.
/// let pool = Pool::builder(Python::function("os:getpgid").json()).size(2).build()?;
/// let session = pool.session("user 42")?;
/// let first: u32 = session.call_json(&0).await?;
/// assert_eq!(session.call_json::<_, u32>(&0).await?, first);
/// session.end();
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Session {
    driver: Arc<Driver>,
    id: SessionId,
}

impl Session {
    pub(crate) fn new(driver: Arc<Driver>, id: SessionId) -> Self {
        Self { driver, id }
    }

    /// Leases the session's worker for several calls in a row, waiting for `checkout_timeout` at
    /// most.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let session = pool.session("user 42")?;
    /// let mut lease = session.checkout().await?;
    /// assert_eq!(lease.call("hello").await?, b"aGVsbG8=");
    /// assert_eq!(Some(lease.worker()), session.worker());
    /// # drop(lease);
    /// # session.end();
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::checkout`](crate::Pool::checkout).
    ///
    /// # Errors
    ///
    /// See [`SessionError`].
    #[track_caller]
    pub fn checkout(&self) -> impl Future<Output = Result<Lease, SessionError>> + Send {
        checkout_for(&self.driver, self.id, None, Some(Location::caller()))
    }

    /// Leases the session's worker for one call.
    async fn checkout_once(&self) -> Result<Lease, SessionError> {
        self.checkout_within(None).await
    }

    /// Leases the session's worker for one call, with another timeout, if one is given.
    pub(crate) async fn checkout_within(
        &self,
        timeout: Option<Duration>,
    ) -> Result<Lease, SessionError> {
        checkout_for(&self.driver, self.id, timeout, None).await
    }

    /// Makes one call on the session's worker.
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
    /// # Cancel safety
    ///
    /// As [`checkout`](Self::checkout) while it waits, then as [`Lease::call`]: an abandoned call
    /// costs the worker and all of its sessions, unless the pool [lets abandoned calls
    /// end](crate::AbandonedCalls) and the worker does so in time.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn call(&self, request: impl AsRef<[u8]>) -> Result<Vec<u8>, CallError> {
        self.checkout_once().await?.call(request).await
    }

    /// Makes one call with JSON both ways. See [`Lease::call_json`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).size(2).build()?;
    /// let session = pool.session("user 42")?;
    /// assert_eq!(session.call_json::<_, f64>(&2.25).await?, 1.5);
    /// # session.end();
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
        self.checkout_once().await?.call_json(request).await
    }

    /// The worker that the session is bound to. `None` before its first call, and once it is over.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let session = pool.session("user 42")?;
    /// assert_eq!(session.worker(), None);
    /// session.call("hello").await?;
    /// assert!(session.worker().is_some());
    /// # session.end();
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        self.driver.session_worker(self.id)
    }

    /// Ends the session. A call under way completes; clients that wait for the session are refused.
    /// Again, it does nothing.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python, SessionError};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let session = pool.session("user 42")?;
    /// session.end();
    /// assert!(matches!(session.checkout().await, Err(SessionError::Ended)));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn end(&self) {
        self.driver.feed(Input::EndSession { session: self.id });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
