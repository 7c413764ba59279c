//! Does a timeline show what happened?

mod browser;
mod chart;
mod crowd;
mod page;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{CallError, Pool, Timeline};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::resources;
use crate::rig::{pool, until};

/// The life of a pool of two, with an accident of each kind. Its times are exact, because the clock
/// is paused.
pub(crate) async fn scene(timeline: &Timeline, trace: Shared) {
    let scripts = [
        Script::Good,
        Script::SlowStart,
        Script::Good,
        Script::IgnoresStop,
    ];
    let sim = Sim::new(scripts);
    let pool = pool(&sim, 2)
        .call_timeout(Duration::from_secs(1))
        .max_waiting(1)
        .timeline(timeline)
        .record(trace)
        .build()
        .unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let call = |request: &'static [u8]| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.call(request).await })
    };
    // Two callers are served, one waits, and one is refused.
    let calls = [
        call(b"think"),
        call(b"think"),
        call(b"think"),
        call(b"think"),
    ];
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().is_ok());
    }
    assert_eq!(answers, [true, true, true, false]);
    let raised = pool.call(b"raise").await;
    assert!(
        matches!(raised, Err(CallError::Raised { .. })),
        "{raised:?}"
    );
    let mut lease = pool.checkout().await.unwrap();
    for _ in 0..3 {
        lease.call(b"think").await.unwrap();
    }
    drop(lease);
    sleep(Duration::from_millis(100)).await;
    let exited = pool.call(b"exit").await;
    assert!(
        matches!(exited, Err(CallError::WorkerExited { .. })),
        "{exited:?}"
    );
    until(&pool, |status| status.serving() == 2).await;
    let hung = pool.call(b"hang").await;
    assert!(matches!(hung, Err(CallError::TimedOut { .. })), "{hung:?}");
    until(&pool, |status| status.serving() == 2).await;
    ends_by_force(&pool).await;
    pool.resize(1).unwrap();
    sleep(Duration::from_millis(50)).await;
    let abandoned = timeout(Duration::from_millis(20), pool.call(b"hang")).await;
    assert!(abandoned.is_err());
    until(&pool, |status| status.serving() == 1).await;
    pool.shutdown().await;
}

/// Recycles the worker that ignores every request to stop.
async fn ends_by_force(pool: &Pool) {
    let workers = pool.status().workers;
    let youngest = workers.iter().min_by_key(|worker| worker.age).unwrap();
    let worker = youngest.worker;
    pool.recycle(worker);
    until(pool, |status| {
        status.serving() == 2 && status.workers.iter().all(|other| other.worker != worker)
    })
    .await;
}

/// The events of a Chrome trace, one a line: thread, begin, duration, name and facts.
fn told(timeline: &Timeline) -> String {
    let mut json = Vec::new();
    timeline.write_chrome_trace(&mut json).unwrap();
    let trace: Value = serde_json::from_slice(&json).unwrap();
    let mut told = String::new();
    for event in trace["traceEvents"].as_array().unwrap() {
        let ms = |key: &str| event[key].as_u64().map(|us| us as f64 / 1e3);
        let name = event["name"].as_str().unwrap();
        let facts = &event["args"];
        match event["ph"].as_str().unwrap() {
            "M" => writeln!(told, "{:2} is {}", event["tid"], facts["name"]),
            "C" => writeln!(
                told,
                "   {:7.1} {} wait",
                ms("ts").unwrap(),
                facts["callers"]
            ),
            "i" => writeln!(
                told,
                "{:2} {:7.1} ! {name}",
                event["tid"],
                ms("ts").unwrap()
            ),
            "X" => writeln!(
                told,
                "{:2} {:7.1} {:7.1} {name} {facts}",
                event["tid"],
                ms("ts").unwrap(),
                ms("dur").unwrap()
            ),
            other => panic!("{other}"),
        }
        .unwrap();
    }
    told
}

/// A timeline tells the phases of each worker, its calls, waiting callers, and each accident, with
/// exact times.
#[tokio::test(start_paused = true)]
async fn everything_is_told() {
    let (timeline, _) = recorded().await;
    assert_eq!(told(&timeline), include_str!("told.txt"));
}

/// A timeline that is read from the trace of a pool equals that of the pool itself.
#[tokio::test(start_paused = true)]
async fn a_trace_tells_the_same() {
    let (timeline, trace) = recorded().await;
    let page = |timeline: &Timeline| {
        let mut page = Vec::new();
        timeline.write_html(&mut page).unwrap();
        String::from_utf8(page).unwrap()
    };
    let read = Timeline::from_trace(trace.as_bytes()).unwrap();
    assert_eq!(page(&read), page(&timeline));
    // The line that a killed host did not finish says nothing.
    let cut = format!("{trace}{{\"at_us\":");
    let read = Timeline::from_trace(cut.as_bytes()).unwrap();
    assert_eq!(page(&read), page(&timeline));
}

/// What is no trace is refused, with the line.
#[tokio::test(start_paused = true)]
async fn what_is_no_trace_is_refused() {
    let (_, trace) = recorded().await;
    let read = |trace: &str| {
        Timeline::from_trace(trace.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let head = "line 1 is not the head of a trace: give a file that `Builder::record` wrote";
    assert_eq!(read(""), head);
    assert_eq!(read("{\"at_us\":1}\n"), head);
    assert_eq!(
        read(&trace.replacen("ostler_trace\":1", "ostler_trace\":2", 1)),
        "the trace is of version 2, and this ostler reads version 1"
    );
    let mut lines: Vec<&str> = trace.split_inclusive('\n').collect();
    let other = lines[7].replace("at_us", "at");
    lines[7] = &other;
    assert_eq!(
        read(&lines.concat()),
        "line 8 has no `at_us`: record the trace with this version of ostler"
    );
    lines[7] = "{}\n";
    assert_eq!(read(&lines.concat()), "line 8 is not a step of a pool");
}

/// A timeline of limited capacity keeps the last leases and what happened meanwhile, and its page
/// says so.
#[tokio::test(start_paused = true)]
async fn the_oldest_is_forgotten() {
    let sim = Sim::default();
    let timeline = Timeline::with_capacity(3);
    let pool = pool(&sim, 1).timeline(&timeline).build().unwrap();
    for _ in 0..10 {
        pool.call(b"think").await.unwrap();
    }
    pool.recycle(pool.status().workers[0].worker);
    until(&pool, |status| status.counters.released == 1).await;
    for _ in 0..2 {
        pool.call(b"think").await.unwrap();
    }
    resources::until("the last call in the timeline", || {
        told(&timeline).contains("   166.0    15.0 answered")
    });
    // The capacity holds for everything: the first worker is told because its last lease is.
    assert_eq!(
        told(&timeline),
        r#"0 is "ostler pool"
0 is "pool"
1 is "slot 0"
2 is "slot 0: calls"
1     0.0   150.0 worker 0.1 {"calls":10,"errors":0,"last step of the stop":"Ask","left because":"it was recycled","memory":1048576,"replaced because":"it was recycled"}
1     0.0   150.0 serving {}
3 is "slot 1"
4 is "slot 1: calls"
3   150.0    31.0 worker 1.1 {"calls":2,"errors":0,"last step of the stop":null,"left because":null,"memory":1048576,"replaced because":null}
3   150.0    31.0 serving {}
2   135.0    15.0 answered {"calls":1,"errors":0,"waited_us":0}
4   151.0    15.0 answered {"calls":1,"errors":0,"waited_us":0}
4   166.0    15.0 answered {"calls":1,"errors":0,"waited_us":0}
       0.0 0 wait
1   150.0 ! to be replaced: it was recycled
"#
    );
    pool.shutdown().await;
}

/// A shutdown begins once, however often it is asked for, and may be cut short.
#[tokio::test(start_paused = true)]
async fn a_shutdown_is_told() {
    let sim = Sim::default();
    let timeline = Timeline::new();
    let pool = pool(&sim, 1).timeline(&timeline).build().unwrap();
    let lease = pool.checkout().await.unwrap();
    drop((pool.shutdown(), pool.shutdown()));
    drop(pool.shutdown_now());
    until(&pool, |status| status.workers.is_empty()).await;
    drop(lease);
    pool.shutdown().await;
    resources::until("the end of the pool in the timeline", || {
        told(&timeline).contains("the pool has ended")
    });
    let told = told(&timeline);
    let lines = told
        .lines()
        .filter(|line| line.starts_with("0 ") && line.contains('!'));
    let lines: Vec<&str> = lines
        .filter_map(|line| Some(line.split_once("! ")?.1))
        .collect();
    let expected = [
        "the shutdown begins",
        "every worker is killed",
        "every worker that is left is stopped",
        "the pool has ended",
    ];
    assert_eq!(lines, expected);
}

/// The scene on a timeline, and as a trace. The recorder has its own thread, for which the paused
/// clock does not wait.
pub(crate) async fn recorded() -> (Timeline, String) {
    let (timeline, trace) = (Timeline::new(), Shared::default());
    scene(&timeline, trace.clone()).await;
    let text = || String::from_utf8(trace.0.lock().unwrap().clone()).unwrap();
    resources::until("the end of the pool in the trace and the timeline", || {
        text().ends_with("\"Closed\"]}\n") && told(&timeline).contains("the pool has ended")
    });
    let text = text();
    (timeline, text)
}

/// A file in memory.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
