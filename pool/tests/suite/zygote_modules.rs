//! Does a zygote work with a module that was not written for it?

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::id;

use ostler_pool::{CallError, ExitStatus, Program};
use rustix::process::Signal;

use crate::resources::{Resources, is_alive, isolated, leaks_nothing, scratch, until};
use crate::rig::{self, interpreter, signal};
use crate::runtime::check;
use crate::zygote::{ask, built, zygote, zygote_of};
use crate::zygote_dies::has_input;

/// An interpreter that appends its stderr to a file, and that file.
fn listening(name: &str) -> (Program, PathBuf) {
    let directory = scratch(name);
    fs::create_dir(&directory).unwrap();
    let script = directory.join("python3");
    let text = "#!/bin/sh\nexec \"$PYTHON\" \"$@\" 2>> \"${0%python3}stderr\"\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new(&script).env("PYTHON", interpreter());
    (program, directory.join("stderr"))
}

fn said(stderr: &Path) -> String {
    let said = fs::read_to_string(stderr).unwrap();
    fs::remove_dir_all(stderr.parent().unwrap()).unwrap();
    said
}

/// P24: a zygote whose module ignores `SIGCHLD`, or reaps every child, tells how its workers ended
/// and forks the next ones. Its workers have what the module has set.
#[test]
fn a_module_that_reaps_costs_no_zygote() {
    if !isolated("zygote_modules::a_module_that_reaps_costs_no_zygote") {
        return;
    }
    for (how, disposition) in [("ignore", "SIG_IGN"), ("reap", "reap")] {
        leaks_nothing(async || {
            let interpreter = Program::new("python3").env("REAPS", how);
            let python = zygote("reaps:run").interpreter(interpreter);
            let pool = built(python).size(1).build().unwrap();
            let first = zygote_of(&pool).await;
            assert_ne!(first, id());
            for _ in 0..3 {
                assert_eq!(ask(&pool, "disposition").await, disposition);
                match pool.call(b"exit 3").await {
                    Err(CallError::WorkerExited { exit, .. }) => {
                        assert_eq!(exit.status, ExitStatus::Code(3));
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(zygote_of(&pool).await, first);
            }
            let counters = pool.shutdown().await.counters;
            assert_eq!((counters.opened, counters.exited), (4, 3));
        });
    }
}

/// P24: a zygote signals only its own children, and does not wait for a child that cannot end yet.
#[test]
fn a_zygote_signals_only_its_children() {
    check("zygote_reaps.py");
}

/// P25: a module that has started a thread cannot be forked, whatever the thread runs. The zygote
/// says how many there are, and the workers are spawned.
#[tokio::test]
async fn a_module_with_a_native_thread_is_not_forked() {
    for how in ["low-level", "native"] {
        let (interpreter, stderr) = listening(&format!("threads-{how}"));
        let python = zygote("with_threads:parent").interpreter(interpreter.env("THREADS", how));
        let pool = built(python).size(1).build().unwrap();
        assert_eq!(ask(&pool, "").await, id().to_string());
        pool.shutdown().await;
        let said = said(&stderr);
        assert!(said.contains("1 that Python does not know"), "{said}");
        assert!(said.contains("Start them in the first call"), "{said}");
    }
}

/// P25: threads that have ended, and those that a library ends at a fork, are no obstacle.
#[tokio::test]
async fn a_module_whose_threads_end_is_forked() {
    for how in ["native, ended at a fork", "native, ended"] {
        let interpreter = Program::new("python3").env("THREADS", how);
        let python = zygote("with_threads:parent").interpreter(interpreter);
        let pool = built(python).size(1).build().unwrap();
        assert_ne!(ask(&pool, "").await, id().to_string());
        pool.shutdown().await;
    }
}

/// P19: if a forked worker cannot tag its initial environment, the zygote says so once, and the
/// worker serves. Its daemons that run another program end with it, the others with the pool, if
/// the environment has a tag at all.
#[tokio::test]
async fn a_worker_that_cannot_tag_its_environment_serves() {
    for how in ["refuse", "overwrite"] {
        let (interpreter, stderr) = listening(&format!("hides-tag-{how}"));
        let python = zygote("hides_tag:run").interpreter(interpreter.env("HIDES_TAG", how));
        let pool = built(python).build().unwrap();
        assert_ne!(zygote_of(&pool).await, id());
        rig::until(&pool, |status| status.serving() == 2).await;
        let mut lease = pool.checkout().await.unwrap();
        let (name, pid) = (lease.worker(), lease.pid().unwrap());
        let mut verbs = vec!["daemon"];
        if how == "refuse" {
            verbs.push("forked_daemon");
        }
        let mut daemons = Vec::new();
        for verb in verbs {
            let daemon = lease.call(verb.as_bytes()).await.unwrap();
            daemons.push(String::from_utf8(daemon).unwrap().parse().unwrap());
        }
        assert!(daemons.iter().all(|&daemon| is_alive(daemon)));
        drop(lease);
        signal(pid, Signal::KILL);
        rig::is_released(&pool, name).await;
        assert!(!is_alive(daemons[0]));
        assert_eq!(pool.shutdown().await.unreleased, []);
        assert!(!daemons.into_iter().any(is_alive));
        let said = said(&stderr);
        let told = said.matches("cannot replace the zygote's OSTLER_TAG");
        assert_eq!(told.count(), 1, "{said}");
    }
}

/// R27: no worker is forked for a start that was abandoned before, and one whose start was
/// abandoned during the fork has ended before the next worker is forked.
#[test]
fn an_abandoned_start_is_settled_before_the_next_fork() {
    if !isolated("zygote_modules::an_abandoned_start_is_settled_before_the_next_fork") {
        return;
    }
    leaks_nothing(async || {
        let pool = built(zygote("counts_forks:run")).size(1).build().unwrap();
        assert_eq!(ask(&pool, "forks").await, "1 1");
        let zygote_pid = zygote_of(&pool).await;
        let descriptors = || Resources::snapshot().descriptors.len();
        let start_another = || {
            let before = descriptors();
            pool.resize(2).unwrap();
            // Both ends of three pipes. Those for the worker stay with its request to the zygote.
            until("the request to fork", || descriptors() == before + 6);
        };
        signal(zygote_pid, Signal::STOP);
        for abandoned in 1..=3 {
            start_another();
            if abandoned == 1 {
                // The zygote will fork this one.
                until("the sent request", || has_input(zygote_pid));
            }
            pool.resize(1).unwrap();
            rig::until(&pool, |status| status.counters.released == abandoned).await;
        }
        // This one waits when the zygote forks the first one, so a late reap would come after it.
        start_another();
        signal(zygote_pid, Signal::CONT);
        rig::until(&pool, |status| status.serving() == 2).await;
        let mut leases = [
            pool.checkout().await.unwrap(),
            pool.checkout().await.unwrap(),
        ];
        let mut said = Vec::new();
        for lease in &mut leases {
            said.push(String::from_utf8(lease.call(b"forks").await.unwrap()).unwrap());
        }
        said.sort();
        // Of the abandoned starts, only the first one was forked, and it has ended: this worker is
        // the third fork, and one of two children.
        assert_eq!(said, ["1 1", "3 2"]);
        drop(leases);
        pool.shutdown().await;
        until("the zygote's end", || !is_alive(zygote_pid));
    });
}
