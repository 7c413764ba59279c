//! Do workers in other languages work like Python workers?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use ostler_pool::{CallError, ExitStatus, Pool, Program, Rung};
use rustix::process::Signal;

use crate::resources::{is_alive, isolated, leaks_nothing, until};
use crate::rig::{self, signal};

const WORKERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers");

/// The worker in C, compiled once. `None` without a compiler, unless `OSTLER_REQUIRE_TOOLS` is set:
/// then it panics.
pub(crate) fn native() -> Option<&'static Path> {
    static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        has("cc").then(|| {
            let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("worker_c");
            // Tests in other processes may compile it at the same time, so each writes its own
            // file.
            let own = program.with_extension(std::process::id().to_string());
            let compiled = Command::new("cc")
                .args(["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&own)
                .arg(Path::new(WORKERS).join("worker.c"))
                .status();
            assert!(compiled.unwrap().success());
            fs::rename(own, &program).unwrap();
            program
        })
    });
    PROGRAM.as_deref()
}

/// The worker in JavaScript. `None` without Node, as for [`native`].
pub(crate) fn node() -> Option<PathBuf> {
    has("node").then(|| Path::new(WORKERS).join("worker.mjs"))
}

pub(crate) fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    assert!(
        found || env::var_os("OSTLER_REQUIRE_TOOLS").is_none(),
        "`{tool}` is not installed"
    );
    if !found {
        eprintln!("skipped: `{tool}` is not installed");
    }
    found
}

/// What every worker of the examples must do.
fn check_worker(name: &str, program: Program) {
    if !isolated(&format!("languages::{name}")) {
        return;
    }
    leaks_nothing(async || {
        let moment = Duration::from_millis(1);
        let pool = Pool::builder(program)
            .size(2)
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            .checkout_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let requests = [0, 1, 9, 65_536, 1_048_576, 3_000_000].map(|size| vec![b'x'; size]);
        let calls = requests.iter().cycle().take(60);
        for (reply, request) in join_all(calls.clone().map(|request| pool.call(request)))
            .await
            .into_iter()
            .zip(calls)
        {
            assert!(reply.unwrap() == *request, "{} bytes", request.len());
        }
        match pool.call(b"fail with a reason").await {
            Err(CallError::Raised { source, .. }) => assert_eq!(
                (source.kind.as_str(), source.message.as_str()),
                ("Refused", "with a reason")
            ),
            other => panic!("{other:?}"),
        }
        let many = (0..2000).map(|number| match number {
            1500 => "fail again".to_owned(),
            number => number.to_string(),
        });
        let mut replies = pool.map(many.clone());
        for request in many {
            match (replies.next().await.unwrap(), request.as_str()) {
                (Err(CallError::Raised { source, .. }), "fail again") => {
                    assert_eq!(source.message, "again");
                }
                (reply, request) => assert_eq!(reply.unwrap(), request.as_bytes()),
            }
        }
        assert!(replies.next().await.is_none());
        let mut lease = pool.checkout().await.unwrap();
        let mut parts = lease.stream(b"one\ntwo\nthree").unwrap();
        for part in [&b"one\n"[..], b"two\n", b"three"] {
            assert_eq!(parts.next().await.unwrap().unwrap(), part);
        }
        assert!(parts.next().await.is_none());
        drop(parts);
        assert_eq!(pool.status().counters.opened, 2);
        let (worker, pid) = (lease.worker(), lease.pid().unwrap());
        drop(lease);
        signal(pid, Signal::KILL);
        rig::until(&pool, |status| {
            status.serving() == 2 && status.workers.iter().all(|w| w.worker != worker)
        })
        .await;
        let report = pool.shutdown().await;
        let ends: Vec<_> = report
            .workers
            .iter()
            .map(|end| (end.rung, end.status))
            .collect();
        assert_eq!(ends, [(Some(Rung::Ask), Some(ExitStatus::Code(0))); 2]);
        assert_eq!(report.counters.calls, 2062);
    });
}

/// A pool of workers in C serves calls, batches, streams and errors, replaces a killed worker, and
/// leaks nothing.
#[test]
fn c_works() {
    if let Some(program) = native() {
        check_worker("c_works", Program::new(program));
    }
}

/// A pool of workers in JavaScript does the same.
#[test]
fn javascript_works() {
    if let Some(script) = node() {
        check_worker("javascript_works", Program::new("node").arg(script));
    }
}

/// C1: the worker in JavaScript ends a cancelled call, and is kept.
#[tokio::test]
async fn javascript_ends_a_cancelled_call() {
    let Some(script) = node() else { return };
    let minute = Duration::from_secs(60);
    let pool = Pool::builder(Program::new("node").arg(script))
        .size(1)
        .abandoned_calls(crate::cancel(minute))
        .checkout_timeout(minute)
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let pid = lease.pid();
    let mut sleeps = Box::pin(lease.call(b"sleep 1000000"));
    rig::begin(&mut sleeps.as_mut()).await;
    drop(sleeps);
    drop(lease);
    let mut lease = pool.checkout().await.unwrap();
    assert_eq!(lease.call(b"on").await.unwrap(), b"on");
    assert_eq!(lease.pid(), pid);
    drop(lease);
    let counters = pool.shutdown().await.counters;
    assert_eq!((counters.opened, counters.faulted), (1, 0));
}

/// P14: both workers exit at the end of their input, as when their host dies.
#[test]
fn example_workers_exit_at_the_end_of_their_input() {
    let native = native().map(Command::new);
    let node = node().map(|script| {
        let mut command = Command::new("node");
        command.arg(script);
        command
    });
    for mut command in native.into_iter().chain(node) {
        let mut worker = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        drop(worker.stdin.take());
        let pid = worker.id();
        until("its end", || !is_alive(pid));
        assert_eq!(worker.wait().unwrap().code(), Some(0));
    }
}
