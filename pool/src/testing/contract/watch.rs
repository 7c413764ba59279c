//! Calls what is checked: finds what panics, and what blocks.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{ContractViolation, noisy, violation};

/// A method, how long one call or one poll of it may take, and what is expected of it.
pub(super) struct Method {
    name: &'static str,
    limit: Duration,
    does_not_block: &'static str,
    does_not_panic: &'static str,
}

macro_rules! method {
    ($name:literal, $limit:expr) => {
        Method {
            name: concat!("`", $name, "`"),
            limit: $limit,
            does_not_block: concat!("`", $name, "` does not block"),
            does_not_panic: concat!("`", $name, "` does not panic"),
        }
    };
}

/// A call that does not block takes microseconds. On a busy machine, a thread may have to wait for
/// a processor.
const QUICK: Duration = Duration::from_millis(100);
/// A spawn may take longer where it has to fork.
const SPAWN: Duration = Duration::from_millis(500);

/// Called before the pool exists, so it may take its time.
pub(super) const PREPARE: Method = method!("prepare", Duration::MAX);
pub(super) const OPEN: Method = method!("open", SPAWN);
pub(super) const CLOSE: Method = method!("close", QUICK);
pub(super) const TAKE_PIPE: Method = method!("take_pipe", QUICK);
pub(super) const READER: Method = method!("Pipe::reader", QUICK);
pub(super) const WRITER: Method = method!("Pipe::writer", QUICK);
pub(super) const PID: Method = method!("pid", QUICK);
pub(super) const MEMORY: Method = method!("memory", QUICK);
pub(super) const TERMINATE: Method = method!("terminate", QUICK);
pub(super) const KILL: Method = method!("kill", QUICK);
pub(super) const EXITED: Method = method!("exited", QUICK);
pub(super) const RELEASED: Method = method!("released", QUICK);
pub(super) const SURVIVORS: Method = method!("survivors", QUICK);
pub(super) const DROP: Method = method!("drop", QUICK);

impl Method {
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> Result<T, ContractViolation> {
        let begun = Instant::now();
        let called = catch_unwind(AssertUnwindSafe(call));
        let took = begun.elapsed();
        let value = called.map_err(|panic| {
            let found = format!("the panic {:?} of {}", message(&*panic), self.name);
            violation(self.does_not_panic, found)
        })?;
        if took > self.limit {
            let found = format!("that {} took {took:.1?} at a time", self.name);
            return Err(noisy(self.does_not_block, found));
        }
        Ok(value)
    }

    /// Completes a future of the method, and calls each poll.
    pub(super) async fn polled<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, ContractViolation> {
        let never = usize::MAX;
        match self.polled_at_most(never, future).await? {
            Some(value) => Ok(value),
            None => unreachable!("it is polled until it completes"),
        }
    }

    /// As [`polled`](Self::polled), and drops the future if it has not completed after that many
    /// polls.
    pub(super) async fn polled_at_most<T>(
        &self,
        most: usize,
        future: impl Future<Output = T>,
    ) -> Result<Option<T>, ContractViolation> {
        let mut future = pin!(future);
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            match self.call(|| future.as_mut().poll(context)) {
                Ok(Poll::Ready(value)) => Poll::Ready(Ok(Some(value))),
                Ok(Poll::Pending) if polls < most => Poll::Pending,
                Ok(Poll::Pending) => Poll::Ready(Ok(None)),
                Err(violation) => Poll::Ready(Err(violation)),
            }
        })
        .await
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref().copied().unwrap_or("without a message"),
    }
}
