//! Is waiting for a worker fair, bounded and cancellable?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::Pool;
use ostler_pool::testing::Sim;
use tokio::time::{Instant, sleep};

use crate::rig::{begin, end, pool, until};

/// L7: clients are served in FIFO order, and a returned lease goes to the first client in the
/// queue.
#[tokio::test(start_paused = true)]
async fn clients_are_served_in_fifo_order() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let held = pool.checkout().await.unwrap();
    let served = std::sync::Mutex::new(Vec::new());
    let client = async |name: u32| {
        let lease = pool.checkout().await.unwrap();
        served.lock().unwrap().push(name);
        drop(lease);
    };
    let mut clients = [pin!(client(0)), pin!(client(1)), pin!(client(2))];
    for client in &mut clients {
        begin(client).await;
    }
    assert_eq!(pool.status().waiting, 3);
    drop(held);
    // A new client does not overtake them, although it is polled first.
    let newcomer = client(3);
    let [a, b, c] = clients;
    tokio::join!(newcomer, c, b, a);
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3]);
    end(&pool, &sim).await;
}

/// L6: a client that is cancelled in the queue, or after its lease was granted, does not lose the
/// lease for the others.
#[tokio::test(start_paused = true)]
async fn a_cancelled_client_loses_no_lease() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let held = pool.checkout().await.unwrap();
    {
        let mut in_queue = pin!(pool.checkout());
        begin(&mut in_queue).await;
        assert_eq!(pool.status().waiting, 1);
    }
    assert_eq!(pool.status().waiting, 0);
    {
        let mut granted = pin!(pool.checkout());
        begin(&mut granted).await;
        drop(held);
        assert_eq!(pool.status().occupancy().busy, 1, "the lease is on its way");
    }
    assert_eq!(pool.status().occupancy().ready, 1, "and came back");
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!(sim.stats().opened, 1);
    // The second client already had its answer, so it did not leave the queue.
    let counters = pool.status().counters;
    assert_eq!((counters.gave_up, counters.stale), (1, 0));
    end(&pool, &sim).await;
}

/// L6: a client keeps a lease that it was granted in time, even if its deadline passes before the
/// client is polled.
#[tokio::test(start_paused = true)]
async fn a_lease_that_comes_in_time_is_kept() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let held = pool.checkout().await.unwrap();
    let mut granted = pin!(pool.checkout());
    begin(&mut granted).await;
    drop(held);
    // Another client waits, so the pool's clock looks for those that are late.
    let late = pool.checkout().await.unwrap_err();
    assert!(late.to_string().starts_with("no worker became free"));
    sleep(Duration::from_secs(1)).await;
    let mut lease = granted.await.unwrap();
    assert_eq!(lease.call(b"mine").await.unwrap(), b"mine");
    drop(lease);
    let counters = pool.status().counters;
    assert_eq!((counters.calls, counters.gave_up), (1, 1));
    end(&pool, &sim).await;
}

/// Backpressure: one client more than `max_waiting` is rejected at once, and the error shows the
/// state of the pool.
#[tokio::test(start_paused = true)]
async fn the_queue_has_a_bound_and_a_deadline() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .max_waiting(1)
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    // No client has waited yet, so the pool's clock sleeps until the next health check. The client
    // that waits must wake it.
    until(&pool, |status| status.serving() == 1).await;
    let held = pool.checkout().await.unwrap();
    sleep(Duration::from_millis(1)).await;
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    let refused = pool.checkout().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the queue is full (workers: 0 initializing, 0 ready, 1 busy, 0 draining; 1 client waiting): \
         raise `max_waiting`, which is 1, or `size`"
    );
    let since = Instant::now();
    let late = waits.await.unwrap_err();
    assert_eq!(since.elapsed(), Duration::from_secs(3));
    assert_eq!(
        late.to_string(),
        "no worker became free within 3 s (workers: 0 initializing, 0 ready, 1 busy, 0 draining; \
         0 clients waiting): raise `checkout_timeout` or `size`"
    );
    drop(held);
    let counters = pool.status().counters;
    assert_eq!((counters.refused, counters.gave_up), (1, 1));
    end(&pool, &sim).await;
}

/// L6, C2: clients on several threads that are cancelled at any moment, in the queue and during
/// calls, lose no worker and leave no client waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_cancellations_lose_no_worker() {
    const CLIENTS: u64 = 16;
    const CALLS: u64 = 300;
    let sim = Sim::default();
    let pool = pool(&sim, 3)
        .surge(3)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let client = async |pool: Pool, client: u64| {
        let mut answered = 0;
        for call in 0..CALLS {
            let request = (client << 32 | call).to_be_bytes();
            // Tokio rounds these up to its next millisecond, so calls are cancelled at any stage.
            let patience = Duration::from_micros((client * 31 + call * 17) % 128);
            let outcome = tokio::time::timeout(patience, pool.call(&request)).await;
            if let Ok(reply) = outcome {
                assert_eq!(reply.unwrap(), request);
                answered += 1;
            }
        }
        answered
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| tokio::spawn(client(pool.clone(), name)))
        .collect();
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    until(&pool, |status| {
        status.occupancy().ready == 3 && status.workers.len() == 3
    })
    .await;
    assert_eq!(pool.status().waiting, 0);
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert!(sim.stats().peak_open <= 6, "{:?}", sim.stats());
    let counters = pool.status().counters;
    assert_eq!(counters.calls, answered + 1);
    assert!(answered > 0, "no call completed: {counters:?}");
    assert!(
        counters.gave_up > 0,
        "no client left the queue: {counters:?}"
    );
    assert!(counters.faulted > 0, "no call was abandoned: {counters:?}");
    end(&pool, &sim).await;
}
