//! Do spans cover what a worker and a call go through, and does the log say where a lease is held?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{AbandonedCalls, Phase, Pool};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::rig::{end, pool, until};
use crate::tracing::{Log, Spans, listen};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The span of a worker has spans for its start, its health checks, its drain and its end.
#[tokio::test(start_paused = true)]
async fn a_worker_has_spans() {
    let spans = Spans::default();
    let _kept = listen(spans.clone());
    let sim = Sim::new([Script::SlowStart]);
    let pool = pool(&sim, 1)
        .health_check_interval(ms(200))
        .build()
        .unwrap();
    until(&pool, |_| sim.stats().opened == 1).await;
    assert_eq!(spans.open(), ["worker", "start"]);
    until(&pool, |status| status.counters.probes == 1).await;
    until(&pool, |status| status.workers[0].last_probe.is_some()).await;
    assert_eq!(spans.open(), ["worker"]);
    let lease = pool.checkout().await.unwrap();
    pool.recycle(lease.worker());
    until(&pool, |status| status.counters.recycled == 1).await;
    assert_eq!(spans.open(), ["worker", "worker", "drain"]);
    drop(lease);
    until(&pool, |status| status.counters.released == 1).await;
    assert_eq!(spans.open(), ["worker"]);
    let names: Vec<&str> = (spans.children("worker").into_iter())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["start", "probe", "drain", "stop"]);
    end(&pool, &sim).await;
    assert_eq!(spans.open(), [""; 0]);
}

/// A call has a span in that of its caller, with its outcome.
#[tokio::test(start_paused = true)]
async fn a_call_has_a_span() {
    let spans = Spans::default();
    let _kept = listen(spans.clone());
    let sim = Sim::default();
    let pool = pool(&sim, 1).call_timeout(ms(200)).build().unwrap();
    let request = tracing::info_span!(target: "ostler::test", "request");
    async {
        pool.call(b"hello").await.unwrap();
        pool.call(b"raise").await.unwrap_err();
        pool.call(b"hang").await.unwrap_err();
        pool.call(b"exit").await.unwrap_err();
        let mut lease = pool.checkout().await.unwrap();
        timeout(ms(50), lease.call(b"hang")).await.unwrap_err();
    }
    .instrument(request)
    .await;
    let outcomes = ["ok", "raised", "timed_out", "failed", "abandoned"];
    let calls = outcomes.map(|outcome| ("call", format!("\"{outcome}\"")));
    assert_eq!(spans.children("request"), calls);
    end(&pool, &sim).await;
    assert_eq!(spans.open(), [""; 0]);
}

/// The lines about leases that are held for long.
fn held(log: &Log) -> Vec<String> {
    let lines = log.lines().into_iter().map(|(line, _)| line);
    lines
        .filter(|line| line.contains("lease_warning"))
        .collect()
}

fn line_at(worker: &str, line: u32) -> String {
    format!(
        "ostler::worker worker {worker} has been leased for 200 ms, longer than `lease_warning`: \
         the lease was taken at pool/tests/suite/spans.rs:{line}:"
    )
}

/// The lines are these, apart from the columns at their ends.
fn assert_held(log: &Log, expected: &[(&str, u32)]) {
    let lines = held(log);
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.trim_end_matches(char::is_numeric))
        .collect();
    let expected: Vec<String> = expected
        .iter()
        .map(|(worker, line)| line_at(worker, *line))
        .collect();
    assert_eq!(lines, expected);
}

/// A lease that is held for longer than `lease_warning` is logged once, with the place where it was
/// taken, also if its client had to wait for it, or asked for it through a session.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_held_for_long_is_logged() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::default();
    let pool = pool(&sim, 2).lease_warning(ms(200)).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let (first, first_line) = (pool.checkout().await.unwrap(), line!());
    sleep(ms(150)).await;
    let (second, second_line) = (pool.try_checkout().unwrap(), line!());
    let (mut waits, third_line) = (Box::pin(pool.checkout()), line!());
    timeout(ms(40), &mut waits).await.unwrap_err();
    assert_held(&log, &[]);
    sleep(ms(1000)).await;
    let mut expected = vec![("0.1", first_line), ("1.1", second_line)];
    assert_held(&log, &expected);
    drop(first);
    let third = waits.await.unwrap();
    sleep(ms(1000)).await;
    expected.push(("0.1", third_line));
    assert_held(&log, &expected);
    drop((second, third));
    let session = pool.session("Ada").unwrap();
    let (lease, line) = (session.checkout().await.unwrap(), line!());
    let worker = lease.worker().to_string();
    sleep(ms(1000)).await;
    expected.push((&worker, line));
    assert_held(&log, &expected);
    drop(lease);
    session.end();
    end(&pool, &sim).await;
}

/// A lease is held from its grant on, also if its worker is to leave meanwhile.
#[tokio::test(start_paused = true)]
async fn a_drain_does_not_shorten_a_lease() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::default();
    let pool = pool(&sim, 1).lease_warning(ms(200)).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let (lease, line) = (pool.checkout().await.unwrap(), line!());
    sleep(ms(150)).await;
    pool.recycle(lease.worker());
    sleep(ms(100)).await;
    let worker = pool
        .status()
        .workers
        .into_iter()
        .find(|it| it.worker == lease.worker());
    assert_eq!(worker.unwrap().phase, Phase::Finishing);
    assert_held(&log, &[("0.1", line)]);
    drop(lease);
    end(&pool, &sim).await;
}

/// No warning is logged for a lease that is returned in time, for a long call, for a call that is
/// being cancelled, or in a pool without `lease_warning`.
#[tokio::test(start_paused = true)]
async fn no_other_lease_is_logged() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::default();
    let cancels = AbandonedCalls::Cancel(ms(3000));
    let pool = pool(&sim, 1)
        .lease_warning(ms(200))
        .abandoned_calls(cancels);
    let pool = pool.call_timeout(ms(1000)).build().unwrap();
    for _ in 0..5 {
        let lease = pool.checkout().await.unwrap();
        sleep(ms(150)).await;
        drop(lease);
    }
    pool.call(b"hang").await.unwrap_err();
    let mut lease = pool.checkout().await.unwrap();
    timeout(ms(50), lease.call(b"hang")).await.unwrap_err();
    drop(lease);
    sleep(ms(10_000)).await;
    end(&pool, &sim).await;
    let pool = Pool::builder(sim.clone())
        .size(1)
        .lease_warning(None)
        .build()
        .unwrap();
    let lease = pool.checkout().await.unwrap();
    sleep(Duration::from_secs(1000)).await;
    drop(lease);
    end(&pool, &sim).await;
    assert_held(&log, &[]);
}
