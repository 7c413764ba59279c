//! Rows without a process: the pools' own work.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::clients::{self, Order, Source, runtime};
use crate::results::{Plan, Role, Row};
use crate::rounds::each;
use crate::simulated::{Simulated, beside, cancel, sessions};

pub(crate) const SIMULATED: &str = "simulated";
const COUNT: usize = 20_000;
const MANY: usize = 10_000;

/// Another pool, and the runtime that it was made in.
struct Other<S> {
    runtime: Runtime,
    source: S,
}

impl<S: Source> Other<S> {
    fn new<F: Future<Output = S>>(make: impl FnOnce() -> F) -> Self {
        let runtime = runtime();
        let source = runtime.block_on(make());
        Self { runtime, source }
    }

    fn pairs(&self) -> f64 {
        each(COUNT, || clients::pairs(&self.runtime, &self.source, COUNT))
    }

    fn contended(&self, count: usize) -> f64 {
        each(COUNT, || {
            clients::contended(&self.runtime, &self.source, count, COUNT)
        })
    }

    /// The pool has one item.
    fn cancel(&self, order: Order) -> f64 {
        let held = self.runtime.block_on(self.source.take());
        let mut clients = clients::waiting(&self.runtime, &self.source, MANY, order);
        let time = each(MANY, || {
            while let Some(client) = clients.pop() {
                drop(client);
            }
        });
        drop(held);
        time
    }
}

pub(crate) fn pairs(rounds: usize) -> Vec<Row> {
    let ostler = Simulated::open(4);
    let timed = Other::new(|| deadpool(4, true));
    let untimed = Other::new(|| deadpool(4, false));
    let bb8 = Other::new(|| bb8(4));
    let handoff = Other::new(|| handoff(4));
    let deque = Other::new(|| deque(4));
    let mut rows = Vec::new();
    rows.push(
        Plan::new("G1", "checkout and checkin", SIMULATED)
            .add(Role::Ostler, "ostler", || {
                each(COUNT, || ostler.pairs(COUNT))
            })
            .add(Role::Peer, TIMED, || timed.pairs())
            .goal(0.8)
            .add(Role::Peer, UNTIMED, || untimed.pairs())
            .goal(0.8)
            .add(Role::Peer, "bb8", || bb8.pairs())
            .add(Role::Floor, "FIFO hand-off", || handoff.pairs())
            .add(Role::Floor, "mutex and deque", || deque.pairs())
            .limit(STATES)
            .measure(rounds),
    );
    for count in [64, 512] {
        let operation = format!("checkout and checkin, {count} clients for 4 workers");
        rows.push(
            Plan::new("G2", operation, SIMULATED)
                .add(Role::Ostler, "ostler", || {
                    each(COUNT, || ostler.contended(count, COUNT))
                })
                .add(Role::Peer, TIMED, || timed.contended(count))
                .goal(1.0 / 1.2)
                .add(Role::Peer, UNTIMED, || untimed.contended(count))
                .goal(1.0 / 1.2)
                .add(Role::Peer, "bb8", || bb8.contended(count))
                .add(Role::Floor, "FIFO hand-off", || handoff.contended(count))
                .limit(STATES)
                .measure(rounds),
        );
    }
    rows
}

pub(crate) fn cancels(rounds: usize) -> Vec<Row> {
    let timed = Other::new(|| deadpool(1, true));
    let untimed = Other::new(|| deadpool(1, false));
    let row = |(order, name)| {
        let operation = format!("cancel one of 10,000 waiting checkouts, in {name} order");
        Plan::new("G4", operation, SIMULATED)
            .add(Role::Ostler, "ostler", move || cancel(MANY, order))
            .goal(200.0)
            .add(Role::Peer, TIMED, || timed.cancel(order))
            .add(Role::Peer, UNTIMED, || untimed.cancel(order))
            .limit(
                "Each client that gives up is an input of the pool's state machine. In random \
                 order, no cache holds its neighbours in the queue.",
            )
            .measure(rounds)
    };
    let orders = [
        (Order::Fifo, "FIFO"),
        (Order::Lifo, "LIFO"),
        (Order::Random, "random"),
    ];
    orders.map(row).into()
}

pub(crate) fn sizes(rounds: usize) -> Vec<Row> {
    let row = |id, operation, few: (&str, usize), many: &str, goal, cost: &dyn Fn(usize) -> f64| {
        Plan::new(id, format!("{operation}, {many}"), SIMULATED)
            .add(Role::Ostler, "ostler", || cost(MANY))
            .add(Role::Smaller, few.0, || cost(few.1))
            .goal(goal)
            .limit("More workers and sessions take more memory, and the caches hold less of it.")
            .measure(rounds)
    };
    let (large, small) = (Simulated::open(MANY), Simulated::open(1));
    let pair = |size| {
        let pool = if size == MANY { &large } else { &small };
        each(COUNT, || pool.pairs(COUNT))
    };
    vec![
        row(
            "G5",
            "checkout and checkin",
            ("1 worker", 1),
            "10,000 workers",
            1.3,
            &pair,
        ),
        row(
            "G5s",
            "first checkout of a session",
            ("10 sessions", 10),
            "10,000 sessions",
            1.5,
            &|open| sessions(open).0,
        ),
        row(
            "G5s",
            "status",
            ("10 sessions", 10),
            "10,000 sessions",
            1.5,
            &|open| sessions(open).1,
        ),
        row(
            "G5w",
            "checkout and checkin beside a busy session",
            ("no waiting client", 0),
            "10,000 waiting clients",
            1.3,
            &beside,
        ),
    ]
}

const STATES: &str = "Each checkout and each checkin is an input of the worker's state machine, \
                      and an event; the others have neither.";
const TIMED: &str = "deadpool, with a wait timeout";
const UNTIMED: &str = "deadpool, without a timeout";

/// Makes items that cost nothing.
#[derive(Debug)]
struct Free;

impl deadpool::managed::Manager for Free {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(1)
    }

    async fn recycle(
        &self,
        _item: &mut u64,
        _metrics: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl Source for deadpool::managed::Pool<Free> {
    type Item = deadpool::managed::Object<Free>;

    async fn take(&self) -> Self::Item {
        self.get().await.expect("an item")
    }
}

async fn deadpool(size: usize, timed: bool) -> deadpool::managed::Pool<Free> {
    let mut builder = deadpool::managed::Pool::builder(Free).max_size(size);
    if timed {
        builder = builder
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(30)));
    }
    builder.build().expect("a pool")
}

impl bb8::ManageConnection for Free {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(1)
    }

    async fn is_valid(&self, _item: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _item: &mut u64) -> bool {
        false
    }
}

impl Source for bb8::Pool<Free> {
    type Item = bb8::PooledConnection<'static, Free>;

    async fn take(&self) -> Self::Item {
        self.get_owned().await.expect("an item")
    }
}

async fn bb8(size: u32) -> bb8::Pool<Free> {
    let builder = bb8::Pool::builder().max_size(size).min_idle(size);
    builder.build(Free).await.expect("a pool")
}

/// Items in a deque. A client that finds none waits in a queue, and gets the next one itself.
#[derive(Clone, Default)]
struct Handoff(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    items: VecDeque<u64>,
    clients: VecDeque<oneshot::Sender<Handed>>,
}

struct Handed(u64, Handoff);

impl Source for Handoff {
    type Item = Handed;

    async fn take(&self) -> Handed {
        let handed = {
            let mut state = self.0.lock().expect("no client panics");
            if let Some(item) = state.items.pop_front() {
                return Handed(item, self.clone());
            }
            let (sender, handed) = oneshot::channel();
            state.clients.push_back(sender);
            handed
        };
        handed.await.expect("the pool lives")
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let mut state = self.1.0.lock().expect("no client panics");
        match state.clients.pop_front() {
            // No client of the rows with this floor gives up.
            Some(sender) => drop(sender.send(Handed(self.0, self.1.clone()))),
            None => state.items.push_back(self.0),
        }
    }
}

async fn handoff(size: u64) -> Handoff {
    let handoff = Handoff::default();
    handoff
        .0
        .lock()
        .expect("no client panics")
        .items
        .extend(0..size);
    handoff
}

/// Items in a deque, without a queue for clients.
#[derive(Clone)]
struct Deque(Arc<Mutex<VecDeque<u64>>>);

struct Popped(u64, Deque);

impl Source for Deque {
    type Item = Popped;

    async fn take(&self) -> Popped {
        let item = self.0.lock().expect("no client panics").pop_front();
        Popped(item.expect("an item"), self.clone())
    }
}

impl Drop for Popped {
    fn drop(&mut self) {
        let mut items = self.1.0.lock().expect("no client panics");
        items.push_back(self.0);
    }
}

async fn deque(size: u64) -> Deque {
    Deque(Arc::new(Mutex::new((0..size).collect())))
}
