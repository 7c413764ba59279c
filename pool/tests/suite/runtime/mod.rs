//! Does each part of the Python runtime do what it says?
//!
//! The scripts load the runtime from its files and call its parts, so that they reach what no host
//! does at will: a frame in pieces, a signal at a certain moment, a host that is gone. Those that
//! import `host.py` start whole workers and speak frames with them.

use std::process::Command;

use crate::resources::modules;
use crate::rig::interpreter;

/// Runs a script on the files of the runtime.
pub(crate) fn check(script: &str) {
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/src/python");
    let output = Command::new(interpreter())
        .arg(modules().join("runtime").join(script))
        .arg(format!("{runtime}/worker"))
        .arg(format!("{runtime}/zygote.py"))
        // It would leave a directory in the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(0), "ok"));
}

/// C1, C8, C11, P14: frames in pieces are read and written whole, errors fit into theirs, and the
/// watcher ends the process when its host is gone.
#[test]
fn frames_errors_and_the_watcher_work() {
    check("parts.py");
}

/// The start of a worker reads the runtime whole, and leaves the first frame to it.
#[test]
fn the_bootstrap_works() {
    check("start.py");
}

/// C8: the handshake, calls, streams and health checks are answered as the protocol says.
#[test]
fn calls_and_streams_work() {
    check("calls.py");
}

/// C1, C13, Y12: each request of a batch is answered like a call, in order, and in time.
#[test]
fn batches_work() {
    check("batches.py");
}

/// C13, C19: the requests of a batch go to a function of a list in lists.
#[test]
fn functions_of_lists_work() {
    check("lists.py");
}

/// R28, R29: the worker opens only the file that the host offers, hides it from other code, and
/// puts each result where the host looks for it.
#[test]
fn shared_memory_works() {
    check("memory.py");
}

/// Y11, Y15: JSON values are read and written alike, whether orjson is installed or not. NaN is
/// refused, and an error says where a value is that is not JSON. Where orjson or numpy is not
/// installed, only a stand-in for it is tested.
#[test]
fn json_is_the_same_with_orjson() {
    check("json_forms.py");
}

/// Y13: coroutines and asynchronous generators run on one event loop, and a cancel ends them.
#[test]
fn coroutines_work() {
    check("coroutines.py");
}

/// Y14: a function learns what the host says of its call, and the module that a session has ended.
#[test]
fn details_work() {
    check("details.py");
}

/// Y18: an error says where it was raised, and a failed start what to do.
#[test]
fn failures_are_explained() {
    check("failures.py");
}

/// Y16: records of `logging` and of `ostler.log` are lines that carry their level.
#[test]
fn log_records_work() {
    check("records.py");
}

/// Y17: `import ostler` works in a worker, whatever its path is.
#[test]
fn the_module_is_provided() {
    check("provided.py");
}

/// C1, C9: a cancel interrupts the request that it is for, at the moments at which it may.
#[test]
fn cancels_work() {
    check("cancels.py");
}

/// P19, P24, P25: a zygote answers its host, keeps nothing of its workers, reaps them, and gives
/// them their tag and what its module has set.
#[test]
fn zygotes_work() {
    check("zygote.py");
}
