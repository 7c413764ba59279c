//! How many requests a lease serves at a time.

use std::time::Duration;

/// How long a lease is to take. Other clients wait that long for its worker.
const TARGET: Duration = Duration::from_millis(5);

/// The most requests that a lease serves.
pub(super) const MAX_REQUESTS: usize = 4096;

/// The most bytes that a lease is to send, and to receive. Each request is sent, however long.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Adapts to how long the last requests took, and to how long they and their replies were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    requests: usize,
    most: usize,
}

impl Pace {
    /// `max_worker_requests` is that of the pool.
    pub(super) fn new(max_worker_requests: Option<u64>) -> Self {
        let limit = max_worker_requests.and_then(|limit| usize::try_from(limit).ok());
        Self {
            requests: 1,
            most: limit.map_or(MAX_REQUESTS, |limit| limit.clamp(1, MAX_REQUESTS)),
        }
    }

    /// How many requests the next lease serves.
    pub(super) fn requests(self) -> usize {
        self.requests
    }

    /// A lease has served `requests` in this time. `bytes` is the size of the requests or of the
    /// replies, whichever is larger.
    pub(super) fn served(&mut self, requests: usize, took: Duration, bytes: usize) {
        // Grows slowly, because the next requests may be others, and short leases say little.
        let growth = self.requests.max(2 * requests);
        let in_time = TARGET.as_nanos() * requests as u128 / took.as_nanos().max(1);
        let in_bytes = (MAX_BYTES * requests).checked_div(bytes);
        self.requests = usize::try_from(in_time)
            .unwrap_or(usize::MAX)
            .min(in_bytes.unwrap_or(usize::MAX))
            .min(growth)
            .clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// C13: leases grow while they are short, and shrink at once when they get long or large.
    #[test]
    fn a_lease_takes_about_the_target() {
        let mut pace = Pace::new(None);
        let mut sizes = Vec::new();
        for _ in 0..14 {
            sizes.push(pace.requests());
            pace.served(pace.requests(), Duration::from_micros(1), 64);
        }
        assert_eq!(sizes[..5], [1, 2, 4, 8, 16]);
        assert_eq!(sizes[12..], [4096, 4096]);
        pace.served(4096, 40 * MS, 64);
        assert_eq!(pace.requests(), 512);
        pace.served(512, MS, 1 << 18);
        assert_eq!(pace.requests(), 128);
        // The end of the input is no measure.
        pace.served(1, MS, 1 << 9);
        assert_eq!(pace.requests(), 5);
        pace.served(5, 500 * MS, 0);
        assert_eq!(pace.requests(), 1);
        pace.served(1, Duration::ZERO, 0);
        assert_eq!(pace.requests(), 2);
    }

    /// No lease serves more requests than a worker may.
    #[test]
    fn a_lease_serves_at_most_the_limit_of_a_worker() {
        for (limit, most) in [(Some(3), 3), (Some(u64::MAX), 4096), (None, 4096)] {
            let mut pace = Pace::new(limit);
            for _ in 0..20 {
                pace.served(pace.requests(), Duration::ZERO, 0);
            }
            assert_eq!(pace.requests(), most);
        }
    }
}
