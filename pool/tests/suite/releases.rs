//! Does every release end, and with nothing left, whatever a worker has left behind?

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, iter, thread};

use ostler_pool::port::{Opener as _, Release, SurvivalReason};
use ostler_pool::testing::Process;
use ostler_pool::{Pool, Program};
use rustix::process::{Resource, Rlimit, Signal, geteuid, getrlimit, setrlimit};
use tokio::runtime;
use tokio::time::timeout;

use crate::leftovers::{
    DEADLINE, KILL, OTHER_USER, Worker, as_other_user, leftovers, on_one_thread, run,
};
use crate::process_logs::{listen, of};
use crate::resources::{KillOnDrop, is_alive, isolated, until};
use crate::rig::signal;
use crate::zygote::zygote;

/// P15: a process that left the group and traces the leader is killed, and the leader is reaped.
#[test]
fn a_tracer_outside_the_group_does_not_hold_up_a_release() {
    let name = "releases::a_tracer_outside_the_group_does_not_hold_up_a_release";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        let tracer = worker.leave("tracer").await;
        assert_eq!(worker.release().await, Release::new(1, None));
        assert!(!is_alive(tracer));
    });
}

/// P44: a tracer that is not the worker's holds up the release, which names the leader, until it
/// lets go of it.
#[test]
fn a_foreign_tracer_holds_up_a_release() {
    let name = "releases::a_foreign_tracer_holds_up_a_release";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        // From here on, it may be traced.
        let left = worker.leave("daemon").await;
        let itself = fs::read_link(format!("/proc/{}/exe", worker.pid)).unwrap();
        is_held_up_by_a_tracer(&itself, &mut worker).await;
        assert_eq!(worker.released().await, Release::new(1, None));
        assert!(!is_alive(left));
    });
}

/// P44: a foreign tracer holds up the release of a worker that a zygote forked, too.
#[test]
fn a_foreign_tracer_holds_up_the_release_of_a_forked_worker() {
    let name = "releases::a_foreign_tracer_holds_up_the_release_of_a_forked_worker";
    on_one_thread(name, async |_| {
        if !geteuid().is_root() {
            eprintln!("skipped: only root may trace any process");
            return;
        }
        let tracer = leftovers("tracer").unwrap();
        let python3 = Program::new("python3").sentinel(false);
        let mut python = zygote("hostile:run").interpreter(python3);
        python.prepare().unwrap();
        let mut worker = Worker::start(&python).await;
        let parent = Process::read(worker.pid).unwrap().parent;
        assert_ne!(parent, std::process::id());
        is_held_up_by_a_tracer(&tracer, &mut worker).await;
        assert_eq!(worker.released().await, Release::new(0, None));
        python.close().await;
        fs::remove_file(tracer).unwrap();
    });
}

/// Waits until a process holds up the release for this reason, and returns its id. Panics if there
/// are several.
async fn held_up(worker: &mut Worker, reason: SurvivalReason) -> u32 {
    let mut survivors = Vec::new();
    while survivors.is_empty() {
        let released = timeout(Duration::from_millis(5), worker.port.released()).await;
        assert!(released.is_err(), "{released:?}");
        survivors = worker.port.survivors();
        survivors.retain(|survivor| survivor.reason == reason);
    }
    assert_eq!(survivors.len(), 1);
    survivors[0].pid
}

/// Starts `program`, and returns once it traces the process `pid`.
pub(crate) fn trace(program: &Path, pid: u32) -> KillOnDrop {
    let tracer = Command::new(program)
        .args(["trace", &pid.to_string()])
        .stdout(Stdio::piped())
        // Not that of this test, which it would hold open if the test fails.
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut tracer = KillOnDrop(tracer);
    let mut traces = [0];
    (tracer.0.stdout.take().unwrap())
        .read_exact(&mut traces)
        .unwrap();
    tracer
}

/// Kills a worker that a process of this program traces, and ends the tracer once the release is
/// held up.
async fn is_held_up_by_a_tracer(program: &Path, worker: &mut Worker) {
    let tracer = trace(program, worker.pid);
    worker.kill().await;
    assert_eq!(held_up(worker, SurvivalReason::Traced).await, worker.pid);
    // Also when a zygote has told that it cannot reap it.
    let released = timeout(Duration::from_millis(500), worker.port.released()).await;
    assert!(released.is_err(), "{released:?}");
    drop(tracer);
}

/// P15: a process that joins the group again after it was killed is killed with it, although
/// nothing tells whose it is.
#[test]
fn a_process_that_joins_the_group_again_is_killed() {
    let name = "releases::a_process_that_joins_the_group_again_is_killed";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        let joiner = worker.leave("joiner").await;
        worker.kill().await;
        until("the process to join the group", || {
            group(joiner) == Some(worker.pid) || !is_alive(joiner)
        });
        assert_eq!(worker.release().await, Release::new(0, None));
        assert!(!is_alive(joiner));
    });
}

/// P16: a worker is listed as a survivor until it has exited.
#[test]
fn a_worker_that_has_not_exited_is_named() {
    let name = "releases::a_worker_that_has_not_exited_is_named";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        let survivors = worker.port.survivors();
        assert_eq!(survivors.len(), 1);
        assert_eq!(survivors[0].pid, worker.pid);
        assert_eq!(survivors[0].reason, SurvivalReason::Killed);
        worker.kill().await;
        assert_eq!(worker.port.survivors(), []);
        worker.released().await;
    });
}

/// P36: the group of a leader that exits by itself is killed before the leader is reaped, while its
/// id is certain to be the group's: nothing else tells whose the process is.
#[test]
fn the_group_of_a_leader_that_exits_is_killed() {
    let name = "releases::the_group_of_a_leader_that_exits_is_killed";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        let left = worker.leave("nameless").await;
        assert_eq!(group(left), Some(worker.pid));
        worker.exit().await;
        assert!(is_alive(left));
        assert_eq!(worker.released().await, Release::new(0, None));
        assert!(!is_alive(left));
    });
}

/// The process group of a process.
fn group(pid: u32) -> Option<u32> {
    Process::read(pid).map(|process| process.group)
}

/// P15: a process whose first thread has ended is found as any other.
#[test]
fn a_process_without_its_first_thread_is_found() {
    let name = "releases::a_process_without_its_first_thread_is_found";
    on_one_thread(name, async |program| {
        let mut worker = Worker::start(&program).await;
        let left = worker.leave("threadless").await;
        assert_eq!(worker.release().await, Release::new(1, None));
        assert!(!is_alive(left));
    });
}

/// P15: a release goes on when the port is dropped, however far it was.
#[test]
fn a_dropped_release_is_completed() {
    on_one_thread(
        "releases::a_dropped_release_is_completed",
        async |program| {
            for polls in 0..4 {
                let mut worker = Worker::start(&program).await;
                let left = worker.leave("tracer").await;
                worker.kill().await;
                for _ in 0..polls {
                    let _ = timeout(Duration::ZERO, worker.port.released()).await;
                }
                let pid = worker.pid;
                drop(worker);
                until("the end of both processes", || {
                    !is_alive(left) && group(pid).is_none()
                });
            }
        },
    );
}

/// P16: a process of the group that may not be signalled holds up the release, which names it.
#[test]
fn a_process_that_may_not_be_signalled_is_named() {
    let Some(program) = as_other_user("a_process_that_may_not_be_signalled_is_named") else {
        return;
    };
    run(program, async |program| {
        let mut worker = Worker::start(&program).await;
        let root = worker.leave("root").await;
        worker.kill().await;
        let holder = held_up(&mut worker, SurvivalReason::NotPermitted).await;
        assert_eq!(holder, root);
        println!("\n{KILL}{root}");
        assert_eq!(worker.release().await, Release::new(0, None));
        assert!(!is_alive(root));
    });
}

/// P18: a host that has neither a descriptor nor a thread to spare finds what its worker left.
#[test]
fn a_host_without_descriptors_and_threads_finds_a_daemon() {
    let Some(program) = as_other_user("a_host_without_descriptors_and_threads_finds_a_daemon")
    else {
        return;
    };
    run(program, async |program| {
        let mut worker = Worker::start(&program).await;
        let left = worker.leave("daemon").await;
        worker.kill().await;
        let before = getrlimit(Resource::Nproc);
        let none = Rlimit {
            current: Some(1),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nproc, none).unwrap();
        assert!(thread::Builder::new().spawn(|| {}).is_err());
        let taken: Vec<_> = iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        assert!(!taken.is_empty());
        let release = worker.release().await;
        drop(taken);
        setrlimit(Resource::Nproc, before).unwrap();
        assert_eq!(release, Release::new(1, None));
        assert!(!is_alive(left));
    });
}

/// P18: a search that fails is not taken for an empty one, and is repeated until it succeeds.
#[test]
fn a_search_that_fails_is_repeated() {
    on_one_thread(
        "releases::a_search_that_fails_is_repeated",
        async |program| {
            let log = listen();
            let mut worker = Worker::start(&program).await;
            let left = worker.leave("daemon").await;
            worker.kill().await;
            let before = getrlimit(Resource::Nofile);
            let none = Rlimit {
                current: Some(1),
                maximum: before.maximum,
            };
            // Not even the descriptors that are kept for the search can be replaced.
            setrlimit(Resource::Nofile, none).unwrap();
            // A search has failed once the log says so.
            while of(&log, "ostler::pool").is_empty() {
                let released = timeout(Duration::from_millis(1), worker.port.released()).await;
                assert!(released.is_err(), "{released:?}");
            }
            // It is repeated after pauses that begin with a millisecond.
            let released = timeout(Duration::from_millis(50), worker.port.released()).await;
            setrlimit(Resource::Nofile, before).unwrap();
            assert!(released.is_err(), "{released:?}");
            assert!(is_alive(left));
            assert_eq!(worker.release().await, Release::new(1, None));
            assert!(!is_alive(left));
        },
    );
}

/// P20: a process that hides its environment is not found, and the release says that it could not
/// be checked.
#[test]
fn a_process_that_hides_is_reported() {
    let Some(program) = as_other_user("a_process_that_hides_is_reported") else {
        return;
    };
    run(program, async |program| {
        let mut worker = Worker::start(&program).await;
        let left = worker.leave("hidden").await;
        let release = worker.release().await;
        assert!(is_alive(left));
        // Before a check that may fail.
        signal(left, Signal::KILL);
        assert_eq!((release.escaped, release.confirmed), (0, None));
        assert_eq!(release.unchecked, 1);
    });
}

/// P20: a host that is a sub-reaper finds a process that hides its environment, and reaps it.
#[test]
fn a_subreaper_finds_a_process_that_hides() {
    let Some(program) = as_other_user("a_subreaper_finds_a_process_that_hides") else {
        return;
    };
    run(program.subreaper(true), async |program| {
        let (mut worker, other) = (Worker::start(&program).await, Worker::start(&program).await);
        let hidden = worker.leave("hidden").await;
        let tagged = worker.leave("daemon").await;
        let release = worker.release().await;
        assert_eq!((release.escaped, release.unchecked), (1, 1));
        // The other worker could have started it.
        assert_eq!([hidden, tagged].map(is_alive), [true, false]);
        let release = other.release().await;
        assert_eq!((release.escaped, release.unchecked), (1, 0));
        assert!(!is_alive(hidden));
    });
}

/// P15: the first process of a container gets the processes that it killed as its children, and
/// reaps them.
#[test]
fn the_first_process_of_a_container_reaps_what_it_killed() {
    const ROLE: &str = "OSTLER_TEST_RELEASES_FIRST";
    let name = "the_first_process_of_a_container_reaps_what_it_killed";
    if let Some(path) = env::var_os(ROLE) {
        assert_eq!(std::process::id(), 1);
        return run(Program::new(path), async |program| {
            let mut worker = Worker::start(&program).await;
            for _ in 0..20 {
                worker.leave("daemon").await;
            }
            assert_eq!(worker.release().await, Release::new(20, None));
        });
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root can make a process the first one");
        return;
    }
    let Some(path) = leftovers(name) else {
        return;
    };
    let host = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(env::current_exe().unwrap())
        .args([&format!("releases::{name}"), "--exact", "--nocapture"])
        .env(ROLE, &path)
        .output()
        .unwrap();
    fs::remove_file(path).unwrap();
    let text = String::from_utf8_lossy(&host.stdout);
    let error = String::from_utf8_lossy(&host.stderr);
    assert!(text.contains("1 passed"), "{}{text}{error}", host.status);
}

/// P33: a process of another user that carries the worker's tag is not killed.
#[test]
fn a_foreign_process_with_the_tag_is_spared() {
    on_one_thread(
        "releases::a_foreign_process_with_the_tag_is_spared",
        async |program| {
            if !geteuid().is_root() {
                eprintln!("skipped: only root can start a process of another user");
                return;
            }
            let mut worker = Worker::start(&program).await;
            let left = worker.leave("daemon").await;
            let tag = worker.tag();
            let carrying = |user| {
                let mut command = Command::new("sleep");
                command.arg("1000").env("OSTLER_TAG", &tag).uid(user);
                KillOnDrop(command.spawn().unwrap())
            };
            let (mut foreign, _own) = (carrying(OTHER_USER), carrying(0));
            assert_eq!(worker.release().await, Release::new(2, None));
            assert!(!is_alive(left));
            assert!(foreign.0.try_wait().unwrap().is_none());
        },
    );
}

/// P34: a release needs none of the runtime's blocking threads.
#[test]
fn a_release_needs_no_blocking_thread() {
    if !isolated("releases::a_release_needs_no_blocking_thread") {
        return;
    }
    let Some(path) = leftovers("leftovers") else {
        return;
    };
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, is_released) = mpsc::channel::<()>();
    runtime.spawn_blocking(move || is_released.recv());
    runtime.block_on(async {
        let pool = Pool::builder(Program::new(&path)).size(1).build().unwrap();
        let left = pool.call("daemon").await.unwrap();
        let left = String::from_utf8(left).unwrap().parse().unwrap();
        let report = timeout(DEADLINE, pool.shutdown()).await.unwrap();
        assert_eq!(report.workers[0].escaped, 1);
        assert!(!is_alive(left));
    });
    drop(release);
    fs::remove_file(path).unwrap();
}
