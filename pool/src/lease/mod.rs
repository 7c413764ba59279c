//! A worker, for one client's own use.

mod exchange;
mod mercy;
mod parts;

use std::fmt;
use std::sync::Arc;

use ostler::supervisor::{Fault, Input, LeaseEnd};
use ostler::{LeaseId, WorkerId};

use self::exchange::Exchange;
use self::mercy::Mercy;
pub use self::parts::Parts;
use crate::codec::kind;
use crate::driver::Driver;
use crate::error::CallError;
use crate::wire::Wire;

/// A worker, leased to one client.
///
/// Made by [`Pool::checkout`](crate::Pool::checkout). Dropped, it goes back to the pool and to the client that has
/// waited longest. If an exchange on it did not end well (its future was dropped, it timed out, the worker broke the
/// protocol), the worker cannot be given to anyone: it is stopped and replaced at once, and the lease is over. Where the pool
/// has a [`cancel_grace`](crate::Builder::cancel_grace), a worker that ends a dropped or timed-out exchange in that time is
/// kept, though not for this lease.
///
/// Dropping a lease never blocks and needs no runtime.
pub struct Lease {
    driver: Arc<Driver>,
    wire: Arc<Wire>,
    id: LeaseId,
    calls: u64,
    /// How many of the last of them in a row were answered with an error.
    errors: u64,
    over: bool,
}

impl Lease {
    pub(crate) fn new(driver: Arc<Driver>, wire: Arc<Wire>, id: LeaseId) -> Self {
        Self {
            driver,
            wire,
            id,
            calls: 0,
            errors: 0,
            over: false,
        }
    }

    /// The worker.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.id.worker
    }

    /// The process id of the worker, while it is alive.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.driver.pid(self.id.worker)
    }

    /// Sends `request` to the worker and waits for its reply, for `call_timeout` at most.
    ///
    /// The exchange runs in the caller's task: there is no other one between it and the worker's pipes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe in that the reply is lost: dropped before it is ready, the call counts as abandoned, and the
    /// worker is stopped and replaced, unless it ends the call within the pool's
    /// [`cancel_grace`](crate::Builder::cancel_grace). Either way the lease is over, and no other client ever sees the
    /// late reply.
    ///
    /// # Errors
    ///
    /// See [`CallError`]. After [`Raised`](CallError::Raised) and
    /// [`RequestTooLarge`](CallError::RequestTooLarge) the lease is as good as before; after all others it is over.
    pub async fn call(&mut self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        let mut exchange = Exchange::begin(self, kind::CALL, request)?;
        Ok(exchange.next().await?.body)
    }

    /// Sends `request` to the worker, whose answer comes in parts: see [`Parts`].
    ///
    /// The request is on its way when this returns, as far as the worker's pipe takes it at once.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// // What the function returns is an iterator, and each of its items is a part.
    /// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
    /// let mut lease = pool.checkout().await?;
    /// let mut parts = lease.stream(b"[1, 2, 3]")?;
    /// let mut countdown = Vec::new();
    /// while let Some(part) = parts.next_json::<u32>().await {
    ///     countdown.push(part?);
    /// }
    /// assert_eq!(countdown, [3, 2, 1]);
    /// # drop(parts);
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::LeaseOver`], and [`RequestTooLarge`](CallError::RequestTooLarge), after which the lease is as good as
    /// before. What goes wrong later is told by [`Parts::next`].
    pub fn stream(&mut self, request: &[u8]) -> Result<Parts<'_>, CallError> {
        Parts::begin(self, request)
    }

    /// As [`call`](Self::call), with JSON both ways: for Python workers built with
    /// [`Python::json`](crate::Python::json).
    ///
    /// # Errors
    ///
    /// As `call`, and [`CallError::Json`], after which the lease is as good as before.
    #[cfg(feature = "json")]
    pub async fn call_json<T, R>(&mut self, request: &T) -> Result<R, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        let request = serde_json::to_vec(request).map_err(|source| CallError::Json {
            what: "request",
            source,
        })?;
        let reply = self.call(&request).await?;
        serde_json::from_slice(&reply).map_err(|source| CallError::Json {
            what: "reply",
            source,
        })
    }

    /// Ends the lease with an exchange under way: at once, or after the worker got its chance to end that.
    fn give_up(&mut self, asked: u8, fault: Fault) {
        let grace = match fault {
            Fault::Abandoned | Fault::TimedOut => self.driver.limits.cancel_grace,
            _ => None,
        };
        match grace {
            Some(grace) if self.wire.cancel() => {
                self.over = true;
                let mercy = Mercy {
                    driver: Arc::clone(&self.driver),
                    wire: Arc::clone(&self.wire),
                    lease: self.id,
                    asked,
                    calls: self.calls,
                    errors: self.errors,
                    fault: Some(fault),
                };
                self.driver.spawn(mercy.run(grace));
            }
            _ => self.settle(Some(fault)),
        }
    }

    /// Tells the pool how the lease ended. The first word counts.
    fn settle(&mut self, fault: Option<Fault>) {
        if self.over {
            return;
        }
        self.over = true;
        self.driver.feed(Input::LeaseEnded {
            lease: self.id,
            calls: self.calls,
            errors: self.errors,
            end: fault.map_or(LeaseEnd::Clean, LeaseEnd::Fault),
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Bytes that nobody asked for would be the next client's.
        let fault = (!self.wire.is_clean()).then_some(Fault::ProtocolBroken);
        self.settle(fault);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
