//! Can a pool be resized, drained and watched?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::pin::pin;
use std::time::Duration;

use ostler_pool::port::{BoxFuture, Opener, Port, Start};
use ostler_pool::testing::Sim;
use ostler_pool::{
    CheckoutError, DrainEnd, Event, OpenError, Phase, Pool, Reason, RecvError, SessionError,
    TryRecvError,
};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{begin, end, pool, until};

/// L4: a pool that shrinks retires idle workers first and revokes no lease. A pool that grows
/// starts the missing workers.
#[tokio::test(start_paused = true)]
async fn a_pool_can_be_resized() {
    let sim = Sim::default();
    let pool = pool(&sim, 4).build().unwrap();
    until(&pool, |status| status.serving() == 4).await;
    let mut held = [
        pool.checkout().await.unwrap(),
        pool.checkout().await.unwrap(),
    ];
    pool.resize(1).unwrap();
    until(&pool, |status| status.workers.len() == 2).await;
    let status = pool.status();
    assert_eq!((status.size, status.serving()), (1, 1));
    let draining = status.workers.iter().find(|w| w.phase == Phase::Finishing);
    assert_eq!(draining.unwrap().reason, Some(Reason::Surplus));
    for lease in &mut held {
        assert_eq!(lease.call(b"hello").await.unwrap(), b"hello");
    }
    drop(held);
    until(&pool, |status| status.workers.len() == 1).await;
    pool.resize(8).unwrap();
    until(&pool, |status| status.serving() == 8).await;
    assert_eq!((sim.stats().opened, sim.stats().peak_open), (11, 8));
    let error = pool.resize(0).unwrap_err().to_string();
    assert_eq!(error, "option `size` is 0; it must be 1 to 16384");
    assert_eq!(pool.status().size, 8);
    end(&pool, &sim).await;
}

/// A draining pool serves the clients that it has, reports when they are gone, rejects new ones,
/// and can be resumed.
#[tokio::test(start_paused = true)]
async fn a_pool_can_be_drained_and_resumed() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let session = pool.session("a").unwrap();
    session.call(b"hello").await.unwrap();
    let held = pool.checkout().await.unwrap();
    let mut waits = pin!(pool.call(b"came before"));
    begin(&mut waits).await;
    let mut drained = pin!(pool.drain().into_future());
    begin(&mut drained).await;
    let refused = pool.checkout().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the pool rejects new clients until it is resumed (workers: 0 initializing, 0 ready, \
         1 busy, 0 draining; 1 client waiting)"
    );
    assert!(matches!(
        pool.session("b"),
        Err(SessionError::Draining { .. })
    ));
    drop(held);
    assert_eq!(waits.await.unwrap(), b"came before");
    assert_eq!(drained.await, DrainEnd::Drained);
    assert_eq!(pool.drain().await, DrainEnd::Drained, "it is still drained");
    assert!(pool.status().draining);
    assert_eq!(session.call(b"still here").await.unwrap(), b"still here");
    let lease = session.checkout().await.unwrap();
    let mut interrupted = pin!(pool.drain().into_future());
    begin(&mut interrupted).await;
    pool.resume();
    assert_eq!(interrupted.await, DrainEnd::Resumed);
    drop(lease);
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    end(&pool, &sim).await;
}

/// `try_checkout` returns an idle worker or an error at once, and leaves nothing in the queue.
#[tokio::test(start_paused = true)]
async fn try_checkout_does_not_wait() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_waiting(0).build().unwrap();
    let starting = pool.try_checkout().unwrap_err();
    assert!(
        matches!(starting, CheckoutError::QueueFull { .. }),
        "{starting}"
    );
    until(&pool, |status| status.serving() == 1).await;
    let mut lease = pool.try_checkout().unwrap();
    assert_eq!(lease.call(b"hello").await.unwrap(), b"hello");
    drop(lease);
    assert_eq!(pool.status().counters.stale, 0, "it did not give up");
    end(&pool, &sim).await;

    let sim = Sim::default();
    let pool = crate::rig::pool(&sim, 1).build().unwrap();
    let none = pool.try_checkout().unwrap_err();
    assert_eq!(
        none.to_string(),
        "no worker is idle (workers: 1 initializing, 0 ready, 0 busy, 0 draining; 0 clients waiting)"
    );
    assert_eq!(pool.status().waiting, 0);
    end(&pool, &sim).await;
}

/// Every reader of the events sees a worker's whole life in order, and the events end with the
/// pool.
#[tokio::test(start_paused = true)]
async fn events_report_the_whole_life_of_a_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let mut events = pool.events();
    pool.call(b"hello").await.unwrap();
    pool.shutdown().await;
    let mut seen = Vec::new();
    let end = loop {
        match events.recv().await {
            Ok(Event::Moved(moved)) => {
                let reason = moved.reason.map(|reason| reason.to_string());
                let (from, input, to) = (moved.from, moved.input, moved.to);
                seen.push(format!(
                    "{from} {input} {to} {}",
                    reason.unwrap_or_default()
                ));
            }
            Ok(other) => panic!("{other:?}"),
            Err(end) => break end,
        }
    };
    assert_eq!(end, RecvError::Closed);
    assert_eq!(
        seen,
        [
            "Ready Checkout Busy ",
            "Busy Checkin Ready ",
            "Ready Retire Lingering the pool is shutting down",
            "Lingering SessionsEnded Stopping the pool is shutting down",
            "Stopping Exited Stopping the pool is shutting down",
            "Stopping Released Terminated the pool is shutting down",
        ]
    );
}

/// A reader that waits for the next event is woken when the pool ends, however long after the last
/// event that is.
#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken_at_the_end() {
    let sim = Sim::default();
    let pool = Pool::builder(SlowClose(sim.clone()))
        .size(1)
        .build()
        .unwrap();
    let mut events = pool.events();
    let read = async move {
        let mut last = None;
        loop {
            match events.recv().await {
                Ok(event) => last = Some(event),
                Err(error) => return (last, error),
            }
        }
    };
    // In a task of its own: the shutdown's wake-up must not poll it. The late timer would.
    let hour = Duration::from_secs(3600);
    let read = tokio::spawn(timeout(hour, read));
    let since = Instant::now();
    pool.shutdown().await;
    let (last, error) = read.await.unwrap().unwrap();
    assert!(since.elapsed() < hour, "the reader was not woken");
    assert!(matches!(last, Some(Event::Moved(moved)) if moved.to == Phase::Terminated));
    assert_eq!(error, RecvError::Closed);
}

/// A [`Sim`] that takes a second to close.
#[derive(Debug)]
pub(crate) struct SlowClose(pub(crate) Sim);

impl Opener for SlowClose {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.0.open(start)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(sleep(Duration::from_secs(1)))
    }
}

/// L19: a reader that falls behind does not delay the pool. Each time, it learns how many events it
/// missed, and reads on.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_misses_events() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_worker_requests(None).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let mut events = pool.events();
    for _ in 0..2 {
        for _ in 0..3000 {
            pool.call(b"hello").await.unwrap();
        }
        assert_eq!(events.try_recv(), Err(TryRecvError::Lagged(6000 - 4096)));
        let newcomer = pool.events().try_recv();
        assert_eq!(newcomer, Err(TryRecvError::Empty), "it sees what comes");
        let mut read = 0;
        while events.try_recv().is_ok() {
            read += 1;
        }
        assert_eq!(read, 4096);
    }
    let mut waits = pin!(events.recv());
    begin(&mut waits).await;
    sleep(Duration::from_millis(1)).await;
    let (event, _) = tokio::join!(waits, pool.call(b"hello"));
    assert!(matches!(event, Ok(Event::Moved(moved)) if moved.to == Phase::Busy));
    end(&pool, &sim).await;
}
