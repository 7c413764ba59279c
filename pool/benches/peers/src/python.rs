//! The same Python function in ostler and in the pools of Python's standard library, and a function
//! in JavaScript in piscina.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ostler_pool::{Pool, Python};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::machine;
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;
use crate::scripts::{Script, function};

const WORKER: &str = "echo in Python, 2 workers";
/// About 64 KiB as JSON.
const RECORDS: usize = 1250;
const EXECUTOR: &str = "ProcessPoolExecutor";
const MP_POOL: &str = "multiprocessing.Pool";
const PISCINA: &str = "piscina (JavaScript)";

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let open = |python| open(&runtime, python);
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
            .goal(1.0 / 15.0)
            .add(Role::Peer, MP_POOL, || mp_pool.calls(callers, 3000))
            .add(Role::Peer, PISCINA, || piscina.calls(callers, 6000))
            .goal(1.0 / 3.0)
            .limit("Each call wakes another process, and then the caller.")
            .measure(rounds)
    };
    vec![
        small(1),
        small(64),
        with_json(rounds, &runtime, open(python().json())),
        map(rounds, &runtime, &open(python())),
        lists(rounds, &runtime),
    ]
}

fn python() -> Python {
    function("functions:echo")
}

fn open(runtime: &Runtime, python: Python) -> Pool {
    let _context = runtime.enter();
    let builder = Pool::builder(python).size(2).max_worker_requests(None);
    builder.build().expect("a pool")
}

#[derive(Serialize, Deserialize)]
struct Record {
    id: usize,
    name: String,
    value: f64,
}

fn with_json(rounds: usize, runtime: &Runtime, pool: Pool) -> Row {
    let record = |id| Record {
        id,
        name: format!("record {id}"),
        value: id as f64 / 3.0,
    };
    let records: Arc<Vec<Record>> = Arc::new((0..RECORDS).map(record).collect());
    let value = json!(records.as_slice());
    let size = value.to_string().len() >> 10;
    let [mut executor, mut mp_pool, mut piscina] = scripts(&value);
    let operation = format!("call with {size} KiB of JSON, one at a time");
    let worker = match machine::orjson().as_str() {
        "" => WORKER,
        _ => "echo in Python with orjson, 2 workers",
    };
    Plan::new("G9j", operation, worker)
        .add(Role::Ostler, "ostler", || {
            let (pool, records) = (pool.clone(), Arc::clone(&records));
            calls(runtime, 1, 200, move || {
                let (pool, records) = (pool.clone(), Arc::clone(&records));
                async move {
                    let reply: Vec<Record> = pool.call_json(&*records).await.expect("a reply");
                    assert_eq!(reply.len(), RECORDS);
                }
            })
        })
        .add(Role::Peer, EXECUTOR, || executor.calls(1, 200))
        .goal(1.0 / 1.5)
        .add(Role::Peer, MP_POOL, || mp_pool.calls(1, 200))
        .add(Role::Peer, PISCINA, || piscina.calls(1, 200))
        .limit("Numbers are printed and parsed as text; pickle copies them as they are.")
        .measure(rounds)
}

fn map(rounds: usize, runtime: &Runtime, pool: &Pool) -> Row {
    const ITEMS: usize = 1_000_000;
    let mapped = || {
        let start = Instant::now();
        let items = (0..ITEMS).map(|item| (item as u64).to_be_bytes());
        let mut expected = items.clone();
        runtime.block_on(async {
            let mut replies = pool.map(items);
            while let Some(reply) = replies.next().await {
                let item = expected.next().expect("an item");
                assert_eq!(reply.expect("a reply"), item);
            }
        });
        assert_eq!(expected.next(), None);
        nanos(start.elapsed()) / ITEMS as f64
    };
    let script = |name| Script::start("pools.py", &[name], &Value::Null);
    let (mut executor, mut mp_pool) = (script("executor"), script("pool"));
    Plan::new(
        "G9m",
        "one of 1,000,000 items of 8 B of a map, in order",
        WORKER,
    )
    .add(Role::Ostler, "ostler", mapped)
    .add(Role::Peer, "multiprocessing.Pool, chunks of 256", || {
        mp_pool.map(ITEMS)
    })
    .goal(1.0 / 1.2)
    .add(Role::Peer, "ProcessPoolExecutor, chunks of 256", || {
        executor.map(ITEMS)
    })
    .limit("Each item has a reply and an outcome of its own; the others pickle a chunk as a whole.")
    .measure(rounds)
}

/// A function that takes 1 ms, and 0.05 ms more for each request, as models do.
fn lists(rounds: usize, runtime: &Runtime) -> Row {
    const CALLERS: usize = 64;
    // Each of the two workers can have half of the callers.
    let collected = function("functions:model").batch(CALLERS / 2, Duration::from_millis(2));
    let pools = [collected, function("functions:model_of_one")].map(|python| open(runtime, python));
    let [collected, alone] = pools.map(|pool| {
        move |count| {
            let pool = pool.clone();
            calls(runtime, CALLERS, count, move || {
                let pool = pool.clone();
                async move { drop(pool.call([b'x'; 64]).await.expect("a reply")) }
            })
        }
    });
    Plan::new(
        "G-list",
        format!("call of {CALLERS} callers at a time: 1 ms, and 0.05 ms per request"),
        "sleep in Python, 2 workers",
    )
    .add(Role::Ostler, "ostler, collected into lists", || {
        collected(6400)
    })
    .add(Role::Itself, "each call alone", || alone(640))
    .goal(1.0 / 10.0)
    .limit("A list takes 2.6 ms, and a call alone 1.05 ms: a list of 32 costs 0.08x at least.")
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

fn scripts(request: &Value) -> [Script; 3] {
    [
        Script::start("pools.py", &["executor"], request),
        Script::start("pools.py", &["pool"], request),
        Script::start("piscina.mjs", &[], request),
    ]
}
