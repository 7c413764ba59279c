//! Does a module of several functions work: by name, with what they learn of their calls?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use ostler_pool::{AbandonedCalls, Builder, CallError, CheckoutError, Pool, Python, StartError};
use serde_json::{Value, json};
use tracing::subscriber::set_global_default;
use tracing::{Event, Level};

use crate::resources::{isolated, leaks_nothing, modules, scratch, until};
use crate::tracing::{Fields, OnStderr};

fn module() -> Python {
    Python::module("functions").json().path(modules())
}

fn of(python: Python) -> Builder {
    Pool::builder(python)
        .size(1)
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}

/// Calls name a function of the module, in spawned and forked workers. A call of an unknown
/// function fails without a worker.
#[tokio::test]
async fn a_module_has_several_functions() {
    for python in [module(), module().zygote()] {
        let pool = of(python).build().unwrap();
        let told = pool.function_json::<(), Value>("told");
        let expected = json!({
            "session": null, "seconds": 60, "position": null, "trace": null, "cancelled": false,
            "ended": [],
        });
        let mut answer = told.call(&()).await.unwrap();
        // It depends on the driver.
        answer["position"] = Value::Null;
        assert_eq!(answer, expected);
        let numbers = pool.function_json::<u8, u8>("numbers");
        let stream = numbers.stream(&3).await.unwrap();
        assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
        let edit = pool.function_json::<u8, Vec<u8>>("edit");
        let edited: Vec<_> = edit.map([1, 2]).try_collect().await.unwrap();
        assert_eq!(edited, [vec![1], vec![1, 2]]);
        // Enough requests for batches.
        let edited: Vec<_> = edit.map([3; 100]).try_collect().await.unwrap();
        let lengths = edited.iter().map(Vec::len);
        assert_eq!(lengths.collect::<Vec<_>>(), Vec::from_iter(3..103));
        let calls = pool.status().counters.calls;
        let none = pool.function_json::<(), ()>("end_session");
        match none.call(&()).await {
            Err(CallError::NoSuchFunction { known, .. }) => {
                assert_eq!(
                    known,
                    ["edit", "logs", "lookup", "numbers", "told", "waits"]
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.status().counters.calls, calls);
        pool.shutdown().await;
    }
}

/// Y14: a function can read its session, deadline and trace. The module is told when a session
/// ends, so a later session of the same name starts empty.
#[tokio::test]
async fn a_function_learns_of_its_session() {
    for python in [module(), module().zygote()] {
        let pool = of(python).build().unwrap();
        let edit = async |session, line: &str| {
            let request = pool.request_json(line).unwrap();
            let request = request.function("edit").session(session);
            request.send_json::<Vec<String>>().await.unwrap()
        };
        let session = pool.session("report").unwrap();
        assert_eq!(edit(&session, "one").await, ["one"]);
        assert_eq!(edit(&session, "two").await, ["one", "two"]);
        session.end();
        let request = pool.request_json(&()).unwrap().function("told");
        let answer: Value = request.send_json().await.unwrap();
        assert_eq!(answer["ended"], json!(["report"]));
        let session = pool.session("report").unwrap();
        assert_eq!(edit(&session, "three").await, ["three"]);
        let request = pool.request_json(&()).unwrap().function("told");
        let request = request
            .session(&session)
            .call_timeout(Duration::from_secs(9));
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let answer: Value = request.traceparent(trace).send_json().await.unwrap();
        assert_eq!(answer["session"], "report");
        assert_eq!(answer["seconds"], 9);
        assert_eq!(answer["trace"], trace);
        assert_eq!(answer["ended"], json!(["report"]));
        pool.shutdown().await;
    }
}

/// Y18: an exception is one line with the user's line that raised it.
#[tokio::test]
async fn an_exception_says_where_it_was_raised() {
    let pool = of(module()).build().unwrap();
    let lookup = pool.function_json::<str, ()>("lookup");
    match lookup.call("absent").await.unwrap_err() {
        CallError::Raised { source, .. } => {
            let said = "KeyError: 'absent' (functions.py:57, in lookup)";
            assert_eq!(
                (source.to_string().as_str(), source.is_final),
                (said, false)
            );
        }
        other => panic!("{other:?}"),
    }
    pool.shutdown().await;
}

/// Y18: a failed start is final if its module does not exist, and not if the import or `setup()`
/// raises an error that may be temporary.
#[tokio::test]
async fn a_missing_module_is_final() {
    for (target, is_final) in [
        ("no_such_module", true),
        ("broken_import", false),
        ("broken_setup", false),
    ] {
        let pool = of(Python::module(target).path(modules()))
            .crash_loop(1)
            .build()
            .unwrap();
        match pool.checkout().await {
            Err(CheckoutError::CrashLoop {
                last: StartError::Refused { source, .. },
            }) => assert_eq!(source.is_final, is_final, "{source}"),
            other => panic!("{other:?}"),
        }
        pool.shutdown().await;
    }
}

/// Y13: a cancel ends a coroutine, whose worker goes on, and its event loop too.
#[tokio::test]
async fn a_cancel_ends_a_coroutine() {
    let signal = scratch("coroutine");
    let grace = Duration::from_secs(60);
    let pool = of(module())
        .abandoned_calls(AbandonedCalls::Cancel(grace))
        .build()
        .unwrap();
    let waits = pool.function_json::<str, ()>("waits");
    for _ in 0..2 {
        let call = waits.call(signal.to_str().unwrap());
        tokio::select! {
            answer = call => panic!("{answer:?}"),
            () = async { while !signal.exists() { tokio::task::yield_now().await; } } => {}
        }
        let numbers = pool.function_json::<u8, u8>("numbers").stream(&2).await;
        let numbers: Vec<u8> = numbers.unwrap().try_collect().await.unwrap();
        assert_eq!(numbers, [0, 1]);
        assert!(!signal.exists());
    }
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// Y16: the records of `logging` and `ostler.log` reach the log with their level, and other lines
/// at `info`.
#[test]
fn log_records_keep_their_level() {
    if !isolated("functions::log_records_keep_their_level") {
        return;
    }
    let lines = Arc::<Mutex<Vec<_>>>::default();
    let kept = Arc::clone(&lines);
    set_global_default(OnStderr(move |event: &Event<'_>| {
        let mut fields = Fields::default();
        event.record(&mut fields);
        (fields.0).retain(|name, _| ["message", "logger", "fields"].contains(name));
        let line = (*event.metadata().level(), fields.0);
        kept.lock().unwrap().push(line);
    }))
    .unwrap();
    leaks_nothing(async || {
        let pool = of(module()).build().unwrap();
        let logs = pool.function_json::<(), ()>("logs");
        logs.call(&()).await.unwrap();
        until("four lines", || lines.lock().unwrap().len() == 4);
        pool.shutdown().await;
    });
    let line = |level, fields: &[(&'static str, &str)]| {
        let fields = fields.iter().map(|&(name, value)| (name, value.to_owned()));
        (level, fields.collect::<BTreeMap<_, _>>())
    };
    assert_eq!(
        *lines.lock().unwrap(),
        [
            line(
                Level::WARN,
                &[("logger", "\"functions\""), ("message", "loaded")]
            ),
            line(
                Level::ERROR,
                &[
                    ("logger", "\"ostler\""),
                    ("message", "two\nlines"),
                    ("fields", "\"user=4\"")
                ]
            ),
            line(
                Level::WARN,
                &[
                    ("logger", "\"app\""),
                    ("message", "slow"),
                    ("fields", "\"seconds=5\"")
                ]
            ),
            line(Level::INFO, &[("message", "plain")]),
        ]
    );
}
