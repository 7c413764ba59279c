//! A client that waits for a lease.

use std::sync::Arc;

use ostler::{SessionId, WaiterId};
use tokio::select;
use tokio::sync::oneshot;

use crate::driver::{Answer, Driver};
use crate::error::CheckoutError;
use crate::lease::Lease;

/// Leases a worker, waiting for one for `checkout_timeout` at most.
pub(crate) async fn checkout(
    driver: &Arc<Driver>,
    session: Option<SessionId>,
) -> Result<Lease, CheckoutError> {
    let after = driver.limits.checkout_timeout;
    let mut client = Client::enqueue(driver, session);
    select! {
        biased;
        answer = &mut client.answer => {
            client.answered = true;
            return answer.unwrap_or(Err(CheckoutError::Closed));
        }
        () = driver.sleep(after) => {}
    }
    let home = session.and_then(|session| driver.home(session));
    client.leave().unwrap_or_else(|| {
        let pool = driver.occupancy();
        Err(match home {
            Some(worker) => CheckoutError::SessionTimedOut {
                worker,
                after,
                pool,
            },
            None => CheckoutError::TimedOut { after, pool },
        })
    })
}

/// Leases a worker if there is one at this moment.
pub(crate) fn try_checkout(driver: &Arc<Driver>) -> Result<Lease, CheckoutError> {
    let mut client = Client::enqueue(driver, None);
    client.leave().unwrap_or_else(|| {
        let pool = driver.occupancy();
        Err(CheckoutError::NoneIdle { pool })
    })
}

/// A client in the queue. Dropped before it has its answer, it leaves the queue.
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

    /// Leaves the queue: the answer, if it came first.
    fn leave(&mut self) -> Option<Answer> {
        self.give_up();
        self.answer.try_recv().ok()
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
