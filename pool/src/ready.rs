//! Waiting until the pool serves.

use crate::error::StartError;
use crate::pool::Pool;

impl Pool {
    /// Resolves when a worker serves, or with the failure of a start if none will soon: the first
    /// failure that [is final](StartError::is_final), or the last of `crash_loop` consecutive ones.
    ///
    /// Resolves at once if a worker serves already, and if none does although the pool has served
    /// before, waits for the next one. It waits for one worker, because the pool serves from then
    /// on; the others may still be starting, and [`status`](Self::status) counts those that serve.
    /// A pool that drains counts as ready, although it rejects new clients.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// pool.ready().await?;
    /// assert!(pool.status().serving() >= 1);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped before it resolves, it leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`StartError`]: why no worker serves. The pool goes on trying, so a later call may succeed.
    /// [`StartError::Closed`] if the pool is shutting down or has shut down.
    pub async fn ready(&self) -> Result<(), StartError> {
        let readiness = self.driver().readiness();
        // The driver answers when the pool shuts down, at the latest.
        readiness.await.unwrap_or(Err(StartError::Closed))
    }
}
