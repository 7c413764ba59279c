//! Watching a pool.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use ostler::supervisor::Event;

use crate::driver::{Driver, Read};

/// What happens to the workers of a pool, in the order in which it happens.
///
/// Made by [`Pool::events`](crate::Pool::events). The pool never waits for a reader: one that is more than 4096 events
/// behind has missed the oldest and is told how many.
pub struct Events {
    driver: Arc<Driver>,
    next: u64,
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The reader was too far behind. The next one read is the oldest that is left.
    #[error("{0} events were missed: read them faster")]
    Missed(u64),
    /// The pool has ended, and every event was read.
    #[error("the pool has ended")]
    Closed,
}

impl Events {
    pub(crate) fn new(driver: Arc<Driver>) -> Self {
        let next = driver.subscribe();
        Self { driver, next }
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    ///
    /// # Errors
    ///
    /// [`EventError::Missed`] once for each time that this reader falls behind, [`EventError::Closed`] at the end.
    pub async fn next(&mut self) -> Result<Event, EventError> {
        let Self { driver, next } = self;
        loop {
            let mut news = pin!(driver.news().notified());
            // Before the look, so that what comes after it is not slept through.
            news.as_mut().enable();
            if let Some(outcome) = read(driver, next) {
                return outcome;
            }
            news.await;
        }
    }

    /// The next event, if there is one at this moment.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<Event>, EventError> {
        read(&self.driver, &mut self.next).transpose()
    }
}

fn read(driver: &Driver, next: &mut u64) -> Option<Result<Event, EventError>> {
    match driver.read_log(*next) {
        Read::Event(event) => {
            *next += 1;
            Some(Ok(event))
        }
        Read::Missed(count) => {
            *next += count;
            Some(Err(EventError::Missed(count)))
        }
        Read::Closed => Some(Err(EventError::Closed)),
        Read::Nothing => None,
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.driver.unsubscribe();
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

    /// L19: what the last reader has left unread is not kept.
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
        assert!(matches!(driver.read_log(next), Read::Missed(_)));
    }
}
