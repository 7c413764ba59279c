//! The pool, as its users hold it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ostler::supervisor::Input;
use ostler::{WaiterId, WorkerId};
use tokio::select;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::builder::Builder;
use crate::driver::{Answer, Driver};
use crate::error::{CallError, CheckoutError};
use crate::lease::Lease;
use crate::port::Opener;
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
/// assert_eq!(report.counters.exchanges, 1);
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
        let driver = &self.owner.driver;
        let after = driver.limits.checkout_timeout;
        let mut client = Client::enqueue(driver);
        select! {
            biased;
            answer = &mut client.answer => {
                client.answered = true;
                return answer.unwrap_or(Err(CheckoutError::Closed));
            }
            () = driver.sleep(after) => {}
        }
        client.give_up();
        match client.answer.try_recv() {
            // It was granted while this client gave up.
            Ok(answer) => answer,
            Err(TryRecvError::Empty | TryRecvError::Closed) => {
                let pool = driver.status().occupancy();
                Err(CheckoutError::TimedOut { after, pool })
            }
        }
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

    /// Has a worker replaced. It serves on until its replacement is ready, and finishes what it is leased for. A worker
    /// that is gone or on its way out already is left alone.
    pub fn recycle(&self, worker: WorkerId) {
        self.owner.driver.handle(Input::Recycle { worker });
    }

    /// The pool at this moment.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.owner.driver.status()
    }

    /// Shuts the pool down: refuses everyone who waits or comes, lets calls under way finish, stops every worker, and
    /// resolves when nothing of it is left, after `shutdown_timeout` at the latest.
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
            let status = driver.status();
            ShutdownReport {
                workers: driver.shutdown_so_far().ended,
                unreleased: status.workers.iter().map(|worker| worker.worker).collect(),
                took: since.elapsed(),
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

/// A client in the queue. Dropped before it has its answer, it leaves the queue.
struct Client<'a> {
    driver: &'a Arc<Driver>,
    waiter: WaiterId,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl<'a> Client<'a> {
    fn enqueue(driver: &'a Arc<Driver>) -> Self {
        let (waiter, answer) = driver.enqueue();
        Self {
            driver,
            waiter,
            answer,
            answered: false,
        }
    }

    fn give_up(&mut self) {
        self.answered = true;
        self.driver.give_up(self.waiter);
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // A lease that is in the channel by then is dropped with it, and checks in.
        if !self.answered {
            self.give_up();
        }
    }
}
