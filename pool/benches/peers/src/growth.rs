//! How cost grows with the number of workers, of clients that wait, or of sessions.

use std::time::Instant;

use crate::clients::Order;
use crate::memory::SIMULATED;
use crate::pipes::WORKER;
use crate::results::{Plan, Role, Row, Second};
use crate::rounds::{each, nanos};
use crate::simulated::{Simulated, cancel, sessions, start};
use crate::spawns::Staff;

const COUNT: usize = 20_000;
const SIZES: [usize; 5] = [1, 10, 100, 1000, 10_000];
/// Of processes: 10,000 would need 40,000 descriptors.
const FEW: [usize; 4] = [1, 10, 100, 1000];

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let row = |operation: &str, cost: &dyn Fn(usize) -> f64| {
        grow(operation, SIMULATED, &SIZES, rounds.min(5), cost)
    };
    let pools = SIZES.map(|size| (size, Simulated::open(size)));
    let pool = |size| {
        let found = pools.iter().find(|(open, _)| *open == size);
        &found.expect("it is open").1
    };
    let mut rows = vec![
        row("checkout and checkin", &|size| {
            each(COUNT, || pool(size).pairs(COUNT))
        }),
        row("cancel", &|size| cancel(size, Order::Random)),
        row("first checkout of a session", &|open| sessions(open).0),
        row("status, per worker", &|size| {
            pool(size).status(10) / size as f64
        }),
        row("start, per worker", &start),
        row("shutdown, per worker", &|size| {
            Simulated::open(size).shutdown()
        }),
    ];
    rows.extend(processes(rounds.min(5)));
    rows
}

/// Rows of real workers.
fn processes(rounds: usize) -> Vec<Row> {
    let (starts, ends) = (Second::default(), Second::default());
    let call = |size| {
        let start = Instant::now();
        let staff = Staff::open(size);
        starts.push(nanos(start.elapsed()) / size as f64);
        let call = staff.call(1000);
        let start = Instant::now();
        staff.shutdown();
        ends.push(nanos(start.elapsed()) / size as f64);
        call
    };
    let row = |operation, cost: &dyn Fn(usize) -> f64| grow(operation, WORKER, &FEW, rounds, cost);
    vec![
        row("64 B call of a pool", &call),
        row("start of a process, per worker", &|_| starts.next()),
        row("shutdown of a process, per worker", &|_| ends.next()),
    ]
}

fn grow(
    operation: &str,
    worker: &str,
    sizes: &[usize],
    rounds: usize,
    cost: &dyn Fn(usize) -> f64,
) -> Row {
    let mut plan = Plan::new("growth", operation, worker);
    for size in sizes {
        let role = match size {
            1 => Role::Ostler,
            _ => Role::Larger,
        };
        plan = plan.add(role, size.to_string(), move || cost(*size));
    }
    plan.measure(rounds)
}
