//! Do simulated workers stand in for the workers of an application?

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use ostler_pool::testing::{Answer, Fault, Script, Sim};
use ostler_pool::{CallError, Event, ExitStatus, Pool, Rung};
use tokio::time::Instant;

use crate::rig::{end, pool};

const SECOND: Duration = Duration::from_secs(1);

/// A simulated application: it doubles numbers.
fn doubling() -> Sim {
    Sim::answering(|_, request| {
        let n: u64 = request.json();
        Answer::json(&(2 * n))
    })
}

/// Calls, leases, sessions, batches and maps get what the closure answers, and each request is
/// counted.
#[tokio::test(start_paused = true)]
async fn every_kind_of_call_is_answered() {
    let sim = doubling();
    let pool = pool(&sim, 2).build().unwrap();
    assert_eq!(pool.call_json::<_, u64>(&1).await.unwrap(), 2);
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.call_json::<_, u64>(&2).await.unwrap(), 4);
    let many = lease.call_many(&["3", "4"]).await;
    let many: Vec<Vec<u8>> = many.into_iter().map(Result::unwrap).collect();
    assert_eq!(many, [b"6", b"8"]);
    drop(lease);
    let session = pool.session("somebody").unwrap();
    assert_eq!(session.call_json::<_, u64>(&5).await.unwrap(), 10);
    session.end();
    let mapped: Vec<u64> = pool
        .map_json::<_, u64>(6..100)
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(mapped, (6..100).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(sim.stats().requests, 99);
    end(&pool, &sim).await;
}

/// The closure learns what a Python function could: the session, the function, the timeout and the
/// trace of each request, also in a batch. It concerns that request only.
#[tokio::test(start_paused = true)]
async fn the_closure_learns_of_its_call() {
    let sim = Sim::answering(|_, request| {
        let function = request.function().unwrap();
        let (session, trace) = (request.session(), request.traceparent());
        let told = format!(
            "{function} {session:?} {trace:?} {:?}",
            request.call_timeout()
        );
        Answer::json(&told)
    });
    let sim = sim.functions(["one", "other"]);
    let pool = pool(&sim, 1).call_timeout(7 * SECOND).build().unwrap();
    let one = pool.function_json::<(), String>("one");
    assert_eq!(one.call(&()).await.unwrap(), "one None None 7s");
    let session = pool.session("Ada").unwrap();
    let request = one.request(&()).unwrap().session(&session);
    let request = request.call_timeout(2 * SECOND).traceparent("00-1");
    let told: String = request.send_json().await.unwrap();
    assert_eq!(told, r#"one Some("Ada") Some("00-1") 2s"#);
    session.end();
    let other = pool.function_json::<(), String>("other");
    let told: Vec<String> = other.map([(), ()]).map(Result::unwrap).collect().await;
    assert_eq!(told, ["other None None 7s"; 2]);
    match pool.function_json::<(), ()>("third").call(&()).await {
        Err(CallError::NoSuchFunction { known, .. }) => assert_eq!(known, ["one", "other"]),
        other => panic!("{other:?}"),
    }
    end(&pool, &sim).await;
}

/// The closure knows which worker it plays, and its state is that of all workers: a first call that
/// crashes its worker, and a second one that succeeds on the replacement.
#[tokio::test(start_paused = true)]
async fn a_worker_crashes_once_and_then_succeeds() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let sim = Sim::answering(move |worker, request| {
        let mut seen = seen.lock().unwrap();
        seen.push((worker, request.body().to_vec()));
        match seen.len() {
            1 => Answer::Crash(ExitStatus::Code(70)),
            _ => Answer::reply("done"),
        }
    });
    let pool = pool(&sim, 1).build().unwrap();
    match pool.call("work").await.unwrap_err() {
        CallError::WorkerExited {
            worker,
            exit,
            request_written: true,
        } => {
            assert_eq!(worker.to_string(), "0.1");
            assert_eq!(exit.status, ExitStatus::Code(70));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call("work").await.unwrap(), b"done");
    let asked = asked.lock().unwrap().clone();
    let [(first, _), (second, _)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_ne!(first, second);
    assert!(asked.iter().all(|(_, request)| request == b"work"));
    end(&pool, &sim).await;
}

/// A stream gets its parts at their times and ends as planned. A call that is answered with a
/// stream fails, as with a Python generator, and a stream that is answered with a reply has one
/// part.
#[tokio::test(start_paused = true)]
async fn streams_are_played() {
    let sim = Sim::answering(|_, request| {
        let parts = || vec![Answer::reply("a"), Answer::reply("b").after(2 * SECOND)];
        let and = |last| [parts(), vec![last]].concat();
        match request.body() {
            b"ends" => Answer::Stream(parts()),
            b"raises" => Answer::Stream(and(Answer::raise("ValueError", "no more"))),
            b"crashes" => Answer::Stream(and(Answer::Crash(ExitStatus::Code(1)))),
            b"hangs" => Answer::Stream(and(Answer::Hang)).after(SECOND),
            other => Answer::reply(other),
        }
    });
    let pool = pool(&sim, 1).call_timeout(5 * SECOND).build().unwrap();
    let played = async |request: &str| {
        let mut lease = pool.checkout().await.unwrap();
        let mut stream = lease.stream(request).unwrap();
        let (mut parts, begun) = (Vec::new(), Instant::now());
        loop {
            match stream.next().await {
                Some(Ok(part)) => parts.push(String::from_utf8(part).unwrap()),
                Some(Err(error)) => return (parts, Some(error), begun.elapsed()),
                None => return (parts, None, begun.elapsed()),
            }
        }
    };
    let (parts, error, after) = played("ends").await;
    assert_eq!((&parts.concat()[..], after), ("ab", 2 * SECOND));
    assert!(error.is_none(), "{error:?}");
    let (parts, error, after) = played("raises").await;
    assert_eq!((&parts.concat()[..], after), ("ab", 2 * SECOND));
    assert!(matches!(error, Some(CallError::Raised { .. })), "{error:?}");
    let (parts, error, after) = played("crashes").await;
    assert_eq!((&parts.concat()[..], after), ("ab", 2 * SECOND));
    assert!(
        matches!(error, Some(CallError::WorkerExited { .. })),
        "{error:?}"
    );
    let (parts, error, after) = played("hangs").await;
    assert_eq!((&parts.concat()[..], after), ("ab", 8 * SECOND));
    assert!(
        matches!(error, Some(CallError::TimedOut { .. })),
        "{error:?}"
    );
    let (parts, error, _) = played("whole").await;
    assert_eq!(parts, ["whole"]);
    assert!(error.is_none(), "{error:?}");
    let error = pool.call("ends").await.unwrap_err();
    let report = error.report().to_string();
    assert!(
        report.contains("TypeError: a stream answers a call"),
        "{report}"
    );
    end(&pool, &sim).await;
}

/// A call that is abandoned while the worker waits is cancelled, also in a batch, and the worker is
/// kept. A worker that hangs ignores the cancel and is replaced.
#[tokio::test(start_paused = true)]
async fn a_wait_is_cancelled_and_a_hang_is_not() {
    let sim = Sim::answering(|_, request| match request.body() {
        b"wait" => Answer::reply("late").after(100 * SECOND),
        b"hang" => Answer::Hang,
        other => Answer::reply(other),
    });
    let pool = pool(&sim, 1)
        .call_timeout(SECOND)
        .abandoned_calls(crate::cancel(SECOND))
        .build()
        .unwrap();
    assert!(pool.call("wait").await.unwrap_err().is_timeout());
    assert_eq!(pool.call("hello").await.unwrap(), b"hello");
    let mut lease = pool.checkout().await.unwrap();
    let many = lease.call_many(&["one", "wait", "two"]).await;
    drop(lease);
    assert_eq!(many.len(), 3);
    assert_eq!(many[0].as_ref().unwrap(), b"one");
    assert!(many[1].as_ref().unwrap_err().is_timeout(), "{many:?}");
    assert_eq!(pool.call("hello").await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 1);
    assert!(pool.call("hang").await.unwrap_err().is_timeout());
    assert_eq!(pool.call("hello").await.unwrap(), b"hello");
    assert_eq!(sim.stats().opened, 2);
    end(&pool, &sim).await;
}

/// A worker that waits or hangs exits at the end of its input, as the protocol demands.
#[tokio::test(start_paused = true)]
async fn a_busy_worker_notices_the_end_of_its_input() {
    for answer in [Answer::Hang, Answer::reply("late").after(100 * SECOND)] {
        let sim = Sim::answering(move |_, _| answer.clone());
        let pool = pool(&sim, 1).call_timeout(100 * SECOND).build().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        // At the drain deadline, the pool closes the worker's input.
        let (called, report) = tokio::join!(lease.call(""), pool.shutdown());
        assert!(
            matches!(called, Err(CallError::Stopped { .. })),
            "{called:?}"
        );
        let [worker] = &report.workers[..] else {
            panic!("{report}");
        };
        let ended = (worker.rung, worker.status);
        assert_eq!(ended, (Some(Rung::Ask), Some(ExitStatus::Code(0))));
        assert_eq!((sim.stats().terminated, sim.stats().killed), (0, 0));
    }
}

/// A closure that panics crashes its worker, and the error says why.
#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_crashes_its_worker() {
    let sim = doubling();
    let pool = pool(&sim, 1).build().unwrap();
    match pool.call("seven").await.unwrap_err() {
        CallError::WorkerExited { exit, .. } => {
            assert_eq!(exit.status, ExitStatus::Signal(6));
            let start = "the simulation's closure panicked: the request is not the JSON of a `u64`";
            assert!(exit.stderr.starts_with(start), "{}", exit.stderr);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call_json::<_, u64>(&7).await.unwrap(), 14);
    end(&pool, &sim).await;
}

/// Each fault meets one request and does what its description says. The closure does not see a
/// request whose fault is `Crash`, `Raise` or `Hang`.
#[tokio::test(start_paused = true)]
async fn each_fault_meets_one_request() {
    let seen = Arc::new(Mutex::new(String::new()));
    let sees = Arc::clone(&seen);
    let sim = Sim::answering(move |_, request| {
        sees.lock()
            .unwrap()
            .push_str(std::str::from_utf8(request.body()).unwrap());
        Answer::reply(request.body())
    });
    let sim = sim.faults([
        Some(Fault::Crash),
        Some(Fault::CrashAfterwards),
        Some(Fault::Raise),
        None,
        Some(Fault::Hang),
        Some(Fault::Delay(SECOND)),
    ]);
    let pool = pool(&sim, 1).call_timeout(2 * SECOND).build().unwrap();
    let killed = |called| match called {
        Err(CallError::WorkerExited { exit, .. }) => exit.status == ExitStatus::Signal(9),
        _ => false,
    };
    assert!(killed(pool.call("a").await));
    assert!(killed(pool.call("b").await));
    assert!(matches!(
        pool.call("c").await,
        Err(CallError::Raised { .. })
    ));
    assert_eq!(pool.call("d").await.unwrap(), b"d");
    assert!(pool.call("e").await.unwrap_err().is_timeout());
    pool.checkout().await.unwrap();
    let begun = Instant::now();
    assert_eq!(pool.call("f").await.unwrap(), b"f");
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(pool.call("g").await.unwrap(), b"g");
    assert_eq!(*seen.lock().unwrap(), "bdfg");
    assert_eq!(sim.stats().requests, 7);
    end(&pool, &sim).await;
}

/// The events of a pool whose workers fail to start, crash and age, each with its time.
fn history(seed: Option<u64>) -> Vec<(Duration, Event)> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut calls = 0;
        let sim = Sim::answering(move |_, _| {
            calls += 1;
            match calls % 3 {
                0 => Answer::Crash(ExitStatus::Signal(9)),
                _ => Answer::reply("").after(Duration::from_millis(30)),
            }
        });
        let sim = sim.scripts([Script::StartFails; 3]);
        let sim = match seed {
            Some(seed) => sim.seed(seed),
            None => sim,
        };
        let pool = Pool::builder(sim)
            .size(2)
            .max_worker_age(20 * SECOND)
            .build()
            .unwrap();
        let (begun, mut events) = (Instant::now(), pool.events());
        let client = async {
            for _ in 0..30 {
                let _ = pool.call("").await;
                tokio::time::sleep(SECOND).await;
            }
            pool.shutdown().await;
        };
        let history = async {
            let mut seen = Vec::new();
            while let Ok(event) = events.recv().await {
                seen.push((begun.elapsed(), event));
            }
            seen
        };
        tokio::join!(client, history).1
    })
}

/// The same script takes the same times, however often it runs, and another seed other times.
#[test]
fn the_same_script_takes_the_same_times() {
    let first = history(None);
    assert!(first.len() > 60, "{first:?}");
    for _ in 0..5 {
        assert_eq!(history(None), first);
    }
    assert_eq!(history(Some(0)), first);
    assert_ne!(history(Some(1)), first);
}
