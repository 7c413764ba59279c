//! Does the pool still work wherever one of its futures is dropped?
//!
//! Each operation first runs to its end, to count its polls. Then it runs once for each of these
//! polls and is dropped after it: at once, or after every other task has run as far as it can. So
//! no await point is missed. This is repeated in each situation of [`scenes`](crate::scenes), with
//! and without a grace for abandoned calls.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::testing::Sim;
use ostler_pool::{CheckoutError, Pool, WorkerId};
use tokio::runtime;
use tokio::time::timeout;

use crate::resources::{isolated, leaks_nothing};
use crate::rig::{Random, end, hostile, until};
use crate::scenes::{OPERATIONS, OUTCOMES, Operation, Outcome, SITUATIONS, Situation, others};

const SIZE: usize = 2;

/// When the future is dropped after its last poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    AtOnce,
    /// After other tasks ran: its wake-up may have come, and it was not polled again.
    Later,
}

/// Polls a future at most `most` times, then drops it. Returns the number of polls, and the outcome
/// if it completed.
async fn polled(
    mut future: Pin<Box<dyn Future<Output = Outcome> + '_>>,
    most: usize,
    when: When,
) -> (usize, Option<Outcome>) {
    let mut polls = 0;
    let done = poll_fn(|context| {
        if polls == most {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if polls == most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if done.is_none() && when == When::Later {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    (polls, done)
}

/// An operation in a situation, in a pool with this grace.
#[derive(Clone, Copy, Debug)]
struct Scene {
    operation: Operation,
    situation: Situation,
    grace: Option<Duration>,
}

/// Plays a scene, drops its operation after `most` polls, and checks that the pool works. Returns
/// the number of polls, and the outcome if the operation completed.
fn run(scene: Scene, most: usize, when: When) -> (usize, Option<Outcome>) {
    let Scene {
        operation,
        situation,
        grace,
    } = scene;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let sim = Sim::default();
        let pool = Pool::builder(sim.clone())
            .size(SIZE)
            .surge(SIZE)
            .checkout_timeout(Duration::from_secs(5))
            .call_timeout(Duration::from_secs(5))
            .session_idle_timeout(Duration::from_millis(200))
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        until(&pool, |status| status.serving() == SIZE).await;
        let first: Vec<WorkerId> = pool.status().workers.iter().map(|w| w.worker).collect();
        let mut leases = Vec::new();
        let own = match operation.has_lease() {
            true => Some(pool.checkout().await.unwrap()),
            false => None,
        };
        if situation != Situation::Idle {
            while let Ok(lease) = pool.try_checkout() {
                leases.push(lease);
            }
        }
        let dropped = async {
            let polled = polled(operation.begin(&pool, own), most, when).await;
            assert_eq!(pool.status().waiting, 0, "a dropped client is still queued");
            assert_goes_on(operation, situation, &pool);
            polled
        };
        let (polled, ()) = tokio::join!(biased; dropped, others(&pool, leases, situation));
        // A pool that is drained takes clients again, and a closed one does not.
        pool.resume();
        if operation == Operation::Shutdown || situation == Situation::Closing {
            let closed = pool.checkout().await.map(drop);
            assert!(matches!(closed, Err(CheckoutError::Closed)), "{closed:?}");
        } else {
            assert_works(&pool).await;
        }
        if operation == Operation::RecycleAll && situation != Situation::Closing {
            let before: Vec<_> = first
                .iter()
                .filter(|worker| is_listed(&pool, **worker))
                .collect();
            assert!(before.is_empty(), "not replaced: {before:?}");
        }
        end(&pool, &sim).await;
        polled
    })
}

fn is_listed(pool: &Pool, worker: WorkerId) -> bool {
    pool.status()
        .workers
        .iter()
        .any(|other| other.worker == worker)
}

/// Shutdown and drain act at once, so they go on after their future was dropped.
fn assert_goes_on(operation: Operation, situation: Situation, pool: &Pool) {
    match (operation, pool.try_checkout().map(drop)) {
        (Operation::Shutdown, Err(CheckoutError::Closed))
        | (Operation::Drain, Err(CheckoutError::Draining { .. })) => {}
        (Operation::Drain, Err(CheckoutError::Closed)) if situation == Situation::Closing => {}
        (Operation::Shutdown | Operation::Drain, intake) => panic!("{intake:?}"),
        _ => {}
    }
}

/// Checks that the pool is at its size with no client waiting, and that each worker answers with
/// its own reply.
async fn assert_works(pool: &Pool) {
    drop(pool.checkout().await.unwrap());
    until(pool, |status| {
        let idle = status.occupancy().ready;
        idle == SIZE && status.workers.len() == SIZE && status.waiting == 0
    })
    .await;
    let mut leases = join_all((0..SIZE).map(|_| async { pool.checkout().await.unwrap() })).await;
    for (number, lease) in leases.iter_mut().enumerate() {
        let canary = format!("canary {number}");
        assert_eq!(
            lease.call(canary.as_bytes()).await.unwrap(),
            canary.as_bytes()
        );
    }
    assert!(pool.try_checkout().is_err(), "more leases than workers");
}

/// C1, C2, C3, L1, L6: every operation, dropped at every await point in every situation, at once
/// and later, leaves a working pool.
#[test]
fn a_future_may_be_dropped_anywhere() {
    let mut points = BTreeMap::new();
    let mut runs = 0;
    let mut outcomes = format!("\n{:28}", "");
    for situation in SITUATIONS {
        outcomes += &format!("{:14}", format!("{situation:?}"));
    }
    outcomes.truncate(outcomes.trim_end().len());
    outcomes.push('\n');
    for operation in OPERATIONS {
        let mut line = format!("{operation:?}");
        for situation in SITUATIONS {
            let mut undisturbed = Vec::new();
            for grace in [None, Some(Duration::from_secs(1))] {
                let scene = Scene {
                    operation,
                    situation,
                    grace,
                };
                let (polls, outcome) = run(scene, usize::MAX, When::AtOnce);
                undisturbed.push(outcome.expect("it was not dropped"));
                for most in 0..polls {
                    for when in [When::AtOnce, When::Later] {
                        let (_, outcome) = run(scene, most, when);
                        // Dropped before its last poll, the operation has no outcome.
                        assert_eq!(outcome, None, "{scene:?} {most} {when:?}");
                        runs += 1;
                    }
                }
                *points.entry(operation).or_insert(0) += polls;
            }
            assert_eq!(
                undisturbed[0], undisturbed[1],
                "the grace changed the outcome"
            );
            line = format!("{line:28}{:14}", undisturbed[0]);
        }
        outcomes += line.trim_end();
        outcomes.push('\n');
    }
    println!("{runs} drops; polls of each operation in its scenes: {points:?}");
    assert!(outcomes == OUTCOMES, "{outcomes}is not{OUTCOMES}");
    // Each operation waits at least once in some situation.
    assert!(points.values().all(|polls| *polls > 2 * SITUATIONS.len()));
    assert!(runs > 1_500);
}

/// L18: of two concurrent shutdowns, one may be dropped at any point, and the other still reports.
#[test]
fn one_of_two_shutdowns_may_be_dropped() {
    let run = |most| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let sim = Sim::default();
            let pool = Pool::builder(sim.clone()).size(SIZE).build().unwrap();
            until(&pool, |status| status.serving() == SIZE).await;
            let (one, other) = (pool.shutdown(), pool.shutdown());
            let one = Box::pin(async {
                assert_eq!(one.await.workers.len(), SIZE);
                "ok"
            });
            let polled = polled(one, most, When::AtOnce).await;
            let report = other.await;
            assert_eq!((report.unreleased.len(), report.workers.len()), (0, SIZE));
            end(&pool, &sim).await;
            polled
        })
    };
    let (polls, outcome) = run(usize::MAX);
    assert!(polls > 1 && outcome.is_some(), "{polls} {outcome:?}");
    for most in 0..polls {
        assert_eq!(run(most).1, None, "{most}");
    }
}

/// C2, P5: calls and checkouts of real workers are dropped at random moments. Every later call gets
/// its own reply, and nothing leaks.
#[test]
fn calls_of_real_workers_may_be_dropped_at_any_moment() {
    if !isolated("product::calls_of_real_workers_may_be_dropped_at_any_moment") {
        return;
    }
    const DROPS: u64 = 150;
    const CLIENTS: u64 = 3;
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    leaks_nothing(async || {
        let pool = hostile()
            .size(SIZE)
            .surge(SIZE)
            .abandoned_calls(crate::cancel(Duration::from_secs(60)))
            .build()
            .unwrap();
        let client = async |client: u64| {
            let mut random = Random::new(seed ^ client);
            for number in 0..DROPS {
                let after = Duration::from_micros(random.below(3000));
                match random.below(3) {
                    0 => drop(timeout(after, pool.checkout()).await),
                    1 => drop(timeout(after, pool.call(b"many 100000")).await),
                    _ => drop(timeout(after, pool.call(b"sleep 0.001")).await),
                }
                let canary = format!("think {client}.{number}");
                let reply = pool.call(canary.as_bytes()).await.unwrap();
                assert_eq!(reply, &canary.as_bytes()["think ".len()..]);
            }
        };
        join_all((0..CLIENTS).map(client)).await;
        assert_eq!(pool.status().waiting, 0);
        let report = pool.shutdown().await;
        assert_eq!(report.unreleased, []);
        assert_eq!(report.counters.opened, report.counters.released);
        assert!(report.counters.calls >= CLIENTS * DROPS);
    });
}
