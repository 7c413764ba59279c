//! Does the pool say when it serves, or why it does not, and do callers wait for the first start?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ostler_pool::port::{BoxFuture, Opener, Port, Start};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CheckoutError, DrainEnd, OpenError, Pool, StartError};
use tokio::time::{Instant, sleep};

use crate::rig::{begin, end, pool, until};

const SECOND: Duration = Duration::from_secs(1);

/// A [`Sim`] whose ports take some time to open, and whose program is missing at some of its first
/// starts.
#[derive(Debug)]
struct First {
    sim: Sim,
    takes: Duration,
    /// The numbers of the starts that do not find the program.
    missing: std::ops::Range<usize>,
    starts: AtomicUsize,
}

impl First {
    fn slow(sim: &Sim, takes: Duration) -> Self {
        Self {
            sim: sim.clone(),
            takes,
            missing: 0..0,
            starts: AtomicUsize::new(0),
        }
    }

    fn missing(sim: &Sim, missing: std::ops::Range<usize>) -> Self {
        Self {
            missing,
            ..Self::slow(sim, Duration::ZERO)
        }
    }
}

impl Opener for First {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let number = self.starts.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            sleep(self.takes).await;
            if self.missing.contains(&number) {
                let program = "absent".to_owned();
                return Err(OpenError::NotFound { program });
            }
            Opener::open(&self.sim, start).await
        })
    }
}

fn last_of(refused: Result<ostler_pool::Lease, CheckoutError>) -> StartError {
    match refused {
        Err(CheckoutError::CrashLoop { last }) => last,
        other => panic!("{other:?}"),
    }
}

/// R31: the pool is ready when its first worker serves, although another one is still starting, and
/// stays ready while one serves. If the last one is gone, it is ready with the next one.
#[tokio::test(start_paused = true)]
async fn a_pool_is_ready_when_a_worker_serves() {
    let sim = Sim::new([Script::SlowStart, Script::NoHandshake, Script::SlowStart]);
    let pool = pool(&sim, 2).build().unwrap();
    let since = Instant::now();
    let (one, other) = tokio::join!(pool.ready(), pool.ready());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(since.elapsed(), Duration::from_millis(60));
    assert_eq!(pool.status().serving(), 1);
    pool.ready().await.unwrap();
    let lease = pool.checkout().await.unwrap();
    assert!(pool.ready().await.is_ok(), "a busy worker serves, too");
    drop(lease);
    pool.call(b"exit").await.unwrap_err();
    let since = Instant::now();
    pool.ready().await.unwrap();
    assert_eq!(since.elapsed(), Duration::from_millis(60));
    assert_eq!(pool.status().serving(), 1);
    end(&pool, &sim).await;
}

/// R32: a final start failure fails waiting callers and `ready` at once, not after `crash_loop`
/// starts. The pool keeps retrying, and is ready once a start succeeds.
#[tokio::test(start_paused = true)]
async fn a_final_failure_fails_callers_at_once() {
    let sim = Sim::default();
    let opener = First::missing(&sim, 0..2);
    let pool = Pool::builder(opener).size(1).build().unwrap();
    let since = Instant::now();
    let (ready, refused) = tokio::join!(pool.ready(), pool.checkout());
    assert_eq!(since.elapsed(), Duration::ZERO);
    for failure in [ready.unwrap_err(), last_of(refused)] {
        assert!(failure.is_final(), "{failure:?}");
        let worker = failure.worker().unwrap();
        assert_eq!(
            failure.to_string(),
            format!("worker {worker} could not be opened")
        );
    }
    assert_eq!(pool.status().counters.opened, 1);
    until(&pool, |status| status.serving() == 1).await;
    assert_eq!(pool.status().counters.opened, 3);
    pool.ready().await.unwrap();
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    end(&pool, &sim).await;
}

/// R32: once a worker has served, the same failure counts as any other: callers wait for the next
/// start.
#[tokio::test(start_paused = true)]
async fn a_final_failure_is_repeated_once_the_pool_has_served() {
    let sim = Sim::default();
    let opener = First::missing(&sim, 1..4);
    let pool = Pool::builder(opener).size(1).build().unwrap();
    pool.call(b"exit").await.unwrap_err();
    until(&pool, |status| status.serving() == 0).await;
    let (ready, reply) = tokio::join!(pool.ready(), pool.call(b"hello"));
    ready.unwrap();
    assert_eq!(reply.unwrap(), b"hello");
    assert!(pool.status().last_failure.unwrap().is_final());
    assert_eq!(pool.status().counters.opened, 5);
    end(&pool, &sim).await;
}

/// R31: a failure that may go away is repeated. `ready` fails when callers do, with the last one.
#[tokio::test(start_paused = true)]
async fn ready_fails_in_a_crash_loop() {
    let sim = Sim::new([Script::ExitsAtStart; 3]);
    let pool = pool(&sim, 1).crash_loop(3).build().unwrap();
    let (ready, refused) = tokio::join!(pool.ready(), pool.checkout());
    for failure in [ready.unwrap_err(), last_of(refused)] {
        assert!(!failure.is_final(), "{failure:?}");
        let worker = failure.worker().unwrap();
        assert_eq!((worker.slot, worker.generation), (0, 3), "{failure:?}");
    }
    let again = pool.ready().await.unwrap_err();
    assert_eq!(again.worker().unwrap().generation, 3);
    until(&pool, |status| status.serving() == 1).await;
    pool.ready().await.unwrap();
    end(&pool, &sim).await;
}

/// R31: a pool that shuts down is not ready, and callers that already wait in `ready` fail. A
/// draining pool is ready.
#[tokio::test(start_paused = true)]
async fn a_closed_pool_is_not_ready() {
    let sim = Sim::new([Script::Good, Script::NoHandshake]);
    let draining = pool(&sim, 1).build().unwrap();
    assert_eq!(draining.drain().await, DrainEnd::Drained);
    draining.ready().await.unwrap();
    end(&draining, &sim).await;
    assert!(matches!(draining.ready().await, Err(StartError::Closed)));

    let starting = pool(&sim, 1).build().unwrap();
    {
        let mut dropped = pin!(starting.ready());
        begin(&mut dropped).await;
    }
    let mut waits = pin!(starting.ready());
    begin(&mut waits).await;
    drop(starting.shutdown());
    let closed = waits.await.unwrap_err();
    assert_eq!(
        closed.to_string(),
        "the pool was shut down before a worker served"
    );
    assert_eq!((closed.worker(), closed.is_final()), (None, false));
    end(&starting, &sim).await;
}

/// R33: a caller waits for the first start, however much longer than `checkout_timeout` it takes.
/// From then on, the timeout runs for those that wait already, and for each that comes later.
#[tokio::test(start_paused = true)]
async fn the_first_start_does_not_count_against_checkout_timeout() {
    let sim = Sim::default();
    let opener = First::slow(&sim, 7 * SECOND);
    let pool = Pool::builder(opener).size(1).checkout_timeout(5 * SECOND);
    let pool = pool.build().unwrap();
    let since = Instant::now();
    let first = async {
        let lease = pool.checkout().await.unwrap();
        (lease, since.elapsed())
    };
    let early = async {
        // After the first, which gets the worker.
        sleep(SECOND).await;
        (pool.checkout().await, since.elapsed())
    };
    let later = async {
        sleep(9 * SECOND).await;
        (pool.checkout().await, since.elapsed())
    };
    let ((lease, served), (early, early_at), (later, later_at)) = tokio::join!(first, early, later);
    assert_eq!(
        (served, early_at, later_at),
        (7 * SECOND, 12 * SECOND, 14 * SECOND)
    );
    for late in [early, later] {
        let text = late.unwrap_err().to_string();
        assert!(
            text.starts_with("no worker became free within 5 s "),
            "{text}"
        );
    }
    drop(lease);
    assert_eq!(pool.status().counters.gave_up, 2);
    assert_eq!(pool.status().waiting, 0);
    end(&pool, &sim).await;
}

/// R33: a request's own `checkout_timeout` runs from the start, although no worker has served yet.
#[tokio::test(start_paused = true)]
async fn the_first_start_counts_against_the_timeout_of_a_request() {
    let sim = Sim::default();
    let opener = First::slow(&sim, 7 * SECOND);
    let pool = Pool::builder(opener).size(1).build().unwrap();
    let since = Instant::now();
    let request = pool.request("x").checkout_timeout(2 * SECOND);
    let refused = request.send().await.unwrap_err().to_string();
    assert_eq!(since.elapsed(), 2 * SECOND);
    assert!(
        refused.starts_with("no worker became free within 2 s "),
        "{refused}"
    );
    end(&pool, &sim).await;
}

/// R33: if the first start never finishes, callers fail after `crash_loop` starts of
/// `start_timeout` each.
#[tokio::test(start_paused = true)]
async fn the_wait_for_the_first_start_has_an_end() {
    let sim = Sim::new([Script::NoHandshake; 2]);
    let pool = pool(&sim, 1)
        .start_timeout(30 * SECOND)
        .crash_loop(2)
        .checkout_timeout(SECOND)
        .build()
        .unwrap();
    let since = Instant::now();
    let last = last_of(pool.checkout().await);
    assert!(matches!(last, StartError::TimedOut { .. }), "{last:?}");
    // Twice the timeout, and the first backoff of 100 ms, with its jitter.
    let took = since.elapsed();
    assert!(took > 60 * SECOND && took < 61 * SECOND, "{took:?}");
    end(&pool, &sim).await;
}
