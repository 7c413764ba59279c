//! Replacements of workers beside few and many that live.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ostler_pool::{Event, Events, Phase, Pool};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::pipes::{Blocking, WORKER, worker};
use crate::results::{Plan, Role, Row, Second};
use crate::rounds::nanos;

/// How many workers are replaced, one after the other, in each round.
const REPLACED: usize = 10;
const MANY: usize = 1000;

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let (cpu, bare) = (Second::default(), Second::default());
    let replaced = |size| {
        let staff = Staff::open(size);
        let replacement = staff.replacements();
        cpu.push(replacement.cpu);
        if size == MANY {
            bare.push(bare_spawns());
        }
        staff.shutdown();
        replacement.start
    };
    vec![
        Plan::new("G12", "start of a replacement, 1,000 workers", WORKER)
            .add(Role::Ostler, "ostler", || replaced(MANY))
            .add(Role::Floor, "bare spawn", || bare.next())
            .goal(1.2)
            .add(Role::Smaller, "10 workers", || replaced(10))
            .limit("Two tasks of the host are woken in turn, and each may wait for a processor.")
            .measure(rounds),
        Plan::new("G12", "host CPU of a replacement, 1,000 workers", WORKER)
            .add(Role::Ostler, "ostler", || cpu.next())
            .add(Role::Smaller, "10 workers", || cpu.next())
            .goal(2.0)
            .limit(
                "After the end of a worker, the pool lists all processes twice, which takes about \
                 1 us for each.",
            )
            .measure(rounds),
    ]
}

/// The mean time of a spawn until the worker has answered.
fn bare_spawns() -> f64 {
    let spawn = |_| {
        let start = Instant::now();
        let worker = Blocking::open();
        let time = nanos(start.elapsed());
        drop(worker);
        time
    };
    (0..REPLACED).map(spawn).sum::<f64>() / REPLACED as f64
}

/// Lets this process have as many descriptors as the system allows.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, most).expect("a process may use its limit");
}

/// Workers that live.
pub(crate) struct Staff {
    runtime: Runtime,
    pool: Pool,
}

/// What a replacement cost, in ns.
struct Replacement {
    /// From its order until it is ready.
    start: f64,
    /// What the host computed until the replaced worker was released.
    cpu: f64,
}

impl Staff {
    pub(crate) fn open(size: usize) -> Self {
        allow_descriptors();
        let runtime = Runtime::new().expect("a runtime");
        let pool = runtime.block_on(async {
            let builder = Pool::builder(worker()).size(size).max_worker_requests(None);
            let pool = builder.build().expect("a pool");
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

    /// 64 B calls of the pool, one at a time.
    pub(crate) fn call(&self, count: usize) -> f64 {
        let start = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..count {
                self.pool.call([b'x'; 64]).await.expect("a reply");
            }
        });
        nanos(start.elapsed()) / count as f64
    }

    pub(crate) fn shutdown(self) {
        let shutdown = self.pool.shutdown();
        self.runtime.block_on(shutdown.into_future());
    }

    /// The mean of some replacements.
    fn replacements(&self) -> Replacement {
        let cpu = computed();
        let mut start = Duration::ZERO;
        self.runtime.block_on(async {
            for _ in 0..REPLACED {
                start += self.replace().await;
            }
        });
        let cpu = computed() - cpu;
        Replacement {
            start: nanos(start) / REPLACED as f64,
            cpu: nanos(cpu) / REPLACED as f64,
        }
    }

    /// Returns the time until the replacement is ready, once the old worker is released.
    async fn replace(&self) -> Duration {
        let mut events = self.pool.events();
        let lease = self.pool.checkout().await.expect("a worker");
        let old = lease.worker();
        drop(lease);
        let ordered = Instant::now();
        self.pool.recycle(old);
        let (mut start, mut is_released) = (None, false);
        loop {
            if let Event::Moved(moved) = next(&mut events).await {
                if moved.to == Phase::Ready && moved.worker != old {
                    start = Some(ordered.elapsed());
                }
                is_released |= moved.worker == old && moved.to == Phase::Terminated;
            }
            if let Some(start) = start
                && is_released
            {
                return start;
            }
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
