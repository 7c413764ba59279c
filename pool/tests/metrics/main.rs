//! Does the program's recorder get what happens in a pool?
//!
//! Simulated workers on a paused clock: see `ostler_pool::testing::Sim`.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod onlooker;
mod pages;

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Pool, PoolStatus};
use tokio::time::{sleep, timeout};

/// A recorder for the metrics of this thread, on which every task of a test runs. Durations are in
/// buckets of up to 100 ms, up to 1 s, and longer ones.
fn recorder() -> (metrics::LocalRecorderGuard<'static>, PrometheusHandle) {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.1, 1.0])
        .unwrap()
        .build_recorder();
    let handle = recorder.handle();
    // The guard borrows it. A test has one.
    let recorder: &'static _ = Box::leak(Box::new(recorder));
    (metrics::set_default_local_recorder(recorder), handle)
}

/// The samples of the metrics whose names begin so, sorted. Not those that are zero, because every
/// histogram exists from the start, nor the sums, which depend on the scheduler.
fn samples(handle: &PrometheusHandle, of: &str) -> Vec<String> {
    let text = handle.render();
    let is_it =
        |line: &&str| line.starts_with(of) && !line.ends_with(" 0") && !line.contains("_sum{");
    let mut samples: Vec<String> = text.lines().filter(is_it).map(str::to_owned).collect();
    samples.sort();
    samples
}

async fn until(pool: &Pool, described: impl Fn(&PoolStatus) -> bool) {
    for _ in 0..100_000 {
        if described(&pool.status()) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
}

/// Each transition counts with its reason, and the workers of each phase are those of the status.
#[tokio::test(start_paused = true)]
async fn transitions_and_phases_are_counted() {
    let (_kept, handle) = recorder();
    let sim = Sim::default();
    let pool = Pool::builder(sim).name("a").size(2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let mut lease = pool.checkout().await.unwrap();
    lease.call(b"hello").await.unwrap();
    lease.call(b"raise").await.unwrap_err();
    assert_eq!(
        samples(&handle, "ostler_workers{"),
        [
            r#"ostler_workers{pool="a",phase="busy"} 1"#,
            r#"ostler_workers{pool="a",phase="ready"} 1"#,
        ]
    );
    drop(lease);
    pool.call(b"exit").await.unwrap_err();
    until(&pool, |status| status.serving() == 2).await;
    pool.shutdown().await;
    assert_eq!(samples(&handle, "ostler_workers{"), [""; 0]);
    let transition = |from: &str, to: &str, reason: &str, count: u32| {
        format!(
            r#"ostler_transitions_total{{pool="a",from="{from}",to="{to}",reason="{reason}"}} {count}"#
        )
    };
    assert_eq!(
        samples(&handle, "ostler_transitions_total{"),
        [
            transition("busy", "ready", "none", 1),
            transition("busy", "stopping", "exited", 1),
            transition("initializing", "ready", "none", 3),
            transition("lingering", "stopping", "shutdown", 2),
            transition("ready", "busy", "none", 2),
            transition("ready", "lingering", "shutdown", 2),
            transition("stopping", "terminated", "exited", 1),
            transition("stopping", "terminated", "shutdown", 2),
        ]
    );
    assert_eq!(
        samples(&handle, "ostler_worker_ends_total{"),
        [
            r#"ostler_worker_ends_total{pool="a",reason="exited"} 1"#,
            r#"ostler_worker_ends_total{pool="a",reason="shutdown"} 2"#,
        ]
    );
}

/// The samples of a histogram whose durations are all in this bucket: 0.1, 1 or +Inf.
fn histogram(name: &str, labels: &str, bucket: &str, count: u32) -> Vec<String> {
    let buckets = ["0.1", "1", "+Inf"].into_iter();
    let mut lines: Vec<String> = (buckets.skip_while(|it| *it != bucket))
        .map(|le| format!(r#"{name}_bucket{{{labels},le="{le}"}} {count}"#))
        .collect();
    lines.push(format!("{name}_count{{{labels}}} {count}"));
    lines
}

fn sorted(histograms: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let mut lines: Vec<String> = histograms.into_iter().flatten().collect();
    lines.sort();
    lines
}

/// Each call has its duration and its outcome.
#[tokio::test(start_paused = true)]
async fn calls_have_durations_and_outcomes() {
    let (_kept, handle) = recorder();
    let pool = Pool::builder(Sim::default()).size(1);
    let pool = pool
        .call_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    pool.call(b"hello").await.unwrap();
    pool.call(b"raise").await.unwrap_err();
    pool.call(b"hang").await.unwrap_err();
    pool.call(b"exit").await.unwrap_err();
    pool.call(b"garbage").await.unwrap_err();
    let mut lease = pool.checkout().await.unwrap();
    let call = timeout(Duration::from_millis(200), lease.call(b"hang"));
    call.await.unwrap_err();
    drop(lease);
    let mut lease = pool.checkout().await.unwrap();
    let mut reply = lease.stream(b"spell abc").unwrap();
    while reply.next().await.is_some() {}
    // The stream has ended already.
    sleep(Duration::from_secs(5)).await;
    drop(reply);
    drop(lease);
    pool.shutdown().await;
    let calls = |outcome: &str, bucket: &str, count: u32| {
        let labels = format!(r#"pool="default",outcome="{outcome}""#);
        histogram("ostler_call_seconds", &labels, bucket, count)
    };
    assert_eq!(
        samples(&handle, "ostler_call_seconds"),
        sorted([
            calls("ok", "0.1", 2),
            calls("raised", "0.1", 1),
            calls("timed_out", "1", 1),
            calls("failed", "0.1", 2),
            calls("abandoned", "1", 1),
        ])
    );
}

/// A client's wait has its duration and its outcome, and the length of the queue is that of the
/// status.
#[tokio::test(start_paused = true)]
async fn waits_have_durations_and_outcomes() {
    let (_kept, handle) = recorder();
    let pool = Pool::builder(Sim::default()).size(1).max_waiting(3);
    let pool = pool
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let lease = pool.checkout().await.unwrap();
    let waits = |pool: &Pool| {
        tokio::spawn({
            let pool = pool.clone();
            async move { drop(pool.checkout().await) }
        })
    };
    let granted = waits(&pool);
    let gives_up = waits(&pool);
    let granted_later = waits(&pool);
    until(&pool, |status| status.waiting == 3).await;
    let queue = r#"ostler_queue_length{pool="default"} "#;
    assert_eq!(samples(&handle, queue), [format!("{queue}3")]);
    pool.checkout().await.unwrap_err();
    sleep(Duration::from_millis(500)).await;
    gives_up.abort();
    until(&pool, |status| status.waiting == 2).await;
    assert_eq!(samples(&handle, queue), [format!("{queue}2")]);
    drop(lease);
    granted.await.unwrap();
    granted_later.await.unwrap();
    let lease = pool.checkout().await.unwrap();
    let times_out = waits(&pool);
    times_out.await.unwrap();
    assert_eq!(samples(&handle, queue), [""; 0]);
    drop(lease);
    pool.shutdown().await;
    let waits = |outcome: &str, bucket: &str, count: u32| {
        let labels = format!(r#"pool="default",outcome="{outcome}""#);
        histogram("ostler_wait_seconds", &labels, bucket, count)
    };
    let mut granted = waits("granted", "0.1", 2);
    // Two waited for half a second.
    for line in &mut granted {
        if !line.contains(r#"le="0.1""#) {
            *line = line.strip_suffix('2').unwrap().to_owned() + "4";
        }
    }
    assert_eq!(
        samples(&handle, "ostler_wait_seconds"),
        sorted([
            granted,
            waits("refused", "0.1", 1),
            waits("gave_up", "1", 1),
            waits("timed_out", "+Inf", 1),
        ])
    );
}

/// A start and a drain have durations. A start that fails has none.
#[tokio::test(start_paused = true)]
async fn starts_and_drains_have_durations() {
    let (_kept, handle) = recorder();
    let sim = Sim::new([Script::StartFails, Script::SlowStart, Script::SlowStart]);
    let pool = Pool::builder(sim).size(1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let lease = pool.checkout().await.unwrap();
    pool.recycle(lease.worker());
    until(&pool, |status| status.counters.started == 2).await;
    sleep(Duration::from_millis(500)).await;
    drop(lease);
    until(&pool, |status| status.counters.released == 2).await;
    let pool_label = r#"pool="default""#;
    assert_eq!(
        samples(&handle, "ostler_start_seconds"),
        sorted([histogram("ostler_start_seconds", pool_label, "0.1", 2)])
    );
    assert_eq!(
        samples(&handle, "ostler_drain_seconds"),
        sorted([histogram("ostler_drain_seconds", pool_label, "1", 1)])
    );
    pool.shutdown().await;
}

/// Two pools with names have metrics of their own.
#[tokio::test(start_paused = true)]
async fn a_name_tells_pools_apart() {
    let (_kept, handle) = recorder();
    let pools = ["a", "b"].map(|name| {
        Pool::builder(Sim::default())
            .name(name)
            .size(1)
            .build()
            .unwrap()
    });
    for pool in &pools {
        until(pool, |status| status.serving() == 1).await;
    }
    assert_eq!(
        samples(&handle, "ostler_workers{"),
        ["a", "b"].map(|name| format!(r#"ostler_workers{{pool="{name}",phase="ready"}} 1"#))
    );
}
