//! Does the specification of the pool have its properties, and is all of it reached?
//!
//! It is checked in slices: each configuration includes some kinds of events, and as few workers,
//! clients and sessions as they need. `PoolLarge` combines all kinds, on request.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs;

use tla_checker::ast::{State, Value};

use crate::spec_checks::properties_of;
use crate::spec_support::{Checked, Model, assert_same, spec_dir};

/// The slices and their numbers of distinct states. A change of the specification changes these
/// numbers, or nothing.
pub(crate) const SLICES: [(&str, usize); 11] = [
    ("PoolRolling", 748),
    ("PoolKept", 2565),
    ("PoolQueue", 1870),
    ("PoolReplacing", 2038),
    ("PoolCrashLoop", 1655),
    ("PoolSessions", 4886),
    ("PoolLosses", 4613),
    ("PoolCancels", 2359),
    ("PoolStuck", 796),
    ("PoolResized", 2797),
    ("PoolDrained", 611),
];

/// The number of states of `WorkerPoolLives`.
pub(crate) const LIVES: usize = 5240;

/// Every property holds while workers fail to start, crash, fault and are replaced.
#[test]
fn every_property_holds_while_workers_come_and_go() {
    assert_hold(&SLICES[..5]);
}

/// Every property holds while sessions come and go, calls are cancelled, and the pool is resized,
/// drained and shut down.
#[test]
fn every_property_holds_while_sessions_and_sizes_change() {
    assert_hold(&SLICES[5..]);
}

/// A worker of a pool behaves as `WorkerLifecycle` allows.
#[test]
fn a_worker_of_the_pool_refines_its_lifecycle() {
    assert_holds(&Model::of("WorkerPoolLives"), LIVES);
}

/// Every property holds when every kind of event may happen.
#[test]
#[ignore = "takes minutes: 142,523 states"]
fn every_property_holds_when_everything_happens() {
    assert_holds(&Model::with("WorkerPool", "PoolLarge"), 142_523);
}

/// Every slice lists every property that the module defines.
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

/// Every action is taken in some slice, and each slice reaches the states that it is for.
#[test]
fn every_action_is_taken() {
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
                "rolling = {1, 2} /\\ phase[3] = \"Initializing\"",
                "rolling = {2} /\\ phase[1] = \"Stopping\" /\\ phase[3] = \"Ready\"",
                "Count(In({\"Terminated\"})) = 2 /\\ Count(In({\"Ready\"})) = 2 /\\ stage = \"Open\"",
            ],
        ),
        (
            "PoolKept",
            &[
                "\\E w \\in rolling : phase[w] = \"Busy\"",
                "restart = \"closed\" /\\ stage = \"Draining\"",
                "restart = \"closed\" /\\ stage = \"Closed\"",
                "InCrashLoop /\\ queue # << >>",
                "phase[1] = \"Terminated\" /\\ phase[2] = \"Ready\" /\\ stage = \"Open\"",
                "\\E w \\in replacing : phase[w] = \"Ready\" /\\ failed > 0",
                // A replacement failed, and the worker that it was for is kept: its backoff has no
                // vacancy.
                "backoff = size /\\ Count(Staff) = size",
                "stage = \"Closed\"",
            ],
        ),
        (
            "PoolCancels",
            &[
                "\\E w \\in Cancelling : phase[w] = \"Finishing\" /\\ HasSession(w)",
                "\\E w \\in Cancelling : phase[w] = \"Stopping\"",
                "Cancelling # {} /\\ intake = \"Draining\" /\\ queue = << >>",
                "Cancelling # {} /\\ stage = \"Draining\" /\\ queue # << >>",
                "\\E w \\in Workers : phase[w] = \"Stopping\" /\\ rung[w] = \"Term\" /\\ stage = \"Open\"",
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
            "PoolStuck",
            &[
                "Abandoned # {} /\\ stage = \"Closed\"",
                "\\E w \\in Abandoned : port[w] = \"open\" /\\ IsHeld(w)",
                "Count(Abandoned) = size /\\ \\E w \\in Workers : rung[w] = \"Kill\"",
                "Count(Abandoned) = size /\\ \\E w \\in Workers : rung[w] = \"Reap\"",
                "\\E w \\in Abandoned : port[w] = \"exited\" /\\ stage = \"Open\" /\\ Count(In(Serving)) = size",
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
            "PoolDrained",
            &[
                "intake = \"Draining\" /\\ queue # << >>",
                "intake = \"Resumed\"",
                "intake = \"Drained\" /\\ \\E s \\in Sessions : session[s] = \"bound\"",
                "stage = \"Draining\" /\\ queue # << >> /\\ In(Draining) # {}",
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

/// `Settled` holds exactly when no action of `Settle` is possible.
#[test]
fn settled_means_nothing_to_settle() {
    for slice in ["PoolDrained", "PoolCancels", "PoolKept", "PoolResized"] {
        let model = Model::with("WorkerPool", slice);
        for state in reachable(&model) {
            let settled = holds(&model, &state, "Settled");
            let idle = model.next(&state, "Settle").is_empty();
            assert_eq!(settled, idle, "{slice}: {state:?}");
        }
    }
}

/// Shows the numbers of all slices, for a change of the specification.
fn assert_hold(slices: &[(&str, usize)]) {
    let states = |slice| states_of(&Model::with("WorkerPool", slice));
    let found: Vec<_> = (slices.iter().map(|(slice, _)| (*slice, states(slice)))).collect();
    assert_eq!(found, slices);
}

fn assert_holds(model: &Model, expected: usize) {
    assert_eq!(states_of(model), expected, "states");
}

/// The number of distinct states. Panics if a property is violated.
fn states_of(model: &Model) -> usize {
    match model.check() {
        Ok(Checked::Holds { states }) => states,
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
