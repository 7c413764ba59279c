//! A client that waits for a lease.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use ostler::{SessionId, WaiterId};
use tokio::select;
use tokio::sync::oneshot;

use super::Lease;
use crate::driver::{Answer, Driver, Grant, Refused, poll_timer};
use crate::error::{CheckoutError, SessionError};

/// Leases a worker, waiting for `checkout_timeout` at most.
pub(crate) async fn checkout(driver: &Arc<Driver>) -> Result<Lease, CheckoutError> {
    let after = driver.limits.checkout_timeout;
    match wait(driver, None).await {
        Waited::Answered(answer) => lease(answer),
        Waited::Closed => Err(CheckoutError::Closed),
        Waited::TimedOut => Err(CheckoutError::TimedOut {
            after,
            pool: driver.occupancy(),
        }),
    }
}

/// Leases the session's worker, waiting for `checkout_timeout` at most.
pub(super) async fn checkout_for(
    driver: &Arc<Driver>,
    session: SessionId,
) -> Result<Lease, SessionError> {
    let after = driver.limits.checkout_timeout;
    match wait(driver, Some(session)).await {
        Waited::Answered(answer) => lease(answer),
        Waited::Closed => Err(SessionError::Closed),
        Waited::TimedOut => Err(SessionError::TimedOut {
            worker: driver.session_worker(session),
            after,
            pool: driver.occupancy(),
        }),
    }
}

/// Leases a worker if one is idle now.
pub(crate) fn try_checkout(driver: &Arc<Driver>) -> Result<Lease, CheckoutError> {
    loop {
        match Client::enqueue(driver, None).leave() {
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
    answer.map(Lease::new).map_err(E::from)
}

enum Waited {
    Answered(Answer),
    TimedOut,
    /// The pool was gone before it could answer.
    Closed,
}

/// Whether the granted worker broke the protocol while it was idle, and its task has not reported
/// that yet. The drop of the grant does, and the client asks for another worker.
fn is_broken(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(Grant::is_broken)
}

async fn wait(driver: &Arc<Driver>, session: Option<SessionId>) -> Waited {
    let mut deadline = pin!(driver.sleep(driver.limits.checkout_timeout));
    loop {
        let mut client = Client::enqueue(driver, session);
        select! {
            biased;
            answer = &mut client.answer => {
                client.answered = true;
                match answer {
                    Ok(answer) if is_broken(&answer) => continue,
                    answer => return answer.map_or(Waited::Closed, Waited::Answered),
                }
            }
            () = poll_fn(|cx| poll_timer(deadline.as_mut(), cx)) => {}
        }
        return client.leave().map_or(Waited::TimedOut, Waited::Answered);
    }
}

/// A client in the queue. On drop before it has its answer, it leaves the queue.
struct Client<'a> {
    driver: &'a Arc<Driver>,
    waiter: WaiterId,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl<'a> Client<'a> {
    fn enqueue(driver: &'a Arc<Driver>, session: Option<SessionId>) -> Self {
        let (waiter, answer) = driver.enqueue(session);
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

    /// Leaves the queue, and returns the answer if it came first.
    fn leave(mut self) -> Option<Answer> {
        self.give_up();
        self.answer.try_recv().ok()
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // A grant that is in the channel by then is dropped with it, and checks in.
        if !self.answered {
            self.give_up();
        }
    }
}
