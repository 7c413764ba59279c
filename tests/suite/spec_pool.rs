//! Does the specification of the pool have its properties, and is all of it reached?
//!
//! It is checked in slices: each configuration includes some kinds of events, and as few workers,
//! clients and sessions as they need. `PoolLarge` combines all kinds, on request.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use tla_checker::ast::{State, Value};

use crate::spec_checks::{assert_same, properties_by_kind};
use crate::spec_graph::StateGraph;
use crate::spec_support::{Checked, Model, spec_dir};
use crate::trace_names::kind;

/// The slices and their numbers of distinct states. A change of the specification changes these
/// numbers, or nothing.
pub(crate) const SLICES: [(&str, usize); 17] = [
    ("PoolRolling", 765),
    ("PoolKept", 1033),
    ("PoolKeptClosed", 1093),
    ("PoolQueue", 1870),
    ("PoolReplacing", 2058),
    ("PoolCrashLoop", 1655),
    ("PoolBeside", 1469),
    ("PoolProbes", 1150),
    ("PoolStuck", 1224),
    ("PoolResized", 1153),
    ("PoolRegrown", 2235),
    ("PoolSessions", 1969),
    ("PoolTwoSessions", 5577),
    ("PoolLosses", 2466),
    ("PoolCancels", 3193),
    ("PoolCancelsDrained", 2646),
    ("PoolDrained", 1118),
];

/// Slices that take too long for every run.
const ON_REQUEST: [(&str, usize); 2] = [("PoolMarked", 7594), ("PoolLarge", 142_523)];

/// The number of states of `WorkerPoolLives`.
pub(crate) const LIVES: usize = 5240;

/// Every property holds while workers fail to start, crash, fault and are replaced, and while the
/// pool is resized.
#[test]
fn every_property_holds_while_workers_come_and_go() {
    assert_hold(&SLICES[..11]);
}

/// Every property holds while sessions come and go, calls are cancelled, and the pool is drained
/// and shut down.
#[test]
fn every_property_holds_while_sessions_come_and_go() {
    assert_hold(&SLICES[11..]);
}

/// A worker of a pool behaves as `WorkerLifecycle` allows.
#[test]
fn a_worker_of_the_pool_refines_its_lifecycle() {
    assert_eq!(states_of(&Model::of("WorkerPoolLives")), LIVES);
}

/// Every property holds in the slices that take long, and when every kind of event may happen.
#[test]
#[ignore = "takes minutes: 142,523 states"]
fn every_property_holds_when_everything_happens() {
    assert_hold(&ON_REQUEST);
}

/// Every slice lists every property that the module defines, except that a slice without fairness
/// claims no liveness.
///
/// A property of states is listed as an invariant: as a temporal property, the checker would
/// evaluate it in the initial state only.
#[test]
fn every_slice_lists_every_property() {
    let [states, steps, liveness] = properties_by_kind("WorkerPool");
    let mut slices = BTreeSet::new();
    for (slice, _) in SLICES.iter().chain(&ON_REQUEST) {
        let text = cfg_of(slice);
        let (rest, properties) = text
            .split_once("\nPROPERTIES\n")
            .expect("it has properties");
        let (_, invariants) = rest
            .split_once("\nINVARIANTS\n")
            .expect("it has invariants");
        let listed = |part: &str| part.split_whitespace().map(str::to_owned).collect();
        assert_same(
            &listed(invariants),
            &states,
            &format!("invariants of {slice}"),
        );
        let expected = match claims_liveness(slice) {
            true => steps.union(&liveness).cloned().collect(),
            false => steps.clone(),
        };
        assert_same(
            &listed(properties),
            &expected,
            &format!("properties of {slice}"),
        );
        slices.insert(format!("{slice}.cfg"));
    }
    let files = fs::read_dir(spec_dir()).expect("spec/ can be read");
    let names = files.map(|file| file.expect("spec/ can be read").file_name());
    let names = names.map(|name| name.into_string().expect("a name is text"));
    let pools = names.filter(|name| name.starts_with("Pool") && name.ends_with(".cfg"));
    assert_same(&slices, &pools.collect(), "slices that are checked");
}

/// Nothing is assumed of starts: wherever liveness is claimed, each way to fail is possible for the
/// first worker. Otherwise fairness would force its start to succeed.
#[test]
fn a_start_may_fail_wherever_liveness_is_claimed() {
    let mut claiming = 0;
    for (slice, _) in SLICES {
        if !claims_liveness(slice) {
            continue;
        }
        claiming += 1;
        let model = Model::with("WorkerPool", slice);
        let first = model.initial().remove(0);
        let started = model.next(&first, "Start(1)").remove(0);
        for failure in [
            "StartFailed(1)",
            "StartFailedForGood(1)",
            "StartElapsed(1)",
            "ExitedAtStart(1)",
        ] {
            let possible = !model.next(&started, failure).is_empty();
            assert!(possible, "{slice} claims liveness, but not {failure}");
        }
    }
    assert_eq!(claiming, 10, "slices that claim liveness");
}

/// Whether the properties of a slice include those of liveness, which need fairness.
fn claims_liveness(slice: &str) -> bool {
    let text = cfg_of(slice);
    let specification = text.lines().nth(1).expect("it has a second line");
    match specification {
        "SPECIFICATION Spec" => true,
        "SPECIFICATION SafetySpec" => false,
        other => panic!("{slice}: {other}"),
    }
}

fn cfg_of(slice: &str) -> String {
    let path = spec_dir().join(slice).with_extension("cfg");
    fs::read_to_string(path).expect("the configuration can be read")
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
                "InCrashLoop /\\ queue # << >>",
                "phase[1] = \"Terminated\" /\\ phase[2] = \"Ready\" /\\ stage = \"Open\"",
                "\\E w \\in replacing : phase[w] = \"Ready\" /\\ failed > 0",
                // A replacement failed, and the worker that it was for is kept: its backoff has no
                // vacancy.
                "backoff = size /\\ Count(Staff) = size",
            ],
        ),
        (
            "PoolKeptClosed",
            &[
                "restart = \"closed\" /\\ stage = \"Draining\"",
                "restart = \"closed\" /\\ stage = \"Closed\"",
                "stage = \"Closed\"",
            ],
        ),
        (
            "PoolBeside",
            &["failed = CrashLoop /\\ In({\"Busy\"}) # {} /\\ Len(queue) = MaxWaiting /\\ Settled"],
        ),
        (
            "PoolProbes",
            &[
                "Probed \\cap replacing # {}",
                "Probed # {} /\\ intake = \"Drained\"",
                "\\E w \\in Probed : phase[w] = \"Finishing\"",
            ],
        ),
        (
            "PoolCancels",
            &[
                "\\E w \\in Cancelling : phase[w] = \"Finishing\" /\\ HasSession(w)",
                "\\E w \\in Cancelling : phase[w] = \"Stopping\"",
                "Cancelling # {} /\\ stage = \"Draining\" /\\ queue # << >>",
                "\\E w \\in Workers : phase[w] = \"Stopping\" /\\ rung[w] = \"Term\" /\\ stage = \"Open\"",
            ],
        ),
        (
            "PoolCancelsDrained",
            &["Cancelling # {} /\\ intake = \"Draining\" /\\ queue = << >>"],
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
        // The last one has many states, and takes no action that the others do not.
        (
            "PoolTwoSessions",
            &[
                "\\E s, t \\in Sessions : session[s] = \"bound\" /\\ session[t] = \"bound\" /\\ home[s] # home[t]",
                "\\E c \\in Waiting : asked[c] \\in Sessions /\\ session[asked[c]] = \"unbound\" /\\ In({\"Lingering\"}) # {} /\\ Settled",
            ],
        ),
    ] {
        let model = Model::with("WorkerPool", slice);
        let graph = graph_of(slice);
        for predicate in expected {
            let reached = (graph.states.iter()).any(|state| holds(&model, state, predicate));
            assert!(reached, "{slice}: no state with {predicate}");
        }
        let kinds: Vec<&str> = graph.actions.iter().map(|action| kind(action)).collect();
        let edges = graph.edges.iter().flatten();
        taken.extend(edges.map(|(action, _)| kinds[*action].to_owned()));
        actions.extend(kinds.into_iter().map(str::to_owned));
    }
    assert_same(&taken, &actions, "actions that are taken");
}

/// `Settled` holds exactly when no action of `Settle` is possible.
#[test]
fn settled_means_nothing_to_settle() {
    for slice in [
        "PoolDrained",
        "PoolCancels",
        "PoolKept",
        "PoolKeptClosed",
        "PoolResized",
    ] {
        let model = Model::with("WorkerPool", slice);
        for state in &graph_of(slice).states {
            let settled = holds(&model, state, "Settled");
            let idle = model.next(state, "Settle").is_empty();
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

/// The state graph of a slice.
pub(crate) fn graph_of(slice: &str) -> Arc<StateGraph> {
    StateGraph::of(&Model::with("WorkerPool", slice), &cfg_of(slice))
}
