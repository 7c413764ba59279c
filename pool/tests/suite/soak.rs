//! Does anything grow over a long run?
//!
//! Each round runs two pools at once: one of `hostile.py` workers with injected faults, as in
//! `endurance`, and one of Python workers with sessions, streams and cancelled calls, which is
//! recycled, resized and drained meanwhile. Each round ends with a shutdown of both, in every third
//! round while clients still call, and checks that nothing leaked.
//!
//! `OSTLER_SOAK_MINUTES` sets the duration. One line of figures is printed per minute:
//! `cargo test --release -p ostler-pool --test suite -- --ignored soak --nocapture`.

use std::time::{Duration, Instant};
use std::{env, fmt};

use futures_util::future::join_all;
use ostler_pool::testing::{Resources, resident_bytes};
use ostler_pool::{CallError, CheckoutError, Pool, Python, RollingError, SessionError};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::endurance::{GROWTH, Tally, call_with_faults, workers};
use crate::resources::{isolated, modules};
use crate::rig::Random;

/// Clients of the Python workers.
const CLIENTS: u64 = 6;

/// Operations of each client in a round.
const CALLS: u64 = 120;

/// Counts since the beginning.
#[derive(Debug, Default)]
struct Figures {
    rounds: u64,
    faults: Tally,
    answered: u64,
    streamed: u64,
    raised: u64,
    cancelled: u64,
    /// Calls and sessions that failed because the pool or the session was draining, closed, lost or
    /// ended.
    lost: u64,
    opened: u64,
    recycled: u64,
    /// Rolling restarts that completed.
    rolled: u64,
    /// The duration of each call that was completed since the last printed line.
    took: Vec<Duration>,
}

/// Nothing grows in five seconds.
#[test]
fn nothing_grows_in_five_seconds() {
    soak("nothing_grows_in_five_seconds", Duration::from_secs(5));
}

/// Nothing grows in `OSTLER_SOAK_MINUTES`.
#[test]
#[ignore = "takes as long as `OSTLER_SOAK_MINUTES` says, or three minutes"]
fn soak_for_minutes() {
    let minutes = env::var("OSTLER_SOAK_MINUTES").map_or(3, |text| text.parse().expect("a number"));
    soak("soak_for_minutes", Duration::from_secs(60 * minutes));
}

fn soak(name: &str, duration: Duration) {
    if !isolated(&format!("soak::{name}")) {
        return;
    }
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let runtime = Runtime::new().unwrap();
    let (begin, mut line) = (Instant::now(), Instant::now());
    let mut figures = Figures::default();
    // The first rounds warm up what is never freed: the allocator, the runtime's threads.
    let mut before = None;
    for round in 0.. {
        if round == 3 {
            before = Some((Resources::snapshot(), resident_bytes()));
        }
        if begin.elapsed() > duration && round > 3 {
            break;
        }
        runtime.block_on(figures.round(seed.wrapping_add(round)));
        if let Some((resources, memory)) = &before {
            resources.assert_no_leaks(&[]);
            assert!(
                resident_bytes() < memory + GROWTH,
                "{} KiB -> {}",
                memory >> 10,
                resident_bytes() >> 10
            );
        }
        if line.elapsed() > Duration::from_secs(60) {
            println!("{:5.0} s  {figures}", begin.elapsed().as_secs_f64());
            figures.took.clear();
            line = Instant::now();
        }
    }
    println!("{:5.0} s  {figures}", begin.elapsed().as_secs_f64());
    for (what, count) in [
        ("answered", figures.answered),
        ("streamed", figures.streamed),
        ("raised", figures.raised),
        ("cancelled", figures.cancelled),
        ("recycled", figures.recycled),
    ] {
        assert!(count > 0, "none was {what}");
    }
}

impl Figures {
    async fn round(&mut self, seed: u64) {
        self.rounds += 1;
        let faults = async {
            let pool = workers()
                .call_timeout(Duration::from_secs(2))
                .size(3)
                .surge(3)
                .build()
                .unwrap();
            let tally = call_with_faults(&pool, seed, 200).await;
            self.faults = std::mem::take(&mut self.faults).and(tally);
            let report = pool.shutdown().await;
            assert_eq!(report.unreleased, []);
            report.counters
        };
        let python = async {
            let pool = python();
            // In every third round, the first client stops half-way and shuts the pool down.
            let early = self.rounds.is_multiple_of(3);
            let clients = (0..CLIENTS).map(async |number| {
                let leaves = early && number == 0;
                let calls = if leaves { CALLS / 2 } else { CALLS };
                let seen = client(&pool, seed ^ (number << 32), calls).await;
                if leaves {
                    drop(pool.shutdown());
                }
                seen
            });
            let seen = join_all(clients).await;
            if !early {
                // Each drain was resumed.
                assert_eq!(pool.call("many 3").await.unwrap(), b"mmm");
            }
            let report = pool.shutdown().await;
            assert_eq!(report.unreleased, []);
            (seen, report.counters)
        };
        let (faults, (seen, python)) = tokio::join!(faults, python);
        for counters in [faults, python] {
            assert_eq!(counters.opened, counters.released);
            self.opened += counters.opened;
            self.recycled += counters.recycled;
        }
        for one in seen {
            self.answered += one.answered;
            self.streamed += one.streamed;
            self.raised += one.raised;
            self.cancelled += one.cancelled;
            self.lost += one.lost;
            self.rolled += one.rolled;
            self.took.extend(one.took);
        }
    }

    /// Checks that the outcome fits the request, and counts it.
    fn count(
        &mut self,
        since: Instant,
        outcome: Result<Vec<u8>, CallError>,
        expected: Option<&[u8]>,
    ) {
        match (outcome, expected) {
            (Ok(reply), Some(expected)) => {
                assert_eq!(reply, expected);
                self.answered += 1;
                self.took.push(since.elapsed());
            }
            (Err(CallError::Raised { .. }), None) => self.raised += 1,
            (Err(CallError::Checkout(error)), _) => self.refused(&error),
            (
                Err(CallError::Session(
                    SessionError::Draining { .. }
                    | SessionError::Closed
                    | SessionError::Lost { .. }
                    | SessionError::Ended,
                )),
                _,
            ) => self.lost += 1,
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Takes `taken` parts of a stream of five.
    async fn stream(&mut self, pool: &Pool, taken: u64) {
        let mut lease = match pool.checkout().await {
            Ok(lease) => lease,
            Err(error) => return self.refused(&error),
        };
        let mut parts = lease.stream(b"fill 5 1000").unwrap();
        for _ in 0..taken.min(5) {
            assert_eq!(parts.next().await.unwrap().unwrap(), [b'b'; 1000]);
        }
        if taken > 5 {
            assert!(parts.next().await.is_none());
            self.streamed += 1;
        } else {
            self.cancelled += 1;
        }
    }

    /// Only a drain or a shutdown may reject a client; none may time out.
    fn refused(&mut self, error: &CheckoutError) {
        match error {
            CheckoutError::Draining { .. } | CheckoutError::Closed => self.lost += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// Python workers with limits that are reached soon.
fn python() -> Pool {
    let moment = Duration::from_millis(1);
    Pool::builder(Python::function("hostile:run").path(modules()))
        .size(3)
        .surge(2)
        .max_worker_requests(50)
        .session_idle_timeout(Duration::from_millis(100))
        .min_worker_life(Duration::ZERO)
        .health_check_interval(Duration::from_millis(50))
        .restart_backoff(moment)
        .restart_backoff_max(moment)
        .abandoned_calls(crate::cancel(Duration::from_secs(60)))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

async fn client(pool: &Pool, seed: u64, rounds: u64) -> Figures {
    let mut random = Random::new(seed);
    let mut seen = Figures::default();
    for number in 0..rounds {
        let (since, which) = (Instant::now(), random.below(3));
        match random.below(40) {
            0 => pool.resize(2 + usize::try_from(which).unwrap()).unwrap(),
            1 => match pool.recycle_all().await {
                Ok(_) => seen.rolled += 1,
                Err(RollingError::Closed { .. }) => {}
                Err(other) => panic!("{other}"),
            },
            2 => {
                drop(pool.drain());
                tokio::task::yield_now().await;
                pool.resume();
            }
            3..8 => {
                let after = Duration::from_micros(random.below(2000));
                let call = timeout(after, pool.call(b"sleep 0.01"));
                match call.await {
                    Err(_) => seen.cancelled += 1,
                    Ok(outcome) => seen.count(since, outcome, Some(b"slept")),
                }
            }
            8..11 => seen.count(since, pool.call(b"fail on purpose").await, None),
            11..15 => match pool.session(&which.to_string()) {
                Ok(session) => {
                    let request = format!("think {number}");
                    let outcome = session.call(request.as_bytes()).await;
                    seen.count(since, outcome, Some(number.to_string().as_bytes()));
                    if which == 0 {
                        session.end();
                    }
                }
                Err(SessionError::Draining { .. } | SessionError::Closed) => seen.lost += 1,
                Err(other) => panic!("{other:?}"),
            },
            15..20 => seen.stream(pool, random.below(10)).await,
            _ => {
                let size = usize::try_from(random.below(3000)).unwrap();
                let outcome = pool.call(format!("many {size}").as_bytes()).await;
                seen.count(since, outcome, Some(&vec![b'm'; size]));
            }
        }
    }
    seen
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |part: usize| {
            took.get(took.len() * part / 100)
                .copied()
                .unwrap_or_default()
        };
        let resources = Resources::snapshot();
        write!(
            f,
            "{} rounds: {} answered, {} streamed, {} raised, {} cancelled, {} lost; faults: {:?}; \
             {} workers opened, {} recycled, {} rolling restarts; {} KiB, {} descriptors, {} children; \
             a call took {:?} (median), {:?} (99th percentile)",
            self.rounds,
            self.answered,
            self.streamed,
            self.raised,
            self.cancelled,
            self.lost,
            self.faults,
            self.opened,
            self.recycled,
            self.rolled,
            resident_bytes() >> 10,
            resources.descriptors.len(),
            resources.children.len(),
            at(50),
            at(99),
        )
    }
}
