//! The survey: parses Python's standard library, with the function of the example of this name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::StreamExt;
use ostler_pool::Pool;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;
use crate::scripts;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/survey");
const WORKER: &str = "a parser in Python, 2 workers from a zygote";

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let files = files();
    let few = &files[..300];
    vec![
        row(rounds.min(3), "Python's standard library", &files, 0.95),
        row(rounds, "300 files of it", few, 1.0),
    ]
}

fn row(rounds: usize, what: &str, files: &[Value], goal: f64) -> Row {
    let functions = ostler(files).1;
    // The best one, found anew on each machine.
    let chunks = [1, 4, 16];
    let chunk = chunks
        .into_iter()
        .min_by_key(|chunk| executor(files, *chunk).0 as u64);
    let chunk = chunk.expect("there are some");
    Plan::new(
        "G14",
        format!("survey of {what}, from start to end"),
        WORKER,
    )
    .add(Role::Ostler, "ostler", || {
        let (time, found) = ostler(files);
        assert_eq!(found, functions);
        time
    })
    .add(
        Role::Peer,
        format!("ProcessPoolExecutor, chunks of {chunk}"),
        || {
            let (time, found) = executor(files, chunk);
            assert_eq!(found, functions);
            time
        },
    )
    .goal(goal)
    .limit("The parser takes nearly all of the time, and is the same in both.")
    .measure(rounds)
}

/// What the survey needs of a reply.
#[derive(Deserialize)]
struct Parsed {
    #[serde(default)]
    functions: u64,
}

/// The time from the start of the pool to its end, and the functions that were found.
fn ostler(files: &[Value]) -> (f64, u64) {
    let start = Instant::now();
    let runtime = Runtime::new().expect("a runtime");
    let functions = runtime.block_on(async {
        let python = scripts::function("survey_worker:parse").path(EXAMPLE);
        let python = python.json().zygote();
        let pool = Pool::builder(python).size(2).build().expect("a pool");
        let mut replies = pool.map_json::<_, Parsed>(files).unordered();
        let mut functions = 0;
        while let Some((_, reply)) = replies.next().await {
            functions += reply.expect("a reply").functions;
        }
        pool.shutdown().await;
        functions
    });
    (nanos(start.elapsed()), functions)
}

/// The time from the start of Python to its end, and the functions that were found.
fn executor(files: &[Value], chunk: usize) -> (f64, u64) {
    let start = Instant::now();
    let mut command = scripts::command("survey.py");
    let child = command.args([EXAMPLE, &chunk.to_string()]).spawn();
    let mut child = child.expect("Python can be started");
    let input = serde_json::to_vec(files).expect("paths are JSON");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&input).expect("Python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    let found = String::from_utf8_lossy(&output.stdout);
    let functions = found.trim().parse().expect("a number");
    (nanos(start.elapsed()), functions)
}

/// A request for each file of Python's standard library, without installed packages, in the order
/// of their paths.
fn files() -> Vec<Value> {
    let library = scripts::python("import sysconfig; print(sysconfig.get_paths()['stdlib'])");
    let mut files = Vec::new();
    list(Path::new(&library), &mut files);
    files.sort();
    files.iter().map(|path| json!({ "path": path })).collect()
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let is = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
        if path.is_dir() && !path.ends_with("site-packages") && !path.ends_with("dist-packages") {
            list(&path, files);
        } else if is("py") {
            files.push(path);
        }
    }
}
