//! Large calls of a Python function through shared memory, beside the pipe.

use std::time::Instant;

use ostler_pool::{Lease, Pool};
use tokio::runtime::Runtime;

use crate::clients::runtime;
use crate::pipes::Blocking;
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;
use crate::scripts::function;

const LARGEST: usize = 64 << 20;

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let runtime = runtime();
    let mut blocking = Blocking::open();
    let mut echo = |mib: usize, calls| {
        let request = vec![b'x'; mib << 20];
        let [mut shared, mut piped] = [true, false].map(|is| open(&runtime, "functions:copy", is));
        let operation = format!("{mib} MiB call, shared memory, one processor");
        Plan::new("G7s", operation, "echo in Python that copies")
            .add(Role::Ostler, "ostler, shared memory", || {
                run(&runtime, &mut shared, &request, calls)
            })
            .add(Role::Itself, "through the pipe", || {
                run(&runtime, &mut piped, &request, calls)
            })
            .add(Role::Floor, "blocking pipe, echo in Rust", || {
                blocking.calls(&request, calls)
            })
            .goal(0.6)
            .limit("The caller owns its reply: it is copied into memory that is new each time.")
            .measure(rounds)
    };
    let mut rows = vec![echo(1, 100), echo(64, 2)];
    let request = vec![b'x'; 16 << 20];
    let [mut shared, mut piped] = [true, false].map(|is| open(&runtime, "functions:glance", is));
    let read = Plan::new(
        "G7s",
        "16 MiB call that is only read, shared memory, one processor",
        "Python, reads a byte of each page",
    )
    .add(Role::Ostler, "ostler, shared memory", || {
        run(&runtime, &mut shared, &request, 10)
    })
    .add(Role::Itself, "through the pipe", || {
        run(&runtime, &mut piped, &request, 10)
    })
    .goal(0.35)
    .limit("The host copies the request into the memory by a system call, because it maps nothing.")
    .measure(rounds);
    rows.push(read);
    rows
}

/// A lease, and its pool, which would end without its handle.
fn open(runtime: &Runtime, name: &str, is_shared: bool) -> (Pool, Lease) {
    let mut function = function(name);
    if is_shared {
        function = function.shared_memory(LARGEST as u64);
    }
    runtime.block_on(async {
        let builder = Pool::builder(function).size(1).max_worker_requests(None);
        let pool = builder.max_frame(2 * LARGEST).build().expect("a pool");
        let lease = pool.checkout().await.expect("a worker");
        (pool, lease)
    })
}

fn run(runtime: &Runtime, (_, lease): &mut (Pool, Lease), request: &[u8], calls: usize) -> f64 {
    let start = Instant::now();
    runtime.block_on(async {
        for _ in 0..calls {
            lease.call(request).await.expect("a reply");
        }
    });
    nanos(start.elapsed()) / calls as f64
}
