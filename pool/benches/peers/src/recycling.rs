//! Calls of 1 ms while every worker is replaced after 100 calls, and while none is.

use std::time::{Duration, Instant};

use ostler_pool::Pool;
use ostler_pool::port::Opener;
use tokio::runtime::Runtime;

use crate::pipes::worker;
use crate::results::{Plan, Role, Row, Second};
use crate::rounds::nanos;
use crate::scripts::function;

const WORKERS: usize = 4;
const CALLS: usize = 2000;

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let rust = || worker().arg("1");
    let python = || function("functions:sleep").zygote();
    let mut rows = pair(
        rounds,
        ("1 ms call in Rust", "sleep in Rust, 4 workers"),
        &Calls::new(&runtime, rust(), Some(100)),
        &Calls::new(&runtime, rust(), None),
    );
    rows.extend(pair(
        rounds,
        (
            "1 ms call in Python",
            "sleep in Python, 4 workers from a zygote",
        ),
        &Calls::new(&runtime, python(), Some(100)),
        &Calls::new(&runtime, python(), None),
    ));
    rows
}

fn pair(
    rounds: usize,
    (call, worker): (&str, &str),
    recycled: &Calls<'_>,
    kept: &Calls<'_>,
) -> Vec<Row> {
    let p99 = Second::default();
    let run = |calls: &Calls<'_>| {
        let (each, slow) = calls.run();
        p99.push(slow);
        each
    };
    let limit = "A new process starts for every 100 calls, on the processors that serve the calls.";
    let operation = |figure| format!("{call}, workers replaced after 100, {figure}");
    vec![
        Plan::new("G11", operation("throughput"), worker)
            .add(Role::Ostler, "ostler", || run(recycled))
            .add(Role::Itself, "workers kept", || run(kept))
            .goal(1.0 / 0.9)
            .limit(limit)
            .measure(rounds),
        Plan::new("G11", operation("99th percentile"), worker)
            .add(Role::Ostler, "ostler", || p99.next())
            .add(Role::Itself, "workers kept", || p99.next())
            .goal(1.5)
            .limit(limit)
            .measure(rounds),
    ]
}

struct Calls<'a> {
    runtime: &'a Runtime,
    pool: Pool,
}

impl<'a> Calls<'a> {
    fn new(runtime: &'a Runtime, worker: impl Opener, each: Option<u64>) -> Self {
        let _context = runtime.enter();
        let builder = Pool::builder(worker).size(WORKERS);
        let builder = builder
            .max_worker_requests(each)
            .min_worker_life(Duration::ZERO);
        let pool = builder.build().expect("a pool");
        Self { runtime, pool }
    }

    /// As many callers as workers. Returns the time of all calls divided by their number, and the
    /// 99th percentile of how long they took.
    fn run(&self) -> (f64, f64) {
        let caller = |pool: Pool| async move {
            let mut times = Vec::new();
            for _ in 0..CALLS / WORKERS {
                let start = Instant::now();
                pool.call([0; 8]).await.expect("a reply");
                times.push(start.elapsed());
            }
            times
        };
        let start = Instant::now();
        let callers: Vec<_> = (0..WORKERS)
            .map(|_| self.runtime.spawn(caller(self.pool.clone())))
            .collect();
        let mut times = Vec::new();
        self.runtime.block_on(async {
            for caller in callers {
                times.extend(caller.await.expect("the caller ends"));
            }
        });
        let each = nanos(start.elapsed()) / CALLS as f64;
        times.sort();
        (each, nanos(times[CALLS * 99 / 100]))
    }
}
