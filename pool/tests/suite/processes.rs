//! Does anything of a worker leak, whatever the worker, its descendants or its host do?
//!
//! Real processes and real signals. A test that counts all processes runs in a process of its own.

use std::fs;
use std::time::Duration;

use ostler_pool::{CallError, ExitStatus, ProtocolError, Reason, Rung};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::resources::{Resources, is_alive, isolated, leaks_nothing, scratch, until};
use crate::rig::{hostile, is_released, signal};
use crate::zygote::{built, zygote};

fn number(reply: &[u8]) -> u32 {
    std::str::from_utf8(reply)
        .expect("a number")
        .parse()
        .expect("a number")
}

/// T1: when the shutdown of a used pool returns, no process, zombie or descriptor is left.
#[test]
fn a_shutdown_leaks_nothing() {
    if !isolated("processes::a_shutdown_leaks_nothing") {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let before = Resources::snapshot();
    for builder in [hostile(), built(zygote("hostile:run"))] {
        let pool = runtime.block_on(async {
            let pool = builder.size(3).build().unwrap();
            for size in [0, 1, 65_536, 1_000_000] {
                let request = format!("many {size}");
                assert_eq!(pool.call(request.as_bytes()).await.unwrap().len(), size);
            }
            assert_eq!(pool.shutdown().await.unreleased, []);
            pool
        });
        // Checked without waiting: the shutdown reports only after every process is reaped and
        // every descriptor closed, even while handles of the pool are kept.
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
        drop(pool);
    }
}

/// P5: a pool that is dropped, or whose runtime is dropped, leaks nothing.
#[test]
fn a_dropped_pool_leaks_nothing() {
    if !isolated("processes::a_dropped_pool_leaks_nothing") {
        return;
    }
    leaks_nothing(async || {
        let pool = hostile().size(2).build().unwrap();
        pool.call(b"pid").await.unwrap();
        drop(pool);
    });
    let before = Resources::snapshot();
    let runtime = Runtime::new().unwrap();
    let pool = runtime.block_on(async {
        let pool = hostile().size(2).build().unwrap();
        pool.call(b"pid").await.unwrap();
        pool
    });
    drop(runtime);
    assert_eq!(pool.status().workers.len(), 0);
    // A handle of the pool keeps the descriptors of its runtime open.
    drop(pool);
    before.assert_no_leaks(&[]);
}

/// C4, P5: a killed worker fails its one call, with its signal, and is replaced, and the pool leaks
/// nothing.
#[test]
fn a_killed_worker_is_replaced() {
    if !isolated("processes::a_killed_worker_is_replaced") {
        return;
    }
    leaks_nothing(async || {
        let pool = hostile().size(2).build().unwrap();
        for _ in 0..10 {
            let mut lease = pool.checkout().await.unwrap();
            let pid = number(&lease.call(b"pid").await.unwrap());
            assert_eq!(lease.pid(), Some(pid));
            let (call, ()) = tokio::join!(lease.call(b"sleep 1000"), async {
                signal(pid, Signal::KILL)
            });
            match call {
                Err(CallError::WorkerExited { exit, .. }) => {
                    assert_eq!(exit.status, ExitStatus::Signal(9));
                }
                other => panic!("{other:?}"),
            }
            until("its end", || !is_alive(pid));
        }
        // An idle worker makes no call that could fail: only its exit is noticed.
        let idle = pool.checkout().await.unwrap();
        let pid = idle.pid().unwrap();
        let name = idle.worker();
        drop(idle);
        signal(pid, Signal::KILL);
        while pool.status().serving() < 2 || pool.status().workers.iter().any(|w| w.worker == name)
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.call(b"sleep 0").await.unwrap(), b"slept");
        let counters = pool.shutdown().await.counters;
        assert_eq!(
            (counters.exited, counters.opened, counters.released),
            (11, 13, 13)
        );
    });
}

/// C4: the error of a call whose worker exited has the exit code and the end of stderr.
#[tokio::test]
async fn the_error_of_an_exit_has_status_and_stderr() {
    let pool = hostile().size(1).build().unwrap();
    match pool.call(b"exit 3").await {
        Err(error @ CallError::WorkerExited { .. }) => {
            let CallError::WorkerExited {
                exit,
                request_written: true,
                ..
            } = &error
            else {
                panic!("{error:?}")
            };
            assert_eq!(
                (exit.status, exit.stderr.as_str()),
                (ExitStatus::Code(3), "the last words\n")
            );
            assert_eq!(
                error.report().to_string(),
                "worker 0.1 exited during the call: exit code 3\n\
                 the worker's stderr ended:\n  the last words"
            );
        }
        other => panic!("{other:?}"),
    }
    pool.shutdown().await;
}

/// P3, P4: a grandchild that holds the worker's stdout does not hide the worker's exit, and dies
/// with the group.
#[tokio::test]
async fn a_grandchild_dies_with_its_group() {
    let pool = hostile().size(1).build().unwrap();
    let file = scratch("grandchild");
    let request = format!("exit_with_grandchild {}", file.display());
    match pool.call(request.as_bytes()).await {
        Err(CallError::WorkerExited { worker, exit, .. }) => {
            assert_eq!(exit.status, ExitStatus::Code(4));
            is_released(&pool, worker).await;
        }
        other => panic!("{other:?}"),
    }
    let orphan = number(&fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    assert!(!is_alive(orphan));
    let kept = number(&pool.call(b"grandchild").await.unwrap());
    assert!(is_alive(kept));
    pool.shutdown().await;
    assert!(!is_alive(kept));
}

/// P2, C1: a worker that spins past its call's timeout is stopped, although it never reads its
/// input.
#[tokio::test(flavor = "multi_thread")]
async fn a_spinning_worker_is_stopped() {
    let pool = hostile()
        .size(1)
        .call_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let pid = lease.pid().unwrap();
    assert!(matches!(
        lease.call(b"spin").await,
        Err(CallError::TimedOut { .. })
    ));
    until("its end", || !is_alive(pid));
    drop(lease);
    assert_eq!(pool.call(b"sleep 0").await.unwrap(), b"slept");
    pool.shutdown().await;
}

/// C5: the error says whether the whole request was written. A stopped worker reads nothing, so
/// only a request that fits into the pipe is written.
#[tokio::test]
async fn the_error_says_whether_the_request_was_written() {
    let pool = hostile()
        .size(1)
        .call_timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    for (size, whole) in [(100, true), (1_000_000, false)] {
        let mut lease = pool.checkout().await.unwrap();
        signal(lease.pid().unwrap(), Signal::STOP);
        match lease.call(&vec![b'x'; size]).await {
            Err(CallError::TimedOut {
                request_written, ..
            }) => assert_eq!(request_written, whole),
            other => panic!("{other:?}"),
        }
    }
    pool.shutdown().await;
}

/// P11: a worker that ignores the end of its input and `SIGTERM` is killed after both graces.
#[tokio::test]
async fn an_immortal_worker_is_killed() {
    let moment = Duration::from_millis(50);
    let pool = hostile()
        .size(1)
        .ask_grace(moment)
        .term_grace(moment)
        .build()
        .unwrap();
    let pid = pool.checkout().await.unwrap().pid().unwrap();
    assert_eq!(pool.call(b"immortal").await.unwrap(), b"immortal");
    let report = pool.shutdown().await;
    let end = &report.workers[0];
    assert_eq!(
        (end.reason, end.rung, end.status),
        (
            Reason::Shutdown,
            Some(Rung::Kill),
            Some(ExitStatus::Signal(9))
        )
    );
    assert!(!is_alive(pid));
}

/// An idle worker exits when it is asked: it has time to run its exit handlers, and its exit code
/// is 0.
#[tokio::test]
async fn an_idle_worker_exits_when_asked() {
    let minute = Duration::from_secs(60);
    let pool = hostile()
        .size(1)
        .ask_grace(minute)
        .term_grace(minute)
        .shutdown_timeout(10 * minute)
        .build()
        .unwrap();
    let file = scratch("at-exit");
    let request = format!("at_exit {}", file.display());
    assert_eq!(pool.call(request.as_bytes()).await.unwrap(), b"registered");
    let report = pool.shutdown().await;
    let end = &report.workers[0];
    assert_eq!(
        (end.rung, end.status),
        (Some(Rung::Ask), Some(ExitStatus::Code(0)))
    );
    fs::remove_file(&file).expect("the worker left it at its exit");
}

/// P3: a worker that closes its output and keeps running breaks the protocol, and its call fails
/// before its timeout.
#[tokio::test]
async fn a_worker_that_closes_its_output_is_replaced() {
    let pool = hostile().size(1).build().unwrap();
    match pool.call(b"silence").await {
        Err(CallError::Protocol {
            source,
            request_written: true,
            ..
        }) => {
            assert_eq!(source, ProtocolError::OutputClosed);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call(b"sleep 0").await.unwrap(), b"slept");
    pool.shutdown().await;
}

/// C4, L4: with eight clients and a kill in every tenth call, each call has exactly one outcome,
/// and nothing leaks.
#[test]
fn kills_under_load_leak_nothing() {
    if !isolated("processes::kills_under_load_leak_nothing") {
        return;
    }
    const CLIENTS: u64 = 8;
    const CALLS: u64 = 50;
    leaks_nothing(async || {
        let pool = hostile().size(4).surge(2).build().unwrap();
        let client = async |client: u64| {
            let mut killed = 0;
            for number in 1..=CALLS {
                let mut lease = pool.checkout().await.unwrap();
                let request = format!("many {}", client * 1000 + number);
                if number % 10 > 0 {
                    let reply = lease.call(request.as_bytes()).await.unwrap();
                    assert_eq!(reply.len() as u64, client * 1000 + number);
                    continue;
                }
                signal(lease.pid().unwrap(), Signal::KILL);
                match lease.call(request.as_bytes()).await {
                    Err(CallError::WorkerExited { exit, .. }) => {
                        assert_eq!(exit.status, ExitStatus::Signal(9));
                        killed += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            killed
        };
        let killed = futures_util::future::join_all((0..CLIENTS).map(client)).await;
        let counters = pool.shutdown().await.counters;
        let kills: u64 = killed.iter().sum();
        assert_eq!(kills, CLIENTS * CALLS / 10);
        assert_eq!(
            (counters.granted, counters.exited),
            (CLIENTS * CALLS, kills)
        );
        assert_eq!(counters.calls, CLIENTS * CALLS - kills);
        assert_eq!(counters.opened, counters.released);
    });
}

/// P8, L19: a worker that writes 1 MiB to stderr without a newline is not blocked, and the error
/// keeps the last part of it.
#[tokio::test]
async fn a_flood_on_stderr_does_not_block_the_worker() {
    let pool = hostile().size(1).build().unwrap();
    assert_eq!(pool.call(b"flood 1048576").await.unwrap(), b"flooded");
    match pool.call(b"exit 1").await {
        Err(CallError::WorkerExited { exit, .. }) => {
            assert_eq!(exit.stderr.len(), ostler_pool::port::STDERR_TAIL);
            assert!(exit.stderr.ends_with("xxxthe last words\n"));
        }
        other => panic!("{other:?}"),
    }
    pool.shutdown().await;
}
