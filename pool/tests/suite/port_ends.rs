//! Does the end of a port or a pool close what it holds, also while others keep it?

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use ostler_pool::WorkerId;
use ostler_pool::port::{ExitStatus, Opener as _, Release, Start};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::leftovers::{DEADLINE, Worker, on_one_thread};
use crate::resources::{Resources, is_alive, until};
use crate::rig::signal;

/// P47: the end of a pool closes what it keeps for searches, also while its program is kept.
#[test]
fn the_end_of_a_pool_closes_its_descriptors() {
    let name = "port_ends::the_end_of_a_pool_closes_its_descriptors";
    on_one_thread(name, async |program| {
        let before = Resources::snapshot();
        let mut program = program.clone();
        program.prepare().unwrap();
        assert!(!before.leaks(&[]).is_empty());
        program.close().await;
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
    });
}

/// P5: a released port holds no descriptor, even if its pipe was never taken. `exited` and
/// `released` return the same result again.
#[test]
fn a_released_port_holds_no_descriptor() {
    let name = "port_ends::a_released_port_holds_no_descriptor";
    on_one_thread(name, async |program| {
        let before = Resources::snapshot();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        let mut port = program.open(Start::new(worker, 0)).await.unwrap();
        assert!(port.memory().unwrap() > 0);
        port.kill();
        let exit = port.exited().await;
        assert_eq!(exit.status, ExitStatus::Signal(9));
        assert_eq!(port.memory(), None);
        assert_eq!(port.released().await, Release::new(0, None));
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
        assert_eq!(port.exited().await, exit);
        assert_eq!(port.released().await, Release::new(0, None));
        assert_eq!(port.survivors(), []);
    });
}

/// P7: a program inherits no descriptor of its pool: it holds what any other child of the host
/// does.
#[test]
fn a_program_inherits_no_descriptor_of_its_pool() {
    let name = "port_ends::a_program_inherits_no_descriptor_of_its_pool";
    on_one_thread(name, async |program| {
        let held = |pid: u32| -> BTreeSet<OsString> {
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            descriptors
                .map(|entry| entry.unwrap().file_name())
                .collect()
        };
        let mut command = Command::new("sleep");
        let mut other = command.arg("60").stdout(Stdio::null()).spawn().unwrap();
        let comm = format!("/proc/{}/comm", other.id());
        // `execve` names the process when it has closed what is close-on-exec.
        until("the start of the other child", || {
            fs::read_to_string(&comm).unwrap() == "sleep\n"
        });
        let expected = held(other.id());
        let mut program = program.clone().sentinel(true);
        program.prepare().unwrap();
        let workers = [Worker::start(&program).await, Worker::start(&program).await];
        let children = Resources::snapshot().children;
        // With the sentinel.
        assert_eq!(children.len(), 4, "{children:?}");
        for child in children {
            until("no other descriptors", || held(child.pid) == expected);
        }
        other.kill().unwrap();
        other.wait().unwrap();
        for worker in workers {
            worker.release().await;
        }
        program.close().await;
    });
}

/// P49: a sentinel that is stopped does not hold up the end of its pool.
#[test]
fn a_stopped_sentinel_does_not_hold_up_the_end() {
    let name = "port_ends::a_stopped_sentinel_does_not_hold_up_the_end";
    on_one_thread(name, async |program| {
        let before = Resources::snapshot();
        let mut program = program.clone().sentinel(true);
        program.prepare().unwrap();
        let worker = Worker::start(&program).await;
        let sentinel = sentinel_beside(&worker);
        signal(sentinel, Signal::STOP);
        worker.release().await;
        timeout(DEADLINE, program.close()).await.unwrap();
        let leaks = before.leaks(&[]);
        assert!(leaks.is_empty(), "left behind:\n{leaks}");
    });
}

/// The process id of the sentinel, which is this process's only other child.
fn sentinel_beside(worker: &Worker) -> u32 {
    let mut children = Resources::snapshot().children;
    children.retain(|child| child.pid != worker.pid);
    assert_eq!(children.len(), 1, "{children:?}");
    children[0].pid
}

/// P14: a pool that ends while a port is open keeps its sentinel until the port is gone.
#[test]
fn a_sentinel_stays_for_an_open_port() {
    let name = "port_ends::a_sentinel_stays_for_an_open_port";
    on_one_thread(name, async |program| {
        let mut program = program.clone().sentinel(true);
        program.prepare().unwrap();
        let worker = Worker::start(&program).await;
        let sentinel = sentinel_beside(&worker);
        program.close().await;
        assert!(is_alive(sentinel));
        worker.release().await;
        drop(program);
        until("the sentinel's end", || !is_alive(sentinel));
    });
}
