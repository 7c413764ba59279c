//! Workers that misbehave in ways that need a native program.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use ostler_pool::{Builder, CallError, ExitStatus, Program, Rung, StartError};
use tracing::Event;

use super::starts::short_timeout;
use super::{HostilePool, patient, unchanged, with_program};
use crate::resources::{compiled, is_alive, isolated};
use crate::rig::signal;
use crate::tracing::OnStderr;

/// As [`with_hostile_worker`](super::with_hostile_worker), with `hostile.c`. Skipped without a
/// compiler.
fn with_native_worker(
    name: &str,
    start: &str,
    options: impl FnOnce(Builder) -> Builder,
    test: impl AsyncFnOnce(&HostilePool),
) {
    if !isolated(&format!("hostile::{name}")) {
        return;
    }
    let Some(path) = compiled("hostile.c", &["-O1", "-pthread"]) else {
        return;
    };
    let program = |marker: &Path| Program::new(&path).arg(start).arg(marker);
    with_program(name, program, options, test);
    fs::remove_file(path).unwrap();
}

/// C4: a worker that crashes with a segmentation fault fails its one call, and the error names the
/// signal.
#[test]
fn dies_of_a_bad_pointer() {
    let name = "native::dies_of_a_bad_pointer";
    with_native_worker(name, "good", unchanged, async |pool| {
        match pool.call("segfault").await {
            Err(CallError::WorkerExited { exit, .. }) => {
                assert_eq!(exit.status, ExitStatus::Signal(11));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.shut_down().await.counters.exited, 1);
    });
}

/// L5: the start of a worker that makes its host its tracer and stops itself times out.
#[test]
fn is_traced_by_its_host() {
    let name = "native::is_traced_by_its_host";
    with_native_worker(name, "traced", short_timeout, async |pool| {
        let failure = pool.failed_start().await;
        assert!(matches!(failure, StartError::TimedOut { .. }), "{failure}");
    });
}

/// P5: a worker that is killed or exits is reaped even while a debugger is attached, and its status
/// is known.
#[test]
fn is_killed_under_a_debugger() {
    let name = "native::is_killed_under_a_debugger";
    with_native_worker(name, "good", unchanged, async |pool| {
        let (killed, exited) = (ExitStatus::Signal(9), ExitStatus::Code(99));
        for (request, status) in [(b"pid".as_slice(), killed), (b"no verb", exited)] {
            let mut lease = pool.lease().await;
            let pid = lease.pid().unwrap();
            assert_eq!(lease.call(b"be_traced").await.unwrap(), b"traced");
            if status == killed {
                signal(pid, rustix::process::Signal::KILL);
            }
            match lease.call(request).await {
                Err(CallError::WorkerExited { exit, .. }) => assert_eq!(exit.status, status),
                other => panic!("{other:?}"),
            }
        }
    });
}

/// P5: a process whose first thread has exited is still alive: it answers, and exits when it is
/// asked.
#[test]
fn ends_its_first_thread() {
    let name = "native::ends_its_first_thread";
    with_native_worker(name, "good", patient, async |pool| {
        let mut lease = pool.lease().await;
        let (pid, worker) = (lease.pid().unwrap(), lease.worker());
        assert_eq!(lease.call(b"end_first_thread").await.unwrap(), b"ended");
        assert_eq!(
            lease.call(b"pid").await.unwrap(),
            pid.to_string().as_bytes()
        );
        assert!(is_alive(pid));
        drop(lease);
        let report = pool.shut_down().await;
        let end = report
            .workers
            .iter()
            .find(|end| end.worker == worker)
            .unwrap();
        assert_eq!(
            (end.rung, end.status),
            (Some(Rung::Ask), Some(ExitStatus::Code(0)))
        );
    });
}

/// P8: a worker that writes to stderr faster than the log accepts it does not delay other workers.
#[test]
fn floods_stderr_faster_than_the_log() {
    let name = "native::floods_stderr_faster_than_the_log";
    with_native_worker(name, "good", unchanged, async |pool| {
        // Like a log on a busy disk.
        let slow = OnStderr(|_: &Event<'_>| thread::sleep(Duration::from_micros(200)));
        tracing::subscriber::set_global_default(slow).unwrap();
        let mut lease = pool.lease().await;
        let mut other = pool.lease().await;
        let pid = lease.pid().unwrap();
        let others = async {
            for _ in 0..20 {
                other.call(b"pid").await.unwrap();
            }
        };
        tokio::select! {
            biased;
            call = lease.call(b"flood_for_ever") => panic!("before the others' calls: {call:?}"),
            () = others => {}
        }
        drop(lease);
        pool.wait_until_gone(pid).await;
    });
}
