//! Compares the start of a spawned Python worker with that of a worker forked from a zygote.
//!
//! A start lasts from the opening of the port until the worker is ready. Both pools run the same
//! module, which imports much of the standard library. Compare the ratio of the medians: absolute
//! times depend on the machine.
//!
//! ```text
//! cargo bench --bench start
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use ostler_pool::Event;
use ostler_pool::{Phase, Pool, Python};

const ROUNDS: usize = 30;

#[tokio::main]
async fn main() {
    let python = || {
        Python::function("imports:nothing")
            .path(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches"))
    };
    let spawned = median_start(python()).await;
    let forked = median_start(python().zygote()).await;
    println!("time from opened to ready, median of {ROUNDS} starts\n");
    println!("spawned  {:8.2} ms", millis(spawned));
    println!(
        "forked   {:8.2} ms  {:.3}x",
        millis(forked),
        forked.as_secs_f64() / spawned.as_secs_f64()
    );
}

/// Recycles a worker repeatedly and returns the median time in which its replacement was ready.
async fn median_start(python: Python) -> Duration {
    let pool = Pool::builder(python).size(1).build().expect("a pool");
    let mut events = pool.events();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let lease = pool.checkout().await.expect("a worker");
        pool.recycle(lease.worker());
        drop(lease);
        let (replacement, since) = loop {
            if let Event::Opened { worker } = events.recv().await.expect("an event") {
                break (worker, Instant::now());
            }
        };
        loop {
            if let Event::Moved(moved) = events.recv().await.expect("an event")
                && (moved.worker, moved.to) == (replacement, Phase::Ready)
            {
                break times.push(since.elapsed());
            }
        }
    }
    pool.shutdown().await;
    // The first start may include the start of the zygote.
    times.remove(0);
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
