//! The cost of a pool's own work, on simulated workers: no process and no pipe takes part.
//!
//! ```text
//! cargo bench -p ostler-pool --bench simulated
//! ```

#[path = "parts/clients.rs"]
mod clients;
#[path = "parts/rounds.rs"]
mod rounds;
#[path = "parts/simulated.rs"]
mod simulated;

use clients::Order;
use rounds::{Subject, each, interleave, median, shown};
use simulated::{Simulated, beside, cancel, sessions, start};

const ROUNDS: usize = 9;
const COUNT: usize = 20_000;
const MANY: usize = 10_000;
const SIZES: [usize; 5] = [1, 10, 100, 1000, MANY];

fn main() {
    // cargo also runs benchmarks as tests, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("CPU time per operation, median of {ROUNDS} interleaved rounds\n");
    let pool = Simulated::open(4);
    rows(vec![
        (
            "64 B call, pipe in memory",
            Box::new(|| each(COUNT, || pool.calls(COUNT))),
        ),
        (
            "checkout and checkin",
            Box::new(|| each(COUNT, || pool.pairs(COUNT))),
        ),
        (
            "the same, 64 clients for 4 workers",
            Box::new(|| each(COUNT, || pool.contended(64, COUNT))),
        ),
        (
            "the same, 512 clients for 4 workers",
            Box::new(|| each(COUNT, || pool.contended(512, COUNT))),
        ),
        (
            "cancel, 10,000 clients, FIFO",
            Box::new(|| cancel(MANY, Order::Fifo)),
        ),
        (
            "cancel, 10,000 clients, LIFO",
            Box::new(|| cancel(MANY, Order::Lifo)),
        ),
        (
            "cancel, 10,000 clients, random",
            Box::new(|| cancel(MANY, Order::Random)),
        ),
    ]);
    println!("\nratios to the first row of each pair\n");
    compared(
        "first checkout of a session",
        "sessions",
        [10, MANY],
        |count| sessions(count).0,
    );
    compared("status", "sessions", [10, MANY], |count| sessions(count).1);
    compared(
        "checkout and checkin",
        "clients of a busy session",
        [0, MANY],
        beside,
    );
    println!("\nratios to a size of 1\n");
    print!("{:<28}", "");
    SIZES.iter().for_each(|size| print!("{size:>20}"));
    println!();
    growth("checkout and checkin", |size| {
        let pool = Simulated::open(size);
        Box::new(move || each(COUNT, || pool.pairs(COUNT)))
    });
    growth("cancel", |size| {
        Box::new(move || cancel(size, Order::Random))
    });
    growth("first checkout of a session", |size| {
        Box::new(move || sessions(size).0)
    });
    growth("status, per worker", |size| {
        let pool = Simulated::open(size);
        Box::new(move || pool.status(5) / size as f64)
    });
    growth("start, per worker", |size| Box::new(move || start(size)));
    growth("shutdown, per worker", |size| {
        Box::new(move || Simulated::open(size).shutdown())
    });
}

fn rows(rows: Vec<(&str, Subject<'_>)>) {
    let (names, mut subjects): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    for (name, times) in names.iter().zip(interleave(ROUNDS, &mut subjects)) {
        println!("{name:<40}{:>12}", shown(median(&times)));
    }
}

fn compared(name: &str, counted: &str, counts: [usize; 2], run: impl Fn(usize) -> f64) {
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    for count in counts {
        let run = &run;
        subjects.push(Box::new(move || run(count)));
    }
    let times = interleave(ROUNDS, &mut subjects);
    for (count, time) in counts.iter().zip(&times) {
        let ratio = median(time) / median(&times[0]);
        let name = format!("{name}, {count} {counted}");
        println!("{name:<56}{:>12}{ratio:>7.2}x", shown(median(time)));
    }
}

fn growth<'a>(name: &str, subject: impl Fn(usize) -> Subject<'a>) {
    let mut subjects: Vec<_> = SIZES.iter().map(|size| subject(*size)).collect();
    let times = interleave(3, &mut subjects);
    print!("{name:<28}");
    for time in &times {
        let ratio = median(time) / median(&times[0]);
        print!("{:>20}", format!("{} {ratio:.1}x", shown(median(time))));
    }
    println!();
}
