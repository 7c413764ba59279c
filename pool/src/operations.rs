//! Operations on a whole pool that act at once and can be awaited for their outcome.
//!
//! They implement [`IntoFuture`] instead of [`Future`]: a future does nothing until it is polled,
//! and these have already begun. `.await` works; [`into_future`](IntoFuture::into_future) makes a
//! future for combinators that need one.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use ostler::supervisor::DrainEnd;
use tokio::sync::oneshot;

use crate::driver::Driver;
use crate::error::RollingError;
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
