//! Do concurrent calls that share a lease each get what they would get alone?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), in a pool that collects
//! requests, and Python functions of a list.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join, join_all};
use ostler_pool::port::{Batching, BoxFuture, OpenError, Opener, Port, Start};
use ostler_pool::testing::Sim;
use ostler_pool::{BuildError, Builder, CallError, CheckoutError, Pool, Python};
use tokio::time::{Instant, sleep};

use crate::batches::told;
use crate::resources::modules;
use crate::rig::{begin, end, until};

const MS: Duration = Duration::from_millis(1);

/// Workers of a simulation, and how their pool collects requests.
#[derive(Debug)]
struct Together(Sim, Batching);

impl Opener for Together {
    fn batching(&self) -> Option<Batching> {
        Some(self.1)
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Opener::open(&self.0, start)
    }
}

fn pool(sim: &Sim, max: usize, wait: Duration) -> Builder {
    Pool::builder(Together(sim.clone(), Batching::new(max, wait))).size(1)
}

async fn call_all(pool: &Pool, requests: &[&str]) -> Vec<String> {
    let outcomes = join_all(requests.iter().map(|request| pool.call(request))).await;
    outcomes.iter().map(told).collect()
}

/// C19: callers that come together share leases, and each gets its own reply or error. The request
/// of each is a call.
#[tokio::test(start_paused = true)]
async fn each_caller_has_its_outcome() {
    let sim = Sim::default();
    let pool = pool(&sim, 4, 10 * MS).max_frame(1024).build().unwrap();
    let long = "x".repeat(1020);
    let requests = ["a", "raise", "", &long, "b", "c", "d", "e", "f", "g"];
    let raised = "raised ValueError: no";
    let too_long = "1020 of 1019 bytes";
    assert_eq!(
        call_all(&pool, &requests).await,
        ["a", raised, "", too_long, "b", "c", "d", "e", "f", "g"]
    );
    let counters = pool.status().counters;
    assert_eq!((counters.granted, counters.calls), (3, 9));
    end(&pool, &sim).await;
}

/// C20: a lease goes as soon as it has as many requests as it may have, or when the first is old
/// enough, whichever comes first.
#[tokio::test(start_paused = true)]
async fn a_lease_waits_for_others_as_long_as_it_may() {
    let sim = Sim::default();
    let pool = pool(&sim, 3, 100 * MS).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let since = Instant::now();
    let late = async {
        sleep(60 * MS).await;
        (pool.call("two").await.unwrap(), since.elapsed())
    };
    let (one, (two, took)) = join(pool.call("one"), late).await;
    assert_eq!((one.unwrap(), two), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(took, 100 * MS);
    assert_eq!(pool.status().counters.granted, 1);
    let since = Instant::now();
    let third = async {
        sleep(60 * MS).await;
        pool.call("three").await
    };
    let all = join_all([pool.call("one"), pool.call("two")]);
    join(all, third).await.1.unwrap();
    assert_eq!(since.elapsed(), 60 * MS);
    assert_eq!(pool.status().counters.granted, 2);
    end(&pool, &sim).await;
}

/// C20: the time that a request has waited for a lease counts, even if a later caller's lease takes
/// the request.
#[tokio::test(start_paused = true)]
async fn a_request_does_not_wait_twice() {
    let sim = Sim::default();
    let pool = pool(&sim, 3, 100 * MS).size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let held = (pool.checkout().await, pool.checkout().await);
    let mut early = pin!(pool.call("one"));
    begin(&mut early).await;
    sleep(100 * MS).await;
    // Both callers get a lease, and the later one is the first to look.
    drop(held);
    let since = Instant::now();
    assert_eq!(pool.call("two").await.unwrap(), b"two");
    assert_eq!(early.await.unwrap(), b"one");
    assert!(since.elapsed() < 10 * MS, "{:?}", since.elapsed());
    assert_eq!(pool.status().counters.calls, 2);
    end(&pool, &sim).await;
}

/// C20: the end of a full lease does not close the lease that later callers share.
#[tokio::test(start_paused = true)]
async fn a_full_lease_leaves_the_next_one_open() {
    let sim = Sim::default();
    let pool = pool(&sim, 2, 10 * MS).size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let since = Instant::now();
    assert_eq!(call_all(&pool, &["a", "b", "c"]).await, ["a", "b", "c"]);
    assert_eq!(since.elapsed(), 10 * MS);
    assert_eq!(pool.status().counters.granted, 2);
    end(&pool, &sim).await;
}

/// C20: with a wait of zero, callers that queued for the same worker share its lease.
#[tokio::test(start_paused = true)]
async fn callers_meet_while_the_worker_is_busy() {
    let sim = Sim::default();
    let pool = pool(&sim, 8, Duration::ZERO).build().unwrap();
    let first = pool.call("think");
    let others = async {
        until(&pool, |status| status.occupancy().busy == 1).await;
        call_all(&pool, &["a", "b", "raise", "c"]).await
    };
    let (first, others) = join(first, others).await;
    assert_eq!(first.unwrap(), b"think");
    assert_eq!(others, ["a", "b", "raised ValueError: no", "c"]);
    // Two leases: `think` has one, and the other four callers share one. So three of the four leave
    // the queue without a lease of their own.
    assert_eq!(pool.status().counters.granted, 2);
    assert_eq!(pool.status().counters.gave_up, 3);
    end(&pool, &sim).await;
}

/// C2, C21: a caller that gives up is not served, or its reply is dropped. The others are served.
#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_concerns_no_other() {
    let sim = Sim::default();
    let pool = pool(&sim, 8, 10 * MS).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let [mut gathered, mut served, mut other] =
        ["hang", "think", "other"].map(|request| Box::pin(pool.call(request)));
    for call in [&mut gathered, &mut served, &mut other] {
        begin(&mut call.as_mut()).await;
    }
    // While the lease waits for others, and while the worker works.
    drop(gathered);
    sleep(12 * MS).await;
    drop(served);
    assert_eq!(other.await.unwrap(), b"other");
    assert_eq!(pool.status().counters.calls, 2);
    // While it waits in the queue.
    let lease = pool.checkout().await.unwrap();
    let mut queued = Box::pin(pool.call("hang"));
    begin(&mut queued.as_mut()).await;
    assert_eq!(pool.status().waiting, 1);
    drop(queued);
    assert_eq!(pool.status().waiting, 0);
    drop(lease);
    assert_eq!(pool.call("next").await.unwrap(), b"next");
    assert_eq!((sim.stats().opened, pool.status().counters.faulted), (1, 0));
    end(&pool, &sim).await;
}

/// C2, C21: when all callers have given up, their call is abandoned.
#[tokio::test(start_paused = true)]
async fn a_call_without_callers_is_abandoned() {
    let sim = Sim::default();
    // Nothing but their drop ends the call.
    let pool = pool(&sim, 2, 10 * MS).call_timeout(Duration::from_secs(3600));
    let pool = pool.build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let mut calls = ["hang", "hang"].map(|request| Box::pin(pool.call(request)));
    for call in &mut calls {
        begin(&mut call.as_mut()).await;
    }
    let [first, second] = calls;
    drop(second);
    sleep(MS).await;
    assert_eq!(pool.status().counters.faulted, 0);
    drop(first);
    until(&pool, |status| status.counters.faulted == 1).await;
    assert_eq!(pool.call("next").await.unwrap(), b"next");
    // Nothing is sent for callers that are gone by then.
    let mut call = Box::pin(pool.call("hang"));
    begin(&mut call.as_mut()).await;
    drop(call);
    until(&pool, |status| status.occupancy().ready == 1).await;
    assert_eq!((pool.status().counters.calls, sim.stats().opened), (1, 2));
    end(&pool, &sim).await;
}

/// C4, C19: when the worker fails, each caller without an answer learns whether the worker may have
/// seen its request. Requests that did not fit into the same message go to another worker.
#[tokio::test(start_paused = true)]
async fn a_failed_worker_loses_only_what_it_was_sent() {
    for (fails, expected) in [
        ("exit", "exit code 3, written: true"),
        ("wrong id", "wrong id, written: true"),
        ("hang", "timed out, written: true"),
    ] {
        let sim = Sim::default();
        let pool = pool(&sim, 8, 10 * MS).max_frame(1024).build().unwrap();
        let long = "x".repeat(1000);
        let raised = "raised ValueError: no";
        assert_eq!(
            call_all(&pool, &["a", "raise", fails, "b", &long, "c"]).await,
            ["a", raised, expected, expected, &*long, "c"]
        );
        assert_eq!(sim.stats().opened, 2);
        end(&pool, &sim).await;
    }
}

/// L11, C19: callers are refused as they would be alone: when the queue is full, when they have
/// waited too long, and when the pool drains or is closed, although a lease waits for others.
#[tokio::test(start_paused = true)]
async fn callers_are_refused_one_by_one() {
    let sim = Sim::default();
    let pool = pool(&sim, 8, 100 * MS)
        .max_waiting(1)
        .checkout_timeout(50 * MS)
        .build()
        .unwrap();
    let lease = pool.checkout().await.unwrap();
    let since = Instant::now();
    let (first, second) = join(pool.call("one"), pool.call("two")).await;
    assert_eq!(since.elapsed(), 50 * MS);
    let Err(CallError::Checkout(CheckoutError::TimedOut { .. })) = first else {
        panic!("{first:?}")
    };
    let Err(CallError::Checkout(CheckoutError::QueueFull { .. })) = second else {
        panic!("{second:?}")
    };
    drop(lease);
    let mut gathered = pin!(pool.call("one"));
    begin(&mut gathered).await;
    drop(pool.drain());
    let Err(CallError::Checkout(CheckoutError::Draining { .. })) = pool.call("two").await else {
        panic!("the pool drains")
    };
    pool.resume();
    let (first, second) = join(gathered, pool.call("two")).await;
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (b"one".to_vec(), b"two".to_vec())
    );
    let mut gathered = pin!(pool.call("one"));
    begin(&mut gathered).await;
    let shutdown = pool.shutdown();
    let Err(CallError::Checkout(CheckoutError::Closed)) = pool.call("two").await else {
        panic!("the pool is closed")
    };
    assert_eq!(gathered.await.unwrap(), b"one");
    assert!(shutdown.await.is_clean());
    end(&pool, &sim).await;
}

/// A caller does not wait for a lease whose task has gone with the pool's runtime.
#[test]
fn callers_survive_the_runtime() {
    let home = tokio::runtime::Runtime::new().unwrap();
    let sim = Sim::default();
    let pool = {
        let _home = home.enter();
        pool(&sim, 8, Duration::from_secs(60)).build().unwrap()
    };
    let caller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    caller.block_on(async {
        until(&pool, |status| status.serving() == 1).await;
        let mut gathered = Box::pin(pool.call("one"));
        begin(&mut gathered.as_mut()).await;
        until(&pool, |status| status.occupancy().busy == 1).await;
        home.shutdown_background();
        for outcome in [gathered.await, pool.call("two").await] {
            let Err(CallError::Checkout(CheckoutError::Closed)) = outcome else {
                panic!("{outcome:?}")
            };
        }
    });
}

/// C19, C21: a Python function gets lists, and its exceptions are those of their lists. An
/// exception in the place of a result is the error of one request.
#[tokio::test]
async fn a_python_function_gets_lists() {
    let lists = |function: &str| Python::function(format!("lists:{function}")).path(modules());
    for zygote in [false, cfg!(target_os = "linux")] {
        let mut doubled = lists("double").json().batch(8, Duration::from_secs(60));
        if zygote {
            doubled = doubled.zygote();
        }
        let pool = Pool::builder(doubled).size(1).build().unwrap();
        let numbers = [0, 1, 2, 3, 4, 5, 6, 7];
        let calls = numbers
            .iter()
            .map(|number| pool.call_json::<_, (u32, u32)>(number));
        let calls = join_all(calls).await;
        for (number, reply) in (0..).zip(calls) {
            assert_eq!(reply.unwrap(), (2 * number, 8));
        }
        // A list of one, and lists of up to 8.
        let mut lease = pool.checkout().await.unwrap();
        assert_eq!(lease.call_json::<_, (u32, u32)>(&5).await.unwrap(), (10, 1));
        let requests: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let replies = lease.call_many(&requests).await;
        let lengths = replies.iter().map(|reply| reply.as_ref().unwrap().clone());
        let lengths: Vec<u8> = lengths.map(|reply| reply[reply.len() - 2] - b'0').collect();
        assert_eq!(lengths, [8, 8, 8, 8, 8, 8, 8, 8, 2, 2]);
        drop(lease);
        assert!(pool.shutdown().await.is_clean());
    }
    let parsed = lists("parse").batch(3, Duration::from_secs(60));
    let pool = Pool::builder(parsed).size(1).build().unwrap();
    let outcomes = |requests: [&'static str; 3]| {
        let pool = &pool;
        async move { call_all(pool, &requests).await }
    };
    assert_eq!(
        outcomes(["1", "x", "3"]).await,
        ["1", "raised ValueError: x", "3"]
    );
    let failed = "raised KeyError: 'all' (lists.py:12, in parse)";
    assert_eq!(outcomes(["1", "all", "3"]).await, [failed; 3]);
    assert!(pool.shutdown().await.is_clean());
}

/// L12, C19: a list that fails counts as one error of the worker, whatever its length, and errors
/// add up from list to list.
#[tokio::test(start_paused = true)]
async fn a_failed_list_is_one_error() {
    let sim = Sim::default();
    let pool = pool(&sim, 8, 10 * MS)
        .max_frame(1024)
        .error_threshold(4)
        .min_worker_life(Duration::ZERO)
        .build()
        .unwrap();
    let errors = || pool.status().workers[0].errors;
    call_all(&pool, &["raise"; 8]).await;
    assert_eq!(errors(), 1);
    call_all(&pool, &["raise"; 2]).await;
    assert_eq!(errors(), 2);
    call_all(&pool, &["raise", "a", "raise", "raise"]).await;
    assert_eq!(errors(), 1);
    call_all(&pool, &["raise", "a"]).await;
    assert_eq!(errors(), 0);
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.call_many(&["raise"; 9]).await.len(), 9);
    assert_eq!(lease.call_many(&["raise"; 3]).await.len(), 3);
    assert!(lease.call("raise").await.is_err());
    // It is never sent, so it is no error of the worker.
    let too_long = "x".repeat(1020);
    assert!(lease.call_many(&[too_long]).await[0].is_err());
    drop(lease);
    assert_eq!(errors(), 3);
    let calls = pool.status().counters.calls;
    assert_eq!((calls, sim.stats().opened), (29, 1));
    call_all(&pool, &["raise"; 8]).await;
    until(&pool, |status| status.counters.recycled == 1).await;
    end(&pool, &sim).await;
}

/// The build names the option that is out of its range.
#[tokio::test]
async fn a_pool_is_not_built_with_senseless_limits() {
    for (max, wait, expected) in [
        (0, MS, "`batch max` of the program is 0"),
        (4097, MS, "`batch max` of the program is 4097"),
        (
            1,
            Duration::from_millis(60_001),
            "`batch wait` of the program is 60.001s",
        ),
    ] {
        let function = Python::function("builtins:list").batch(max, wait);
        let error = Pool::builder(function).build().unwrap_err();
        assert!(matches!(error, BuildError::Program(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
