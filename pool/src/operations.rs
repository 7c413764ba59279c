//! Operations on a whole pool. Those that can be awaited for their outcome act at once: they
//! implement [`IntoFuture`] instead of [`Future`]: a future does nothing until it is polled,
//! and these have already begun. `.await` works; [`into_future`](IntoFuture::into_future) makes a
//! future for combinators that need one.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use ostler::WorkerId;
use ostler::policy::{InvalidOption, Policy};
use ostler::supervisor::{DrainEnd, Input};
use tokio::sync::oneshot;

use crate::driver::Driver;
use crate::error::RollingError;
use crate::pool::Pool;
use crate::status::ShutdownReport;

/// A boxed future, as [`IntoFuture`] needs a nameable one.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A shutdown that has begun. Made by [`Pool::shutdown`](crate::Pool::shutdown); resolves to the
/// report.
///
/// Dropping it loses the report and nothing else.
#[derive(Debug)]
pub struct Shutdown {
    driver: Arc<Driver>,
}

/// A drain that has begun. Made by [`Pool::drain`](crate::Pool::drain); resolves to how it ended.
///
/// Dropping it does not resume the pool.
#[derive(Debug)]
pub struct Drain {
    end: oneshot::Receiver<DrainEnd>,
}

/// A rolling restart that has begun. Made by [`Pool::recycle_all`](crate::Pool::recycle_all);
/// resolves to the number of replaced workers.
///
/// Dropping it does not stop the restart.
#[derive(Debug)]
pub struct RollingRestart {
    end: oneshot::Receiver<Result<usize, RollingError>>,
}

impl Shutdown {
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        Self { driver }
    }
}

impl Drain {
    pub(crate) fn new(end: oneshot::Receiver<DrainEnd>) -> Self {
        Self { end }
    }
}

impl RollingRestart {
    pub(crate) fn new(end: oneshot::Receiver<Result<usize, RollingError>>) -> Self {
        Self { end }
    }
}

impl Pool {
    /// Replaces a worker. A serving one serves until its replacement is ready, and finishes its
    /// current lease. A starting one is stopped at once, and is no failed start. Does nothing to a
    /// worker that is being replaced or is leaving already, or is gone.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let worker = pool.checkout().await?.worker();
    /// pool.recycle(worker);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn recycle(&self, worker: WorkerId) {
        self.driver().feed(Input::Recycle { worker });
    }

    /// Begins a rolling restart: replaces every worker that serves now, as many at a time as
    /// `surge` allows, and never with fewer than `size` serving. When a start fails, it stops, and
    /// the remaining workers serve on.
    ///
    /// Awaited, it resolves to the number of replaced workers, once they have been told to leave;
    /// they finish their leases and serve their sessions, within the drain deadline. Called again
    /// meanwhile, it joins the one under way.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// pool.call("hello").await?;
    /// assert_eq!(pool.recycle_all().await?, 1);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Awaited, [`RollingError`]: why it stopped, and after how many workers.
    pub fn recycle_all(&self) -> RollingRestart {
        RollingRestart::new(self.driver().recycle_all())
    }

    /// Begins to drain the pool: rejects new clients and new sessions until
    /// [`resume`](Self::resume). Waiting clients and open sessions are served.
    ///
    /// Awaited, it resolves once no client waits and no call is under way, or when the pool is
    /// resumed first. Sessions that keep calling can delay that without limit.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{CheckoutError, DrainEnd, Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// assert_eq!(pool.drain().await, DrainEnd::Drained);
    /// assert!(matches!(pool.checkout().await, Err(CheckoutError::Draining { .. })));
    /// pool.resume();
    /// assert!(pool.checkout().await.is_ok());
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn drain(&self) -> Drain {
        Drain::new(self.driver().drain())
    }

    /// Accepts new clients again, after [`drain`](Self::drain).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// pool.drain();
    /// pool.resume();
    /// assert_eq!(pool.call("hello").await?, b"aGVsbG8=");
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn resume(&self) {
        self.driver().feed(Input::Resume);
    }

    /// Changes the number of workers to keep serving. Missing workers are started. Surplus workers
    /// are retired: starting ones first, then idle ones, then busy ones once they have finished
    /// their leases.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// pool.resize(2)?;
    /// assert_eq!(pool.status().size, 2);
    /// assert_eq!(pool.resize(0).unwrap_err().option, "size");
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] when `size` is 0 or above 16384. The size is then unchanged.
    pub fn resize(&self, size: usize) -> Result<(), InvalidOption> {
        Policy::validate_size(size)?;
        self.driver().feed(Input::Resize { size });
        Ok(())
    }

    /// Begins to shut the pool down: refuses waiting and new clients, lets calls under way finish
    /// and open sessions go on until they end or the drain deadline passes, and stops every worker.
    ///
    /// Awaited, it resolves to a report when every worker's port is released or abandoned, 100 ms
    /// after `shutdown_timeout` at the latest: by then, every worker was killed, and the report
    /// says what the operating system has not let go of. Called again, it joins the first one.
    ///
    /// A session for which no call is under way or waits is waited for at most for `session_grace`,
    /// and is then lost with the reason [`Reason::Shutdown`](crate::Reason::Shutdown). A session in
    /// use is served until the drain deadline, and ends with its last call.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let report = pool.shutdown().await;
    /// assert!(report.is_clean());
    /// println!("{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown(&self) -> Shutdown {
        self.driver().shutdown();
        Shutdown::new(Arc::clone(self.driver()))
    }

    /// Begins to shut the pool down without grace, or cuts short a shutdown that has begun: kills
    /// every worker, whatever it does. Calls under way return
    /// [`CallError::Stopped`](crate::CallError::Stopped), and sessions are lost.
    ///
    /// With the feature `signals`, `shutdown_on_signals` does this on a second signal.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("time:sleep").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let long = tokio::spawn(async move { lease.call("1000").await });
    /// let report = pool.shutdown_now().await;
    /// assert!(report.is_clean());
    /// assert!(long.await?.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown_now(&self) -> Shutdown {
        self.driver().shutdown_now();
        Shutdown::new(Arc::clone(self.driver()))
    }
}

impl IntoFuture for Shutdown {
    type Output = ShutdownReport;
    type IntoFuture = Boxed<ShutdownReport>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.driver.report().await })
    }
}

impl IntoFuture for Drain {
    type Output = DrainEnd;
    type IntoFuture = Boxed<DrainEnd>;

    fn into_future(self) -> Self::IntoFuture {
        // The driver answers every drain before it ends. Without a driver, no client is left.
        Box::pin(async move { self.end.await.unwrap_or(DrainEnd::Drained) })
    }
}

impl IntoFuture for RollingRestart {
    type Output = Result<usize, RollingError>;
    type IntoFuture = Boxed<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (replaced, kept) = (0, 0);
        let closed = Err(RollingError::Closed { replaced, kept });
        Box::pin(async move { self.end.await.unwrap_or(closed) })
    }
}
