//! How often does a client's work allocate? A binary of its own, because it counts in the global
//! allocator, for each thread.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

use allocation_counter::measure;
use ostler_pool::port::Opener;
use ostler_pool::testing::Sim;
use ostler_pool::{Pool, Program};
use tokio::runtime::Runtime;

const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
const REQUEST: [u8; 64] = [b'x'; 64];

/// Everything runs on the thread that counts.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// How often each of some repetitions allocates, once the first ones have filled what is kept.
fn allocations(runtime: &Runtime, mut work: impl AsyncFnMut()) -> Vec<u64> {
    let mut counts = Vec::new();
    for _ in 0..120 {
        let counted = measure(|| runtime.block_on(work()));
        counts.push(counted.count_total);
    }
    counts.split_off(20)
}

/// A checkout of a free worker and its checkin allocate nothing.
#[test]
fn a_checkout_allocates_nothing() {
    let runtime = runtime();
    let pool = runtime.block_on(async { open(Sim::new([])) });
    let counts = allocations(&runtime, async || {
        drop(pool.checkout().await.expect("a worker"));
    });
    assert_eq!(counts, [0; 100]);
    runtime.block_on(async { pool.shutdown().await });
}

/// A call to a process allocates its reply and nothing else, by the pool and by a lease.
#[test]
fn a_call_allocates_its_reply() {
    let runtime = runtime();
    let pool = runtime.block_on(async { open(Program::new("python3").arg(ECHO)) });
    let counts = allocations(&runtime, async || {
        assert_eq!(pool.call(REQUEST).await.expect("a reply"), REQUEST);
    });
    assert_eq!(counts, [1; 100]);
    let mut lease = runtime.block_on(pool.checkout()).expect("a worker");
    let call = async || assert_eq!(lease.call(REQUEST).await.expect("a reply"), REQUEST);
    assert_eq!(allocations(&runtime, call), [1; 100]);
    drop(lease);
    runtime.block_on(async { pool.shutdown().await });
}

/// One worker, which nothing but the test talks to.
fn open(opener: impl Opener) -> Pool {
    let builder = Pool::builder(opener)
        .size(1)
        .enable_health_monitoring(false);
    builder.build().expect("a pool")
}
