//! Does a host at its limits leak anything, lose a worker for good, or starve other programs?

use std::collections::BTreeSet;
use std::error::Error as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{env, fs, io, process};

use ostler_pool::port::{Opener as _, Start};
use ostler_pool::{OpenError, Program, StartError, WorkerId};
use rustix::io::Errno;
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, getuid, setrlimit};
use tokio::runtime::{self, Runtime};

use crate::resources::{Resources, isolated, leaks_nothing};
use crate::rig::{hostile, signal, until};

const WORKER: WorkerId = WorkerId {
    slot: 0,
    generation: 1,
};

/// Runs `run` with a limit of this many more descriptors than are open now.
fn with_spare<T>(descriptors: u64, run: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    let numbers = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = numbers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let taken: BTreeSet<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    // The limit is on the descriptors' numbers. One number more is free: that of the directory
    // listing itself.
    let free = (0..).filter(|number| !taken.contains(number));
    let mut limits = free.skip(usize::try_from(descriptors).unwrap());
    let limit = Rlimit {
        current: limits.next(),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let result = run();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

/// P5, P6: a spawn of a sentinel or a worker that lacks a descriptor at any step fails with
/// `EMFILE` and leaks nothing.
#[test]
fn a_spawn_that_fails_halfway_leaks_nothing() {
    if !isolated("starved::a_spawn_that_fails_halfway_leaks_nothing") {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let before = Resources::snapshot();
    for sentinel in [false, true] {
        let mut outcomes = Vec::new();
        for spare in 0..20 {
            let mut program = Program::new("sleep").arg("1000").sentinel(sentinel);
            program.prepare().unwrap();
            let outcome = with_spare(spare, || {
                runtime.block_on(async { program.open(Start::new(WORKER, 0)).await.map(drop) })
            });
            outcomes.push(match outcome {
                Ok(()) => "opened",
                Err(error) => refused(&error, Errno::MFILE).expect("a refusal"),
            });
            drop(program);
            before.assert_no_leaks(&[]);
        }
        // The sentinel is started first.
        let steps: Vec<&str> = if sentinel {
            vec!["sentinel", "worker", "opened"]
        } else {
            vec!["worker", "opened"]
        };
        outcomes.dedup();
        assert_eq!(outcomes, steps);
    }
}

/// P6: in a host whose user may start no further process, the start of a sentinel or a worker fails
/// with `EAGAIN`, leaks nothing, and succeeds later.
#[test]
fn a_spawn_beyond_the_process_limit_leaks_nothing() {
    let name = "starved::a_spawn_beyond_the_process_limit_leaks_nothing";
    if !isolated_as_user(name) {
        return;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap();
    let before = Resources::snapshot();
    for (sentinel, refuses) in [(false, "worker"), (true, "sentinel")] {
        let mut program = Program::new("sleep").arg("1000").sentinel(sentinel);
        program.prepare().unwrap();
        let prepared = Resources::snapshot();
        let open = || runtime.block_on(async { program.open(Start::new(WORKER, 0)).await });
        let limit = getrlimit(Resource::Nproc);
        let none = Rlimit {
            current: Some(0),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nproc, none).unwrap();
        let error = open().map(drop).unwrap_err();
        setrlimit(Resource::Nproc, limit).unwrap();
        assert_eq!(refused(&error, Errno::AGAIN), Some(refuses));
        prepared.assert_no_leaks(&[]);
        let mut port = open().unwrap();
        runtime.block_on(async {
            port.kill();
            port.exited().await;
            port.released().await;
            program.close().await;
        });
        drop((port, program));
        before.assert_no_leaks(&[]);
    }
}

/// P32: the pipes of 130 workers leave so much of their user's quota that a new pipe has the usual
/// capacity. The first worker has large ones, the last one the smallest.
#[test]
fn workers_leave_room_for_other_pipes() {
    if !isolated_as_user("starved::workers_leave_room_for_other_pipes") {
        return;
    }
    let usual = capacity();
    Runtime::new().unwrap().block_on(async {
        let mut program = Program::new("sleep").arg("1000").sentinel(false);
        program.prepare().unwrap();
        let mut ports = Vec::new();
        for slot in 0..130 {
            let worker = WorkerId {
                slot,
                generation: 1,
            };
            ports.push(program.open(Start::new(worker, 0)).await.unwrap());
        }
        assert_eq!(capacity(), usual);
        let of_first_and_last = [0, 129].map(|slot: usize| {
            let input = format!("/proc/{}/fd/0", ports[slot].pid().unwrap());
            fcntl_getpipe_size(fs::File::open(input).unwrap()).unwrap()
        });
        assert_eq!(of_first_and_last, [256 * 1024, 8 * 1024]);
        for port in &mut ports {
            port.kill();
        }
        for port in &mut ports {
            port.exited().await;
            port.released().await;
        }
    });
}

/// The capacity of a new pipe, in bytes.
fn capacity() -> usize {
    let (reader, _writer) = std::io::pipe().unwrap();
    fcntl_getpipe_size(reader).unwrap()
}

/// As [`isolated`], as a user that has no other process, because the kernel exempts privileged ones
/// from limits. Skipped if this process may not become another user.
fn isolated_as_user(name: &str) -> bool {
    const ROLE: &str = "OSTLER_TEST_USER";
    if env::var_os(ROLE).is_some() {
        return true;
    }
    if !getuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return false;
    }
    let user = 200_000 + process::id();
    let mut test = Command::new(env::current_exe().unwrap());
    let output = test
        .args([name, "--exact", "--nocapture"])
        .env(ROLE, "yes")
        // The time limit of the test finds its processes by this variable.
        .env("OSTLER_TEST_ISOLATED", format!("{name} {}", process::id()))
        .uid(user)
        .gid(user)
        .output();
    let output = output.unwrap();
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complained}"
    );
    false
}

/// L13: a pool without free descriptors keeps trying, and is back at its size once there are some.
#[test]
fn a_pool_recovers_from_a_lack_of_descriptors() {
    if !isolated("starved::a_pool_recovers_from_a_lack_of_descriptors") {
        return;
    }
    leaks_nothing(async || {
        let pool = hostile().size(2).build().unwrap();
        until(&pool, |status| status.serving() == 2).await;
        let before = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(3),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, none).unwrap();
        let lost = pool.checkout().await.unwrap();
        signal(lost.pid().unwrap(), Signal::KILL);
        until(&pool, |status| {
            status.last_failure.as_ref().is_some_and(lacked_descriptors)
        })
        .await;
        drop(lost);
        // The other worker still serves.
        assert_eq!(pool.call(b"sleep 0").await.unwrap(), b"slept");
        setrlimit(Resource::Nofile, before).unwrap();
        until(&pool, |status| status.serving() == 2).await;
        let counters = pool.shutdown().await.counters;
        assert_eq!((counters.started, counters.exited), (3, 1));
        assert_eq!(counters.opened, counters.released);
    });
}

fn lacked_descriptors(error: &StartError) -> bool {
    matches!(error, StartError::Open { source, .. } if refused(source, Errno::MFILE).is_some())
}

/// What the operating system refused to start, if it did so for this reason.
fn refused(error: &OpenError, reason: Errno) -> Option<&'static str> {
    let refused = match error {
        OpenError::Spawn { .. } => "worker",
        OpenError::Sentinel { .. } => "sentinel",
        _ => return None,
    };
    let source: &io::Error = error.source()?.downcast_ref()?;
    (source.raw_os_error() == Some(reason.raw_os_error())).then_some(refused)
}
