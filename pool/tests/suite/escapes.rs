//! Are processes found that escaped from a worker, or that outlive a killed host?

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, process, thread};

use ostler_pool::{Builder, Pool, Python};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::resources::{Resources, is_alive, isolated, leaks_nothing, scratch, until};
use crate::rig::{hostile_python, is_released, python3, signal};
use crate::second_run::{Host, report};

fn pool(python: Python) -> Builder {
    Pool::builder(python)
        .size(1)
        .checkout_timeout(Duration::from_secs(60))
}

/// Lets the worker start a daemon, and returns its process id.
async fn daemon(pool: &Pool, verb: &str) -> u32 {
    let pid = pool.call(verb.as_bytes()).await.unwrap();
    String::from_utf8(pid).unwrap().parse().unwrap()
}

/// P3, P5: orphaned daemons in sessions of their own end with their worker, and the report counts
/// them, whether they run another program or were only forked.
#[tokio::test]
async fn a_daemon_ends_with_its_worker() {
    let pool = pool(hostile_python()).build().unwrap();
    let daemons = [
        daemon(&pool, "daemon").await,
        daemon(&pool, "forked_daemon").await,
    ];
    assert_eq!(daemons.map(is_alive), [true, true]);
    let report = pool.shutdown().await;
    assert_eq!(daemons.map(is_alive), [false, false]);
    let end = &report.workers[0];
    assert_eq!((end.escaped, end.confirmed), (2, None));
    let text = report.to_string();
    assert!(text.contains("2 escaped processes killed"), "{text}");
    assert!(!text.contains("confirm"), "{text}");
}

/// P4: the end of a worker does not kill a daemon of another worker, in the same pool or another.
#[tokio::test]
async fn a_daemon_survives_the_end_of_other_workers() {
    let (mine, other) = (
        pool(hostile_python()).size(2).build().unwrap(),
        pool(hostile_python()).build().unwrap(),
    );
    let mut lease = mine.checkout().await.unwrap();
    let pid = String::from_utf8(lease.call(b"daemon").await.unwrap()).unwrap();
    let daemon = pid.parse().unwrap();
    let sibling = mine.checkout().await.unwrap();
    let name = sibling.worker();
    signal(sibling.pid().unwrap(), Signal::KILL);
    drop(sibling);
    is_released(&mine, name).await;
    assert_eq!(other.shutdown().await.workers[0].escaped, 0);
    assert!(is_alive(daemon));
    drop(lease);
    mine.shutdown().await;
    assert!(!is_alive(daemon));
}

/// P5: a daemon ends when the pool is dropped with its runtime instead of shut down.
#[test]
fn a_daemon_ends_with_a_dropped_pool() {
    let runtime = Runtime::new().unwrap();
    let daemon = runtime.block_on(async {
        let pool = pool(hostile_python()).build().unwrap();
        daemon(&pool, "daemon").await
    });
    drop(runtime);
    until("the daemon's end", || !is_alive(daemon));
}

/// A cgroup v2 directory of the test, in which it may create groups. It is removed on drop, when it
/// must be empty.
struct DelegatedCgroup(PathBuf);

impl DelegatedCgroup {
    /// `None` if this process may not write to a cgroup v2 hierarchy.
    fn new(name: &str) -> Option<Self> {
        let delegated = || {
            let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
            let mount = mounts
                .lines()
                .find(|mount| mount.split(' ').nth(2) == Some("cgroup2"))?;
            let own = fs::read_to_string("/proc/self/cgroup").ok()?;
            let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
            let directory = PathBuf::from(mount.split(' ').nth(1)?).join(own);
            let directory = directory.join(format!("test-{name}-{}", process::id()));
            fs::create_dir(&directory).ok()?;
            Some(Self(directory))
        };
        let delegated = delegated();
        if delegated.is_none() {
            eprintln!("skipped: no cgroup v2 hierarchy is writable here");
        }
        delegated
    }

    /// The number of control groups in it that pools created.
    fn groups(&self) -> usize {
        control_groups(&self.0)
    }
}

impl Drop for DelegatedCgroup {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.0);
        assert!(thread::panicking() || removed.is_ok(), "{removed:?}");
    }
}

fn control_groups(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("ostler-"))
        .count()
}

/// P5: a daemon that cleared its environment cannot escape a control group. Its end is confirmed,
/// and the control group is removed.
#[tokio::test]
async fn no_process_escapes_a_control_group() {
    let Some(parent) = DelegatedCgroup::new("escape") else {
        return;
    };
    // A zygote has a control group of its own beside those of its workers.
    for (python, count) in [(hostile_python(), 1), (hostile_python().zygote(), 2)] {
        let pool = pool(python.interpreter(python3().cgroup(&parent.0)))
            .build()
            .unwrap();
        let daemon = daemon(&pool, "nameless_daemon").await;
        assert_eq!((is_alive(daemon), parent.groups()), (true, count));
        let report = pool.shutdown().await;
        assert_eq!((is_alive(daemon), parent.groups()), (false, 0));
        let end = &report.workers[0];
        assert_eq!((end.escaped, end.confirmed), (1, Some(true)));
        assert!(!report.to_string().contains("not confirmed"), "{report}");
    }
}

/// P5: a process that is not in the control group, because it had the right to move or was moved
/// before, is found by its environment tag, and the report does not call the end confirmed.
#[tokio::test]
async fn a_process_outside_the_control_group_is_found() {
    let Some(parent) = DelegatedCgroup::new("found") else {
        return;
    };
    let pool = pool(hostile_python().interpreter(python3().cgroup(&parent.0)))
        .build()
        .unwrap();
    let daemon = daemon(&pool, "daemon").await;
    fs::write(parent.0.join("cgroup.procs"), daemon.to_string()).unwrap();
    let report = pool.shutdown().await;
    assert_eq!((is_alive(daemon), parent.groups()), (false, 0));
    let end = &report.workers[0];
    assert_eq!((end.escaped, end.confirmed), (1, Some(false)));
}

/// P5: a worker that cannot be moved into its control group does not start, and leaves neither a
/// process nor a control group.
#[test]
fn a_worker_outside_its_control_group_does_not_start() {
    if !isolated("escapes::a_worker_outside_its_control_group_does_not_start") {
        return;
    }
    let Some(parent) = DelegatedCgroup::new("refused") else {
        return;
    };
    leaks_nothing(async || {
        let python3 = python3().cgroup(&parent.0).sentinel(false);
        let pool = pool(hostile_python().interpreter(python3)).crash_loop(1);
        // Processes cannot enter a control group below one for threads.
        fs::write(parent.0.join("cgroup.type"), "threaded").unwrap();
        let pool = pool.build().unwrap();
        let error = pool.checkout().await.unwrap_err();
        let report = error.report().to_string();
        assert!(report.contains("(os error 95)"), "{report}");
        pool.shutdown().await;
    });
    assert_eq!(parent.groups(), 0);
}

/// A directory that is not in a cgroup v2 hierarchy fails the build.
#[tokio::test]
async fn a_directory_that_is_no_control_group_fails_the_build() {
    let directory = scratch("no-control-group");
    fs::create_dir(&directory).unwrap();
    let python = hostile_python().interpreter(python3().cgroup(&directory));
    let error = pool(python).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no control group can be created in `{}`: give a directory of a cgroup v2 hierarchy \
             that is delegated to this user",
            directory.display()
        )
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "it has no `cgroup.kill`: it is not of version 2, or Linux is older than 5.14"
    );
    // This succeeds only if the directory is still empty.
    fs::remove_dir(directory).unwrap();
}

/// Tells a child process of the test to be a host.
const ROLE: &str = "OSTLER_TEST_ESCAPES_HOST";

/// Starts a host whose worker, and the worker's daemon, end only when they are killed.
fn start(test: &str, sentinel: bool, cgroup: Option<&Path>) -> Host {
    Host::start(test, ROLE, |command| {
        command.env("SENTINEL", sentinel.to_string());
        command.envs(cgroup.map(|parent| ("CGROUP", parent)));
    })
}

/// Runs the host if this process was started by [`start`].
fn ran_as_host() -> bool {
    let Some(path) = env::var_os(ROLE) else {
        return false;
    };
    let sentinel = env::var("SENTINEL").unwrap() == "true";
    let python3 = python3().sentinel(sentinel);
    let (python3, daemon) = match env::var_os("CGROUP") {
        Some(parent) => (python3.cgroup(parent), "nameless_daemon"),
        None => (python3, "daemon"),
    };
    Runtime::new().unwrap().block_on(async {
        let pool = pool(hostile_python().interpreter(python3)).build().unwrap();
        let mut lease = pool.checkout().await.unwrap();
        let daemon = lease.call(daemon.as_bytes()).await.unwrap();
        let daemon = String::from_utf8(daemon).unwrap().parse().unwrap();
        lease.call(b"immortal").await.unwrap();
        report(Path::new(&path), [lease.pid().unwrap(), daemon]);
        std::future::pending::<()>().await;
    });
    true
}

/// P14: after its host was killed, the sentinel kills a worker that ignores the end of its input,
/// and the worker's daemon. Without a sentinel both live on.
#[test]
fn the_sentinel_kills_what_a_killed_host_leaves() {
    if ran_as_host() {
        return;
    }
    let test = "escapes::the_sentinel_kills_what_a_killed_host_leaves";
    let mut without = start(test, false, None);
    let mut with = start(test, true, None);
    without.kill();
    with.kill();
    until("the end of both", || with.alive() == 0);
    // This host was killed at the same time as the other, whose sentinel has finished.
    assert_eq!(without.alive(), 2);
}

/// P14: the sentinel kills all processes in the control groups of a killed host, even those without
/// the environment tag, and removes the groups.
#[test]
fn the_sentinel_kills_the_control_groups_of_a_killed_host() {
    if ran_as_host() {
        return;
    }
    let Some(parent) = DelegatedCgroup::new("killed") else {
        return;
    };
    let test = "escapes::the_sentinel_kills_the_control_groups_of_a_killed_host";
    let mut host = start(test, true, Some(&parent.0));
    assert_eq!(parent.groups(), 1);
    host.kill();
    until("the end of both", || host.alive() == 0);
    until("the end of their control group", || parent.groups() == 0);
}

/// The process ids of this process's children.
fn children() -> Vec<u32> {
    let children = Resources::snapshot().children;
    children.iter().map(|child| child.pid).collect()
}

/// P14: a sentinel that was killed is replaced at the next start, and the shutdown ends it.
#[test]
fn a_killed_sentinel_is_replaced() {
    if !isolated("escapes::a_killed_sentinel_is_replaced") {
        return;
    }
    leaks_nothing(async || {
        let moment = Duration::from_millis(1);
        let pool = pool(hostile_python())
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            .build()
            .unwrap();
        let watched = async || {
            let lease = pool.checkout().await.unwrap();
            let (name, worker) = (lease.worker(), lease.pid().unwrap());
            let mut others = children();
            others.retain(|&child| child != worker);
            let &[sentinel] = others.as_slice() else {
                panic!("{others:?}")
            };
            (name, worker, sentinel)
        };
        let (name, worker, first) = watched().await;
        signal(first, Signal::KILL);
        until("the sentinel's end", || !is_alive(first));
        signal(worker, Signal::KILL);
        is_released(&pool, name).await;
        let (_, _, second) = watched().await;
        assert_ne!(first, second);
        assert!(is_alive(second));
        pool.shutdown().await;
        assert!(!is_alive(second));
    });
}

/// Without a sentinel, a worker is the only child of its host.
#[test]
fn a_pool_can_run_without_a_sentinel() {
    if !isolated("escapes::a_pool_can_run_without_a_sentinel") {
        return;
    }
    leaks_nothing(async || {
        let pool = pool(hostile_python().interpreter(python3().sentinel(false)))
            .build()
            .unwrap();
        let lease = pool.checkout().await.unwrap();
        assert_eq!(children(), [lease.pid().unwrap()]);
        drop(lease);
        pool.shutdown().await;
    });
}
