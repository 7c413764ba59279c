//! Builds pools with arbitrary options. The build must either name an option that is out of its
//! range or give a pool that works.
//!
//! Two bytes choose the value of each option, in a fixed order: usually inside its range, otherwise
//! at or beyond a bound. Values inside the range are small, because a large pool adds no coverage.

use std::time::Duration;

use ostler_pool::testing::Sim;
use ostler_pool::{AbandonedCalls, BuildError, Builder, CallError, CheckoutError, Pool};

/// The names of the options in error texts, in the order in which the input sets them.
pub(crate) const OPTIONS: [&str; 26] = [
    "size",
    "surge",
    "max_starting",
    "crash_loop",
    "max_waiting",
    "max_sessions",
    "health_failure_threshold",
    "max_worker_requests",
    "max_worker_memory",
    "error_threshold",
    "max_frame",
    "start_timeout",
    "restart_backoff",
    "restart_backoff_max",
    "restart_reset",
    "session_idle_timeout",
    "health_check_interval",
    "health_check_timeout",
    "max_worker_age",
    "min_worker_life",
    "shutdown_timeout",
    "checkout_timeout",
    "call_timeout",
    "abandoned_calls",
    "session_grace",
    "release_timeout",
];

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MIN: Duration = Duration::from_nanos(1);
const MILLIS_10: Duration = Duration::from_millis(10);

/// Returns the option that the build rejected. `None`: the pool worked.
pub(crate) fn run(data: &[u8]) -> Option<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(check(data))
}

/// Chooses the options' values and remembers which ones are out of range.
struct Values<'a> {
    data: &'a [u8],
    out_of_range: Vec<&'static str>,
    next: usize,
}

impl Values<'_> {
    /// The name of the next option, the byte that chooses a bound or the middle of its range, and
    /// the byte that chooses a value in the middle.
    fn next_option(&mut self) -> (&'static str, u8, u64) {
        let bytes = self
            .data
            .get(2 * self.next..2 * self.next + 2)
            .unwrap_or(&[0, 7]);
        let option = OPTIONS[self.next];
        self.next += 1;
        (option, bytes[0], u64::from(bytes[1]))
    }

    fn number(&mut self, min: u64, max: u64, middle: u64) -> u64 {
        let (option, bound, offset) = self.next_option();
        let value = match bound {
            250 => min.saturating_sub(1),
            251 => max.saturating_add(1),
            252 => min,
            // Only where the maximum does not cost memory.
            253 if max > 1 << 32 => max,
            254 => u64::MAX,
            _ => min.max(1) + offset % middle,
        };
        if !(min..=max).contains(&value) {
            self.out_of_range.push(option);
        }
        value
    }

    /// A count of at least 1.
    fn count(&mut self) -> u32 {
        let (option, bound, offset) = self.next_option();
        let value = match bound {
            250 => 0,
            253 => u32::MAX,
            _ => 1 + (offset % 9) as u32,
        };
        self.out_of_range.extend((value == 0).then_some(option));
        value
    }

    fn time(&mut self, min: Duration) -> Duration {
        let (option, bound, offset) = self.next_option();
        let value = match bound {
            249 => Duration::MAX,
            250 => Duration::ZERO,
            251 => WEEK + MIN,
            252 => min,
            253 => WEEK,
            254 => min.saturating_sub(MIN),
            _ => Duration::from_millis(10 + offset * offset),
        };
        if !(min..=WEEK).contains(&value) {
            self.out_of_range.push(option);
        }
        value
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

async fn check(data: &[u8]) -> Option<&'static str> {
    let mut values = Values {
        data,
        out_of_range: Vec::new(),
        next: 0,
    };
    let sim = Sim::default();
    let workers = size(values.number(1, 16_384, 6));
    let mut builder: Builder = Pool::builder(sim.clone()).size(workers);
    builder = builder.surge(size(values.number(1, 16_384, 4)));
    builder = builder.max_starting(size(values.number(1, 16_384, 9)));
    builder = builder.crash_loop(values.count());
    let max_waiting = size(values.number(0, u64::MAX, 9));
    builder = builder.max_waiting(max_waiting);
    builder = builder.max_sessions(size(values.number(0, u64::MAX, 9)));
    builder = builder.health_failure_threshold(values.count());
    builder = builder.max_worker_requests(values.number(1, u64::MAX, 9));
    builder = builder.max_worker_memory(values.number(1 << 20, u64::MAX, 1 << 20));
    builder = builder.error_threshold(values.count());
    builder = builder.max_frame(size(values.number(1024, 1 << 30, 4096)));
    builder = builder.start_timeout(values.time(MIN));
    let backoff = values.time(MIN);
    builder = builder
        .restart_backoff(backoff)
        .restart_backoff_max(values.time(backoff));
    builder = builder.restart_reset(values.time(MIN));
    builder = builder.session_idle_timeout(values.time(MILLIS_10));
    builder = builder.health_check_interval(values.time(MILLIS_10));
    builder = builder.health_check_timeout(values.time(MIN));
    builder = builder.max_worker_age(values.time(MILLIS_10));
    builder = builder.min_worker_life(values.time(Duration::ZERO));
    builder = builder.shutdown_timeout(values.time(MILLIS_10));
    builder = builder.checkout_timeout(values.time(MIN));
    builder = builder.call_timeout(values.time(MIN));
    builder = builder.abandoned_calls(AbandonedCalls::Cancel(values.time(MIN)));
    builder = builder.session_grace(values.time(Duration::ZERO));
    builder = builder.release_timeout(values.time(MILLIS_10));
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(BuildError::InvalidOption(error)) => {
            let known = OPTIONS.iter().find(|option| **option == error.option);
            assert!(
                values.out_of_range.contains(&error.option),
                "{error}, but the options out of range are {:?}",
                values.out_of_range
            );
            assert_eq!(sim.stats().opened, 0, "a rejected pool started a worker");
            return known.copied();
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(
        values.out_of_range, [""; 0],
        "the build accepted these options"
    );
    // With `max_waiting` 0, the call may be refused, because no worker is ready yet.
    match pool.call(b"hello").await {
        Ok(reply) => assert_eq!(reply, b"hello"),
        Err(CallError::Checkout(CheckoutError::QueueFull { .. })) => assert_eq!(max_waiting, 0),
        Err(other) => panic!("{other}"),
    }
    assert!(pool.resize(workers).is_ok());
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, []);
    assert_eq!(sim.stats().open, 0);
    None
}
