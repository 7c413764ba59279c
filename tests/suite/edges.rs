//! Does the real [`Supervisor`](ostler::Supervisor) take the edges of `spec/WorkerPool.tla`?
//!
//! `graph` asks whether the specification allows what the code does. This module asks the converse.
//! Each slice has a state graph. An edge is a state, an action with its parameters, and the next
//! state. "Every edge" means:
//!
//! - An edge from a settled state is an *input*, which the environment chooses. The code is fed
//!   every input that the slice allows in every state in which the code rests. It must take it: the
//!   test fails otherwise, unless the input is the end of a deadline that does not run.
//! - An edge from any other state is a *decision*, which the pool chooses. The specification allows
//!   several and the code takes one of them. The others are counted, each with the reason why the
//!   code does not take it ([`Reason`]).
//!
//! After each input, the refinement map (`graph_node`) gives the state of the specification that
//! the code is in. The slice must have a path to it, edge by edge, of the actions that the code
//! took. The code has more state than the specification. So an input is fed not once in each state
//! of the slice, but once in each state of the code.
//!
//! The counts are in `tests/edges/`, by slice and by kind of action. A count that changes fails the
//! test, and `UPDATE=1` rewrites it.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use crate::edges_drive::Driven;
use crate::edges_graph::Slice;
use crate::edges_reason::{Coverage, Reason, steps_between_rests};
use crate::spec_pool::SLICES;

/// The code takes every input of the slices in which workers fail, and the counted decisions.
#[test]
fn the_code_takes_the_edges_while_workers_come_and_go() {
    for (slice, _) in &SLICES[..5] {
        assert_pinned(slice);
    }
}

/// The same of the slices with sessions, cancelled calls, sizes, drains and shutdowns.
#[test]
fn the_code_takes_the_edges_while_sessions_and_sizes_change() {
    for (slice, _) in &SLICES[5..] {
        assert_pinned(slice);
    }
}

/// The code takes every input of the slice with every kind of event.
#[test]
#[ignore = "takes many minutes: 142,523 states"]
fn the_code_takes_the_edges_when_everything_happens() {
    let _ = drive("PoolLarge");
}

/// Every slice has its counts, and no other slice has any.
#[test]
fn the_counts_are_those_of_the_slices() {
    let files = fs::read_dir(pins("")).expect("tests/edges/ can be read");
    let mut found: Vec<PathBuf> = files.map(|it| it.expect("an entry").path()).collect();
    let slices = SLICES.iter().map(|(slice, _)| *slice);
    let mut expected: Vec<PathBuf> = slices.map(pins).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Drives the code along a slice, and returns the counts.
fn drive(name: &str) -> String {
    let since = Instant::now();
    let slice = Slice::new(name);
    let built = since.elapsed();
    let driven = Driven::new(&slice);
    let coverage = Coverage::of(&driven);
    let summary = summary(&driven, &coverage);
    println!(
        "{name}: {summary} {} states and {} steps of the code, {:.1} s and {:.1} s",
        driven.nodes,
        driven.steps,
        built.as_secs_f64(),
        (since.elapsed() - built).as_secs_f64(),
    );
    format!("{summary}\n\n{}", coverage.table())
}

fn assert_pinned(name: &str) {
    let found = drive(name);
    let path = pins(name);
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &found).expect("the counts can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        expected,
        "{} differs; `UPDATE=1 cargo test --test suite edges` updates it. Review the diff: an edge \
         that is no longer taken is a behaviour that is no longer tested",
        path.display()
    );
}

/// The file with the counts of a slice; the folder of all if there is no name.
fn pins(slice: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edges");
    match slice {
        "" => folder,
        slice => folder.join(slice).with_extension("txt"),
    }
}

fn summary(driven: &Driven<'_>, coverage: &Coverage) -> String {
    let slice = driven.slice;
    let settled = slice.graph.settled.iter().zip(&driven.visited);
    let settled = settled.filter(|(settled, _)| **settled);
    let edges: usize = slice.graph.edges.iter().map(Vec::len).sum();
    let (allowed, taken) = steps_between_rests(driven);
    format!(
        "the code rests in {} of {} settled states. It takes {} of {edges} edges, and {taken} of \
         the {allowed} steps that are allowed there, from one settled state to the next.",
        settled.clone().filter(|(_, visited)| **visited).count(),
        settled.count(),
        coverage.count(Reason::Taken),
    )
}
