//! A shutdown that begins with a signal to this process.

use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::driver::Driver;
use crate::pool::Pool;
use crate::status::ShutdownReport;

impl Pool {
    /// Shuts the pool down when this process gets `SIGTERM` or `SIGINT` (Ctrl-C). A second signal
    /// cuts the shutdown short, as [`shutdown_now`](Self::shutdown_now).
    ///
    /// ```no_run
    /// # use ostler_pool::{Pool, Python};
    /// # async fn serve(until: impl Future<Output = ()>) {}
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).build()?;
    /// let signals = pool.shutdown_on_signals()?;
    /// // For example `axum::serve(..).with_graceful_shutdown(signals.begun())`.
    /// serve(signals.begun()).await;
    /// println!("{}", signals.await);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// From now on, neither signal ends the process by itself, not even once the pool has shut
    /// down: tokio does not restore their default actions. `main` must return.
    ///
    /// # Errors
    ///
    /// The operating system refused a handler.
    pub fn shutdown_on_signals(&self) -> io::Result<SignalShutdown> {
        SignalShutdown::start(Arc::clone(self.driver()))
    }
}

/// Shuts its pool down on `SIGTERM` and `SIGINT`. Made by
/// [`Pool::shutdown_on_signals`](crate::Pool::shutdown_on_signals).
///
/// Awaited, it resolves to the report of the shutdown, once the pool has ended, with or without a
/// signal. Dropping it loses the report and nothing else.
#[derive(Debug)]
pub struct SignalShutdown {
    driver: Arc<Driver>,
    /// Its sender is dropped when the shutdown has begun.
    begun: watch::Receiver<()>,
}

impl SignalShutdown {
    fn start(driver: Arc<Driver>) -> io::Result<Self> {
        let mut signals = Signals::new(&driver)?;
        let (begin, begun) = watch::channel(());
        let shuts_down = Arc::clone(&driver);
        driver.spawn(async move {
            let driver = shuts_down;
            let first = select! {
                name = signals.next() => name,
                () = driver.closed() => return,
            };
            tracing::info!(
                target: "ostler::pool", pool = driver.name(),
                "{first}: the pool shuts down; another signal kills its workers"
            );
            driver.shutdown();
            drop(begin);
            let second = select! {
                name = signals.next() => name,
                () = driver.closed() => return,
            };
            tracing::warn!(
                target: "ostler::pool", pool = driver.name(),
                "{second}: the pool kills its workers"
            );
            driver.shutdown_now();
        });
        Ok(Self { driver, begun })
    }

    /// Resolves when the first signal has begun the shutdown, or when the pool has ended without
    /// one. Independent of this value: it can go into another task, more than once.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut begun = self.begun.clone();
        async move {
            // Nothing is ever sent: this is the drop of the sender.
            let _ = begun.changed().await;
        }
    }
}

impl IntoFuture for SignalShutdown {
    type Output = ShutdownReport;
    type IntoFuture = Pin<Box<dyn Future<Output = ShutdownReport> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.begun().await;
            self.driver.report().await
        })
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new(driver: &Driver) -> io::Result<Self> {
        let _inside = driver.enter_runtime();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        select! {
            // Neither stream ends.
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
