//! Pools of simulated workers. A function that returns a number returns the CPU time of one
//! operation, in ns.

use std::hint::black_box;

use ostler_pool::testing::Sim;
use ostler_pool::{Lease, Phase, Pool, Session};
use tokio::runtime::Runtime;

use crate::clients::{self, Order, Source, runtime};
use crate::rounds::each;

/// More clients and sessions than any part needs.
const MANY: usize = 20_000;

impl Source for Pool {
    type Item = Lease;

    async fn take(&self) -> Lease {
        self.checkout().await.expect("a worker")
    }
}

impl Source for Session {
    type Item = Lease;

    async fn take(&self) -> Lease {
        self.checkout().await.expect("a worker")
    }
}

/// A pool whose workers are ready.
pub(crate) struct Simulated {
    runtime: Runtime,
    pool: Pool,
}

impl Simulated {
    pub(crate) fn open(size: usize) -> Self {
        let runtime = runtime();
        let pool = runtime.block_on(async {
            let pool = Pool::builder(Sim::new([]))
                .size(size)
                .max_starting(size)
                .max_waiting(MANY)
                .max_sessions(MANY)
                .max_worker_requests(None)
                .build()
                .expect("a pool");
            let ready = |pool: &Pool| {
                let workers = pool.status().workers;
                let ready = workers.iter().filter(|worker| worker.phase == Phase::Ready);
                ready.count()
            };
            while ready(&pool) < size {
                // A status costs as much as the start of many workers.
                for _ in 0..size {
                    tokio::task::yield_now().await;
                }
            }
            pool
        });
        Self { runtime, pool }
    }

    /// Checkouts and checkins.
    pub(crate) fn pairs(&self, count: usize) {
        clients::pairs(&self.runtime, &self.pool, count);
    }

    /// Checkouts and checkins by many clients.
    pub(crate) fn contended(&self, clients: usize, count: usize) {
        clients::contended(&self.runtime, &self.pool, clients, count);
    }

    /// 64 B calls of a lease. The worker and its pipe are in memory.
    pub(crate) fn calls(&self, count: usize) {
        let mut lease = self.runtime.block_on(self.pool.take());
        self.runtime.block_on(async {
            for _ in 0..count {
                lease.call([b'x'; 64]).await.expect("a reply");
            }
        });
    }

    pub(crate) fn status(&self, count: usize) -> f64 {
        each(count, || {
            for _ in 0..count {
                black_box(self.pool.status());
            }
        })
    }

    /// The shutdown of the pool, per worker.
    pub(crate) fn shutdown(self) -> f64 {
        let workers = self.pool.status().workers.len();
        each(workers, || {
            let shutdown = self.pool.shutdown();
            self.runtime.block_on(shutdown.into_future());
        })
    }
}

/// The start of a pool, per worker.
pub(crate) fn start(size: usize) -> f64 {
    let mut opened = None;
    let time = each(size, || opened = Some(Simulated::open(size)));
    opened.map(Simulated::shutdown);
    time
}

/// The cancellation of a waiting checkout, while `waiting` clients wait for one worker.
pub(crate) fn cancel(waiting: usize, order: Order) -> f64 {
    // Few clients are cancelled in less time than the clock takes, so several pools have some.
    let pools: Vec<_> = (0..(1000 / waiting).max(1))
        .map(|_| Simulated::open(1))
        .collect();
    let mut clients = Vec::new();
    let mut held = Vec::new();
    for Simulated { runtime, pool } in &pools {
        held.push(runtime.block_on(pool.take()));
        clients.extend(clients::waiting(runtime, pool, waiting, order));
    }
    let time = each(clients.len(), || {
        while let Some(client) = clients.pop() {
            drop(client);
        }
    });
    drop(held);
    for pool in pools {
        assert_eq!(pool.pool.status().waiting, 0);
        pool.shutdown();
    }
    time
}

/// The first checkout of a session, and a status, while `open` other sessions have a worker.
pub(crate) fn sessions(open: usize) -> (f64, f64) {
    const MEASURED: usize = 200;
    let simulated = Simulated::open(2);
    let session = |name: String| simulated.pool.session(&name).expect("a session");
    let checkout = |session: &Session| drop(simulated.runtime.block_on(session.take()));
    let others: Vec<_> = (0..open)
        .map(|other| session(format!("other {other}")))
        .inspect(checkout)
        .collect();
    let fresh: Vec<_> = (0..MEASURED)
        .map(|name| session(format!("fresh {name}")))
        .collect();
    let first = each(MEASURED, || fresh.iter().for_each(checkout));
    let status = simulated.status(MEASURED);
    drop((others, fresh));
    simulated.shutdown();
    (first, status)
}

/// A checkout and a checkin, while `waiting` clients wait for the busy worker of a session.
pub(crate) fn beside(waiting: usize) -> f64 {
    let simulated = Simulated::open(2);
    let session = simulated.pool.session("busy").expect("a session");
    let held = simulated.runtime.block_on(session.take());
    let clients = clients::waiting(&simulated.runtime, &session, waiting, Order::Fifo);
    let time = each(2000, || simulated.pairs(2000));
    drop(clients);
    drop(held);
    simulated.shutdown();
    time
}
