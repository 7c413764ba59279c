//! Do errors follow the conventions of std: one line about one level, the next level as their
//! source, and a report with all of them?

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{
    CallError, CheckoutError, OpenError, Pool, Program, ProtocolError, RemoteError, SessionError,
    StartError,
};
use rustix::io::Errno;

use crate::rig::{end, pool};

/// The error and its sources, outermost first. Each prints one line, and repeats none of its
/// sources.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut levels = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        levels.push(source.to_string());
        next = source.source();
    }
    for (depth, level) in levels.iter().enumerate() {
        assert_eq!(level.lines().count(), 1, "{level}");
        for source in &levels[depth + 1..] {
            assert!(!level.contains(source.as_str()), "{level} repeats {source}");
        }
    }
    levels
}

/// A failed start is the source of a crash loop, and what the worker answered is the source of
/// that.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_leads_to_its_cause() {
    let sim = Sim::new([Script::StartFails; 9]);
    let pool = pool(&sim, 1).crash_loop(1).build().unwrap();
    let error = pool.call(b"hello").await.unwrap_err();
    assert_eq!(
        chain(&error),
        [
            "no worker can be started",
            "worker 0.1 refused to start",
            "RuntimeError: scripted"
        ]
    );
    let start = error.source().unwrap();
    let start = start.downcast_ref::<StartError>().expect("a start error");
    assert!(start.source().unwrap().is::<RemoteError>());
    assert_eq!(
        error.report().to_string(),
        "no worker can be started\n  caused by: worker 0.1 refused to start\n  \
         caused by: RuntimeError: scripted\nremote traceback:\n  Traceback"
    );
    assert_eq!(
        (error.is_timeout(), error.request_written(), error.worker()),
        (false, false, None)
    );
    assert!(pool.status().last_failure.is_some());
    end(&pool, &sim).await;
}

/// An `io::Error` stays typed at the end of the chain: "out of descriptors" and "no such file" can
/// be told apart.
#[test]
fn io_errors_stay_typed() {
    for errno in [2, 24] {
        let source = OpenError::spawn("worker", io::Error::from_raw_os_error(errno));
        let kind = source.source().unwrap().downcast_ref::<io::Error>();
        assert_eq!(kind.unwrap().raw_os_error(), Some(errno));
        chain(&source);
    }
}

/// Where the reason of a refusal tells it, the error says what to do. Otherwise, it leaves the rest
/// to its source.
#[test]
fn a_refusal_says_what_to_do() {
    for (errno, advice) in [
        (
            Errno::MFILE,
            ": raise the limit of open files (`ulimit -n`)",
        ),
        (
            Errno::NFILE,
            ": raise the limit of open files of the system, or of pipes of the user",
        ),
        (
            Errno::AGAIN,
            ": raise the limit of processes of the user (`ulimit -u`) or of the control group \
             (`pids.max`)",
        ),
        (Errno::TOOBIG, ": shorten its environment and arguments"),
        (Errno::ACCESS, ""),
    ] {
        let error = OpenError::spawn("worker", errno.into());
        let said = format!("program `worker` could not be started{advice}");
        assert_eq!(error.to_string(), said);
        assert_eq!(chain(&error).len(), 2);
    }
}

/// Accessors answer what a caller branches on: did time run out, may the worker have acted, which
/// worker was it?
#[tokio::test(start_paused = true)]
async fn accessors_answer_what_callers_ask() {
    let sim = Sim::default();
    let pool = pool(&sim, 1)
        .call_timeout(Duration::from_secs(7))
        .checkout_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let worker = Some(lease.worker());

    let waiting = pool.call(b"hello").await.unwrap_err();
    assert!(matches!(
        waiting,
        CallError::Checkout(CheckoutError::TimedOut { .. })
    ));
    let raised = lease.call(b"raise").await.unwrap_err();
    assert!(raised.source().unwrap().is::<RemoteError>());
    let session = pool.session("a").unwrap();
    let queued = session.call(b"hello").await.unwrap_err();
    assert!(matches!(
        queued,
        CallError::Session(SessionError::TimedOut { worker: None, .. })
    ));
    let hung = lease.call(b"hang").await.unwrap_err();
    let over = lease.call(b"hello").await.unwrap_err();
    let broken = pool.call(b"garbage").await.unwrap_err();
    let source = broken.source().unwrap().downcast_ref::<ProtocolError>();
    assert!(source.is_some(), "{broken:?}");

    let asked = |error: &CallError| {
        chain(error);
        (error.is_timeout(), error.request_written(), error.worker())
    };
    assert_eq!(asked(&waiting), (true, false, None));
    assert_eq!(asked(&queued), (true, false, None));
    assert_eq!(asked(&raised), (false, true, worker));
    assert_eq!(asked(&hung), (true, true, worker));
    assert_eq!(asked(&over), (false, false, worker));
    let (timeout, written, on) = asked(&broken);
    assert!(!timeout && written && on.is_some() && on != worker);
    session.end();
    end(&pool, &sim).await;
}

/// An error in JSON says in which part of the call it is, and with it whether the worker has seen
/// the request. The lease and the stream go on.
#[tokio::test(start_paused = true)]
async fn a_json_error_names_its_part() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let unwritable = BTreeMap::from([(vec![1], 2)]);
    let request = lease.call_json::<_, u8>(&unwritable).await.unwrap_err();
    let reply = lease.call_json::<_, u8>("text").await.unwrap_err();
    let mut parts = lease.stream(b"spell ?1").unwrap();
    let part = parts.next_json::<u8>().await.unwrap().unwrap_err();
    assert_eq!(parts.next_json::<u8>().await.unwrap().unwrap(), 1);
    assert!(parts.next_json::<u8>().await.is_none());
    drop(parts);
    for (error, name, written) in [
        (request, "request", false),
        (reply, "reply", true),
        (part, "part of the reply", true),
    ] {
        assert_eq!(
            chain(&error)[0],
            format!("the {name} is not the expected JSON")
        );
        let asked = (error.is_timeout(), error.request_written(), error.worker());
        assert_eq!(asked, (false, written, None), "{error}");
    }
    drop(lease);
    assert_eq!(pool.status().counters.calls, 2);
    end(&pool, &sim).await;
}

/// A message of several lines is cut to its first in a line of text, and whole in the field.
#[tokio::test]
async fn a_message_of_several_lines_is_one_line() {
    let python = ostler_pool::Python::function("builtins:exec").json();
    let pool = Pool::builder(python).size(1).build().unwrap();
    let error = pool
        .call_json::<_, ()>("raise ValueError('first\\nsecond')")
        .await
        .unwrap_err();
    let CallError::Raised { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.message, "first\nsecond");
    assert_eq!(
        chain(&error)[1],
        "ValueError: first [...]",
        "the line says that it is cut"
    );
    let report = error.report().to_string();
    assert!(report.contains("\nremote traceback:\n  "), "{report}");
    assert_eq!(format!("{error:?}"), report, "what `main` prints");
    pool.shutdown().await;
}

/// A pool that cannot be built says so in one line, about the program.
#[tokio::test]
async fn a_build_error_names_the_program() {
    let error = Pool::builder(Program::new("no-such-program"))
        .build()
        .unwrap_err();
    let levels = chain(&error);
    assert!(levels[0].contains("`no-such-program`"), "{levels:?}");
    assert_eq!(error.report().to_string(), levels[0]);
}
