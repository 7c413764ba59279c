//! Does any process of a pool survive its host, whenever the host is killed?
//!
//! The host is this test's program, started again in the role of a host. It is killed at random
//! moments. The seed is printed, and repeats the delays.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use futures_util::future::join_all;
use ostler_pool::testing::Process;
use ostler_pool::{Pool, Python};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::resources::{modules, until};
use crate::rig::{Random, interpreter};

/// Tells a host what its workers do.
const ROLE: &str = "OSTLER_TEST_HOST_DOES";

/// A variable in the environment of the host and all its descendants.
const TAG: &str = "OSTLER_TEST_HOST_TAG";

/// The path of the interpreter, so that no host has to look it up.
const PYTHON: &str = "OSTLER_TEST_HOST_PYTHON";

/// How long a process may survive. The pool promises 2 s; a busy machine needs more.
const SLACK: Duration = Duration::from_secs(20);

/// The number of hosts that run at the same time.
const AT_A_TIME: usize = 4;

/// What the host's workers do when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    /// Nothing.
    Idle,
    /// One worker spins in Python, the other sleeps in C.
    Busy,
    /// The workers are starting.
    Starting,
    /// One worker waits for a subprocess; the other is idle.
    Subprocess,
    /// One worker runs a loop in C that holds the GIL, so that no other Python thread of it runs;
    /// the other is idle.
    HoldsTheGil,
}

impl Activity {
    fn requests(self) -> &'static [&'static str] {
        match self {
            Self::Idle | Self::Starting => &[],
            Self::Busy => &["spin", "sleep 1000"],
            Self::Subprocess => &["wait_for_subprocess"],
            Self::HoldsTheGil => &["hold_the_interpreter"],
        }
    }
}

/// P14: of 100 hosts that are killed at random moments while their workers are idle, busy or
/// starting, no process survives.
#[test]
fn no_worker_survives_its_host() {
    kill_hosts(
        "no_worker_survives_its_host",
        100,
        &[Activity::Idle, Activity::Busy, Activity::Starting],
    );
}

/// P14: a subprocess that a worker waits for does not survive.
#[test]
fn no_subprocess_survives_its_host() {
    kill_hosts(
        "no_subprocess_survives_its_host",
        8,
        &[Activity::Subprocess],
    );
}

/// P14: a worker whose watcher thread cannot run does not survive.
#[test]
fn no_worker_that_holds_the_gil_survives_its_host() {
    kill_hosts(
        "no_worker_that_holds_the_gil_survives_its_host",
        8,
        &[Activity::HoldsTheGil],
    );
}

/// Kills this many hosts, which do these activities in turn, and waits until all their processes
/// have ended.
fn kill_hosts(name: &str, kills: usize, activities: &[Activity]) {
    if let Some(activity) = env::var_os(ROLE) {
        let find = |known: &&Activity| activity == *format!("{known:?}");
        return run_host(
            *activities
                .iter()
                .find(find)
                .expect("a host knows what to do"),
        );
    }
    let seed = Random::fresh_seed();
    println!("OSTLER_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    // Drawn here, because the threads below take turns in any order.
    let plan: Vec<(Activity, Duration)> = (activities.iter().cycle().take(kills))
        .map(|&activity| {
            let most = if activity == Activity::Starting {
                150_000
            } else {
                30_000
            };
            (activity, Duration::from_micros(random.below(most)))
        })
        .collect();
    let longest = Mutex::new(BTreeMap::new());
    let todo = Mutex::new(plan.into_iter().enumerate());
    let kill_some = || {
        loop {
            let Some((number, (activity, delay))) = todo.lock().unwrap().next() else {
                return;
            };
            let took = kill_one(name, number, activity, delay);
            let mut longest = longest.lock().unwrap();
            let known = longest.entry(activity).or_insert(took);
            *known = took.max(*known);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(kill_some);
        }
    });
    println!(
        "{kills} hosts killed; the longest that anything survived: {:?}",
        longest.lock().unwrap()
    );
}

/// The time from the kill of the host until its last process had ended.
fn kill_one(name: &str, number: usize, activity: Activity, delay: Duration) -> Duration {
    let tag = format!("{name}-{}-{number}", std::process::id());
    let mut host = Command::new(env::current_exe().unwrap())
        .args([
            &format!("hosts_die::{name}"),
            "--exact",
            "--nocapture",
            "--include-ignored",
        ])
        .env(ROLE, format!("{activity:?}"))
        .env(TAG, &tag)
        .env(PYTHON, interpreter())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    if activity != Activity::Starting {
        wait_until_ready(&mut host, activity);
    }
    // This sleep waits for nothing: it chooses the random moment.
    thread::sleep(delay);
    let below = Process::descendants(host.id());
    host.kill().unwrap();
    let since = Instant::now();
    host.wait().unwrap();
    let tag = format!("{TAG}={tag}");
    loop {
        let mut alive = Process::with_env(&tag);
        let untagged = |known: &&Process| alive.iter().all(|other| other.pid != known.pid);
        let below = below.iter().filter(|known| known.is_still_alive());
        let below: Vec<Process> = below.filter(untagged).cloned().collect();
        alive.extend(below);
        if alive.is_empty() {
            return since.elapsed();
        }
        if since.elapsed() > SLACK {
            for process in &alive {
                // Kill the survivors, so that they do not disturb the next test.
                let pid = Pid::from_raw(process.pid.cast_signed()).expect("a process id");
                let _ = kill_process(pid, Signal::KILL);
            }
            let alive: Vec<String> = alive.iter().map(Process::to_string).collect();
            panic!(
                "{activity:?}: alive {SLACK:?} after the host:\n{}",
                alive.join("\n")
            );
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the host is ready, and its subprocess or its loop in C runs.
fn wait_until_ready(host: &mut Child, activity: Activity) {
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("the host is ready"));
    assert!(ready, "the host ended before it was ready");
    let workers = || Process::descendants(host.id());
    match activity {
        Activity::Subprocess => until("the subprocess", || workers().iter().any(is_subprocess)),
        Activity::HoldsTheGil => {
            // Both workers have answered a call, so only the loop uses the CPU from now on.
            let ticks = || -> u64 { workers().iter().map(|worker| worker.cpu_ticks).sum() };
            let before = ticks();
            until("the loop", || ticks() > before + 10);
        }
        Activity::Idle | Activity::Busy | Activity::Starting => {}
    }
}

fn is_subprocess(process: &Process) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/comm", process.pid));
    name.is_ok_and(|name| name == "sleep\n")
}

fn run_host(activity: Activity) {
    Runtime::new().unwrap().block_on(async {
        let python = Python::function("hostile:run").interpreter(env::var_os(PYTHON).unwrap());
        let pool = Pool::builder(python.path(modules()))
            .size(2)
            .build()
            .unwrap();
        if activity != Activity::Starting {
            let mut leases = join_all([pool.checkout(), pool.checkout()]).await;
            for lease in &mut leases {
                lease.as_mut().unwrap().call(b"pid").await.unwrap();
            }
        }
        let calls = join_all(
            activity
                .requests()
                .iter()
                .map(|request| pool.call(request.as_bytes())),
        );
        let ready = async {
            while pool.status().occupancy().busy < activity.requests().len() {
                tokio::task::yield_now().await;
            }
            println!("the host is ready");
            std::future::pending::<()>().await;
        };
        tokio::join!(calls, ready);
    });
}
