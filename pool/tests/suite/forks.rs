//! Do a host and its workers survive when the host forks itself without `exec`?

use std::os::unix::fs::PermissionsExt;
use std::process::{self, Command};
use std::{env, fs, thread};

use ostler_pool::Program;
use ostler_pool::port::Opener as _;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use crate::resources::{Resources, compiled, compiled_as, is_alive, scratch, until};
use crate::rig::signal;
use crate::sentinels::{Host, ROLE, children, immortal, open, path_of, ran_as_host, runtime};

/// Opens a worker and ends it. Returns its sentinel, which is the only other child of this process
/// apart from those in `known`.
async fn run_worker(program: &Program, known: &[u32]) -> u32 {
    let mut port = open(program).await;
    let worker = port.pid().unwrap();
    let sentinel = children(&[&[worker], known].concat());
    port.kill();
    port.exited().await;
    port.released().await;
    sentinel[0]
}

/// Forks this process, which has `fork.c` loaded. Returns whether this is the copy.
fn fork() -> bool {
    fs::remove_dir("/ostler/fork").is_err()
}

/// Runs a test in a process that can fork itself. Returns whether this is that process.
fn in_host_that_forks(name: &str) -> bool {
    if env::var_os(ROLE).is_some() {
        return true;
    }
    if let Some(library) = compiled_as(name, "fork.c", &["-shared", "-fPIC"]) {
        let mut host = Command::new(env::current_exe().unwrap());
        host.args([&format!("forks::{name}"), "--exact", "--nocapture"])
            .env(ROLE, path_of("sleep"))
            .env("LD_PRELOAD", &library);
        let output = host.output().unwrap();
        fs::remove_file(library).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    false
}

/// Waits until the copy has ended, which is the only child of this process apart from `known`.
fn wait_for_copy(known: u32) {
    let copy = Pid::from_raw(children(&[known])[0].cast_signed());
    let (_, status) = waitpid(copy, WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
}

/// P30: a copy that the host forked drops the pool's program. The host's sentinel stays, and still
/// ends with the program in the host.
#[test]
fn a_forked_copy_does_not_end_the_sentinel() {
    if !in_host_that_forks("a_forked_copy_does_not_end_the_sentinel") {
        return;
    }
    let runtime = runtime();
    let before = Resources::snapshot();
    let program = immortal();
    runtime.block_on(async {
        let sentinel = run_worker(&program, &[]).await;
        if fork() {
            drop(program);
            process::exit(0);
        }
        wait_for_copy(sentinel);
        // Had the copy told the sentinel to end, it would end before a sentinel that starts now.
        let other = immortal();
        let second = run_worker(&other, &[sentinel]).await;
        drop(other);
        until("the second sentinel's end", || !is_alive(second));
        assert!(is_alive(sentinel));
        program.close().await;
    });
    before.assert_no_leaks(&[]);
}

/// P30: a copy that the host forked drops an open port. The worker lives on, and ends with the port
/// in the host.
#[test]
fn a_forked_copy_does_not_end_the_workers() {
    if !in_host_that_forks("a_forked_copy_does_not_end_the_workers") {
        return;
    }
    let runtime = runtime();
    let before = Resources::snapshot();
    let mut program = immortal().sentinel(false);
    program.prepare().unwrap();
    runtime.block_on(async {
        let port = open(&program).await;
        let worker = port.pid().unwrap();
        if fork() {
            drop(port);
            process::exit(0);
        }
        wait_for_copy(worker);
        assert!(is_alive(worker));
        // Not by way of the runtime: the copy has unregistered the worker from the host's, which
        // no runtime can prevent.
        drop(port);
        until("the worker's end", || !is_alive(worker));
    });
    drop(program);
    before.assert_no_leaks(&[]);
}

/// Whether a process has a handler for `SIGURG`.
fn handles_urg(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let handled = u64::from_str_radix(handled.unwrap().trim(), 16).unwrap();
    handled & 1 << (Signal::URG.as_raw() - 1) != 0
}

/// P31: a copy that the host forked holds the host's end of the socket. The sentinel notices the
/// host's end nevertheless, also if the host ends before the kernel is asked for a signal.
#[test]
fn a_forked_copy_does_not_hide_the_end_of_the_host() {
    let copy = || {
        if fork() {
            loop {
                thread::park();
            }
        }
    };
    if ran_as_host(copy) {
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `setpriv`");
        return;
    }
    let Some(library) = compiled("fork.c", &["-shared", "-fPIC"]) else {
        return;
    };
    // A `setpriv` that waits for a file, or for a minute.
    let late = scratch("late-setpriv");
    fs::create_dir_all(&late).unwrap();
    let wait = "for _ in $(seq 6000); do [ -e \"$0-go\" ] && break; sleep 0.01; done";
    let path = env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\n{wait}\nexec {} \"$@\"\n",
        path_of("setpriv").display()
    );
    fs::write(late.join("setpriv"), script).unwrap();
    fs::set_permissions(late.join("setpriv"), PermissionsExt::from_mode(0o755)).unwrap();
    for is_late in [true, false] {
        let mut host = Host::start(
            "forks::a_forked_copy_does_not_hide_the_end_of_the_host",
            |host| {
                host.env("LD_PRELOAD", &library);
                if is_late {
                    host.env("PATH", format!("{}:{path}", late.display()));
                }
            },
        );
        if !is_late {
            until("a sentinel that watches", || handles_urg(host.sentinel));
        }
        host.kill();
        fs::write(late.join("setpriv-go"), "").unwrap();
        until("the worker's end", || !is_alive(host.worker));
        assert!(is_alive(host.copy));
        signal(host.copy, Signal::KILL);
        until("the sentinel's end", || !is_alive(host.sentinel));
    }
    fs::remove_file(library).unwrap();
    fs::remove_dir_all(late).unwrap();
}
