//! Does a host that runs out of descriptors leak anything, or lose a worker for good?

use std::collections::BTreeSet;
use std::error::Error as _;
use std::{fs, io};

use ostler_pool::port::Opener as _;
use ostler_pool::{OpenError, Program, StartError, WorkerId};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::resources::{Resources, isolated, leaks_nothing};
use crate::rig::{hostile, signal, until};

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

/// P5, P6: a spawn that lacks a descriptor at any step fails with `EMFILE` and leaks nothing.
#[test]
fn a_spawn_that_fails_halfway_leaks_nothing() {
    if !isolated("starved::a_spawn_that_fails_halfway_leaks_nothing") {
        return;
    }
    let runtime = Runtime::new().unwrap();
    // A sentinel would run until the program is closed.
    let mut program = Program::new("sleep").arg("1000").sentinel(false);
    program.prepare().unwrap();
    let worker = WorkerId {
        slot: 0,
        generation: 1,
    };
    let before = Resources::snapshot();
    let mut outcomes = Vec::new();
    for spare in 0..16 {
        let outcome = with_spare(spare, || {
            runtime.block_on(async { program.open(worker).await.map(drop) })
        });
        if let Err(error) = &outcome {
            assert!(is_emfile(error), "{error:?}");
        }
        outcomes.push(outcome.is_ok());
        before.assert_no_leaks(&[]);
    }
    assert!(!outcomes[0] && outcomes[15], "{outcomes:?}");
    assert!(outcomes.is_sorted(), "{outcomes:?}");
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
    matches!(error, StartError::Open { source, .. } if is_emfile(source))
}

fn is_emfile(error: &OpenError) -> bool {
    let source = matches!(error, OpenError::Spawn { .. }).then(|| error.source());
    let source = source.flatten().and_then(|source| source.downcast_ref());
    source.and_then(io::Error::raw_os_error) == Some(Errno::MFILE.raw_os_error())
}
