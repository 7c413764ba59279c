//! Does the Python runtime do its part of a call, of a start and of an error?

use std::time::Duration;

use ostler_pool::{
    Builder, CallError, CheckoutError, JsonPart, Pool, Program, Python, RemoteError, StartError,
};

use crate::resources::{modules, scratch};

fn python(target: &str) -> Builder {
    Pool::builder(Python::function(target).path(modules()))
        .size(1)
        .checkout_timeout(Duration::from_secs(60))
}

async fn raised(pool: &Pool, request: &[u8]) -> RemoteError {
    match pool.call(request).await {
        Err(CallError::Raised { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Bytes of every value and of any size that a frame can have come back unchanged.
#[tokio::test]
async fn bytes_come_back_unchanged() {
    let pool = python("hostile:echo").build().unwrap();
    let all: Vec<u8> = (0..=255).collect();
    // The last request fills the largest frame, 64 MiB.
    for request in [vec![], all, vec![b'x'; (64 << 20) - 5]] {
        assert!(
            pool.call(&request).await.unwrap() == request,
            "{} bytes",
            request.len()
        );
    }
    pool.shutdown().await;
}

/// JSON comes back unchanged. Invalid JSON is an error that says whether request or reply is
/// invalid, and costs no worker.
#[tokio::test]
async fn json_comes_back_unchanged() {
    let target = Python::function("builtins:sorted").json();
    let pool = Pool::builder(target).size(1).build().unwrap();
    let sorted: Vec<String> = pool.call_json(&["b", "ü\u{0}😀", "a"]).await.unwrap();
    assert_eq!(sorted, ["a", "b", "ü\u{0}😀"]);
    let reply = pool.call_json::<_, u64>(&[1]).await;
    assert!(
        matches!(
            reply,
            Err(CallError::Json {
                part: JsonPart::Reply,
                ..
            })
        ),
        "{reply:?}"
    );
    assert_eq!(
        raised(&pool, b"{").await.kind,
        "json.decoder.JSONDecodeError"
    );
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// C3: an exception comes back with its type, its message and a traceback of the user's code only,
/// and the worker stays.
#[tokio::test]
async fn an_exception_comes_back_whole() {
    let pool = python("hostile:run").build().unwrap();
    let error = raised(&pool, "fail nö".as_bytes()).await;
    assert_eq!(
        (error.kind.as_str(), error.message.as_str()),
        ("LookupError", "nö")
    );
    assert!(
        error.traceback.contains("raise LookupError(message)"),
        "{}",
        error.traceback
    );
    assert!(
        !error.traceback.contains("ostler_worker"),
        "{}",
        error.traceback
    );
    assert_eq!(
        raised(&pool, b"text").await.message,
        "the function returned str: it must return bytes"
    );
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// P9: output to stdout, by Python, by a descriptor or by a subprocess, does not corrupt the
/// frames.
#[tokio::test]
async fn output_does_not_corrupt_the_protocol() {
    let pool = python("hostile:run").build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.call(b"pollute").await.unwrap(), b"clean");
    }
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// A reply above `max_frame` is an error of its call, and the worker stays.
#[tokio::test]
async fn a_reply_that_is_too_large_is_an_error() {
    let pool = python("hostile:run").max_frame(2048).build().unwrap();
    assert_eq!(pool.call(b"many 2043").await.unwrap().len(), 2043);
    let error = raised(&pool, b"many 2044").await;
    assert_eq!(
        error.message,
        "the reply has 2044 bytes, at most 2043 are allowed"
    );
    let long = raised(&pool, format!("fail {}", "x".repeat(2000)).as_bytes()).await;
    assert_eq!(long.kind, "LookupError");
    assert_eq!(pool.status().counters.opened, 1);
    pool.shutdown().await;
}

/// `setup` runs once in each worker, before its first call.
#[tokio::test]
async fn setup_runs_before_the_worker_is_ready() {
    let pool = python("with_setup:count").build().unwrap();
    for _ in 0..2 {
        assert_eq!(pool.call(b"").await.unwrap(), b"1");
    }
    pool.shutdown().await;
}

/// L9, L13: if a start fails in Python, waiting clients get the exception.
#[tokio::test]
async fn a_failed_start_reports_the_exception() {
    let start_error = async |target: &str| {
        let moment = Duration::from_millis(1);
        let pool = python(target)
            .crash_loop(1)
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            .build()
            .unwrap();
        let Err(CheckoutError::CrashLoop { last }) = pool.checkout().await else {
            panic!("{target} started")
        };
        pool.shutdown().await;
        match &last {
            StartError::Refused { source, .. } => source.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        start_error("broken_setup:function").await,
        "OSError: no model (broken_setup.py:8, in setup)"
    );
    let error = start_error("no_such_module:f").await;
    let begin = "ModuleNotFoundError: No module named 'no_such_module': ";
    assert!(error.starts_with(begin), "{error}");
    let end = ". Add its directory with `Python::path`";
    assert!(error.ends_with(end), "{error}");
    let error = start_error("hostile:no_such").await;
    let begin = format!("AttributeError: module 'hostile' ({}", modules().display());
    assert!(error.starts_with(&begin), "{error}");
}

/// Names of modules and functions may begin with an underscore.
#[tokio::test]
async fn a_name_may_begin_with_an_underscore() {
    let pool = Pool::builder(Python::function("_operator:neg").json()).size(1);
    let pool = pool.build().unwrap();
    assert_eq!(pool.call_json::<_, i32>(&7).await.unwrap(), -7);
    pool.shutdown().await;
}

/// A target that is not written as `module:function` fails the build.
#[tokio::test]
async fn a_function_needs_a_module() {
    for target in [
        "",
        "os",
        "os:",
        ":f",
        "os:a b",
        "os.path:a.",
        "a:b:c",
        "1os:f",
        "os:1f",
    ] {
        assert_eq!(
            python(target).build().unwrap_err().to_string(),
            format!(
                "`{target}` is not a Python function: write it as `module:function`, or use \
                 `Python::module`"
            )
        );
    }
}

/// L20: an interpreter with a preamble fails the build, because the worker runtime is in its place.
#[tokio::test]
async fn an_interpreter_has_no_preamble() {
    let interpreter = Program::new("python3").preamble("hello");
    let python = Python::function("os:getenv").interpreter(interpreter);
    assert_eq!(
        Pool::builder(python).build().unwrap_err().to_string(),
        "option `preamble` of the program is 5 bytes: it must be empty for a Python function"
    );
}

/// L20: a function gets the interpreter, environment and directories that were set.
#[tokio::test]
async fn a_function_gets_what_it_was_given() {
    let scratch = scratch("python");
    std::fs::create_dir_all(&scratch).unwrap();
    // A script in place of the interpreter, given by its path. It sets a variable that the worker
    // can check.
    let interpreter = scratch.join("interpreter");
    std::fs::write(
        &interpreter,
        "#!/bin/sh\nINTERPRETER=$0 exec python3 \"$@\"\n",
    )
    .unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&interpreter, executable).unwrap();
    let module =
        "import os\ndef given(names):\n    return [os.environ[n] for n in names] + [os.getcwd()]\n";
    std::fs::write(scratch.join("scratch_module.py"), module).unwrap();
    let python = Python::function("scratch_module:given")
        .interpreter(
            Program::new(&interpreter)
                .env("GIVEN", "yes")
                .current_dir("/"),
        )
        .path("/usr")
        .path(&scratch)
        .json();
    let pool = Pool::builder(python)
        .size(1)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let given: Vec<String> = pool.call_json(&["GIVEN", "INTERPRETER"]).await.unwrap();
    assert_eq!(given, ["yes", interpreter.to_str().unwrap(), "/"]);
    pool.shutdown().await;
    std::fs::remove_dir_all(&scratch).unwrap();
}

/// P23: what the start of the interpreter has opened, by Python or by C code, stays open, in a
/// spawned worker and in a forked one. What is written to it does not reach the frames, not even to
/// a copy of stdout.
#[tokio::test]
async fn an_agent_keeps_its_descriptors() {
    for zygote in [false, true] {
        let scratch = scratch(&format!("agent-{zygote}"));
        let paths = std::env::join_paths([modules().join("agent")]).unwrap();
        let interpreter = Program::new("python3")
            .env("PYTHONPATH", paths)
            .env("AGENT_LOG", &scratch);
        let python = Python::function("with_agent:watched")
            .path(modules())
            .interpreter(interpreter);
        let python = if zygote { python.zygote() } else { python };
        let pool = Pool::builder(python).size(1).build().unwrap();
        for request in [b"one", b"two", b"six"] {
            assert_eq!(pool.call(request).await.unwrap(), request);
        }
        let counters = pool.shutdown().await.counters;
        assert_eq!((counters.opened, counters.faulted), (1, 0));
        for log in ["python", "c"] {
            let log = scratch.with_extension(log);
            assert_eq!(std::fs::read(&log).unwrap(), b"one\ntwo\nsix\n");
            std::fs::remove_file(log).unwrap();
        }
    }
}

/// P23: a descriptor is inherited if the parent has the same open file under its number. If that
/// cannot be known, its number stays taken.
#[test]
fn only_inherited_descriptors_are_closed() {
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/src/python/worker");
    let output = std::process::Command::new(crate::rig::interpreter())
        .arg(modules().join("inherited.py"))
        .arg(runtime)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(0), "ok"));
}
