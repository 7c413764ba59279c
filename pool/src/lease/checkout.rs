//! A client that waits for a lease.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ostler::{SessionId, WaiterId};

use super::Lease;
use crate::driver::{Answer, Driver, Entered, Grant, Place, Refused, Told};
use crate::error::{CheckoutError, SessionError};
use crate::rt::Instant;

/// Leases a worker for the pool's own use, waiting for `checkout_timeout` at most.
pub(crate) async fn checkout(driver: &Arc<Driver>) -> Result<Lease, CheckoutError> {
    checkout_within(driver, None, None).await
}

/// Leases a worker for the code at `place`, waiting for `timeout` at most, if one is given. That
/// runs from now on, also if the pool has not served yet.
pub(crate) async fn checkout_within(
    driver: &Arc<Driver>,
    timeout: Option<Duration>,
    place: Option<Place>,
) -> Result<Lease, CheckoutError> {
    match Client::new(driver, None, timeout, place).await {
        Told::Answer(answer) => lease(answer),
        Told::TimedOut => Err(CheckoutError::TimedOut {
            after: timeout.unwrap_or(driver.limits.checkout_timeout),
            pool: driver.occupancy(),
        }),
    }
}

/// Leases the session's worker, waiting for `timeout` at most, or as [`checkout`] does.
pub(super) async fn checkout_for(
    driver: &Arc<Driver>,
    session: SessionId,
    timeout: Option<Duration>,
    place: Option<Place>,
) -> Result<Lease, SessionError> {
    match Client::new(driver, Some(session), timeout, place).await {
        Told::Answer(answer) => {
            let mut lease = lease::<SessionError>(answer)?;
            lease.options.session = driver.session_tag(session);
            Ok(lease)
        }
        Told::TimedOut => Err(SessionError::TimedOut {
            worker: driver.session_worker(session),
            after: timeout.unwrap_or(driver.limits.checkout_timeout),
            pool: driver.occupancy(),
        }),
    }
}

/// Leases a worker if one is idle now.
pub(crate) fn try_checkout(driver: &Arc<Driver>, place: Place) -> Result<Lease, CheckoutError> {
    loop {
        let answer = match driver.enter(None, None, None, Some(place)) {
            Entered::Answered(answer) => Some(answer),
            Entered::Waits(waiter, _) => driver.leave(waiter),
        };
        match answer {
            Some(answer) if is_broken(&answer) => {}
            Some(answer) => return lease(answer),
            None => {
                let pool = driver.occupancy();
                return Err(CheckoutError::NoneIdle { pool });
            }
        }
    }
}

fn lease<E: From<Refused>>(answer: Answer) -> Result<Lease, E> {
    answer.map(Lease::new).map_err(|refused| E::from(*refused))
}

/// Whether the granted worker broke the protocol while it was idle, and its task has not reported
/// that yet. The drop of the grant does, and the client asks for another worker.
fn is_broken(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(Grant::is_broken)
}

/// A client that asks for a lease when it is first polled. On drop before it has been told, it
/// leaves the queue.
struct Client<'a> {
    driver: &'a Arc<Driver>,
    session: Option<SessionId>,
    /// How long it waits at most, if that is not `checkout_timeout`.
    timeout: Option<Duration>,
    place: Option<Place>,
    /// While it waits.
    waiter: Option<WaiterId>,
    /// Of all its waiting. Set when it first has to wait for a pool that has served.
    deadline: Option<Instant>,
}

impl<'a> Client<'a> {
    fn new(
        driver: &'a Arc<Driver>,
        session: Option<SessionId>,
        timeout: Option<Duration>,
        place: Option<Place>,
    ) -> Self {
        Self {
            driver,
            session,
            timeout,
            place,
            waiter: None,
            deadline: None,
        }
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        let told = match self.waiter {
            Some(waiter) => ready!(self.driver.poll_told(waiter, cx)),
            None => {
                match (self.driver).enter(self.session, self.deadline, self.timeout, self.place) {
                    Entered::Answered(answer) => Told::Answer(answer),
                    Entered::Waits(waiter, deadline) => {
                        self.waiter = Some(waiter);
                        self.deadline = deadline;
                        ready!(self.driver.poll_untold(waiter, cx))
                    }
                }
            }
        };
        self.waiter = None;
        Poll::Ready(told)
    }
}

impl Future for Client<'_> {
    type Output = Told;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Told> {
        loop {
            match ready!(self.poll_once(cx)) {
                Told::Answer(answer) if is_broken(&answer) => {}
                told => return Poll::Ready(told),
            }
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            // A grant that came first is dropped, and checks in.
            drop(self.driver.leave(waiter));
        }
    }
}
