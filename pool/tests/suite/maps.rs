//! Does `map` serve every request once?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), and on puppets.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt, stream};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, JsonPart, Pool, Python};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::batches::told;
use crate::puppets::Puppets;
use crate::rig::{Random, end, pool};

const MS: Duration = Duration::from_millis(1);

/// Requests that tell their place.
pub(crate) fn numbered(count: usize) -> impl Iterator<Item = String> + Clone {
    (0..count).map(|place| place.to_string())
}

/// Takes the next item, which must be there.
pub(crate) fn now<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    stream.next().now_or_never()
}

/// C13: each request gets its own reply or error, in order or with its place, whatever its worker
/// does meanwhile. Each request is a call.
#[tokio::test(start_paused = true)]
async fn each_request_has_its_outcome() {
    let seed = Random::fresh_seed();
    println!("OSTLER_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let requests: Vec<String> = (numbered(3000))
        .map(|number| match random.below(100) {
            0 => "think".to_owned(),
            1 => "raise".to_owned(),
            2 => "z".repeat(2000),
            _ => number,
        })
        .collect();
    let expected: Vec<String> = (requests.iter())
        .map(|request| match request.as_str() {
            "raise" => "raised ValueError: no".to_owned(),
            long if long.len() == 2000 => "2000 of 1995 bytes".to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let refused = requests
        .iter()
        .filter(|request| request.len() == 2000)
        .count();
    let sim = Sim::default();
    let pool = pool(&sim, 3).max_frame(2000).build().unwrap();
    let outcomes: Vec<String> = pool
        .map(&requests)
        .map(|outcome| told(&outcome))
        .collect()
        .await;
    assert_eq!(outcomes, expected);
    let unordered: Vec<_> = pool.map(&requests).unordered().collect().await;
    assert_eq!(unordered.len(), requests.len());
    let by_place: BTreeMap<usize, String> = (unordered.iter())
        .map(|(place, outcome)| (*place, told(outcome)))
        .collect();
    assert!(by_place.into_values().eq(expected));
    assert_eq!(pool.status().counters.calls as usize, 2 * (3000 - refused));
    end(&pool, &sim).await;
}

/// A worker that takes no batches serves a map as well, and its crash costs one request.
#[tokio::test(start_paused = true)]
async fn a_worker_without_batches_serves_a_map() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(2).build().unwrap();
    let outcomes: Vec<String> = (pool.map(numbered(500)))
        .map(|outcome| told(&outcome))
        .collect()
        .await;
    assert!(outcomes.into_iter().eq(numbered(500)));
    let mut map = pool.map(numbered(8).chain(["hold".to_owned()]).chain(numbered(500)));
    for number in numbered(8) {
        assert_eq!(told(&map.next().await.unwrap()), number);
    }
    let held = loop {
        let holds = |worker| puppets.frames(worker).last().unwrap().ends_with(b"hold");
        match (0..2).find(|worker| holds(*worker)) {
            Some(worker) => break worker,
            None => sleep(MS).await,
        }
    };
    puppets.exit(held, 7);
    assert_eq!(
        told(&map.next().await.unwrap()),
        "exit code 7, written: true"
    );
    let rest: Vec<String> = map.map(|outcome| told(&outcome)).collect().await;
    assert!(rest.into_iter().eq(numbered(500)));
    assert_eq!(puppets.opened(), 3);
    pool.shutdown().await;
}

/// C3, C13: Python workers serve a map in batches. The exception of one request is its error.
#[tokio::test]
async fn python_serves_a_map() {
    let pool = Pool::builder(Python::function("math:isqrt").json())
        .size(2)
        .max_worker_requests(None)
        .error_threshold(None)
        .build()
        .unwrap();
    let requests = |place: i32| if place % 100 == 7 { -1 } else { place };
    let mut roots = pool.map_json::<_, i32>((0..5000).map(requests));
    for place in 0..5000 {
        match (roots.next().await.unwrap(), requests(place)) {
            (Err(CallError::Raised { source, .. }), -1) => {
                assert_eq!(source.kind, "ValueError");
                assert_eq!(source.traceback.matches("  File ").count(), 0);
            }
            (root, square) => assert_eq!(root.unwrap(), square.isqrt()),
        }
    }
    assert!(roots.next().await.is_none());
    assert_eq!(pool.status().counters.calls, 5000);
    assert!(pool.shutdown().await.is_clean());
}

/// C4, C13: a crash costs the requests that were with the worker and not answered. They are the
/// rest of one chunk, from the request that crashed it on. The map goes on, and repeats nothing.
#[tokio::test(start_paused = true)]
async fn a_crash_costs_a_part_of_one_chunk() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).restart_backoff(MS).build().unwrap();
    let requests = numbered(2000).map(|number| match number.as_str() {
        "1000" => "exit".to_owned(),
        _ => number,
    });
    let outcomes: Vec<String> = (pool.map(requests))
        .map(|outcome| told(&outcome))
        .collect()
        .await;
    let lost = |outcome: &String| outcome == "exit code 3, written: true";
    let first = outcomes.iter().position(lost).unwrap();
    let last = outcomes.iter().rposition(lost).unwrap();
    assert_eq!(first, 1000);
    assert!((first..=last).all(|place| lost(&outcomes[place])));
    // A chunk is at most twice as long as one before it, so at most 512 after 1,000 requests.
    assert!(last - first < 512, "{last}: more than one chunk is lost");
    for (place, outcome) in outcomes.iter().enumerate() {
        assert!(lost(outcome) || *outcome == place.to_string());
    }
    let stats = sim.stats();
    // Of the lost requests, a worker read the first.
    assert_eq!((stats.opened, stats.requests), (3, 2000 - (last - first)));
    end(&pool, &sim).await;
}

/// C13: an outcome reaches the client although the rest of its chunk waits for another worker.
#[tokio::test(start_paused = true)]
async fn a_chunk_that_waits_holds_no_outcome_back() {
    let sim = Sim::new([Script::Good, Script::SlowStart]);
    let pool = pool(&sim, 1).max_frame(1024).build().unwrap();
    // The last two are one chunk, and two messages.
    let (exit, long) = ("exit".to_owned(), "x".repeat(1010));
    let mut map = pool.map(numbered(2).chain([exit, long.clone()]));
    for number in numbered(2) {
        assert_eq!(told(&map.next().await.unwrap()), number);
    }
    let outcome = told(&map.next().await.unwrap());
    assert_eq!(outcome, "exit code 3, written: true");
    assert_eq!(pool.status().serving(), 0);
    assert_eq!(told(&map.next().await.unwrap()), long);
    assert_eq!(sim.stats().opened, 2);
    end(&pool, &sim).await;
}

/// C13: in an unordered map, no reply waits for that of an earlier request.
#[tokio::test(start_paused = true)]
async fn an_unordered_map_waits_for_no_place() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(2).build().unwrap();
    let mut map = pool.map(["hold", "1"]).unordered();
    let next = timeout(1000 * MS, map.next()).await;
    let (place, reply) = next.expect("the held request is not waited for").unwrap();
    assert_eq!((place, told(&reply).as_str()), (1, "1"));
    let holds = |worker: &usize| puppets.frames(*worker).last().unwrap().ends_with(b"hold");
    puppets.exit((0..2).find(holds).unwrap(), 7);
    let (place, reply) = map.next().await.unwrap();
    assert_eq!(
        (place, told(&reply).as_str()),
        (0, "exit code 7, written: true")
    );
    assert!(map.next().await.is_none());
    pool.shutdown().await;
}

/// An empty input has no replies, and takes no worker.
#[tokio::test(start_paused = true)]
async fn an_empty_input_has_no_replies() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut map = pool.map(Vec::<Vec<u8>>::new());
    assert_eq!(map.size_hint(), (0, Some(0)));
    assert!(now(&mut map).unwrap().is_none());
    assert!(now(&mut map).unwrap().is_none());
    assert!(now(&mut pool.map([""; 0]).unordered()).unwrap().is_none());
    assert_eq!(pool.status().counters.calls, 0);
    end(&pool, &sim).await;
}

/// A request that comes late does not hold up those before it. The end of the input ends the map.
#[tokio::test(start_paused = true)]
async fn a_slow_input_is_served_as_it_comes() {
    struct Requests(mpsc::Receiver<String>);
    impl Stream for Requests {
        type Item = String;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
            self.0.poll_recv(cx)
        }
    }
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    let (sender, receiver) = mpsc::channel(100);
    let mut map = pool.map_stream(Requests(receiver));
    assert!(now(&mut map).is_none());
    for number in numbered(100) {
        sender.send(number.clone()).await.unwrap();
        assert_eq!(told(&map.next().await.unwrap()), number);
    }
    for number in numbered(100) {
        sender.send(number).await.unwrap();
    }
    drop(sender);
    let rest: Vec<String> = map.map(|outcome| told(&outcome)).collect().await;
    assert!(rest.into_iter().eq(numbered(100)));
    end(&pool, &sim).await;
}

/// The size hint counts the replies that are left.
#[tokio::test(start_paused = true)]
async fn the_size_hint_counts_down() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    let mut map = pool.map(numbered(50));
    let mut unordered = pool.map_stream(stream::iter(numbered(50))).unordered();
    for left in (0..=50).rev() {
        assert_eq!(map.size_hint(), (left, Some(left)));
        assert_eq!(unordered.size_hint(), (left, Some(left)));
        assert_eq!(map.next().await.is_some(), left > 0);
        assert_eq!(unordered.next().await.is_some(), left > 0);
    }
    assert_eq!(
        pool.map(std::iter::repeat("")).size_hint(),
        (usize::MAX, None)
    );
    end(&pool, &sim).await;
}

/// In JSON, a request that cannot be written and a reply of another type are errors of their own.
#[tokio::test(start_paused = true)]
async fn json_has_types() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    // A map whose keys are no text is no JSON.
    let requests = [
        (Some(1), None),
        (None, Some(BTreeMap::from([(vec![1], 2)]))),
        (None, None),
        (Some(3), None),
    ];
    let parts: Vec<_> = pool
        .map_json::<_, (Option<u8>, Option<u8>)>(requests.iter().cycle().take(100))
        .map(|reply| match reply {
            Ok(reply) => Ok(reply),
            Err(CallError::Json { part, .. }) => Err(part),
            Err(other) => panic!("{other:?}"),
        })
        .collect()
        .await;
    let refused = Err(JsonPart::Request);
    let expected = [
        Ok((Some(1), None)),
        refused,
        Ok((None, None)),
        Ok((Some(3), None)),
    ];
    assert_eq!(parts, expected.repeat(25));
    let replies: Vec<_> = (pool.map_json::<_, bool>([0, 1])).collect().await;
    assert_eq!(replies.len(), 2);
    for reply in replies {
        assert!(
            matches!(
                reply,
                Err(CallError::Json {
                    part: JsonPart::Reply,
                    ..
                })
            ),
            "{reply:?}"
        );
    }
    let stream = stream::iter(0..10);
    let unordered = pool.map_json_stream::<_, usize>(stream).unordered();
    let places: BTreeSet<_> = unordered
        .map(|(place, reply)| (place, reply.unwrap()))
        .collect()
        .await;
    assert!(places.into_iter().eq((0..10).map(|place| (place, place))));
    end(&pool, &sim).await;
}
