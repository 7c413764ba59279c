//! A client's affinity to one worker.

use std::fmt;
use std::sync::Arc;

use ostler::supervisor::Input;
use ostler::{SessionId, WorkerId};

use crate::client;
use crate::driver::Driver;
use crate::error::{CallError, CheckoutError};
use crate::lease::Lease;

/// A session: its calls all run on one worker, one at a time and in order, so that the worker may keep state for it.
///
/// Made by [`Pool::session`](crate::Pool::session). A handle: clones, and handles of the same name, mean the same
/// session. Dropping them does not end it; [`end`](Session::end) does, or `session_idle_timeout` without a call.
///
/// The session is bound to a worker by its first call: to the idle one with the fewest sessions. Many sessions share a
/// worker. A worker that is retired takes no new sessions and serves its own until they end or its drain deadline
/// passes. When a worker goes away, its sessions are lost: the next call on each says so, with the reason
/// ([`CheckoutError::SessionLost`]). A session is never moved to another worker.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
///
/// // Each worker leads a process group of its own, so that this tells them apart.
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

    /// Leases the session's worker for several calls in a row, waiting for it for `checkout_timeout` at most.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::checkout`](crate::Pool::checkout).
    ///
    /// # Errors
    ///
    /// See [`CheckoutError`].
    pub async fn checkout(&self) -> Result<Lease, CheckoutError> {
        client::checkout(&self.driver, Some(self.id)).await
    }

    /// Makes one call on the session's worker.
    ///
    /// # Cancel safety
    ///
    /// As [`checkout`](Self::checkout) while it waits, as [`Lease::call`] then: an abandoned call costs the worker, and
    /// with it all of its sessions, unless the worker ends it within the pool's
    /// [`cancel_grace`](crate::Builder::cancel_grace).
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn call(&self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        self.checkout().await?.call(request).await
    }

    /// Makes one call with JSON both ways. See [`Lease::call_json`].
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`CallError::Json`].
    #[cfg(feature = "json")]
    pub async fn call_json<T, R>(&self, request: &T) -> Result<R, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        self.checkout().await?.call_json(request).await
    }

    /// The worker that the session is bound to: none before its first call, and none any more once it is over.
    #[must_use]
    pub fn worker(&self) -> Option<WorkerId> {
        self.driver.home(self.id)
    }

    /// Ends the session. A call under way is not cut short; whoever waits for one is refused. Again, it does nothing.
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
