//! Does the pool work if other code in the host reaps its workers, as the init process of a
//! container may?

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{env, fs};

use ostler_pool::{CallError, ExitStatus, Pool};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::runtime;

use crate::resources::{KillOnDrop, Resources, is_alive, isolated, leaks_nothing};
use crate::rig::{hostile, is_released, signal, until};

/// A file in which a privileged process can set the process id that the kernel assigned last.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// The most workers that are killed before the test gives up on reusing a process id.
const ATTEMPTS: u32 = 50;

/// Runs a test isolated and on one thread, so that no task of the pool runs between two awaits of
/// the test.
fn on_one_thread(name: &str, test: impl AsyncFnOnce(&Pool)) {
    if !isolated(&format!("reaped_elsewhere::{name}")) {
        return;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let before = Resources::snapshot();
    runtime.unwrap().block_on(async {
        let pool = hostile().size(1).build().unwrap();
        test(&pool).await;
        assert_eq!(pool.shutdown().await.unreleased, []);
    });
    before.assert_no_leaks(&[]);
}

/// Kills a process, and reaps it before the pool can.
fn kill_and_reap(pid: u32) {
    signal(pid, Signal::KILL);
    let pid = Pid::from_raw(pid.cast_signed());
    let (collected, _) = waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(Some(collected), pid);
}

/// Starts a process with this id, in a group of its own. `None` if another process took the id
/// first.
fn reuse(pid: u32) -> Option<KillOnDrop> {
    fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
    let mut command = Command::new("sleep");
    let child = command.arg("1000").process_group(0).spawn().unwrap();
    Some(KillOnDrop(child)).filter(|child| child.0.id() == pid)
}

/// P4: after other code has reaped a worker, its process id may be reused: the pool does not signal
/// it.
#[test]
fn a_reused_process_id_is_not_signalled() {
    on_one_thread("a_reused_process_id_is_not_signalled", async |pool| {
        if fs::OpenOptions::new().write(true).open(LAST_PID).is_err() {
            eprintln!("skipped: process ids cannot be chosen here");
            return;
        }
        for _ in 0..ATTEMPTS {
            let lease = pool.checkout().await.unwrap();
            let (worker, pid) = (lease.worker(), lease.pid().unwrap());
            kill_and_reap(pid);
            let reused = reuse(pid);
            drop(lease);
            is_released(pool, worker).await;
            if let Some(mut reused) = reused {
                assert_eq!(reused.0.try_wait().unwrap(), None);
                return;
            }
        }
        panic!("no process id could be reused");
    });
}

/// P4, P5: what such a worker left in its group is killed, and its call fails with an unknown
/// status.
#[test]
fn the_rest_of_the_group_is_killed() {
    on_one_thread("the_rest_of_the_group_is_killed", async |pool| {
        let mut lease = pool.checkout().await.unwrap();
        let (worker, pid) = (lease.worker(), lease.pid().unwrap());
        let grandchild = String::from_utf8(lease.call(b"grandchild").await.unwrap()).unwrap();
        let grandchild = grandchild.parse().unwrap();
        assert!(is_alive(grandchild));
        kill_and_reap(pid);
        match lease.call(b"pid").await {
            Err(CallError::WorkerExited { exit, .. }) => {
                assert_eq!(exit.status, ExitStatus::Unknown);
            }
            other => panic!("{other:?}"),
        }
        is_released(pool, worker).await;
        assert!(!is_alive(grandchild));
    });
}

/// P4, P5: in a host that ignores `SIGCHLD`, the kernel reaps the workers. They are replaced and
/// end as usual; their exit status may be unknown.
#[test]
fn the_kernel_may_reap_the_workers() {
    const ROLE: &str = "OSTLER_TEST_IGNORES_ITS_CHILDREN";
    if env::var_os(ROLE).is_none() {
        // An ignored signal stays ignored across `exec`.
        let mut host = Command::new("env");
        host.arg("--ignore-signal=CHLD")
            .arg(env::current_exe().unwrap());
        host.args([
            "reaped_elsewhere::the_kernel_may_reap_the_workers",
            "--exact",
            "--nocapture",
        ]);
        let host = host.env(ROLE, "yes").output().unwrap();
        let text = String::from_utf8_lossy(&host.stdout);
        let error = String::from_utf8_lossy(&host.stderr);
        assert!(text.contains("1 passed"), "{}{text}{error}", host.status);
        return;
    }
    leaks_nothing(async || {
        let pool = hostile().size(2).build().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        let grandchild = String::from_utf8(lease.call(b"grandchild").await.unwrap()).unwrap();
        let grandchild = grandchild.parse().unwrap();
        signal(lease.pid().unwrap(), Signal::KILL);
        match lease.call(b"pid").await {
            Err(CallError::WorkerExited { exit, .. }) => {
                // Until the kernel has reaped it, the status can still be read.
                let statuses = [ExitStatus::Signal(9), ExitStatus::Unknown];
                assert!(statuses.contains(&exit.status), "{}", exit.status);
            }
            other => panic!("{other:?}"),
        }
        until(&pool, |status| status.serving() == 2).await;
        assert_eq!(pool.call(b"sleep 0").await.unwrap(), b"slept");
        let report = pool.shutdown().await;
        assert_eq!((report.unreleased.len(), report.counters.released), (0, 3));
        assert!(!is_alive(grandchild));
    });
}
