//! Does the specification of the pool have the properties that it claims, and does what it speaks of happen?
//!
//! It is checked in slices: each configuration lets another part of the world happen, to as few workers, clients and
//! sessions as that takes. What no slice combines is in `PoolLarge`, on request.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs;

use tla_checker::ast::{State, Value};

use crate::spec_checks::properties_of;
use crate::spec_support::{Checked, Model, assert_same, spec_dir};

/// The slices and how many distinct states each has. A change of the specification changes these, or changes nothing.
pub(crate) const SLICES: [(&str, usize); 8] = [
    ("PoolQueue", 1288),
    ("PoolReplacing", 1257),
    ("PoolRolling", 1280),
    ("PoolCrashLoop", 1583),
    ("PoolSessions", 2571),
    ("PoolLosses", 1493),
    ("PoolResized", 1887),
    ("PoolPaused", 366),
];

/// As many has the module in which a worker of a pool is followed through its life.
pub(crate) const LIVES: usize = 1144;

/// Every property holds while workers fail to start, crash, are faulty, and are replaced.
#[test]
fn every_property_holds_while_workers_come_and_go() {
    for (slice, states) in &SLICES[..4] {
        assert_holds(&Model::with("WorkerPool", slice), *states);
    }
}

/// Every property holds while sessions come and go, and while the pool is resized, paused and shut down.
#[test]
fn every_property_holds_while_sessions_and_sizes_change() {
    for (slice, states) in &SLICES[4..] {
        assert_holds(&Model::with("WorkerPool", slice), *states);
    }
}

/// A worker of a pool goes through no life that `WorkerLifecycle` does not allow: it is the same machine.
#[test]
fn a_worker_of_the_pool_lives_by_its_table() {
    assert_holds(&Model::of("WorkerPoolLives"), LIVES);
}

/// Every property holds when everything may happen at once.
#[test]
#[ignore = "takes more than a minute: 13,308 states"]
fn every_property_holds_when_everything_happens() {
    assert_holds(&Model::with("WorkerPool", "PoolLarge"), 13_308);
}

/// A property that is written down and not listed in some slice would not be checked there: there is none.
#[test]
fn every_slice_lists_every_property() {
    let written = properties_of("WorkerPool");
    for slice in SLICES.iter().map(|(slice, _)| *slice).chain(["PoolLarge"]) {
        let model = Model::with("WorkerPool", slice);
        let listed = model.listed().map(str::to_owned).collect();
        assert_same(&listed, &written, &format!("properties of {slice}"));
    }
    let files = fs::read_dir(spec_dir()).expect("spec/ can be read");
    let names = files.map(|file| file.expect("spec/ can be read").file_name());
    let pools = names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("Pool") && name.ends_with(".cfg")
    });
    assert_eq!(pools.count(), SLICES.len() + 1, "slices that are checked");
}

/// Every action is taken in one slice or another, and what is said to happen in a slice happens there.
#[test]
fn everything_that_is_spoken_of_happens() {
    let mut taken = BTreeSet::new();
    let mut actions = BTreeSet::new();
    for (slice, expected) in [
        (
            "PoolQueue",
            &[
                "Len(queue) > MaxWaiting",
                "\\E l \\in leases : phase[l[2]] = \"Terminated\"",
                "\\E l \\in leases : phase[l[2]] = \"Finishing\"",
            ][..],
        ),
        (
            "PoolRolling",
            &[
                "InCrashLoop /\\ queue # << >>",
                "phase[1] = \"Terminated\" /\\ phase[2] = \"Ready\" /\\ stage = \"Open\"",
                "\\E w \\in marked : phase[w] = \"Ready\" /\\ failed > 0",
                // A replacement failed, and the mark that it was for was taken back: a position is held back that is filled.
                "cooling = size /\\ Count(Staff) = size",
                "stage = \"Closed\"",
            ],
        ),
        (
            "PoolLosses",
            &[
                "\\E s \\in Sessions : session[s] = \"lost\"",
                "\\E s \\in Sessions : SessionIsLost(s) /\\ WaitedFor(s)",
                "\\E w \\in Workers : phase[w] = \"Lingering\" /\\ HasSession(w)",
                "\\E w \\in Workers : phase[w] = \"Finishing\" /\\ HasSession(w)",
                "<< Monitor, 1 >> \\in leases /\\ phase[1] = \"Stopping\"",
            ],
        ),
        (
            "PoolResized",
            &[
                "Count(Ports) > size + Surge",
                "Count(Staff) > size",
                "Count(In(Serving)) = 2",
            ],
        ),
        (
            "PoolPaused",
            &[
                "intake = \"Paused\" /\\ queue # << >>",
                "intake = \"Drained\" /\\ \\E s \\in Sessions : session[s] = \"bound\"",
                "stage = \"Closing\" /\\ queue # << >> /\\ In(Draining) # {}",
            ],
        ),
    ] {
        let model = Model::with("WorkerPool", slice);
        let states = reachable(&model);
        for predicate in expected {
            let reached = states.iter().any(|state| holds(&model, state, predicate));
            assert!(reached, "{slice}: no state with {predicate}");
        }
        for name in model.action_names() {
            let kind = name.split('(').next().unwrap_or(name).to_owned();
            actions.insert(kind.clone());
            if !taken.contains(&kind) && states.iter().any(|s| !model.next(s, name).is_empty()) {
                taken.insert(kind);
            }
        }
    }
    assert_same(&taken, &actions, "actions that are taken");
}

/// A pool is `Settled` when it has nothing left to do by itself, and only then.
#[test]
fn settled_is_having_nothing_to_settle() {
    for slice in ["PoolPaused", "PoolResized"] {
        let model = Model::with("WorkerPool", slice);
        for state in reachable(&model) {
            let settled = holds(&model, &state, "Settled");
            let idle = model.next(&state, "Settle").is_empty();
            assert_eq!(settled, idle, "{slice}: {state:?}");
        }
    }
}

fn assert_holds(model: &Model, expected: usize) {
    match model.check() {
        Ok(Checked::Holds { states }) => assert_eq!(states, expected, "states"),
        Ok(Checked::Violated { property, trace }) => panic!("{property} is violated:\n{trace}"),
        Err(problem) => panic!("{problem}"),
    }
}

fn holds(model: &Model, state: &State, predicate: &str) -> bool {
    match model.eval_in(state, predicate) {
        Value::Bool(holds) => holds,
        other => panic!("{predicate} is {other:?}"),
    }
}

/// Every reachable state.
fn reachable(model: &Model) -> Vec<State> {
    let mut states = model.initial();
    let mut seen: HashSet<State> = states.iter().cloned().collect();
    let mut unexplored: VecDeque<State> = states.iter().cloned().collect();
    while let Some(state) = unexplored.pop_front() {
        for next in model.next(&state, "Next") {
            if seen.insert(next.clone()) {
                states.push(next.clone());
                unexplored.push_back(next);
            }
        }
    }
    states
}
