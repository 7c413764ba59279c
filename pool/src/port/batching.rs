//! Whether a pool collects the requests of concurrent calls.

use std::time::Duration;

use super::OpenError;

/// The most requests of one lease.
const MAX: usize = 4096;

/// The longest wait for others. Models need milliseconds, so a longer wait is a mistake.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How a pool collects the requests of concurrent [`Pool::call`](crate::Pool::call)s, so that one
/// lease serves them. See [`Python::batch`](crate::Python::batch).
///
/// They travel to a worker that takes batches in one message, as far as it fits into `max_frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batching {
    /// The most requests of a lease, 1 to 4096.
    pub max: usize,
    /// How long a request that has a worker waits for others, at most 60 s, from the call on.
    pub wait: Duration,
}

impl Batching {
    /// Up to `max` requests, where the first waits for others until it is `wait` old.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ostler_pool::port::Batching;
    ///
    /// let batching = Batching::new(32, Duration::from_millis(2));
    /// assert_eq!(batching.max, 32);
    /// ```
    #[must_use]
    pub fn new(max: usize, wait: Duration) -> Self {
        Self { max, wait }
    }

    pub(crate) fn validate(self) -> Result<Self, OpenError> {
        let out_of_range = |option, value, allowed: &str| OpenError::OutOfRange {
            option,
            value,
            allowed: allowed.to_owned(),
        };
        if !(1..=MAX).contains(&self.max) {
            return Err(out_of_range("batch max", self.max.to_string(), "1 to 4096"));
        }
        if self.wait > MAX_WAIT {
            let wait = format!("{:?}", self.wait);
            return Err(out_of_range("batch wait", wait, "at most 60s"));
        }
        Ok(self)
    }
}
