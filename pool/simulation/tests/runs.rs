//! Runs histories from seeds.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::draw::{self, LARGE, MEDIUM, SMALL, Scale};
use crate::history::{self, History};
use crate::lists::{FAULTS, Fault, OPERATIONS, Operation};
use crate::random::Random;
use crate::{shrink, spec};

/// Seeds that have failed once. A failure becomes a test by one more line.
const FAILED: [(Scale, u64); 2] = [
    // A second report of a shutdown said how long ago it began.
    (MEDIUM, 5),
    // The oracle expected a reply that a simulated worker wrote after it was killed.
    (MEDIUM, 11_885),
];

/// One in so many histories is checked against the specification, which takes longer than the
/// history itself.
const CHECKED: u64 = 20;

/// What several histories add up to.
#[derive(Default)]
struct Sum {
    histories: u64,
    virtual_time: Duration,
    checked: u64,
    steps: usize,
    met: BTreeMap<(Fault, Operation), u64>,
}

impl Sum {
    /// Runs a history, and panics if it fails.
    fn run(&mut self, scale: Scale, seed: u64, is_checked: bool) {
        let plan = Arc::new(draw::plan(seed, scale));
        let history = history::run(&plan, false);
        if let Some(failure) = &history.failure {
            failed(scale, seed, failure);
        }
        if is_checked {
            match spec::check(&history.trace) {
                Ok(steps) => self.steps += steps,
                Err(problem) => failed(scale, seed, &problem),
            }
            self.checked += 1;
        }
        self.histories += 1;
        self.virtual_time += history.took;
        for (cell, count) in history.ledger.met {
            *self.met.entry(cell).or_default() += count;
        }
    }

    fn report(&self, took: Duration) -> String {
        let Self {
            histories,
            virtual_time,
            checked,
            steps,
            ..
        } = self;
        let rate = *histories as f64 / took.as_secs_f64();
        let hours = virtual_time.as_secs_f64() / 3600.0;
        format!(
            "{histories} histories in {took:.1?}, {rate:.0} per second; {hours:.1} virtual hours; \
             {checked} checked against the specification, {steps} steps"
        )
    }

    /// How often each fault met each operation.
    fn matrix(&self) -> String {
        let mut table = format!("{:>16}", "");
        for operation in OPERATIONS {
            let _ = write!(table, "{:>11}", format!("{operation:?}"));
        }
        for fault in FAULTS {
            let _ = write!(table, "\n{:>16}", format!("{fault:?}"));
            for operation in OPERATIONS {
                let count = self.met.get(&(*fault, *operation)).copied().unwrap_or(0);
                let _ = write!(table, "{count:>11}");
            }
        }
        table
    }
}

fn failed(scale: Scale, seed: u64, failure: &str) -> ! {
    let name = if scale == SMALL { "small" } else { "medium" };
    panic!(
        "seed {seed} failed: {failure}\nreplay it: OSTLER_TEST_SEED={seed} OSTLER_TEST_SCALE={name} \
         cargo test -p ostler-simulation replay -- --ignored --nocapture"
    );
}

/// Every history that has failed once passes.
#[test]
fn failures_are_mended() {
    let mut sum = Sum::default();
    for (scale, seed) in FAILED {
        sum.run(scale, seed, true);
    }
}

/// L4 to L8, C1, C2, C4, T2: in a fixed set of histories, the pool does what it must.
#[test]
fn fixed_seeds() {
    let mut sum = Sum::default();
    let since = Instant::now();
    for seed in 0..800 {
        sum.run(SMALL, seed, seed % CHECKED == 0);
    }
    for seed in 0..200 {
        sum.run(MEDIUM, seed, seed % CHECKED == 0);
    }
    println!("{}", sum.report(since.elapsed()));
}

/// As `fixed_seeds`, for seeds that no run has tried. `OSTLER_TEST_SEED` sets the first one.
#[test]
fn fresh_seeds() {
    let first = Random::fresh_seed();
    let mut sum = Sum::default();
    let since = Instant::now();
    for seed in (first..).take(400) {
        sum.run(SMALL, seed, seed % CHECKED == 0);
    }
    for seed in (first..).take(50) {
        sum.run(MEDIUM, seed, seed % CHECKED == 0);
    }
    println!(
        "{}, from OSTLER_TEST_SEED={first}",
        sum.report(since.elapsed())
    );
}

/// A pool of 64 workers, 1,000 clients and 100 sessions does what it must, too.
#[test]
fn a_large_pool() {
    let mut sum = Sum::default();
    sum.run(LARGE, 4, false);
}

/// The same seed is the same history, step by step.
#[test]
fn a_seed_is_a_history() {
    for seed in 0..30 {
        let plan = Arc::new(draw::plan(seed, SMALL));
        let [first, second] = [(); 2].map(|()| history::run(&plan, true));
        assert_eq!(first.ledger.log, second.ledger.log, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// Runs histories for `OSTLER_SIMULATION_MINUTES`, from `OSTLER_TEST_SEED` or a fresh seed on.
#[test]
#[ignore = "runs for as long as you like"]
fn long_run() {
    let minutes = env::var("OSTLER_SIMULATION_MINUTES").map_or(10, |minutes| {
        minutes
            .parse()
            .expect("OSTLER_SIMULATION_MINUTES is a number")
    });
    let first = Random::fresh_seed();
    let mut sum = Sum::default();
    let since = Instant::now();
    let mut reported = 0;
    for seed in first.. {
        let scale = if seed % 5 == 0 { MEDIUM } else { SMALL };
        sum.run(scale, seed, seed % CHECKED == 1);
        let elapsed = since.elapsed().as_secs() / 60;
        if elapsed > reported {
            reported = elapsed;
            println!(
                "{}, from OSTLER_TEST_SEED={first}",
                sum.report(since.elapsed())
            );
        }
        if elapsed >= minutes {
            break;
        }
    }
    println!("{}", sum.matrix());
    let of = |fault| OPERATIONS.iter().map(move |operation| (fault, *operation));
    let cells = FAULTS.iter().flat_map(|fault| of(*fault));
    let empty: Vec<_> = cells.filter(|cell| !sum.met.contains_key(cell)).collect();
    println!("{} empty cells: {empty:?}", empty.len());
}

/// Prints the history of `OSTLER_TEST_SEED`, and shrinks it if it fails.
#[test]
#[ignore = "replays a seed"]
fn replay() {
    let seed = Random::fresh_seed();
    let scale = match env::var("OSTLER_TEST_SCALE").as_deref() {
        Ok("medium") => MEDIUM,
        Ok("large") => LARGE,
        _ => SMALL,
    };
    let plan = draw::plan(seed, scale);
    let history = history::run(&Arc::new(plan.clone()), true);
    println!("{plan:#?}\n{}\nit took {:?}", log(&history), history.took);
    let Some(failure) = history.failure else {
        let checked = spec::check(&history.trace);
        println!("the specification says: {checked:?}");
        assert!(checked.is_ok());
        return;
    };
    // A livelock takes long to shrink.
    println!("it fails: {failure}\nlooking for a smaller plan that fails in the same way");
    let (smallest, history) = shrink::shrink(&plan, &failure);
    println!("{smallest:#?}\n{}", log(&history));
    panic!("seed {seed} fails: {failure}");
}

fn log(history: &History) -> String {
    history
        .ledger
        .log
        .as_ref()
        .map_or_else(String::new, |lines| lines.join("\n"))
}
