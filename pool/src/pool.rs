//! The pool, as its users hold it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ostler::WorkerId;
use ostler::policy::{InvalidOption, Policy};
use ostler::supervisor::Input;
use tokio::select;

use crate::builder::Builder;
use crate::client;
use crate::driver::Driver;
use crate::error::{CallError, CheckoutError, RollingError};
use crate::events::Events;
use crate::lease::Lease;
use crate::port::Opener;
use crate::session::Session;
use crate::status::{PoolStatus, ShutdownReport};

/// A pool of external worker processes.
///
/// A handle: clones are cheap and mean the same pool. When the last one is dropped without a
/// [`shutdown`](Pool::shutdown), the pool shuts down by itself, as long as its runtime lives; with the runtime, it
/// ends at once. Either way nothing of it stays behind.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
/// assert_eq!(pool.call(b"hello").await?, b"aGVsbG8=");
/// let report = pool.shutdown().await;
/// assert_eq!(report.counters.calls, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// What the handles of a pool share: with the last of them, the pool ends.
#[derive(Debug)]
struct Owner {
    driver: Arc<Driver>,
}

impl Pool {
    /// Starts to build a pool whose workers `opener` opens: a [`Python`](crate::Python) function, a
    /// [`Program`](crate::Program) that speaks the frame protocol, or an opener of one's own.
    pub fn builder(opener: impl Opener) -> Builder {
        Builder::new(Box::new(opener))
    }

    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        Self {
            owner: Arc::new(Owner { driver }),
        }
    }

    /// Leases a worker, waiting for one for `checkout_timeout` at most. First come, first served.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped before it is ready, the client leaves the queue, and a lease that was on its way to it
    /// goes to the next one.
    ///
    /// # Errors
    ///
    /// See [`CheckoutError`].
    pub async fn checkout(&self) -> Result<Lease, CheckoutError> {
        client::checkout(&self.owner.driver, None).await
    }

    /// Leases a worker if one is idle and nobody waits, and does not wait itself.
    ///
    /// # Errors
    ///
    /// [`CheckoutError::NoneIdle`], or as [`checkout`](Self::checkout).
    pub fn try_checkout(&self) -> Result<Lease, CheckoutError> {
        client::try_checkout(&self.owner.driver)
    }

    /// Leases a worker for one call.
    ///
    /// # Cancel safety
    ///
    /// As [`checkout`](Self::checkout) while it waits, as [`Lease::call`] then.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. A call is never repeated silently: the error says whether the worker may have seen the
    /// request.
    pub async fn call(&self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        self.checkout().await?.call(request).await
    }

    /// Leases a worker for one call with JSON both ways. See [`Lease::call_json`].
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

    /// The session of this name, which is opened if there is none. See [`Session`].
    ///
    /// # Errors
    ///
    /// [`CheckoutError::TooManySessions`], [`Paused`](CheckoutError::Draining) or [`Closed`](CheckoutError::Closed), where
    /// a session cannot be opened now.
    pub fn session(&self, name: &str) -> Result<Session, CheckoutError> {
        let driver = &self.owner.driver;
        Ok(Session::new(Arc::clone(driver), driver.session(name)?))
    }

    /// Has a worker replaced. It serves on until its replacement is ready, and finishes what it is leased for. A worker
    /// that is gone or on its way out already is left alone.
    pub fn recycle(&self, worker: WorkerId) {
        self.owner.driver.feed(Input::Recycle { worker });
    }

    /// Replaces all workers that serve now, as many at a time as `surge` allows, and without having fewer than `size`
    /// serve: a rolling restart. When a start fails, it stops, and the workers that are left serve on.
    ///
    /// It has begun when this returns, and goes on whether or not anybody awaits it. Called again meanwhile, it joins
    /// the one that is under way. Resolves with how many workers were replaced, once they have been told to go; they
    /// finish what they are leased for and serve their sessions, within the drain deadline.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the outcome is lost.
    ///
    /// # Errors
    ///
    /// [`RollingError`]: it stopped, and how far it had come.
    pub fn recycle_all(&self) -> impl Future<Output = Result<usize, RollingError>> + Send + use<> {
        let outcome = self.owner.driver.recycle_all();
        async move {
            let closed = RollingError::Closed {
                replaced: 0,
                kept: 0,
            };
            outcome.await.unwrap_or(Err(closed))
        }
    }

    /// Takes no new clients and no new sessions until [`resume`](Self::resume): they are refused with
    /// [`CheckoutError::Draining`]. Those who wait already and the sessions that are open are served on.
    ///
    /// The intake has ended when this returns. Resolves once nobody waits and no client holds a lease: with true, or
    /// with false when the pool was resumed before. Sessions that are used without a break can put that off for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the pool stays as it is.
    pub fn drain(&self) -> impl Future<Output = bool> + Send + use<> {
        let drained = self.owner.driver.pause();
        async move { drained.await.is_ok() }
    }

    /// Takes new clients again, after [`drain`](Self::drain).
    pub fn resume(&self) {
        self.owner.driver.resume();
    }

    /// Changes how many workers the pool is to have. What is missing is started; what is too many is retired, those that
    /// have not started first, then idle ones, then busy ones when they have finished what they are leased for.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] when it is 0 or more than a pool can have. The size is then what it was.
    pub fn resize(&self, workers: usize) -> Result<(), InvalidOption> {
        Policy::validate_size(workers)?;
        self.owner.driver.feed(Input::Resize { size: workers });
        Ok(())
    }

    /// What happens to the workers from now on. See [`Events`].
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.owner.driver))
    }

    /// The pool at this moment.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.owner.driver.status()
    }

    /// Shuts the pool down: refuses everyone who waits or comes, lets calls under way finish and open sessions go on until
    /// they end or the time for that is over, stops every worker, and resolves when nothing of it is left, after
    /// `shutdown_timeout` at the latest.
    ///
    /// A session that nobody ends is waited for, as nobody can tell whether it is still needed: end those that are not.
    ///
    /// The shutdown has begun when this returns, before the future is polled, and is carried out whether or not
    /// anybody awaits it. Called again, it joins the first one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the report is lost.
    pub fn shutdown(&self) -> impl Future<Output = ShutdownReport> + Send + use<> {
        let driver = Arc::clone(&self.owner.driver);
        driver.shutdown();
        async move {
            let shutdown = driver.shutdown_timeout();
            let since = driver.shutdown_so_far().since;
            // A little more than the core takes for its own last stage, or the two would race.
            let rest = (shutdown + REPORT_GRACE).saturating_sub(since.elapsed());
            select! {
                biased;
                () = driver.closed() => {}
                () = driver.sleep(rest) => {}
            }
            let (status, shutdown) = (driver.status(), driver.shutdown_so_far());
            let took = since.elapsed();
            let drained_at = shutdown.drained.map(|at| at.duration_since(since));
            ShutdownReport {
                workers: shutdown.ended,
                unreleased: status.workers.iter().map(|worker| worker.worker).collect(),
                took,
                drained_in: drained_at.unwrap_or(took),
                counters: status.counters,
            }
        }
    }
}

/// How long after the shutdown's deadline its report may come, where something could not be released by then.
const REPORT_GRACE: Duration = Duration::from_millis(100);

impl Drop for Owner {
    fn drop(&mut self) {
        self.driver.shutdown();
    }
}
