//! Any options: an error that names one which is out of its range, or a pool that works.
//!
//! Two bytes for each option, in a fixed order: values around the ends of its range and in the middle of it. Sizes in the middle are
//! small, because a large pool shows nothing that a small one does not.

use std::time::Duration;

use ostler_pool::testing::Sim;
use ostler_pool::{BuildError, Builder, CallError, CheckoutError, Pool};

/// The options, as their errors name them.
pub(crate) const OPTIONS: [&str; 24] = [
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
    "cancel_grace",
];

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MIN: Duration = Duration::from_nanos(1);
const MILLIS_10: Duration = Duration::from_millis(10);

/// The option that was refused, or that the pool worked.
pub(crate) fn run(data: &[u8]) -> Option<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(live(data))
}

/// An option's value, and whether it is allowed.
struct Draw<'a> {
    data: &'a [u8],
    refused: Vec<&'static str>,
    next: usize,
}

impl Draw<'_> {
    /// Where in its range the next option is, which is usually in the middle of it.
    fn place(&mut self) -> (&'static str, u8, u64) {
        let bytes = self
            .data
            .get(2 * self.next..2 * self.next + 2)
            .unwrap_or(&[0, 7]);
        let option = OPTIONS[self.next];
        self.next += 1;
        (option, bytes[0], u64::from(bytes[1]))
    }

    fn number(&mut self, least: u64, most: u64, middle: u64) -> u64 {
        let (option, place, which) = self.place();
        let value = match place {
            250 => least.saturating_sub(1),
            251 => most.saturating_add(1),
            252 => least,
            // As large as allowed, but for what would only cost memory.
            253 if most > 1 << 32 => most,
            254 => u64::MAX,
            _ => least.max(1) + which % middle,
        };
        if !(least..=most).contains(&value) {
            self.refused.push(option);
        }
        value
    }

    /// From 1, as many as fit.
    fn count(&mut self) -> u32 {
        let (option, place, which) = self.place();
        let value = match place {
            250 => 0,
            253 => u32::MAX,
            _ => 1 + (which % 9) as u32,
        };
        self.refused.extend((value == 0).then_some(option));
        value
    }

    fn time(&mut self, least: Duration) -> Duration {
        let (option, place, which) = self.place();
        let value = match place {
            249 => Duration::MAX,
            250 => Duration::ZERO,
            251 => WEEK + MIN,
            252 => least,
            253 => WEEK,
            254 => least.saturating_sub(MIN),
            _ => Duration::from_millis(10 + which * which),
        };
        if !(least..=WEEK).contains(&value) {
            self.refused.push(option);
        }
        value
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

async fn live(data: &[u8]) -> Option<&'static str> {
    let mut draw = Draw {
        data,
        refused: Vec::new(),
        next: 0,
    };
    let sim = Sim::default();
    let workers = size(draw.number(1, 4096, 6));
    let mut builder: Builder = Pool::builder(sim.clone()).size(workers);
    builder = builder.surge(size(draw.number(1, 4096, 4)));
    builder = builder.max_starting(size(draw.number(1, 4096, 9)));
    builder = builder.crash_loop(draw.count());
    let max_waiting = size(draw.number(0, u64::MAX, 9));
    builder = builder.max_waiting(max_waiting);
    builder = builder.max_sessions(size(draw.number(0, u64::MAX, 9)));
    builder = builder.health_failure_threshold(draw.count());
    builder = builder.max_worker_requests(draw.number(1, u64::MAX, 9));
    builder = builder.max_worker_memory(draw.number(1 << 20, u64::MAX, 1 << 20));
    builder = builder.error_threshold(draw.count());
    builder = builder.max_frame(size(draw.number(1024, 1 << 30, 4096)));
    builder = builder.start_timeout(draw.time(MIN));
    let backoff = draw.time(MIN);
    builder = builder
        .restart_backoff(backoff)
        .restart_backoff_max(draw.time(backoff));
    builder = builder.restart_reset(draw.time(MIN));
    builder = builder.session_idle_timeout(draw.time(MILLIS_10));
    builder = builder.health_check_interval(draw.time(MILLIS_10));
    builder = builder.health_check_timeout(draw.time(MIN));
    builder = builder.max_worker_age(draw.time(MILLIS_10));
    builder = builder.min_worker_life(draw.time(Duration::ZERO));
    builder = builder.shutdown_timeout(draw.time(MILLIS_10));
    builder = builder.checkout_timeout(draw.time(MIN));
    builder = builder.call_timeout(draw.time(MIN));
    builder = builder.cancel_grace(draw.time(MIN));
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(BuildError::InvalidOption(error)) => {
            let known = OPTIONS.iter().find(|option| **option == error.option);
            assert!(
                draw.refused.contains(&error.option),
                "{error}, but wrong are {:?}",
                draw.refused
            );
            assert_eq!(sim.books().opened, 0, "no worker was started");
            return known.copied();
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(draw.refused, [""; 0], "not refused");
    // A client who comes at once may be refused for want of a place in the queue, and for nothing else.
    match pool.call(b"hello").await {
        Ok(reply) => assert_eq!(reply, b"hello"),
        Err(CallError::Checkout(CheckoutError::QueueFull { .. })) => assert_eq!(max_waiting, 0),
        Err(other) => panic!("{other}"),
    }
    assert!(pool.resize(workers).is_ok());
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, []);
    assert_eq!(sim.books().open, 0);
    None
}
