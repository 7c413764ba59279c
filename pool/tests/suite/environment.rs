//! Does a worker get the environment that was set for it, and nothing else from its host?

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use ostler_pool::{CallError, CheckoutError, OpenError, Pool, Python, Resource, StartError};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::getrlimit;

use crate::resources::{isolated, modules};
use crate::rig::{hostile_python, python3};

fn built(python: Python) -> Pool {
    let moment = Duration::from_millis(1);
    Pool::builder(python)
        .size(1)
        .crash_loop(1)
        .restart_backoff(moment)
        .restart_backoff_max(moment)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

/// The worker's answer to `verb`, in a pool of its own.
async fn ask(python: Python, verb: &str) -> String {
    let pool = built(python);
    let said = pool.call(verb.as_bytes()).await.unwrap();
    pool.shutdown().await;
    String::from_utf8(said).unwrap()
}

/// L20: `nice` is set for the worker and its subprocesses, and a value out of range fails the
/// build.
#[tokio::test]
async fn nice_is_set_for_the_worker() {
    let here: i32 = ask(hostile_python(), "niceness").await.parse().unwrap();
    let nice = (here + 3).min(19);
    assert_eq!(
        ask(
            hostile_python().interpreter(python3().nice(nice)),
            "niceness"
        )
        .await,
        nice.to_string()
    );
    let error = Pool::builder(python3().nice(20)).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "option `nice` of the program is 20: it must be -20 to 19"
    );
}

/// L20: each limit is set as the soft and the hard limit of its resource, for spawned and forked
/// workers.
#[tokio::test]
async fn resource_limits_are_set_for_the_worker() {
    // `RLIMIT_NPROC` counts all threads of the user: with a low one, the zygote could not fork.
    let processes = getrlimit(rustix::process::Resource::Nproc).maximum;
    let processes = processes.map_or(1 << 20, |most| most - 1);
    let limits = [
        (Resource::AddressSpace, "RLIMIT_AS", 4 << 30),
        (Resource::Core, "RLIMIT_CORE", 0),
        (Resource::CpuTime, "RLIMIT_CPU", 1234),
        (Resource::FileSize, "RLIMIT_FSIZE", 56 << 20),
        (Resource::OpenFiles, "RLIMIT_NOFILE", 78),
        (Resource::Processes, "RLIMIT_NPROC", processes),
    ];
    for python in [hostile_python(), hostile_python().zygote()] {
        let limited = limits
            .iter()
            .fold(python3(), |python3, &(resource, _, most)| {
                python3.limit(resource, most)
            });
        let pool = built(python.interpreter(limited));
        for (_, name, most) in limits {
            let said = pool.call(format!("limits {name}").as_bytes()).await;
            let said = String::from_utf8(said.unwrap()).unwrap();
            assert_eq!(said, format!("{most} {most}"));
        }
        pool.shutdown().await;
    }
}

/// An allocation above the memory limit raises `MemoryError`, and the worker serves on.
#[tokio::test]
async fn an_allocation_above_the_limit_raises_memory_error() {
    let pool =
        built(hostile_python().interpreter(python3().limit(Resource::AddressSpace, 1 << 30)));
    match pool.call(b"hoard 2048").await {
        Err(CallError::Raised { source, .. }) => assert_eq!(source.kind, "MemoryError"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call(b"hoard 1").await.unwrap(), b"hoarded");
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// A limit that the kernel rejects fails each start, names the option, and leaves no process.
#[test]
fn a_refused_limit_fails_the_start() {
    if !isolated("environment::a_refused_limit_fails_the_start") {
        return;
    }
    crate::resources::leaks_nothing(async || {
        // The kernel allows no process this many descriptors.
        let pool =
            built(hostile_python().interpreter(python3().limit(Resource::OpenFiles, u64::MAX - 1)));
        match pool.checkout().await {
            Err(CheckoutError::CrashLoop { last }) => match &last {
                StartError::Open {
                    source: error @ OpenError::Limit { source, .. },
                    ..
                } => {
                    assert_eq!(
                        error.to_string(),
                        "option `limit(OpenFiles)` of the program could not be set to \
                         18446744073709551614"
                    );
                    assert_eq!(source.to_string(), "Operation not permitted (os error 1)");
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        pool.shutdown().await;
    });
}

/// P7: a worker holds the three pipes to its host and `/dev/null`, and nothing else: no pipe of a
/// sibling, and no descriptor of the host, even one without close-on-exec.
#[test]
fn a_worker_holds_only_its_own_descriptors() {
    if !isolated("environment::a_worker_holds_only_its_own_descriptors") {
        return;
    }
    let inheritable = File::open(modules()).unwrap();
    fcntl_setfd(&inheritable, FdFlags::empty()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let pool = Pool::builder(hostile_python()).size(4).build().unwrap();
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.push(pool.checkout().await.unwrap());
        }
        let mut pipes = BTreeSet::new();
        for lease in &mut leases {
            let listing = lease.call(b"descriptors").await.unwrap();
            let listing = String::from_utf8(listing).unwrap();
            let mut held: Vec<_> = listing.lines().map(str::to_owned).collect();
            held.sort();
            let kinds: Vec<_> = held.iter().map(|held| held.split('[').next()).collect();
            // Standard output is the pipe of stderr once more.
            let expected = ["/dev/null", "pipe:", "pipe:", "pipe:", "pipe:"];
            assert_eq!(kinds, expected.map(Some), "{listing}");
            let own = BTreeSet::from_iter(held.split_off(1));
            assert_eq!(own.len(), 3, "{listing}");
            pipes.extend(own);
        }
        assert_eq!(pipes.len(), 12, "three each, and none shared");
        drop(leases);
        pool.shutdown().await;
    });
    drop(inheritable);
}
