//! Cancellation with mercy: a worker whose client has given up gets a little time to end the exchange.
//!
//! The lease is over for its client by then, and held on for the worker: to the core it is a lease like any other, which
//! ends late. So whatever happens to the worker meanwhile (a drain, a shutdown, its exit) happens as to any leased one.

use std::sync::Arc;
use std::time::Duration;

use ostler::LeaseId;
use ostler::supervisor::{Fault, Input, LeaseEnd};
use tokio::select;

use super::exchange::read;
use crate::driver::Driver;
use crate::wire::{Broken, Wire};

/// A lease without a client. However this ends, and be it with its runtime, it tells the pool how the lease has.
pub(super) struct Mercy {
    pub(super) driver: Arc<Driver>,
    pub(super) wire: Arc<Wire>,
    pub(super) lease: LeaseId,
    /// The kind of the request that was cancelled.
    pub(super) asked: u8,
    pub(super) calls: u64,
    pub(super) errors: u64,
    /// `None` once the exchange has ended.
    pub(super) fault: Option<Fault>,
}

impl Mercy {
    pub(super) async fn run(mut self, grace: Duration) {
        let ended = select! {
            biased;
            // First, so that a worker which never stops sending cannot hold it up.
            () = self.driver.sleep(grace) => false,
            ended = self.ended() => ended,
        };
        if ended {
            self.calls += 1;
            self.errors = 0;
            self.fault = None;
        }
    }

    /// Whether the worker ends the exchange, as the protocol has it and with nothing left over.
    async fn ended(&self) -> bool {
        loop {
            match self.wire.answer().await {
                Ok(answer) => match read(self.asked, answer) {
                    Ok(Ok(part)) if !part.last => {}
                    Ok(_) => break,
                    Err(_) => return false,
                },
                Err(Broken::EndOfOutput) => {
                    // Its exit has more to say than this fault, and is likely to come next.
                    self.wire.closed().await;
                    return false;
                }
                Err(_) => return false,
            }
        }
        // The pipe may have been full when the worker was told. Now that it reads again, there is room.
        self.wire.sent().await;
        self.wire.is_clean()
    }
}

impl Drop for Mercy {
    fn drop(&mut self) {
        self.driver.feed(Input::LeaseEnded {
            lease: self.lease,
            calls: self.calls,
            errors: self.errors,
            end: self.fault.map_or(LeaseEnd::Clean, LeaseEnd::Fault),
        });
    }
}
