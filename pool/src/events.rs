//! Watching a pool.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use ostler::supervisor::Event;

use crate::driver::{Driver, Read};

/// What happens to the workers of a pool, in order. Made by [`Pool::events`](crate::Pool::events).
///
/// The pool never waits for a reader. A reader that falls behind by more than 4096 events misses
/// the oldest ones, and is told how many. As a [`Stream`], it ends with the pool.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Event, Phase, Pool, Python};
///
/// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
/// let mut events = pool.events();
/// loop {
///     if let Event::Moved(transition) = events.recv().await? {
///         assert_eq!((transition.from, transition.to), (Phase::Initializing, Phase::Ready));
///         break;
///     }
/// }
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Events {
    driver: Arc<Driver>,
    /// This reader in the driver's log.
    reader: u64,
    /// The number of the next event to read.
    next: u64,
}

/// A reader fell behind: this many events are gone. The next one it reads is the oldest that is
/// left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader fell behind by {0} events: read them faster")]
pub struct Lagged(pub u64);

/// Why [`Events::recv`] returned no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The reader fell behind, and this many events are gone.
    #[error("the reader fell behind by {0} events: read them faster")]
    Lagged(u64),
    /// The pool has ended, and every event was read.
    #[error("the pool has ended")]
    Closed,
}

/// Why [`Events::try_recv`] returned no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no event now.
    #[error("there is no event now")]
    Empty,
    /// The reader fell behind, and this many events are gone.
    #[error("the reader fell behind by {0} events: read them faster")]
    Lagged(u64),
    /// The pool has ended, and every event was read.
    #[error("the pool has ended")]
    Closed,
}

impl Events {
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        let (reader, next) = driver.subscribe();
        Self {
            driver,
            reader,
            next,
        }
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] once each time this reader falls behind, [`RecvError::Closed`] at the
    /// end.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        match poll_fn(|cx| self.poll_recv(cx)).await {
            Some(Ok(event)) => Ok(event),
            Some(Err(Lagged(count))) => Err(RecvError::Lagged(count)),
            None => Err(RecvError::Closed),
        }
    }

    /// The next event, if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when there is none, and as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.driver.read_log(self.next) {
            Read::Event(event) => {
                self.next += 1;
                Ok(event)
            }
            Read::Lagged(count) => {
                self.next += count;
                Err(TryRecvError::Lagged(count))
            }
            Read::Empty => Err(TryRecvError::Empty),
            Read::Closed => Err(TryRecvError::Closed),
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Lagged>>> {
        // Registered before the look, so that an event that comes in between wakes this task.
        self.driver.wake_reader(self.reader, cx.waker());
        match self.try_recv() {
            Ok(event) => Poll::Ready(Some(Ok(event))),
            Err(TryRecvError::Lagged(count)) => Poll::Ready(Some(Err(Lagged(count)))),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.driver.unsubscribe(self.reader);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::Pool;
    use crate::testing::Sim;

    /// L19: events that the last reader has left unread are not kept.
    #[tokio::test]
    async fn events_are_kept_for_readers_only() {
        let pool = Pool::builder(Sim::default()).size(1).build().unwrap();
        let events = pool.events();
        let (driver, next) = (Arc::clone(&events.driver), events.next);
        let other = pool.events();
        pool.shutdown().await;
        drop(other);
        assert!(matches!(driver.read_log(next), Read::Event(_)));
        drop(events);
        assert!(matches!(driver.read_log(next), Read::Lagged(_)));
    }
}
