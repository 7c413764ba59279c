//! The worker runtime, which the pool writes to each worker's stdin.

/// The files of the worker runtime, which needs only the standard library. They share one
/// namespace.
const RUNTIME: &[(&str, &str)] = &[
    ("answers", include_str!("worker/answers.py")),
    ("batches", include_str!("worker/batches.py")),
    ("cancellation", include_str!("worker/cancellation.py")),
    ("channel", include_str!("worker/channel.py")),
    ("codec", include_str!("worker/codec.py")),
    ("current", include_str!("worker/current.py")),
    ("descriptors", include_str!("worker/descriptors.py")),
    ("event_loop", include_str!("worker/event_loop.py")),
    ("load", include_str!("worker/load.py")),
    ("logs", include_str!("worker/logs.py")),
    ("main", include_str!("worker/main.py")),
    ("plain", include_str!("worker/plain.py")),
    ("protocol", include_str!("worker/protocol.py")),
    ("provided", include_str!("worker/provided.py")),
    ("shared_memory", include_str!("worker/shared_memory.py")),
    ("watcher", include_str!("worker/watcher.py")),
];

/// The module `ostler`, which each worker provides to the function.
const MODULE: &str = include_str!("../../python/ostler/__init__.py");

/// What a zygote runs in addition.
const ZYGOTE: (&str, &str) = ("zygote", include_str!("zygote.py"));

/// The argument of `-c`: reads the runtime from stdin and runs it.
pub(super) const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// What precedes the frames. Each file begins with a form feed and its name.
pub(super) fn preamble(zygote: bool) -> String {
    (RUNTIME.iter().chain(zygote.then_some(&ZYGOTE)))
        .map(|(name, text)| format!("\x0c<ostler_worker/{name}.py>\n{text}"))
        .chain([format!("\x0c<ostler>\n{MODULE}")])
        .collect()
}
