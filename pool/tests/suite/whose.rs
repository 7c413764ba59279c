//! Does a release tell a worker's processes from all others?

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use ostler_pool::port::{Opener as _, Release};
use ostler_pool::testing::Process;

use rustix::process::geteuid;

use crate::leftovers::{Worker, on_one_thread};
use crate::resources::{is_alive, until};

/// P41: a process that is older than the worker is not its descendant, whatever its environment
/// says, and is spared.
#[test]
fn an_older_process_with_the_tag_is_spared() {
    on_one_thread(
        "whose::an_older_process_with_the_tag_is_spared",
        async |program| {
            // It takes the tag later, from its input.
            let mut older = Command::new("sh")
                .args(["-c", "read tag; OSTLER_TAG=$tag exec sleep 60"])
                .stdin(Stdio::piped())
                .process_group(0)
                .spawn()
                .unwrap();
            let started = |pid| Process::read(pid).unwrap().start_time;
            let mut worker = Worker::start(&program).await;
            // The kernel counts in hundredths of a second.
            while started(worker.pid) == started(older.id()) {
                worker.release().await;
                worker = Worker::start(&program).await;
            }
            let tag = worker.tag();
            let mut input = older.stdin.take().unwrap();
            input.write_all(format!("{tag}\n").as_bytes()).unwrap();
            let has_tag = || Process::with_env(&format!("OSTLER_TAG={tag}"));
            until("the older process to take the tag", || {
                has_tag().iter().any(|process| process.pid == older.id())
            });
            let left = worker.leave("daemon").await;
            assert_eq!(worker.release().await, Release::new(1, None));
            assert!(!is_alive(left));
            assert_eq!(older.try_wait().unwrap(), None);
            older.kill().unwrap();
            older.wait().unwrap();
        },
    );
}

/// P42: the tag is found at the end of a large environment, too.
#[test]
fn a_tag_behind_a_large_environment_is_found() {
    on_one_thread(
        "whose::a_tag_behind_a_large_environment_is_found",
        async |mut program| {
            // The variables of a program are sorted by name. The kernel takes 2 MiB.
            for name in 'A'..'O' {
                program = program.env(name.to_string(), "x".repeat(100_000));
            }
            program.prepare().unwrap();
            let mut worker = Worker::start(&program).await;
            let left = worker.leave("daemon").await;
            assert_eq!(worker.release().await, Release::new(1, None));
            assert!(!is_alive(left));
        },
    );
}

/// P43: a variable that the user sets does not take the place of the tag.
#[test]
fn the_tag_is_not_the_users() {
    on_one_thread("whose::the_tag_is_not_the_users", async |program| {
        let mut program = program.env("OSTLER_TAG", "mine");
        program.prepare().unwrap();
        let mut worker = Worker::start(&program).await;
        let left = worker.leave("daemon").await;
        assert_eq!(worker.release().await, Release::new(1, None));
        assert!(!is_alive(left));
    });
}

/// P20: a sub-reaper host also kills a process that has become another user. Other hosts spare it,
/// whatever tag it carries.
#[test]
fn a_subreaper_ends_a_process_of_another_user() {
    let name = "whose::a_subreaper_ends_a_process_of_another_user";
    on_one_thread(name, async |program| {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can become another user");
            return;
        }
        let mut program = program.clone().subreaper(true);
        program.prepare().unwrap();
        let (mut worker, other) = (Worker::start(&program).await, Worker::start(&program).await);
        let left = worker.leave("foreign").await;
        assert_eq!(worker.release().await, Release::new(0, None));
        // The other worker could have started it.
        assert!(is_alive(left));
        assert_eq!(other.release().await, Release::new(1, None));
        assert!(!is_alive(left));
        program.close().await;
    });
}

/// P33: if a worker becomes another user, the processes that it started before and after are both
/// killed.
#[test]
fn a_worker_that_becomes_another_user_leaves_nothing() {
    let name = "whose::a_worker_that_becomes_another_user_leaves_nothing";
    on_one_thread(name, async |program| {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can become another user");
            return;
        }
        let mut worker = Worker::start(&program).await;
        let left = [worker.leave("daemon").await, worker.leave("become").await];
        assert_eq!(worker.release().await, Release::new(2, None));
        assert_eq!(left.map(is_alive), [false, false]);
    });
}
