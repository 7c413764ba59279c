//! A pool as a `tower::Service`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use crate::error::{CallError, CheckoutError};
use crate::lease::{self, Lease};
use crate::pool::Pool;

/// A wait for a lease. `Sync`, because the service must be, to be shared between connections.
type Checkout = Pin<Box<dyn Future<Output = Result<Lease, CheckoutError>> + Send + Sync>>;

impl Pool {
    /// This pool as a `tower::Service` of bytes, whose readiness is a leased worker.
    #[must_use]
    pub fn service<B>(&self) -> PoolService<B> {
        PoolService::new(self.clone())
    }

    /// This pool as a `tower::Service` with JSON both ways, whose readiness is a leased worker.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    /// use tower::ServiceExt;
    ///
    /// let pool = Pool::builder(Python::function("statistics:median").json()).size(1).build()?;
    /// let median: f64 = pool.json_service().oneshot([3, 1, 4, 1, 5]).await?;
    /// assert_eq!(median, 3.0);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json_service<T, R>(&self) -> JsonService<T, R> {
        JsonService::new(self.clone())
    }
}

/// A pool as a [`tower_service::Service`] of bytes: requests are `B`, replies `Vec<u8>`. Made by
/// [`Pool::service`].
///
/// `poll_ready` waits for a worker like [`Pool::checkout`], in the same queue, and leases it. The
/// next `call` uses that lease for one call and returns it. So the service is ready exactly when a
/// worker is reserved for it, and layers that look at readiness, such as load shedding, see the
/// pool's capacity.
///
/// The worker is reserved until `call`, or until the service is dropped, which is also how to give
/// it up. A clone has no reservation. A service that is ready and not called keeps a worker from
/// others.
///
/// The errors of waiting, such as a full queue, pass: after them, `poll_ready` succeeds and the
/// next `call` returns the error. Only [`CheckoutError::Closed`] is final, and `poll_ready` returns
/// it. Once the pool is closed, the service never becomes ready again. A `call` without
/// `poll_ready` waits for a worker itself.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python};
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
/// let service = ServiceBuilder::new().timeout(Duration::from_secs(10)).service(pool.service());
/// assert_eq!(service.oneshot("hello").await.unwrap(), b"aGVsbG8=");
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct PoolService<B> {
    pool: Pool,
    ready: Readiness,
    request: PhantomData<fn(B)>,
}

/// How far the next call's lease is.
enum Readiness {
    None,
    Waits(Checkout),
    Reserved(Result<Lease, CheckoutError>),
}

impl<B> PoolService<B> {
    fn new(pool: Pool) -> Self {
        Self {
            pool,
            ready: Readiness::None,
            request: PhantomData,
        }
    }

    fn poll_reserved(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        loop {
            match &mut self.ready {
                Readiness::None => self.ready = Readiness::Waits(self.checkout()),
                Readiness::Waits(waits) => match ready!(waits.as_mut().poll(cx)) {
                    Err(closed @ CheckoutError::Closed) => {
                        self.ready = Readiness::None;
                        return Poll::Ready(Err(closed.into()));
                    }
                    told => self.ready = Readiness::Reserved(told),
                },
                Readiness::Reserved(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    /// The lease of the next call, which may have to be waited for.
    fn take_lease(&mut self) -> Checkout {
        match std::mem::replace(&mut self.ready, Readiness::None) {
            Readiness::None => self.checkout(),
            Readiness::Waits(waits) => waits,
            Readiness::Reserved(told) => Box::pin(std::future::ready(told)),
        }
    }

    fn checkout(&self) -> Checkout {
        let driver = Arc::clone(self.pool.driver());
        Box::pin(async move { lease::checkout(&driver).await })
    }
}

impl<B: AsRef<[u8]> + Send + 'static> Service<B> for PoolService<B> {
    type Response = Vec<u8>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.poll_reserved(cx)
    }

    fn call(&mut self, request: B) -> Self::Future {
        let lease = self.take_lease();
        // The pool lives at least as long as the call.
        let pool = self.pool.clone();
        Box::pin(async move {
            let reply = lease.await?.call(request).await;
            drop(pool);
            reply
        })
    }
}

impl<B> Clone for PoolService<B> {
    fn clone(&self) -> Self {
        Self::new(self.pool.clone())
    }
}

impl<B> fmt::Debug for PoolService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolService")
            .field("pool", &self.pool)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Waits(_) => f.write_str("Waits"),
            Self::Reserved(lease) => f.debug_tuple("Reserved").field(lease).finish(),
        }
    }
}

/// A pool as a [`tower_service::Service`] with JSON both ways. Made by [`Pool::json_service`];
/// otherwise as [`PoolService`].
#[cfg(feature = "json")]
pub struct JsonService<T, R> {
    bytes: PoolService<T>,
    reply: PhantomData<fn() -> R>,
}

#[cfg(feature = "json")]
impl<T, R> JsonService<T, R> {
    fn new(pool: Pool) -> Self {
        Self {
            bytes: PoolService::new(pool),
            reply: PhantomData,
        }
    }
}

#[cfg(feature = "json")]
impl<T, R> Service<T> for JsonService<T, R>
where
    T: serde::Serialize,
    R: serde::de::DeserializeOwned + 'static,
{
    type Response = R;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<R, CallError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.bytes.poll_reserved(cx)
    }

    fn call(&mut self, request: T) -> Self::Future {
        use crate::error::JsonPart;
        let pool = self.bytes.pool.clone();
        let request = pool.takes_json().and_then(|()| {
            serde_json::to_vec(&request).map_err(CallError::json(JsonPart::Request))
        });
        // The worker of a request that cannot be sent goes back to the pool.
        let lease = self.bytes.take_lease();
        Box::pin(async move {
            let request = request?;
            let reply = lease.await?.call(request).await;
            drop(pool);
            serde_json::from_slice(&reply?).map_err(CallError::json(JsonPart::Reply))
        })
    }
}

#[cfg(feature = "json")]
impl<T, R> Clone for JsonService<T, R> {
    fn clone(&self) -> Self {
        Self::new(self.bytes.pool.clone())
    }
}

#[cfg(feature = "json")]
impl<T, R> fmt::Debug for JsonService<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonService").field(&self.bytes).finish()
    }
}
