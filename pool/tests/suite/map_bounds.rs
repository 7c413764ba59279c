//! Does a map keep within its bounds, leave room for other clients, and leave nothing behind?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), and on puppets.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt};
use ostler_pool::testing::Sim;
use ostler_pool::{CallError, CheckoutError, Pool};
use tokio::time::{Instant, sleep};

use crate::maps::now;
use crate::puppets::Puppets;
use crate::rig::{end, pool};

const MS: Duration = Duration::from_millis(1);

/// Counts what is taken from it.
fn counted<'a, I: Iterator>(
    items: I,
    taken: &'a Cell<usize>,
) -> impl Iterator<Item = I::Item> + use<'a, I> {
    items.inspect(|_| taken.set(taken.get() + 1))
}

/// C13, L19: a client that takes no replies holds up the input, after two chunks per worker. Each
/// chunk ends at 64 KiB.
#[tokio::test(start_paused = true)]
async fn the_input_waits_for_the_client() {
    // How many requests of this many bytes a chunk gets to have.
    for (size, bytes, chunk) in [(1, 10, 4096), (3, 10, 4096), (1, 30_000, 2), (2, 70_000, 1)] {
        let sim = Sim::default();
        let pool = pool(&sim, size).max_worker_requests(None).build().unwrap();
        let taken = Cell::new(0);
        let endless = std::iter::repeat_with(|| vec![b'x'; bytes]);
        let mut map = pool.map(counted(endless, &taken));
        assert_eq!(taken.get(), 0);
        assert!(now(&mut map).is_none());
        // The first chunks have one request each.
        assert_eq!(taken.get(), 2 * size);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.get(), 2 * size);
        let mut farthest = 0;
        for replies in 1..=40 * chunk {
            assert_eq!(map.next().await.unwrap().unwrap().len(), bytes);
            farthest = farthest.max(taken.get() - replies);
        }
        // The chunks that are ahead, but for the reply that the client has just got.
        assert_eq!(
            farthest,
            2 * size * chunk - 1,
            "{size} workers, {bytes} bytes"
        );
        let before = taken.get();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.get(), before);
        drop(map);
        end(&pool, &sim).await;
    }
}

/// C13: requests do not wait for others that a slow iterator returns later, although chunks could
/// be long.
#[tokio::test]
async fn requests_do_not_wait_for_a_slow_iterator() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let taken = Cell::new(0);
    let slow = std::iter::repeat_with(|| {
        std::thread::sleep(2 * MS);
        "a request"
    });
    let mut map = pool.map(counted(slow.take(100), &taken));
    let mut replies = 0;
    while let Some(reply) = map.next().await {
        assert_eq!(reply.unwrap(), b"a request");
        replies += 1;
        // Two chunks of at most two requests, but for this one.
        assert!(taken.get() - replies < 4, "{} for {replies}", taken.get());
    }
    assert_eq!(replies, 100);
    end(&pool, &sim).await;
}

/// C13: a map leaves its worker to other clients after about 5 ms, or one request, also if its own
/// client takes no replies.
#[tokio::test(start_paused = true)]
async fn other_clients_are_served_in_between() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut map = pool.map(std::iter::repeat("think")).fuse();
    for _ in 0..20 {
        assert_eq!(map.next().await.unwrap().unwrap(), b"think");
        let since = Instant::now();
        let mut call = pin!(pool.call("a call").fuse());
        let reply = loop {
            tokio::select! {
                reply = &mut call => break reply,
                thought = map.next() => assert_eq!(thought.unwrap().unwrap(), b"think"),
            }
        };
        assert_eq!(reply.unwrap(), b"a call");
        assert!(since.elapsed() <= 15 * MS, "{:?}", since.elapsed());
    }
    // The map is not polled any more: it finishes its chunks, and no more.
    let since = Instant::now();
    assert_eq!(pool.call("a call").await.unwrap(), b"a call");
    assert!(since.elapsed() <= 15 * MS, "{:?}", since.elapsed());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pool.status().occupancy().busy, 0);
    drop(map);
    end(&pool, &sim).await;
}

/// C1: a dropped map abandons its calls, leaves no lease and no waiting client behind, and costs no
/// worker that ends its call in time.
#[tokio::test(start_paused = true)]
async fn a_dropped_map_leaves_nothing() {
    for (request, opened) in [("hang", 4), ("heed", 2)] {
        let sim = Sim::default();
        let grace = Duration::from_secs(1);
        let pool = pool(&sim, 2)
            .abandoned_calls(crate::cancel(grace))
            .build()
            .unwrap();
        let lease = pool.checkout().await.unwrap();
        let mut map = pool.map(std::iter::repeat(request));
        assert!(now(&mut map).is_none());
        drop(lease);
        sleep(MS).await;
        assert_eq!(pool.status().occupancy().busy, 2);
        assert!(now(&mut map).is_none());
        drop(map);
        sleep(2 * grace).await;
        let status = pool.status();
        assert_eq!((status.occupancy().busy, status.waiting), (0, 0));
        assert_eq!(pool.call("next").await.unwrap(), b"next");
        assert_eq!(sim.stats().opened, opened, "{request}");
        end(&pool, &sim).await;
    }
}

/// R10: no chunk has more requests than a worker may serve.
#[tokio::test(start_paused = true)]
async fn a_chunk_keeps_the_limit_of_requests() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone())
        .size(1)
        .max_worker_requests(3)
        .build()
        .unwrap();
    let calls = async {
        for _ in 0..20 {
            pool.call("a call").await.unwrap();
        }
    };
    let map = pool.map(std::iter::repeat("of the map"));
    // The call is first in the queue after each chunk.
    tokio::select! {
        () = calls => {}
        count = map.count() => panic!("{count}"),
    }
    // No time passes, so `min_worker_life` keeps the worker.
    assert_eq!(puppets.opened(), 1);
    let frames = puppets.frames(0);
    let in_a_row = frames.split(|frame| !frame.ends_with(b"of the map"));
    let longest = in_a_row.map(<[_]>::len).max();
    assert_eq!(longest, Some(3), "requests in a row");
    pool.shutdown().await;
}

/// Requests that get no worker fail, each with the reason, and the map ends.
#[tokio::test(start_paused = true)]
async fn a_closed_pool_fails_every_request() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut map = pool.map(["hang", "a", "b"]);
    assert!(now(&mut map).is_none());
    sleep(MS).await;
    pool.drain();
    let drained: Vec<_> = pool.map(["a", "b"]).collect().await;
    assert_eq!(drained.len(), 2);
    for outcome in drained {
        assert!(matches!(
            outcome,
            Err(CallError::Checkout(CheckoutError::Draining { .. }))
        ));
    }
    end(&pool, &sim).await;
    let outcomes: Vec<_> = map.collect().await;
    assert!(matches!(
        outcomes[0],
        Err(CallError::Stopped {
            request_written: true,
            ..
        })
    ));
    assert_eq!(outcomes.len(), 3);
    for outcome in &outcomes[1..] {
        assert!(
            matches!(outcome, Err(CallError::Checkout(CheckoutError::Closed))),
            "{outcome:?}"
        );
    }
}

/// Once the runtime of the pool has ended, every request fails, and no client waits for ever.
#[test]
fn a_map_outlives_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = Sim::default();
    let (pool, mut map) = runtime.block_on(async {
        let pool = pool(&sim, 1).build().unwrap();
        let mut map = pool.map(["hang", "a", "b", "c"]);
        assert!(now(&mut map).is_none());
        while sim.stats().requests == 0 {
            sleep(MS).await;
        }
        (pool, map)
    });
    drop(runtime);
    let other = tokio::runtime::Runtime::new().unwrap();
    let outcomes: Vec<_> = other.block_on(async {
        let mut outcomes: Vec<_> = map.by_ref().collect().await;
        outcomes.extend(pool.map(["d"]).collect::<Vec<_>>().await);
        outcomes
    });
    assert_eq!(outcomes.len(), 5);
    assert!(
        matches!(
            outcomes[0],
            Err(CallError::Stopped {
                request_written: true,
                ..
            })
        ),
        "{:?}",
        outcomes[0]
    );
    for outcome in &outcomes[1..] {
        assert!(
            matches!(outcome, Err(CallError::Checkout(CheckoutError::Closed))),
            "{outcome:?}"
        );
    }
}
