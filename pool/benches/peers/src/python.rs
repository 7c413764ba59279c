//! The same Python function in ostler and in the pools of Python's standard library, and a function
//! in JavaScript in piscina.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use ostler_pool::{Pool, Python};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
const WORKER: &str = "echo in Python, 2 workers";
/// About 64 KiB as JSON.
const RECORDS: usize = 1250;
const EXECUTOR: &str = "ProcessPoolExecutor";
const MP_POOL: &str = "multiprocessing.Pool";
const PISCINA: &str = "piscina (JavaScript)";

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let python = || Python::function("functions:echo").path(SCRIPTS);
    let open = |python: Python| {
        let _context = runtime.enter();
        let builder = Pool::builder(python).size(2).max_worker_requests(None);
        builder.build().expect("a pool")
    };
    let small = |callers| {
        let pool = open(python());
        let [mut executor, mut mp_pool, mut piscina] = scripts(&Value::Null);
        Plan::new("G9", format!("64 B call, {callers} at a time"), WORKER)
            .add(Role::Ostler, "ostler", || {
                let pool = pool.clone();
                calls(&runtime, callers, 10_000, move || {
                    let pool = pool.clone();
                    async move { drop(pool.call([b'x'; 64]).await.expect("a reply")) }
                })
            })
            .add(Role::Peer, EXECUTOR, || executor.calls(callers, 1500))
            .add(Role::Peer, MP_POOL, || mp_pool.calls(callers, 3000))
            .add(Role::Peer, PISCINA, || piscina.calls(callers, 6000))
            .measure(rounds)
    };
    vec![
        small(1),
        small(64),
        with_json(rounds, &runtime, open(python().json())),
    ]
}

fn with_json(rounds: usize, runtime: &Runtime, pool: Pool) -> Row {
    let records: Vec<Value> = (0..RECORDS)
        .map(|id| json!({"id": id, "name": format!("record {id}"), "value": id as f64 / 3.0}))
        .collect();
    let records = Arc::new(Value::from(records));
    let size = records.to_string().len() >> 10;
    let [mut executor, mut mp_pool, mut piscina] = scripts(&records);
    let operation = format!("call with {size} KiB of JSON, one at a time");
    Plan::new("G9j", operation, WORKER)
        .add(Role::Ostler, "ostler", || {
            let (pool, records) = (pool.clone(), Arc::clone(&records));
            calls(runtime, 1, 200, move || {
                let (pool, records) = (pool.clone(), Arc::clone(&records));
                async move {
                    let reply: Value = pool.call_json(&*records).await.expect("a reply");
                    assert_eq!(reply.as_array().map(Vec::len), Some(RECORDS));
                }
            })
        })
        .add(Role::Peer, EXECUTOR, || executor.calls(1, 200))
        .add(Role::Peer, MP_POOL, || mp_pool.calls(1, 200))
        .add(Role::Peer, PISCINA, || piscina.calls(1, 200))
        .measure(rounds)
}

/// `callers` tasks share `count` calls.
fn calls<F: Future<Output = ()> + Send + 'static>(
    runtime: &Runtime,
    callers: usize,
    count: usize,
    call: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let start = Instant::now();
    let caller = || {
        let call = call.clone();
        async move {
            for _ in 0..count / callers {
                call().await;
            }
        }
    };
    let callers: Vec<_> = (0..callers).map(|_| runtime.spawn(caller())).collect();
    runtime.block_on(async {
        for caller in callers {
            caller.await.expect("the caller ends");
        }
    });
    nanos(start.elapsed()) / count as f64
}

/// The other pools, each in a process that runs rounds of calls when it is told to.
fn scripts(request: &Value) -> [Script; 3] {
    let script =
        |program, name, arguments: &[&str]| Script::start(program, name, arguments, request);
    [
        script("python3", "pools.py", &["executor"]),
        script("python3", "pools.py", &["pool"]),
        script("node", "piscina.mjs", &[]),
    ]
}

struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Script {
    fn start(program: &str, name: &str, arguments: &[&str], request: &Value) -> Self {
        let mut child = Command::new(program)
            .arg(format!("{SCRIPTS}/{name}"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script can be started");
        let mut stdin = child.stdin.take().expect("piped");
        writeln!(stdin, "{request}").expect("the script reads");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdin: Some(stdin),
            stdout,
        }
    }

    fn calls(&mut self, callers: usize, calls: usize) -> f64 {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{callers} {calls}").expect("the script reads");
        let mut line = String::new();
        self.stdout
            .read_line(&mut line)
            .expect("the script answers");
        line.trim().parse().expect("the script prints a time")
    }
}

impl Drop for Script {
    /// The script ends with its input, and its workers with it.
    fn drop(&mut self) {
        self.stdin = None;
        self.child.wait().expect("the script ends");
    }
}
