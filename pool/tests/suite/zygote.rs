//! Do workers that a zygote forks behave like spawned ones?

use std::fs;
use std::time::Duration;

use ostler_pool::{Builder, CallError, ExitStatus, Pool, Python, Rung};
use rustix::process::Signal;

use crate::resources::{is_alive, isolated, leaks_nothing, modules, scratch, tag_of, until};
use crate::rig::{self, signal};

pub(crate) fn zygote(target: &str) -> Python {
    Python::function(target).path(modules()).zygote()
}

pub(crate) fn built(python: Python) -> Builder {
    let moment = Duration::from_millis(1);
    Pool::builder(python)
        .size(2)
        .restart_backoff(moment)
        .restart_backoff_max(moment)
        // On a busy machine, a release may take longer than the default.
        .release_timeout(Duration::from_secs(60))
        .checkout_timeout(Duration::from_secs(60))
        .call_timeout(Duration::from_secs(60))
}

pub(crate) async fn ask(pool: &Pool, request: &str) -> String {
    String::from_utf8(pool.call(request.as_bytes()).await.unwrap()).unwrap()
}

/// The zygote's process id, which is the parent of a forked worker.
pub(crate) async fn zygote_of(pool: &Pool) -> u32 {
    ask(pool, "parent").await.parse().unwrap()
}

/// `setup` runs once, in the zygote, and each worker inherits its state.
#[test]
fn setup_runs_once_in_the_zygote() {
    if !isolated("zygote::setup_runs_once_in_the_zygote") {
        return;
    }
    leaks_nothing(async || {
        let pool = built(zygote("with_setup:describe"))
            .size(3)
            .build()
            .unwrap();
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(pool.checkout().await.unwrap());
        }
        let mut setup_pids = Vec::new();
        for lease in &mut leases {
            let said = String::from_utf8(lease.call(b"").await.unwrap()).unwrap();
            let [setup_pid, parent, own, times] = said.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{said}")
            };
            assert_eq!((setup_pid, times), (parent, "1"));
            assert_eq!(own, lease.pid().unwrap().to_string());
            setup_pids.push(setup_pid.to_owned());
        }
        setup_pids.dedup();
        assert_eq!(setup_pids.len(), 1);
        drop(leases);
        let report = pool.shutdown().await;
        for end in &report.workers {
            assert_eq!(
                (end.rung, end.status),
                (Some(Rung::Ask), Some(ExitStatus::Code(0)))
            );
        }
    });
}

/// C4, P5: a killed worker fails its one call with its signal or exit code, is reaped, and is
/// replaced by the same zygote.
#[test]
fn a_killed_worker_is_forked_again() {
    if !isolated("zygote::a_killed_worker_is_forked_again") {
        return;
    }
    leaks_nothing(async || {
        let pool = built(zygote("hostile:run")).build().unwrap();
        let parent = zygote_of(&pool).await;
        for _ in 0..10 {
            let mut lease = pool.checkout().await.unwrap();
            let pid = lease.pid().unwrap();
            let (call, ()) = tokio::join!(lease.call(b"sleep 1000"), async {
                signal(pid, Signal::KILL)
            });
            match call {
                Err(CallError::WorkerExited { exit, .. }) => {
                    assert_eq!(exit.status, ExitStatus::Signal(9));
                }
                other => panic!("{other:?}"),
            }
            until("the reap", || !fs::exists(format!("/proc/{pid}")).unwrap());
        }
        match pool.call(b"exit 3").await {
            Err(CallError::WorkerExited { exit, .. }) => assert_eq!(
                (exit.status, exit.stderr.as_str()),
                (ExitStatus::Code(3), "the last words\n")
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(zygote_of(&pool).await, parent);
        rig::until(&pool, |status| status.serving() == 2).await;
        let counters = pool.shutdown().await.counters;
        assert_eq!(
            (counters.exited, counters.opened, counters.released),
            (11, 13, 13)
        );
    });
}

/// C1: a forked worker ends a cancelled call, and is kept.
#[tokio::test]
async fn a_forked_worker_is_interrupted() {
    let python = zygote("hostile:run");
    let pool = built(python)
        .size(1)
        .abandoned_calls(crate::cancel(Duration::from_secs(60)));
    let pool = pool.build().unwrap();
    assert_eq!(ask(&pool, "remember this").await, "this");
    let mut lease = pool.checkout().await.unwrap();
    let mut sleeps = Box::pin(lease.call(b"sleep 1000"));
    rig::begin(&mut sleeps.as_mut()).await;
    drop(sleeps);
    drop(lease);
    assert_eq!(ask(&pool, "remember that").await, "this that");
    assert_eq!(pool.shutdown().await.counters.opened, 1);
}

/// P3, P4: the group of a forked worker ends with it, and so does a daemon that it started.
#[tokio::test]
async fn a_forked_worker_ends_with_its_group() {
    let pool = built(zygote("hostile:run")).size(1).build().unwrap();
    let file = scratch("forked");
    let request = format!("exit_with_grandchild {}", file.display());
    match pool.call(request.as_bytes()).await {
        Err(CallError::WorkerExited { exit, .. }) => assert_eq!(exit.status, ExitStatus::Code(4)),
        other => panic!("{other:?}"),
    }
    let orphan: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    fs::remove_file(&file).unwrap();
    until("the orphan's end", || !is_alive(orphan));
    let kept: u32 = ask(&pool, "grandchild").await.parse().unwrap();
    let daemon: u32 = ask(&pool, "daemon").await.parse().unwrap();
    assert!(is_alive(kept) && is_alive(daemon));
    let report = pool.shutdown().await;
    assert!(!is_alive(kept) && !is_alive(daemon));
    // The first worker may be in the report too, if its release has only just ended.
    let escaped: usize = report.workers.iter().map(|end| end.escaped).sum();
    assert_eq!(escaped, 1, "{report}");
}

/// P11: a forked worker that ignores the end of its input and `SIGTERM` is killed.
#[tokio::test]
async fn an_immortal_forked_worker_is_killed() {
    let moment = Duration::from_millis(50);
    let pool = built(zygote("hostile:run"))
        .size(1)
        .ask_grace(moment)
        .term_grace(moment);
    let pool = pool.build().unwrap();
    assert_eq!(pool.call(b"immortal").await.unwrap(), b"immortal");
    let report = pool.shutdown().await;
    let end = &report.workers[0];
    assert_eq!(
        (end.rung, end.status),
        (Some(Rung::Kill), Some(ExitStatus::Signal(9)))
    );
}

/// P7: a forked worker holds its three pipes and no descriptor of its siblings, its zygote or its
/// host.
#[tokio::test]
async fn a_forked_worker_holds_its_own_descriptors() {
    let pool = built(zygote("hostile:run")).size(3).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.checkout().await.unwrap());
    }
    let mut pipes = Vec::new();
    for lease in &mut leases {
        let listing = String::from_utf8(lease.call(b"descriptors").await.unwrap()).unwrap();
        let mut own: Vec<_> = listing.lines().map(str::to_owned).collect();
        own.sort();
        own.dedup();
        assert_eq!(own.len(), 4, "{listing}");
        assert_eq!(own[0], "/dev/null", "{listing}");
        assert!(own[1..].iter().all(|t| t.starts_with("pipe:")), "{listing}");
        pipes.extend(own.drain(1..));
    }
    pipes.sort();
    pipes.dedup();
    assert_eq!(pipes.len(), 9, "three each, and none shared");
    drop(leases);
    pool.shutdown().await;
}

/// P5, P19: daemons of a forked worker, forked or with another program, end with the worker while
/// the pool lives. Those of another worker live on until theirs ends.
#[tokio::test]
async fn a_forked_worker_ends_with_its_daemons() {
    let pool = built(zygote("hostile:run")).build().unwrap();
    let mut leases = [
        pool.checkout().await.unwrap(),
        pool.checkout().await.unwrap(),
    ];
    let mut daemons = Vec::new();
    for lease in &mut leases {
        let mut own = Vec::new();
        for verb in ["daemon", "forked_daemon"] {
            let pid = lease.call(verb.as_bytes()).await.unwrap();
            own.push(String::from_utf8(pid).unwrap().parse().unwrap());
        }
        daemons.push(own);
    }
    let alive = |own: &[u32]| own.iter().filter(|&&pid| is_alive(pid)).count();
    assert_eq!((alive(&daemons[0]), alive(&daemons[1])), (2, 2));
    let (name, pid) = (leases[0].worker(), leases[0].pid().unwrap());
    drop(leases);
    signal(pid, Signal::KILL);
    rig::is_released(&pool, name).await;
    assert_eq!((alive(&daemons[0]), alive(&daemons[1])), (0, 2));
    let report = pool.shutdown().await;
    assert_eq!(alive(&daemons[1]), 0);
    let escaped = report.workers.iter().map(|end| end.escaped).sum::<usize>();
    assert_eq!(escaped, 2, "{report}");
}

/// R26: pools of clones share neither a zygote nor a tag, and neither waits for the other's
/// workers.
#[tokio::test]
async fn clones_share_no_zygote() {
    let python = zygote("hostile:run");
    let (one, other) = (
        built(python.clone()).build().unwrap(),
        built(python.clone()),
    );
    let other = other.build().unwrap();
    let zygotes = [zygote_of(&one).await, zygote_of(&other).await];
    assert_ne!(zygotes[0], zygotes[1]);
    let pools = zygotes.map(|zygote| tag_of(zygote).rsplit_once(':').unwrap().0.to_owned());
    assert_ne!(pools[0], pools[1]);
    let mut lease = other.checkout().await.unwrap();
    let mut sleeps = Box::pin(lease.call(b"sleep 1000"));
    rig::begin(&mut sleeps.as_mut()).await;
    assert_eq!(one.shutdown().await.unreleased, []);
    assert_eq!([0, 1].map(|pool| is_alive(zygotes[pool])), [false, true]);
    drop(sleeps);
    drop(lease);
    assert_eq!(zygote_of(&other).await, zygotes[1]);
    // A pool of a clone that was made of a built one.
    let third = built(python).build().unwrap();
    assert_ne!(zygote_of(&third).await, zygotes[1]);
    third.shutdown().await;
    other.shutdown().await;
}

/// A module that has started a thread cannot be forked: the pool spawns its workers instead.
#[tokio::test]
async fn a_module_with_a_thread_is_not_forked() {
    let pool = built(zygote("with_thread:parent")).size(1).build().unwrap();
    assert_eq!(ask(&pool, "").await, std::process::id().to_string());
    pool.shutdown().await;
}

/// If a module fails in the zygote, the worker that is spawned instead reports the error.
#[tokio::test]
async fn a_zygote_that_cannot_start_hides_no_error() {
    let pool = built(zygote("broken_setup:function"))
        .crash_loop(1)
        .build()
        .unwrap();
    let error = pool.checkout().await.unwrap_err();
    let report = error.report().to_string();
    assert!(
        report.contains("refused to start\n  caused by: OSError: no model"),
        "{report}"
    );
    pool.shutdown().await;
}
