//! Replacements of workers beside few and many that live.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ostler_pool::{Event, Events, Phase, Pool, WorkerId};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::pipes::{Blocking, WORKER, worker};
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let many = Staff::open(1000);
    let few = Staff::open(10);
    let bare = || {
        let start = Instant::now();
        let worker = Blocking::open();
        let time = nanos(start.elapsed());
        drop(worker);
        time
    };
    vec![
        Plan::new("G12", "start of a replacement, 1,000 workers", WORKER)
            .add(Role::Ostler, "ostler", || many.replace().start)
            .add(Role::Floor, "bare spawn", bare)
            .add(Role::Smaller, "10 workers", || few.replace().start)
            .measure(rounds),
        Plan::new("G12", "host CPU of a replacement, 1,000 workers", WORKER)
            .add(Role::Ostler, "ostler", || many.replace().cpu)
            .add(Role::Smaller, "10 workers", || few.replace().cpu)
            .measure(rounds),
    ]
}

/// Workers that live.
struct Staff {
    runtime: Runtime,
    pool: Pool,
}

/// What a replacement cost, in ns.
struct Replacement {
    /// From opened to ready.
    start: f64,
    /// What the host computed until the replaced worker was released.
    cpu: f64,
}

impl Staff {
    fn open(size: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let pool = runtime.block_on(async {
            let pool = Pool::builder(worker()).size(size).build().expect("a pool");
            let mut events = pool.events();
            let mut ready = BTreeSet::new();
            while ready.len() < size {
                if let Event::Moved(moved) = next(&mut events).await
                    && moved.to == Phase::Ready
                {
                    ready.insert(moved.worker);
                }
            }
            pool
        });
        Self { runtime, pool }
    }

    fn replace(&self) -> Replacement {
        self.runtime.block_on(async {
            let mut events = self.pool.events();
            let lease = self.pool.checkout().await.expect("a worker");
            let old = lease.worker();
            drop(lease);
            let cpu = computed();
            self.pool.recycle(old);
            let start = started(&mut events, old).await;
            Replacement {
                start: nanos(start),
                cpu: nanos(computed() - cpu),
            }
        })
    }
}

/// The time in which the replacement started, once the old worker is released.
async fn started(events: &mut Events, old: WorkerId) -> Duration {
    let (mut opened, mut start, mut is_released) = (None, None, false);
    loop {
        match next(events).await {
            Event::Opened { worker } => opened = Some((worker, Instant::now())),
            Event::Moved(moved) if moved.worker == old => {
                is_released = moved.to == Phase::Terminated;
            }
            Event::Moved(moved) if moved.to == Phase::Ready => {
                start = opened
                    .filter(|(worker, _)| *worker == moved.worker)
                    .map_or(start, |(_, since)| Some(since.elapsed()));
            }
            _ => {}
        }
        if let Some(start) = start
            && is_released
        {
            return start;
        }
    }
}

async fn next(events: &mut Events) -> Event {
    events.recv().await.expect("an event")
}

/// The CPU time of all threads of this process.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
