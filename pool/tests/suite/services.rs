//! Is a pool a correct `tower::Service`?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::port::{BoxFuture, OpenError, Opener, Port, Start};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, CheckoutError, JsonService, Pool, PoolService};
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::rig::{end, pool, until};

/// Polls readiness once.
async fn is_ready(service: &mut PoolService<&'static str>) -> bool {
    poll_fn(|cx| {
        Poll::Ready(match service.poll_ready(cx) {
            Poll::Ready(ready) => {
                ready.unwrap();
                true
            }
            Poll::Pending => false,
        })
    })
    .await
}

async fn serving(sim: &Sim, size: usize) -> Pool {
    let pool = pool(sim, size).build().unwrap();
    until(&pool, |status| status.serving() == size).await;
    pool
}

/// O8: ready means that a worker is leased: the pool's workers bound how many services are ready,
/// and the worker of a call becomes another service's.
#[tokio::test(start_paused = true)]
async fn readiness_is_a_leased_worker() {
    let sim = Sim::default();
    let pool = serving(&sim, 2).await;
    let mut services: Vec<PoolService<_>> = (0..3).map(|_| pool.service()).collect();
    let mut ready = Vec::new();
    for service in &mut services {
        ready.push(is_ready(service).await);
    }
    assert_eq!(ready, [true, true, false]);
    // Asked again, the reservation is the same one.
    assert!(is_ready(&mut services[0]).await);
    let occupancy = pool.status().occupancy();
    assert_eq!(
        (occupancy.ready, occupancy.busy, pool.status().waiting),
        (0, 2, 1)
    );
    assert_eq!(services[0].call("hello").await.unwrap(), b"hello");
    assert!(is_ready(&mut services[2]).await);
    assert!(!is_ready(&mut services[0]).await);
    drop(services);
    end(&pool, &sim).await;
}

/// O8: readiness that is dropped, before or after a worker was leased, leaks no lease and no place
/// in the queue. A clone starts without a lease and without a place in the queue.
#[tokio::test(start_paused = true)]
async fn dropped_readiness_leaks_nothing() {
    let sim = Sim::default();
    let pool = serving(&sim, 1).await;
    let mut reserved = pool.service();
    assert!(is_ready(&mut reserved).await);
    let mut waits = pool.service();
    assert!(!is_ready(&mut waits).await);
    let mut copy = reserved.clone();
    assert!(!is_ready(&mut copy).await);
    assert_eq!(pool.status().waiting, 2);
    drop(waits);
    assert_eq!(pool.status().waiting, 1);
    // The grant comes while nothing polls the copy, and goes with it.
    drop(reserved);
    assert_eq!(pool.status().occupancy().busy, 1);
    drop(copy);
    assert_eq!(pool.status().occupancy().ready, 1);
    assert_eq!(pool.call("hello").await.unwrap(), b"hello");
    end(&pool, &sim).await;
}

/// Load shedding rejects what no idle worker can serve at once, and serves the rest.
#[tokio::test(start_paused = true)]
async fn load_is_shed_when_no_worker_is_idle() {
    let sim = Sim::default();
    let pool = serving(&sim, 2).await;
    let shed = ServiceBuilder::new().load_shed().service(pool.service());
    let held = pool.checkout().await.unwrap();
    let mut calls = [shed.clone(), shed.clone()];
    for call in &mut calls {
        call.ready().await.unwrap();
    }
    let [mut first, mut second] = calls;
    let (served, rejected) = tokio::join!(first.call("one"), second.call("two"));
    assert_eq!(served.unwrap(), b"one");
    assert!(
        rejected
            .unwrap_err()
            .is::<tower::load_shed::error::Overloaded>()
    );
    drop((first, second, held));
    assert_eq!(pool.status().waiting, 0);
    end(&pool, &sim).await;
}

/// Many concurrent calls through a stack of layers are all served by the pool's few workers.
#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_the_workers() {
    let sim = Sim::default();
    let pool = serving(&sim, 2).await;
    let service = ServiceBuilder::new()
        .concurrency_limit(10)
        .timeout(Duration::from_secs(60))
        .service(pool.service());
    let calls = (0..50_u8).map(|n| service.clone().oneshot(vec![n; 3]));
    let replies = join_all(calls).await;
    for (n, reply) in (0..).zip(replies) {
        assert_eq!(reply.unwrap(), vec![n; 3]);
    }
    assert_eq!(pool.status().counters.calls, 50);
    end(&pool, &sim).await;
}

/// If the wait for a worker fails, the next call returns the error and the service stays usable. A
/// closed pool ends the service.
#[tokio::test(start_paused = true)]
async fn only_a_closed_pool_ends_a_service() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_waiting(0).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let held = pool.checkout().await.unwrap();
    let mut service = pool.service();
    assert!(is_ready(&mut service).await);
    match service.call("one").await {
        Err(CallError::Checkout(CheckoutError::QueueFull { .. })) => {}
        other => panic!("{other:?}"),
    }
    drop(held);
    assert_eq!(
        service.ready().await.unwrap().call("two").await.unwrap(),
        b"two"
    );
    pool.shutdown().await;
    for _ in 0..2 {
        match service.ready().await {
            Err(CallError::Checkout(CheckoutError::Closed)) => {}
            other => panic!("{other:?}"),
        }
    }
    end(&pool, &sim).await;
}

/// A call without readiness waits for a worker itself, and a dropped call abandons its worker as
/// any other call does.
#[tokio::test(start_paused = true)]
async fn a_call_needs_no_readiness() {
    let sim = Sim::default();
    let pool = serving(&sim, 1).await;
    let mut service = pool.service();
    let held = pool.checkout().await.unwrap();
    let mut waits = service.call("hello");
    assert!(
        tokio::time::timeout(Duration::ZERO, &mut waits)
            .await
            .is_err()
    );
    drop(held);
    assert_eq!(waits.await.unwrap(), b"hello");
    let mut hangs = service.call("hang");
    assert!(
        tokio::time::timeout(Duration::ZERO, &mut hangs)
            .await
            .is_err()
    );
    drop(hangs);
    until(&pool, |status| status.counters.faulted == 1).await;
    end(&pool, &sim).await;
}

/// A call keeps its pool alive, although the service and every other handle are dropped.
#[tokio::test(start_paused = true)]
async fn a_call_keeps_its_pool() {
    let sim = Sim::new([Script::Good]);
    let pool = serving(&sim, 1).await;
    let mut service = pool.service();
    let call = service.call("hello");
    drop((service, pool));
    assert_eq!(call.await.unwrap(), b"hello");

    let sim = Sim::new([Script::Good]);
    let pool = serving(&sim, 1).await;
    let mut service = pool.json_service::<u32, u32>();
    let call = service.call(7);
    drop((service, pool));
    assert_eq!(call.await.unwrap(), 7);
}

/// With JSON, requests are written and replies are read; a request that cannot be written returns
/// its worker.
#[tokio::test(start_paused = true)]
async fn json_goes_both_ways() {
    let sim = Sim::default();
    let pool = serving(&sim, 1).await;
    let service: JsonService<serde_json::Value, Vec<u32>> = pool.json_service();
    assert_eq!(
        service.clone().oneshot(json!([1, 2])).await.unwrap(),
        [1, 2]
    );
    match service.oneshot(json!("no list")).await {
        Err(CallError::Json { .. }) => {}
        other => panic!("{other:?}"),
    }
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    match pool.json_service::<_, u32>().oneshot(no_json).await {
        Err(CallError::Json { .. }) => {}
        other => panic!("{other:?}"),
    }
    until(&pool, |status| status.occupancy().ready == 1).await;
    end(&pool, &sim).await;
}

/// Simulated workers that take bytes.
#[derive(Debug)]
struct TakesBytes(Sim);

impl Opener for TakesBytes {
    fn takes_json(&self) -> bool {
        false
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Opener::open(&self.0, start)
    }
}

/// A service with JSON of a pool whose workers take bytes sends nothing, and says what is missing.
/// What cannot be sent waits for no worker.
#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_uses_no_worker() {
    let sim = Sim::default();
    let pool = Pool::builder(TakesBytes(sim.clone()))
        .size(1)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let held = pool.checkout().await.unwrap();
    match pool.json_service::<_, u32>().call(7).await {
        Err(CallError::NotJson) => {}
        other => panic!("{other:?}"),
    }
    drop(held);
    assert_eq!(sim.stats().requests, 0);
    end(&pool, &sim).await;
}

/// A service can be shared and cloned as web frameworks need it.
#[test]
fn services_can_be_shared() {
    fn check<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    check::<PoolService<Vec<u8>>>();
    check::<JsonService<String, std::cell::Cell<u8>>>();
}
