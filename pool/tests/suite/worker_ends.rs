//! Does one line say why a worker ended, and do the log, the status and the report say the same?
//!
//! The real driver on simulated ports (see `ostler_pool::testing::Sim`), and real processes.

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{AbandonedCalls, Builder, Pool, Program, Reason};
use tokio::time::timeout;

use crate::rig::{end, hostile, pool, until};
use crate::tracing::{Line, Log, listen};

/// What is logged about the pool, its starts and its ends, in order, with the name of the pool.
fn lines(log: &Log) -> Vec<String> {
    let mut lines = log.lines();
    lines.retain(|(line, _)| {
        let words = [" ended", " began", "start failed:"];
        words.iter().any(|word| line.contains(word))
    });
    let named = |(line, fields): Line| match fields.get("pool") {
        Some(pool) => format!("{pool} {line}"),
        None => line,
    };
    lines.into_iter().map(named).collect()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a pool of one worker that does this. Returns the line of the log about the first end,
/// without the worker's age. The status must say the same.
async fn end_of(
    script: Script,
    options: impl FnOnce(Builder) -> Builder,
    act: impl AsyncFnOnce(&Pool),
) -> String {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::new([script]);
    let pool = pool(&sim, 1)
        .restart_backoff(ms(30_000))
        .min_worker_life(Duration::ZERO)
        .health_check_interval(ms(100))
        .health_check_timeout(ms(50))
        .release_timeout(ms(10));
    let pool = options(pool).build().unwrap();
    act(&pool).await;
    until(&pool, |status| {
        status.counters.released + status.counters.abandoned > 0
    })
    .await;
    sim.let_go();
    until(&pool, |status| status.counters.released > 0).await;
    let shown = pool.status().recent_ends.remove(0).to_string();
    end(&pool, &sim).await;
    let mut logged = lines(&log);
    logged.retain(|line| line.starts_with("ostler::worker worker "));
    assert_eq!(logged[0], format!("ostler::worker {shown}"));
    let (line, _age) = shown.rsplit_once("; ").unwrap();
    line.to_owned()
}

async fn serves(pool: &Pool) {
    until(pool, |status| status.serving() > 0).await;
}

/// Makes a call that succeeds, and then this one, which fails.
fn call(request: &'static [u8]) -> impl AsyncFnOnce(&Pool) {
    async move |pool: &Pool| {
        pool.call(b"hello").await.unwrap();
        pool.call(request).await.unwrap_err();
    }
}

/// O9: the end of a worker that failed a call has its line: why, how, and after how many calls.
#[tokio::test(start_paused = true)]
async fn an_end_in_a_call_has_its_line() {
    let timed = |builder: Builder| builder.call_timeout(ms(200));
    let cancels = |builder: Builder| {
        builder
            .call_timeout(ms(200))
            .abandoned_calls(AbandonedCalls::Cancel(ms(300)))
    };
    let dropped = async |pool: &Pool| {
        let mut lease = pool.checkout().await.unwrap();
        timeout(ms(50), lease.call(b"hang")).await.unwrap_err();
    };
    let same = |builder| builder;
    let ends = [
        end_of(Script::Good, timed, call(b"hang")).await,
        end_of(Script::Good, cancels, call(b"hang")).await,
        end_of(Script::Good, cancels, call(b"leave")).await,
        end_of(Script::Good, same, call(b"exit")).await,
        end_of(Script::Good, same, call(b"garbage")).await,
        end_of(Script::Unkillable, same, call(b"exit")).await,
        end_of(Script::IgnoresStop, timed, call(b"hang")).await,
        end_of(Script::Good, same, dropped).await,
    ];
    let expected = [
        "call timed out after 200 ms; SIGTERM; 1 call",
        // The worker did not cancel the call.
        "call timed out after 200 ms; SIGTERM; 1 call",
        // It left instead.
        "exited by itself; exit code 3; 1 call",
        "exited by itself; exit code 3; 1 call",
        "broke the protocol: it sent a frame of 4294967295 bytes, and `max_frame` is 67108864; \
         SIGTERM; 1 call",
        "exited by itself; exit code 3; 1 call",
        "call timed out after 200 ms; SIGKILL; 1 call",
        "call abandoned; SIGTERM; 0 calls",
    ];
    assert_eq!(
        ends,
        expected.map(|said| format!("worker 0.1 ended: {said}"))
    );
}

/// O9: the end of a worker whose start failed says why it failed.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_start_has_its_line() {
    let starts = async |_: &Pool| {};
    let recycled = async |pool: &Pool| {
        until(pool, |status| !status.workers[0].age.is_zero()).await;
        pool.recycle(pool.status().workers[0].worker);
    };
    let (same, soon) = (
        |builder| builder,
        |builder: Builder| builder.start_timeout(ms(1500)),
    );
    let ends = [
        end_of(Script::OpenFails, same, starts).await,
        end_of(Script::OpenPanics, same, starts).await,
        end_of(Script::StartFails, same, starts).await,
        end_of(Script::ExitsAtStart, same, starts).await,
        end_of(Script::NoHandshake, soon, starts).await,
        end_of(Script::NoHandshake, same, recycled).await,
    ];
    let expected = [
        "start failed: program `sim` could not be started: scripted; no process; 0 calls",
        "start failed: its task panicked; no process; 0 calls",
        "start failed: RuntimeError: scripted; was starting, SIGTERM; 0 calls",
        "exited while it started; exit code 3; 0 calls",
        "start timed out after 1.5 s; was starting, SIGTERM; 0 calls",
        "recycled; was starting, asked to exit; 0 calls",
    ];
    assert_eq!(
        ends,
        expected.map(|said| format!("worker 0.1 ended: {said}"))
    );
}

/// O9: the end of a worker that the pool replaced or no longer needs has its line.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_idle_worker_has_its_line() {
    let served = async |pool: &Pool| {
        serves(pool).await;
        let _ = pool.call(b"hello").await;
    };
    let recycled = async |pool: &Pool| {
        serves(pool).await;
        pool.recycle(pool.status().workers[0].worker);
    };
    let closed = async |pool: &Pool| {
        serves(pool).await;
        pool.shutdown();
    };
    let served_and_closed = async |pool: &Pool| {
        served(pool).await;
        pool.shutdown();
    };
    let same = |builder| builder;
    let ends = [
        end_of(Script::IgnoresPings, same, served).await,
        end_of(Script::Unhealthy, same, served).await,
        end_of(Script::DoublePong, same, served).await,
        end_of(Script::WrongPong, same, served).await,
        end_of(
            Script::LargeMemory,
            |b| b.max_worker_memory(1 << 25),
            served,
        )
        .await,
        end_of(Script::Good, |b| b.max_worker_age(ms(500)), served).await,
        end_of(Script::Good, |b| b.max_worker_requests(1), served).await,
        end_of(Script::Good, |b| b.error_threshold(1), call(b"raise")).await,
        end_of(Script::Good, same, recycled).await,
        end_of(Script::IgnoresStop, same, closed).await,
        // Its port is abandoned first.
        end_of(Script::NeverReleased, same, served_and_closed).await,
    ];
    let expected = [
        "failed its health checks; SIGTERM; 1 call",
        "failed its health checks: RuntimeError: scripted; asked to exit, exit code 0; 1 call",
        "broke the protocol: it sent bytes that answer no request; SIGTERM; 1 call",
        "broke the protocol: it answered with a frame of kind 129, which does not answer the \
         request; SIGTERM; 1 call",
        "reached `max_worker_memory`; asked to exit, exit code 0; 0 calls",
        "reached `max_worker_age`; asked to exit, exit code 0; 1 call",
        "reached `max_worker_requests`; asked to exit, exit code 0; 1 call",
        "reached `error_threshold`; asked to exit, exit code 0; 2 calls",
        "recycled; asked to exit, exit code 0; 0 calls",
        "pool shut down; SIGKILL; 0 calls",
        "pool shut down; asked to exit, exit code 0; 1 call",
    ];
    assert_eq!(
        ends,
        expected.map(|said| format!("worker 0.1 ended: {said}"))
    );
}

/// O9: the life of a pool is a few lines: failed starts, rolling restarts, ends and the shutdown.
/// Each has the pool's name.
#[tokio::test(start_paused = true)]
async fn the_life_of_a_pool_is_a_few_lines() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::new([Script::StartFails]);
    let pool = pool(&sim, 1).name("thumbnails").build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let restart = pool.recycle_all();
    // It joins the one that is under way.
    assert_eq!(pool.recycle_all().await.unwrap(), 1);
    assert_eq!(restart.await.unwrap(), 1);
    until(&pool, |status| status.counters.released == 2).await;
    let session = pool.session("Ada").unwrap();
    pool.shutdown().await;
    pool.shutdown().await;
    drop((session, pool));
    let expected = [
        "ostler::worker start failed: worker 0.1 refused to start: RuntimeError: scripted",
        "ostler::worker worker 0.1 ended: start failed: RuntimeError: scripted; was starting, SIGTERM; 0 calls; 0 ms",
        "ostler::pool rolling restart began: 1 worker",
        "ostler::pool rolling restart ended after 0 ms: 1 worker replaced",
        "ostler::worker worker 0.2 ended: recycled; asked to exit, exit code 0; 0 calls; 1 ms",
        "ostler::pool shutdown began: workers: 0 initializing, 1 ready, 0 busy, 0 draining; 0 clients waiting, 1 session",
        "ostler::worker worker 1.1 ended: pool shut down; asked to exit, exit code 0; 0 calls; 0 ms",
        "ostler::pool shutdown ended after 0 ms: 1 worker released, 0 abandoned",
    ];
    let logged = lines(&log);
    assert_eq!(
        logged,
        expected.map(|line| format!("\"thumbnails\" {line}"))
    );
}

/// O9: the line of a worker that exits before it is ready ends with its last line of stderr.
#[tokio::test]
async fn a_start_that_ends_has_its_last_line() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let program = Program::new("sh").args(["-c", "echo reads >&2; echo no license >&2; exit 3"]);
    let pool = Pool::builder(program).size(1).restart_backoff(ms(30_000));
    let pool = pool.build().unwrap();
    until(&pool, |status| status.counters.released == 1).await;
    pool.shutdown().await;
    let mut lines = lines(&log);
    lines.retain(|line| line.contains("start failed: worker"));
    let expected = "ostler::worker start failed: worker 0.1 exited while it was starting: \
                    exit code 3; last stderr: no license";
    assert_eq!(lines, [expected]);
}

/// O9: a rolling restart that a failed start ends is a line that says so.
#[tokio::test(start_paused = true)]
async fn a_rolling_restart_that_fails_has_its_line() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::new([Script::Good, Script::StartFails]);
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let error = pool.recycle_all().await.unwrap_err();
    end(&pool, &sim).await;
    let lines = lines(&log);
    let restart: Vec<&String> = (lines.iter())
        .filter(|line| line.contains("rolling"))
        .collect();
    assert_eq!(
        restart,
        [
            "ostler::pool rolling restart began: 1 worker",
            &format!(
                "ostler::pool rolling restart ended after 0 ms: {error}: \
                 worker 1.1 refused to start: RuntimeError: scripted"
            )
        ]
    );
}

/// O9: a status keeps the last 64 ends, the most recent one last, with how long ago each was.
#[tokio::test(start_paused = true)]
async fn a_status_keeps_recent_ends() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .restart_backoff(ms(1))
        .restart_backoff_max(ms(1))
        .build()
        .unwrap();
    let mut ended = Vec::new();
    for count in 1..=70 {
        let mut lease = pool.checkout().await.unwrap();
        ended.push(lease.worker());
        lease.call(b"exit").await.unwrap_err();
        drop(lease);
        until(&pool, |status| status.counters.released == count).await;
    }
    let ends = pool.status().recent_ends;
    let workers: Vec<_> = ends.iter().map(|end| end.worker).collect();
    assert_eq!(workers, ended[6..]);
    assert!(ends.iter().all(|end| end.reason == Reason::Exited));
    assert!(ends.is_sorted_by_key(|end| std::cmp::Reverse(end.ago)));
    pool.shutdown().await;
}

/// O9: the end of a worker that exits by itself has its exit status and the last line of its
/// stderr.
#[tokio::test]
async fn a_worker_that_exits_has_its_last_line() {
    let pool = hostile().size(1).build().unwrap();
    pool.call(b"pid").await.unwrap();
    pool.call(b"exit 4").await.unwrap_err();
    until(&pool, |status| status.counters.released == 1).await;
    let end = pool.status().recent_ends.remove(0);
    assert_eq!(end.stderr, "the last words\n");
    let age = end.age.as_millis();
    assert!(age > 0, "{end}");
    let line = end.to_string();
    assert!(
        line.starts_with("worker 0.1 ended: exited by itself; exit code 4; 1 call; ")
            && line.ends_with("; last stderr: the last words"),
        "{line}"
    );
    pool.shutdown().await;
}
