//! Does the driver keep its promises, whatever a port does?
//!
//! The real driver on simulated ports, on a paused clock: every deadline passes at once, and in its order.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use ostler_pool::ostler::supervisor::Reason;
use ostler_pool::ostler::worker::Rung;
use ostler_pool::{
    Builder, CallError, CheckoutError, ExitStatus, Lease, Pool, PoolStatus, StartError,
};
use tokio::time::{Instant, sleep, timeout};

use crate::sim::{Books, Script, Sim};

fn pool(sim: &Sim, size: usize) -> Builder {
    Pool::builder(sim.clone()).size(size)
}

/// Polls, on the paused clock, until the pool is as described; panics with what it is like if that never comes.
async fn until(pool: &Pool, described: impl Fn(&PoolStatus) -> bool) {
    for _ in 0..100_000 {
        if described(&pool.status()) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
}

/// Polls a future once, so that whatever it does before its first wait has happened.
async fn begin<F: Future>(future: &mut std::pin::Pin<&mut F>) {
    let begun = timeout(Duration::ZERO, future.as_mut()).await;
    assert!(begun.is_err(), "it was to wait");
}

/// Shuts down and checks that nothing is left: no port, no worker, no client.
async fn end(pool: &Pool, sim: &Sim) {
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, []);
    assert_eq!(report.counters.opened, report.counters.released);
    assert_eq!(
        (
            sim.books().open,
            pool.status().workers.len(),
            pool.status().waiting
        ),
        (0, 0, 0)
    );
}

/// The plain way through: a reply for a request, a worker for many calls, and a report at the end.
#[tokio::test(start_paused = true)]
async fn a_call_is_answered() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    for request in [b"one".as_slice(), b"", &[7; 200_000]] {
        assert_eq!(pool.call(request).await.unwrap(), request);
    }
    let report = pool.shutdown().await;
    assert_eq!((report.counters.exchanges, report.counters.opened), (3, 2));
    assert_eq!(report.workers.len(), 2);
    for end in &report.workers {
        let ended = (end.reason, end.rung, end.status);
        assert_eq!(
            ended,
            (
                Some(Reason::Shutdown),
                Some(Rung::Ask),
                Some(ExitStatus::Code(0))
            )
        );
    }
    assert_eq!(
        sim.books(),
        Books {
            opened: 2,
            most_open: 2,
            ..Books::default()
        }
    );
}

/// L7: clients are served in the order in which they came, and a lease goes straight to the next of them.
#[tokio::test(start_paused = true)]
async fn waiting_is_first_come_first_served() {
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
    // A newcomer does not overtake them, although it is polled before any of them.
    let newcomer = client(3);
    let [a, b, c] = clients;
    tokio::join!(newcomer, c, b, a);
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3]);
    end(&pool, &sim).await;
}

/// L6: a client that is cancelled in the queue, or with its lease already on the way, loses nobody's turn.
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
    assert_eq!(sim.books().opened, 1);
    end(&pool, &sim).await;
}

/// C1: a call that takes too long costs its worker, and nobody else ever sees its reply.
#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .call_timeout(Duration::from_secs(7))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let since = Instant::now();
    match lease.call(b"hang").await {
        Err(CallError::TimedOut {
            after,
            request_written: true,
            ..
        }) => {
            assert_eq!(
                (after, since.elapsed()),
                (Duration::from_secs(7), Duration::from_secs(7))
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        lease.call(b"again").await,
        Err(CallError::LeaseOver { .. })
    ));
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!((sim.books().opened, pool.status().counters.faulted), (2, 1));
    drop(lease);
    end(&pool, &sim).await;
}

/// C1: so does a call that is dropped half-way, at once, although its lease is still held.
#[tokio::test(start_paused = true)]
async fn an_abandoned_call_costs_its_worker() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    begin(&mut pin!(lease.call(b"hang"))).await;
    assert_eq!(pool.status().counters.faulted, 1);
    assert!(matches!(
        lease.call(b"again").await,
        Err(CallError::LeaseOver { .. })
    ));
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    drop(lease);
    assert_eq!(pool.status().counters.faulted, 1, "a lease ends once");
    end(&pool, &sim).await;
}

/// C1: a reply to another request, bytes that are no frame, and a second reply never reach a client.
#[tokio::test(start_paused = true)]
async fn a_worker_that_breaks_the_protocol_is_replaced() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    for (request, complaint) in [
        (
            b"wrong id".as_slice(),
            "it answered request 151587081, which was not asked",
        ),
        (
            b"garbage",
            "it sent a frame of 4294967295 bytes, and the limit is 67108864",
        ),
    ] {
        match pool.call(request).await {
            Err(CallError::Protocol { problem, .. }) => assert_eq!(problem, complaint),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pool.call(b"twice").await.unwrap(), b"once");
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!((sim.books().opened, pool.status().counters.faulted), (4, 3));
    end(&pool, &sim).await;
}

/// C3: an error that the worker answers with is a whole exchange. The worker and the lease stay.
#[tokio::test(start_paused = true)]
async fn an_exception_costs_nothing() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).max_frame(1024).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    match lease.call(b"raise").await {
        Err(CallError::Raised { source, .. }) => assert_eq!(source.to_string(), "ValueError: no"),
        other => panic!("{other:?}"),
    }
    match lease.call(&[0; 1020]).await {
        Err(
            error @ CallError::RequestTooLarge {
                size: 1020,
                max: 1019,
            },
        ) => assert_eq!(
            error.to_string(),
            "a request of 1020 bytes is larger than the 1019 that `max_frame` allows"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(lease.call(&[1; 1019]).await.unwrap(), [1; 1019]);
    drop(lease);
    assert_eq!(
        (sim.books().opened, pool.status().counters.exchanges),
        (1, 2)
    );
    end(&pool, &sim).await;
}

/// C4: a worker that dies fails the one call that it was serving, with its status; what it answered before counts.
#[tokio::test(start_paused = true)]
async fn a_dead_worker_fails_its_one_call() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut dies = pin!(pool.call(b"exit"));
    begin(&mut dies).await;
    let mut waits = pin!(pool.call(b"waits"));
    begin(&mut waits).await;
    match dies.await {
        Err(CallError::WorkerExited {
            exit,
            request_written: true,
            ..
        }) => {
            assert_eq!(exit.status, ExitStatus::Code(3));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(waits.await.unwrap(), b"waits");
    assert_eq!(pool.call(b"answer and exit").await.unwrap(), b"farewell");
    assert_eq!(pool.call(b"next").await.unwrap(), b"next");
    assert_eq!((sim.books().opened, pool.status().counters.exited), (3, 2));
    end(&pool, &sim).await;
}

/// L5, L9: however a start ends, its slot learns of it, and is filled by the next one.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_costs_no_slot() {
    use Script::{ExitsAtOnce, Mute, Panics, Refuses, Unopenable};
    for script in [Unopenable, Panics, Mute, Refuses, ExitsAtOnce] {
        let sim = Sim::new([script, script]);
        let pool = pool(&sim, 1)
            .checkout_timeout(Duration::from_secs(3600))
            .build()
            .unwrap();
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello", "{script:?}");
        assert_eq!(pool.status().counters.opened, 3, "{script:?}");
        end(&pool, &sim).await;
        assert_eq!(sim.books().killed, 0, "{script:?}");
    }
}

/// L5: a start goes on when the client that waited for it is gone, and serves the next one.
#[tokio::test(start_paused = true)]
async fn a_start_does_not_die_with_its_client() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    begin(&mut pin!(pool.checkout())).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(sim.books().opened, 1);
    end(&pool, &sim).await;
}

/// L13: a pool that cannot start anything says so at once, with the last error, and starts seldom and seldomer.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_fails_waiters_and_goes_on() {
    let sim = Sim::new([Script::Refuses; 9]);
    let pool = pool(&sim, 4)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let since = Instant::now();
    match pool.call(b"hello").await {
        Err(CallError::Checkout(error @ CheckoutError::CrashLoop { .. })) => {
            let text = error.to_string();
            assert!(
                text.starts_with("no worker can be started: worker "),
                "{text}"
            );
            assert!(
                text.ends_with(" refused to start: RuntimeError: scripted"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    // Pauses of 100, 200, 400 and 800 ms, give or take a tenth, between the five failures.
    assert!(
        since.elapsed() > Duration::from_millis(1349),
        "{:?}",
        since.elapsed()
    );
    assert!(
        since.elapsed() < Duration::from_millis(1700),
        "{:?}",
        since.elapsed()
    );
    let at_once = Instant::now();
    let again = pool.checkout().await;
    assert!(
        matches!(again, Err(CheckoutError::CrashLoop { .. })),
        "{again:?}"
    );
    assert_eq!(at_once.elapsed(), Duration::ZERO);
    until(&pool, |status| status.serving() == 4).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    assert_eq!(sim.books().opened, 13);
    end(&pool, &sim).await;
}

/// L4: there are never more ports than `size + surge`, however many workers end at the same time.
#[tokio::test(start_paused = true)]
async fn ports_never_exceed_size_and_surge() {
    let sim = Sim::default();
    let pool = pool(&sim, 4).surge(2).build().unwrap();
    for _ in 0..50 {
        let fatal = || pool.call(b"exit");
        let (a, b, c, d) = tokio::join!(fatal(), fatal(), fatal(), fatal());
        for call in [a, b, c, d] {
            assert!(
                matches!(call, Err(CallError::WorkerExited { .. })),
                "{call:?}"
            );
        }
        until(&pool, |status| status.serving() == 4).await;
        assert_eq!(pool.call(b"reset").await.unwrap(), b"reset");
    }
    assert!(sim.books().most_open <= 6, "{:?}", sim.books());
    end(&pool, &sim).await;
}

/// L15: a recycled worker serves until its replacement is ready; a client that holds it is not disturbed.
#[tokio::test(start_paused = true)]
async fn recycling_replaces_before_it_retires() {
    let sim = Sim::new([Script::Good, Script::Refuses, Script::Good]);
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let old = lease.worker();
    pool.recycle(old);
    until(&pool, |status| status.counters.recycled == 1).await;
    assert_eq!(
        sim.books().opened,
        3,
        "the first replacement failed, and the old one was kept"
    );
    assert_eq!(lease.call(b"still here").await.unwrap(), b"still here");
    drop(lease);
    let new = pool.checkout().await.unwrap();
    assert_ne!(new.worker(), old);
    drop(new);
    until(&pool, |status| status.workers.len() == 1).await;
    assert_eq!(pool.status().serving(), 1);
    end(&pool, &sim).await;
}

/// L18: shutdown begins before it is polled, refuses who waits and who comes, and is the same one when repeated.
#[tokio::test(start_paused = true)]
async fn shutdown_answers_everyone_and_happens_once() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut held = pool.checkout().await.unwrap();
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    drop(pool.shutdown());
    assert!(matches!(waits.await, Err(CheckoutError::Closed)));
    assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
    assert_eq!(held.call(b"the last word").await.unwrap(), b"the last word");
    drop(held);
    let (first, second) = tokio::join!(pool.shutdown(), pool.shutdown());
    assert_eq!((first.workers.len(), second.workers.len()), (1, 1));
    assert_eq!(sim.books().open, 0);
}

/// L16, L17: shutdown waits for calls under way as long as it may, then stops their workers and tells the calls why.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_in_time_under_a_call_that_does_not() {
    let sim = Sim::new([Script::Stubborn, Script::Good, Script::Mute]);
    let pool = pool(&sim, 3)
        .call_timeout(Duration::from_secs(3600))
        .shutdown_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    until(&pool, |status| status.occupancy().ready == 2).await;
    let mut hangs = pin!(pool.call(b"hang"));
    begin(&mut hangs).await;
    let since = Instant::now();
    let (call, report) = tokio::join!(hangs, pool.shutdown());
    match call {
        Err(CallError::Stopped {
            reason: Reason::Shutdown,
            request_written: true,
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
    assert!(
        since.elapsed() <= Duration::from_secs(30),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(report.unreleased, []);
    let mut rungs: Vec<_> = report.workers.iter().map(|end| end.rung).collect();
    rungs.sort();
    assert_eq!(rungs, [Some(Rung::Ask), Some(Rung::Ask), Some(Rung::Kill)]);
    let Books {
        open,
        terminated,
        killed,
        ..
    } = sim.books();
    assert_eq!((open, terminated, killed), (0, 1, 1));
}

/// L17: what the operating system does not let go of is named in the report, which comes in time.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_released_is_reported() {
    let sim = Sim::new([Script::Unreleasable]);
    let pool = pool(&sim, 1).build().unwrap();
    let worker = pool.checkout().await.unwrap().worker();
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, [worker]);
    assert!(report.took < Duration::from_secs(31), "{:?}", report.took);
    assert!(report.to_string().contains("NOT released"), "{report}");
}

/// A pool that is dropped without a shutdown leaves nothing, and a lease that outlives it is over.
#[tokio::test(start_paused = true)]
async fn a_dropped_pool_leaves_nothing() {
    let sim = Sim::default();
    let pool = pool(&sim, 2).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    drop(pool);
    assert_eq!(
        lease.call(b"the last word").await.unwrap(),
        b"the last word"
    );
    drop(lease);
    for _ in 0..1000 {
        if sim.books().open == 0 {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?}", sim.books());
}

/// C2, P6: with its runtime, a pool ends at once; its handles and leases then work anywhere and say so.
#[test]
fn a_pool_ends_with_its_runtime() {
    let sim = Sim::default();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let (pool, mut lease): (Pool, Lease) = first.block_on(async {
        let pool = pool(&sim, 2).build().unwrap();
        let lease = pool.checkout().await.unwrap();
        (pool, lease)
    });
    drop(first);
    assert_eq!(sim.books().open, 0);
    assert_eq!(pool.status().workers.len(), 0);
    runtime().block_on(async {
        let call = lease.call(b"hello").await;
        assert!(matches!(call, Err(CallError::Stopped { .. })), "{call:?}");
        assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
        assert_eq!(pool.shutdown().await.unreleased, []);
    });
}

/// Backpressure: one client more than may wait is refused at once, and the error says what the pool looks like.
#[tokio::test(start_paused = true)]
async fn the_queue_has_a_bound_and_a_deadline() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .max_waiting(1)
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let held = pool.checkout().await.unwrap();
    let mut waits = pin!(pool.checkout());
    begin(&mut waits).await;
    let refused = pool.checkout().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1 clients are waiting already, as many as may: 0 workers initializing, 0 ready, 1 busy, \
         0 draining, 1 clients waiting"
    );
    let since = Instant::now();
    let late = waits.await.unwrap_err();
    assert_eq!(since.elapsed(), Duration::from_secs(3));
    assert_eq!(
        late.to_string(),
        "no worker became free within 3s: 0 workers initializing, 0 ready, 1 busy, 0 draining, \
         0 clients waiting"
    );
    drop(held);
    let counters = pool.status().counters;
    assert_eq!((counters.refused, counters.gave_up), (1, 1));
    end(&pool, &sim).await;
}

/// L20: an option out of its range fails the build, by its name, with its value and its range.
#[tokio::test]
async fn options_are_checked_when_the_pool_is_built() {
    let build = |change: fn(Builder) -> Builder| {
        change(pool(&Sim::default(), 2))
            .build()
            .unwrap_err()
            .to_string()
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(
        build(|b| b.size(0)),
        "option `size` is 0, and must be 1 to 4096"
    );
    assert_eq!(
        build(|b| b.surge(3)),
        "option `surge` is 3, and must be 1 to 2"
    );
    assert_eq!(
        build(|b| b.max_starting(0)),
        "option `max_starting` is 0, and must be 1 to 4096"
    );
    assert_eq!(
        build(|b| b.crash_loop(0)),
        "option `crash_loop` is 0, and must be 1 to 4294967295"
    );
    assert_eq!(
        build(|b| b.max_frame(10)),
        "option `max_frame` is 10, and must be 1024 to 1073741824"
    );
    for (name, text) in [
        ("start_timeout", build(|b| b.start_timeout(Duration::ZERO))),
        (
            "checkout_timeout",
            build(|b| b.checkout_timeout(Duration::ZERO)),
        ),
        ("call_timeout", build(|b| b.call_timeout(Duration::ZERO))),
    ] {
        assert_eq!(
            text,
            format!("option `{name}` is 0ns, and must be 1ns to 604800s")
        );
    }
    assert_eq!(
        build(|b| b.shutdown_timeout(Duration::from_millis(1))),
        "option `shutdown_timeout` is 1ms, and must be 10ms to 604800s"
    );
    assert_eq!(
        build(|b| b.restart_backoff(Duration::from_secs(2), Duration::from_secs(1))),
        "option `restart_backoff_max` is 1s, and must be 2s to 604800s"
    );
    let long = 8 * day;
    let ask = pool(&Sim::default(), 1)
        .stop_grace(long, day)
        .build()
        .unwrap_err();
    assert_eq!(
        ask.to_string(),
        "option `ask_grace` is 691200s, and must be 0ns to 604800s"
    );
    let term = pool(&Sim::default(), 1)
        .stop_grace(day, long)
        .build()
        .unwrap_err();
    assert_eq!(
        term.to_string(),
        "option `term_grace` is 691200s, and must be 0ns to 604800s"
    );
}

/// P6: outside a runtime, building a pool is an error, before anything is started.
#[test]
fn a_pool_needs_a_runtime() {
    let sim = Sim::default();
    let error = pool(&sim, 1).build().unwrap_err().to_string();
    assert_eq!(
        error,
        "a pool must be built inside a tokio runtime: call `build` from async code"
    );
    assert_eq!(sim.books(), Books::default());
}

/// The types that users hold can be held anywhere; a start error can be kept.
#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + std::fmt::Debug + 'static>() {}
    check::<Pool>();
    check::<Lease>();
    check::<Builder>();
    check::<CallError>();
    check::<StartError>();
}
