//! Does a pool work on when its zygote dies or is stopped, and does the zygote end with its host?

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use ostler_pool::{CallError, ExitStatus, Program, Rung};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};
use tokio::runtime::Runtime;

use crate::resources::{Resources, is_alive, isolated, leaks_nothing, scratch, until};
use crate::rig::{self, signal};
use crate::second_run::{Host, report};
use crate::zygote::{ask, built, zygote, zygote_of};

/// A dead zygote costs no worker and no call. Its workers serve on, the next zygote forks new ones,
/// and the orphaned workers end with their groups.
#[test]
fn a_dead_zygote_is_replaced() {
    if !isolated("zygote_dies::a_dead_zygote_is_replaced") {
        return;
    }
    leaks_nothing(async || {
        let pool = built(zygote("hostile:run")).build().unwrap();
        rig::until(&pool, |status| status.serving() == 2).await;
        let first = zygote_of(&pool).await;
        let grandchild: u32 = ask(&pool, "grandchild").await.parse().unwrap();
        signal(first, Signal::KILL);
        until("the zygote's end", || !is_alive(first));
        // The dead zygote forked both, and both still serve.
        let before = pool.status();
        let mut leases = [
            pool.checkout().await.unwrap(),
            pool.checkout().await.unwrap(),
        ];
        for lease in &mut leases {
            assert_ne!(
                lease.call(b"parent").await.unwrap(),
                first.to_string().as_bytes()
            );
        }
        assert_eq!(pool.status().counters.opened, before.counters.opened);
        for mut lease in leases {
            match lease.call(b"exit 3").await {
                Err(CallError::WorkerExited { exit, .. }) => {
                    assert_eq!(exit.status, ExitStatus::Unknown);
                }
                other => panic!("{other:?}"),
            }
        }
        until("the orphans' end", || !is_alive(grandchild));
        // Workers are forked again once the next zygote is ready.
        let me = std::process::id().to_string();
        loop {
            let mut lease = pool.checkout().await.unwrap();
            let parent = String::from_utf8(lease.call(b"parent").await.unwrap()).unwrap();
            if parent != me {
                break;
            }
            pool.recycle(lease.worker());
        }
        let counters = pool.shutdown().await.counters;
        assert_eq!(counters.opened, counters.released);
    });
}

/// C4, L4: while clients call, workers and the zygote are killed. Each call has exactly one
/// outcome, and nothing leaks.
#[test]
fn kills_of_zygote_and_workers_leak_nothing() {
    if !isolated("zygote_dies::kills_of_zygote_and_workers_leak_nothing") {
        return;
    }
    const CLIENTS: u64 = 6;
    const CALLS: u64 = 40;
    leaks_nothing(async || {
        let pool = built(zygote("hostile:run"))
            .size(3)
            .surge(3)
            .build()
            .unwrap();
        let me = std::process::id();
        let killed_zygotes = Cell::new(0);
        let client = async |client: u64| {
            for number in 1..=CALLS {
                let mut lease = pool.checkout().await.unwrap();
                let size = client * 1000 + number;
                let request = format!("many {size}");
                match number % 10 {
                    0 => {
                        signal(lease.pid().unwrap(), Signal::KILL);
                        match lease.call(request.as_bytes()).await {
                            // The status is unknown if the zygote was killed as well.
                            Err(CallError::WorkerExited { exit, .. }) => assert!(
                                [ExitStatus::Signal(9), ExitStatus::Unknown].contains(&exit.status)
                            ),
                            other => panic!("{other:?}"),
                        }
                        continue;
                    }
                    5 if client == 0 => {
                        let parent = lease.call(b"parent").await.unwrap();
                        let parent: u32 = String::from_utf8(parent).unwrap().parse().unwrap();
                        // If the zygote is dead, the parent is the process that adopted the worker:
                        // do not kill that.
                        let children = Resources::snapshot().children;
                        if parent != me && children.iter().any(|child| child.pid == parent) {
                            signal(parent, Signal::KILL);
                            killed_zygotes.set(killed_zygotes.get() + 1);
                        }
                    }
                    _ => {}
                }
                let reply = lease.call(request.as_bytes()).await.unwrap();
                assert_eq!(reply.len() as u64, size);
            }
        };
        futures_util::future::join_all((0..CLIENTS).map(client)).await;
        assert!(killed_zygotes.get() > 0);
        let counters = pool.shutdown().await.counters;
        let kills = CLIENTS * CALLS / 10;
        assert_eq!(
            (counters.granted, counters.exited),
            (CLIENTS * CALLS, kills)
        );
        assert_eq!(counters.opened, counters.released);
    });
}

/// Whether the process has bytes to read in one of its sockets.
pub(crate) fn has_input(pid: u32) -> bool {
    copies_of(pid)
        .iter()
        .filter(|copy| rustix::net::sockopt::socket_type(copy).is_ok())
        .any(|socket| ioctl_fionread(socket).is_ok_and(|count| count > 0))
}

/// Copies of the descriptors of a process.
fn copies_of(pid: u32) -> Vec<OwnedFd> {
    let process = Pid::from_raw(pid.cast_signed()).unwrap();
    let pidfd = pidfd_open(process, PidfdFlags::empty()).unwrap();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let descriptors = descriptors.map(|entry| entry.unwrap().file_name());
    descriptors
        .filter_map(|name| {
            let fd = name.to_str().unwrap().parse().unwrap();
            pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).ok()
        })
        .collect()
}

/// L5: a worker that a stopped zygote forks after its start was given up ends at once, and is
/// reaped.
#[test]
fn a_late_fork_leaks_nothing() {
    if !isolated("zygote_dies::a_late_fork_leaks_nothing") {
        return;
    }
    leaks_nothing(async || {
        // No short `start_timeout`: the start of the zygote itself would take longer on a busy
        // machine.
        let pool = built(zygote("hostile:run")).size(1).build().unwrap();
        let zygote_pid = zygote_of(&pool).await;
        let forked = || {
            let children =
                fs::read_to_string(format!("/proc/{zygote_pid}/task/{zygote_pid}/children"));
            children.unwrap().split_whitespace().count()
        };
        signal(zygote_pid, Signal::STOP);
        let before = pool.status();
        pool.resize(2).unwrap();
        // From here on the zygote will fork, whatever becomes of the start.
        until("the request for a fork", || has_input(zygote_pid));
        let status = pool.status();
        let known = |id| before.workers.iter().any(|worker| worker.worker == id);
        let late = status.workers.iter().find(|worker| !known(worker.worker));
        pool.recycle(late.unwrap().worker);
        rig::until(&pool, |status| {
            status.counters.released > before.counters.released
        })
        .await;
        assert_eq!(forked(), 1);
        signal(zygote_pid, Signal::CONT);
        rig::until(&pool, |status| status.serving() == 2).await;
        until("the end of the late one", || forked() == 2);
        assert_eq!(zygote_of(&pool).await, zygote_pid);
        pool.shutdown().await;
    });
}

/// Serves as the host of a zygote with one busy worker, until it is killed. Writes their process
/// ids to the file.
fn serve_as_host(path: &Path) {
    Runtime::new().unwrap().block_on(async {
        let python = zygote("hostile:run").interpreter(Program::new("python3").sentinel(false));
        let pool = built(python).size(1).build().unwrap();
        let zygote = zygote_of(&pool).await;
        let mut lease = pool.checkout().await.unwrap();
        report(path, [zygote, lease.pid().unwrap()]);
        let _ = lease.call(b"spin").await;
    });
}

/// P14: a zygote and its workers end with their host.
#[test]
fn a_zygote_ends_with_its_host() {
    const ROLE: &str = "OSTLER_TEST_ZYGOTE_HOST";
    if let Some(path) = env::var_os(ROLE) {
        return serve_as_host(Path::new(&path));
    }
    Host::start("zygote_dies::a_zygote_ends_with_its_host", ROLE, |_| {}).ends_cleanly();
}

/// P26: a forked worker runs its exit handlers at a shutdown although its zygote has died, even if
/// they take longer than the time that a worker gets after its host has died.
#[tokio::test]
async fn an_orphaned_worker_runs_its_exit_handlers() {
    // On a busy machine, an exit may take longer than the default.
    let minute = Duration::from_secs(60);
    let builder = built(zygote("hostile:run")).size(1).ask_grace(minute);
    let pool = builder.shutdown_timeout(10 * minute).build().unwrap();
    let zygote = zygote_of(&pool).await;
    let file = scratch("orphan");
    let request = format!("at_exit {}", file.display());
    assert_eq!(pool.call(request.as_bytes()).await.unwrap(), b"registered");
    signal(zygote, Signal::KILL);
    until("the zygote's end", || !is_alive(zygote));
    let report = pool.shutdown().await;
    let end = &report.workers[0];
    assert_eq!(
        (end.rung, end.status),
        (Some(Rung::Ask), Some(ExitStatus::Unknown))
    );
    fs::remove_file(file).expect("the exit handler has created it");
}

/// P40: a zygote runs its exit handlers at a shutdown.
#[tokio::test]
async fn a_zygote_runs_its_exit_handlers() {
    let file = scratch("zygote-exit");
    let interpreter = Program::new("python3").env("LEAVE", &file);
    let python = zygote("leaves_at_exit:parent").interpreter(interpreter);
    let pool = built(python).size(1).build().unwrap();
    assert_ne!(zygote_of(&pool).await, std::process::id());
    pool.shutdown().await;
    fs::remove_file(file).expect("the exit handler has created it");
}

/// What a descriptor is, such as `pipe:[1]`.
fn opened(descriptor: impl AsRef<Path>) -> String {
    let link = fs::read_link(descriptor).unwrap();
    link.to_str().unwrap().to_owned()
}

/// P14, P26: a zygote and its workers notice that their host was killed although another process
/// holds the other ends of their sockets and pipes, as a fork of the host does.
#[test]
fn a_copy_of_the_host_does_not_replace_it() {
    const ROLE: &str = "OSTLER_TEST_COPIED_HOST";
    if let Some(path) = env::var_os(ROLE) {
        return serve_as_host(Path::new(&path));
    }
    let test = "zygote_dies::a_copy_of_the_host_does_not_replace_it";
    let host = Host::start(test, ROLE, |_| {});
    let copies = copies_of(host.process.id());
    // The control socket of the zygote, and the three pipes of the worker, are among them.
    let copied = copies.iter().map(AsRawFd::as_raw_fd);
    let copied: BTreeSet<_> = copied
        .map(|fd| opened(format!("/proc/self/fd/{fd}")))
        .collect();
    let of_worker = fs::read_dir(format!("/proc/{}/fd", host.pids[1])).unwrap();
    let of_worker = of_worker.map(|entry| opened(entry.unwrap().path()));
    let pipes: BTreeSet<_> = of_worker.filter(|name| name.starts_with("pipe:")).collect();
    assert_eq!(pipes.len(), 3);
    assert!(pipes.is_subset(&copied), "{pipes:?} of {copied:?}");
    let mut others = copied.difference(&pipes);
    assert!(others.any(|name| name.starts_with("socket:")), "{copied:?}");
    host.ends_cleanly();
    drop(copies);
}

/// P5: a pool that is dropped with its runtime leaves neither its zygote nor a worker.
#[test]
fn a_dropped_pool_leaves_no_zygote() {
    if !isolated("zygote_dies::a_dropped_pool_leaves_no_zygote") {
        return;
    }
    // If other crates enable tokio's signal support, the first runtime opens two sockets that stay
    // open.
    drop(Runtime::new().unwrap());
    let before = Resources::snapshot();
    let runtime = Runtime::new().unwrap();
    let (pool, pids) = runtime.block_on(async {
        let pool = built(zygote("hostile:run")).size(1).build().unwrap();
        let zygote = zygote_of(&pool).await;
        let children = Resources::snapshot().children;
        assert!(
            children.iter().any(|child| child.pid == zygote),
            "{zygote} of {children:?}"
        );
        let worker = pool.checkout().await.unwrap().pid().unwrap();
        (pool, [zygote, worker])
    });
    drop(runtime);
    drop(pool);
    // Each of these leads a process group.
    before.assert_no_leaks(&pids);
}
