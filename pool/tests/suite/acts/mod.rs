//! Does anything survive a worker that does process acts at random, however and whenever it ends?
//!
//! A program of acts (forks, sessions, signals, descriptors, environments) is drawn from a seed and
//! run by the worker `acts.c`. At a random moment its call, worker or pool ends. Then `/proc` must
//! show no process of it, but for those that `docs/limits.md` excepts, and no zombie or descriptor
//! in the host.

mod batch;
mod judge;
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use self::batch::{Batch, Start};
use crate::resources::{compiled, compiled_as, isolated};
use crate::rig::Random;

/// The programs of one pool.
const PROGRAMS: usize = 20;

/// How often a smaller program is tried. Whether it fails depends on the moment, too.
const TRIES: usize = 5;

/// How long a smaller program is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// P35: 100 random programs of process acts leave nothing behind.
#[test]
fn random_programs_leave_nothing() {
    run("random_programs_leave_nothing", 5, Start::Spawned);
}

/// P35: 40 random programs leave nothing at all to a host that is a sub-reaper.
#[test]
fn random_programs_leave_nothing_to_a_subreaper() {
    run(
        "random_programs_leave_nothing_to_a_subreaper",
        2,
        Start::OfSubreaper,
    );
}

/// P35: 40 random programs leave nothing behind on workers that a zygote forks, also if they kill
/// the zygote.
#[test]
fn random_programs_of_forked_workers_leave_nothing() {
    run(
        "random_programs_of_forked_workers_leave_nothing",
        2,
        Start::Forked,
    );
}

/// P35: thousands of random programs leave nothing behind.
#[test]
#[ignore = "takes minutes"]
fn thousands_of_programs_leave_nothing() {
    run("thousands_of_programs_leave_nothing", 150, Start::Spawned);
}

/// P35: thousands of random programs leave nothing to a sub-reaper.
#[test]
#[ignore = "takes minutes"]
fn thousands_of_programs_leave_nothing_to_a_subreaper() {
    run(
        "thousands_of_programs_leave_nothing_to_a_subreaper",
        100,
        Start::OfSubreaper,
    );
}

/// P35: thousands of random programs of forked workers leave nothing behind.
#[test]
#[ignore = "takes minutes"]
fn thousands_of_programs_of_forked_workers_leave_nothing() {
    run(
        "thousands_of_programs_of_forked_workers_leave_nothing",
        100,
        Start::Forked,
    );
}

fn run(name: &str, batches: u64, start: Start) {
    if !isolated(&format!("acts::{name}")) {
        return;
    }
    let Some(worker) = compiled("acts.c", &["-O1", "-pthread"]) else {
        return;
    };
    // For `process_acts.py`.
    let library = PathBuf::from(format!("{}.so", worker.display()));
    if start == Start::Forked {
        let shared = ["-O1", "-pthread", "-shared", "-fPIC"];
        fs::rename(compiled_as("acts", "acts.c", &shared).unwrap(), &library).unwrap();
    }
    // If other crates enable tokio's signal support, the first runtime opens two sockets that stay
    // open.
    drop(Runtime::new().unwrap());
    let seed = Random::fresh_seed();
    let since = Instant::now();
    let mut numbers = Numbers::new();
    for batch in 0..batches {
        let seed = seed.wrapping_add(batch);
        let batch = Batch::random(&mut Random::new(seed), PROGRAMS, start);
        let faults = batch.run(&worker, numbers.next(PROGRAMS));
        if !faults.is_empty() {
            let smallest = smallest(&batch, &worker, &mut numbers);
            fs::remove_file(&worker).unwrap();
            panic!(
                "OSTLER_TEST_SEED={seed} repeats this\n{}\n{smallest}",
                faults.join("\n")
            );
        }
    }
    fs::remove_file(&worker).unwrap();
    let _ = fs::remove_file(&library);
    let (programs, seconds) = (batches * PROGRAMS as u64, since.elapsed().as_secs_f64());
    let rate = programs as f64 / seconds;
    println!("{programs} programs in {seconds:.1} s, {rate:.0} a second");
}

/// The smallest batch that still fails, in words: one program, from which no act can be dropped.
fn smallest(batch: &Batch, worker: &Path, numbers: &mut Numbers) -> String {
    let since = Instant::now();
    let mut fails = |batch: &Batch| {
        let mut tries = (0..TRIES).take_while(|_| since.elapsed() < PATIENCE);
        tries.find_map(|_| {
            let faults = batch.run(worker, numbers.next(batch.programs.len()));
            (!faults.is_empty()).then(|| faults.join("\n"))
        })
    };
    let alone = batch.programs.iter().find_map(|program| {
        let alone = batch.with(vec![program.clone()]);
        fails(&alone).map(|faults| (alone, faults))
    });
    let Some((mut batch, mut faults)) = alone else {
        return format!("no program has failed alone; together: {batch:?}");
    };
    'smaller: loop {
        let (acts, end) = batch.programs[0].clone();
        for acts in acts.smaller() {
            let smaller = batch.with(vec![(acts, end)]);
            if let Some(now) = fails(&smaller) {
                (batch, faults) = (smaller, now);
                continue 'smaller;
            }
        }
        return format!("the smallest program that fails:\n{faults}\n{batch:?}");
    }
}

/// Numbers for programs that no other host uses at the same time.
struct Numbers(u32);

impl Numbers {
    fn new() -> Self {
        Self(std::process::id() % 9_000 * 100_000)
    }

    fn next(&mut self, count: usize) -> u32 {
        self.0 += count as u32;
        self.0 - count as u32
    }
}
