//! Does the log tell what the processes of a pool do that no call tells?

use std::fs;
use std::time::Duration;

use ostler_pool::Program;
use ostler_pool::port::{Opener as _, STDERR_TAIL, Start};
use rustix::process::{Resource, Rlimit, Signal, geteuid, getrlimit, setrlimit};
use tokio::time::timeout;
use tracing::subscriber::set_global_default;

use crate::leftovers::{Worker, leftovers, on_one_thread};
use crate::releases::trace;
use crate::resources::{is_alive, isolated, leaks_nothing, until};
use crate::rig::signal;
use crate::tracing::{Line, Log};
use crate::zygote::{ask, built, zygote, zygote_of};

/// Records what this process logs from here on. Only for a process of one test.
pub(crate) fn listen() -> Log {
    let log = Log::default();
    set_global_default(log.clone()).unwrap();
    log
}

/// The lines of this target, each with its message. Not those about descriptors of the test itself.
pub(crate) fn of(log: &Log, target: &str) -> Vec<Line> {
    let mut lines = log.lines();
    lines.retain(|(name, _)| name.starts_with(target) && !name.contains("close-on-exec"));
    for (name, _) in &mut lines {
        *name = name.split_off(target.len() + 1);
    }
    lines
}

/// P18: a search that fails is logged once, however often it is repeated, and a later one again. A
/// pool without troubles logs nothing.
#[test]
fn a_search_that_fails_is_logged_once() {
    let name = "process_logs::a_search_that_fails_is_logged_once";
    on_one_thread(name, async |program| {
        let log = listen();
        let mut program = program.clone();
        program.prepare().unwrap();
        for failures in 0..3 {
            let mut worker = Worker::start(&program).await;
            worker.kill().await;
            if failures > 0 {
                let before = getrlimit(Resource::Nofile);
                let none = Rlimit {
                    current: Some(1),
                    maximum: before.maximum,
                };
                setrlimit(Resource::Nofile, none).unwrap();
                while of(&log, "ostler::pool").len() < failures {
                    let released = timeout(Duration::from_millis(1), worker.port.released()).await;
                    assert!(released.is_err(), "{released:?}");
                }
                // It is repeated after pauses that begin with a millisecond.
                let released = timeout(Duration::from_millis(50), worker.port.released()).await;
                setrlimit(Resource::Nofile, before).unwrap();
                assert!(released.is_err(), "{released:?}");
            }
            worker.released().await;
            let lines = of(&log, "ostler::pool");
            assert_eq!(lines.len(), failures, "{lines:?}");
            for (message, fields) in lines {
                assert_eq!(
                    message,
                    "a search for processes that workers left behind failed and is repeated"
                );
                assert_eq!(fields["error"], "Too many open files (os error 24)");
            }
        }
        program.close().await;
    });
}

/// P8: each line of a worker's stderr is logged with its worker, long ones in pieces, the last one
/// also without its end.
#[test]
fn each_line_of_stderr_is_logged() {
    if !isolated("process_logs::each_line_of_stderr_is_logged") {
        return;
    }
    let log = listen();
    leaks_nothing(async || {
        let script = "printf 'one\\n\\ntwo\\n' >&2; printf '%09000d' 0 >&2";
        let mut program = Program::new("sh").arg("-c").arg(script).sentinel(false);
        program.prepare().unwrap();
        let worker = ostler_pool::WorkerId {
            slot: 3,
            generation: 7,
        };
        let mut port = program.open(Start::new(worker, 0)).await.unwrap();
        let pid = port.pid().unwrap();
        // Nothing is read before the exit.
        until("its exit", || !is_alive(pid));
        let (exit, pid) = (port.exited().await, pid.to_string());
        port.released().await;
        program.close().await;
        let lines = of(&log, "ostler::stderr");
        let whose = |fields: &Line| [fields.1["worker"].clone(), fields.1["pid"].clone()];
        assert!(lines.iter().all(|line| whose(line) == ["3.7", &pid]));
        let lines: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let pieces = [8_192, 808].map(|length| "0".repeat(length));
        assert_eq!(lines, ["one", "", "two", &pieces[0], &pieces[1]]);
        assert_eq!(exit.stderr, "0".repeat(STDERR_TAIL));
    });
}

/// P26: a zygote's exit, and the reason for a failed zygote start, are logged.
#[test]
fn the_troubles_of_a_zygote_are_logged() {
    if !isolated("process_logs::the_troubles_of_a_zygote_are_logged") {
        return;
    }
    let log = listen();
    leaks_nothing(async || {
        let pool = built(zygote("hostile:run")).size(1).build().unwrap();
        let first = zygote_of(&pool).await;
        assert_eq!(of(&log, "ostler::zygote"), []);
        signal(first, Signal::KILL);
        until("the zygote's end", || !is_alive(first));
        let replaced = || of(&log, "ostler::zygote");
        while replaced().is_empty() {
            tokio::task::yield_now().await;
        }
        pool.shutdown().await;
        let [(message, fields)] = &replaced()[..] else {
            panic!("{:?}", replaced());
        };
        assert_eq!(message, "zygote exited and is replaced");
        assert_eq!(fields["status"], "signal 9 (SIGKILL)");
        // Its worker is spawned instead.
        let pool = built(zygote("with_thread:parent")).size(1).build().unwrap();
        assert_eq!(ask(&pool, "").await, std::process::id().to_string());
        pool.shutdown().await;
        let lines = of(&log, "ostler::zygote");
        let (message, fields) = &lines[1];
        assert_eq!(message, "zygote failed to start");
        let error = &fields["error"];
        assert!(
            error.starts_with("it exited with exit code 2; its stderr ends: "),
            "{error}"
        );
        // A zygote whose first message is not that it is ready is not used either.
        let script = "[ -S /dev/stdin ] && echo no >&0; exec python3 \"$@\"";
        let interpreter = Program::new("sh").args(["-c", script, "sh"]);
        let python = zygote("hostile:run").interpreter(interpreter);
        let pool = built(python).size(1).build().unwrap();
        assert_eq!(ask(&pool, "parent").await, std::process::id().to_string());
        pool.shutdown().await;
        let errors = of(&log, "ostler::zygote").split_off(2);
        assert!(
            errors.iter().any(|(_, fields)| fields["error"] == "no"),
            "{errors:?}"
        );
    });
}

/// P44: a zygote whose release a foreign tracer holds up is logged.
#[test]
fn a_zygote_that_is_not_released_is_logged() {
    if !isolated("process_logs::a_zygote_that_is_not_released_is_logged") {
        return;
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root may trace any process");
        return;
    }
    let Some(program) = leftovers("zygote-tracer") else {
        return;
    };
    let log = listen();
    leaks_nothing(async || {
        let pool = built(zygote("hostile:run")).size(1).build().unwrap();
        let first = zygote_of(&pool).await;
        let tracer = trace(&program, first);
        signal(first, Signal::KILL);
        let message = "zygote survives SIGKILL";
        let survives = || {
            of(&log, "ostler::zygote")
                .into_iter()
                .find(|it| it.0 == message)
        };
        until("the log", || survives().is_some());
        let (_, fields) = survives().unwrap();
        assert!(
            fields["survivors"].contains(&first.to_string()),
            "{fields:?}"
        );
        drop(tracer);
        pool.shutdown().await;
    });
    fs::remove_file(program).unwrap();
}
