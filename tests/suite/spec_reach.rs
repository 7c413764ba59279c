//! Is all of the specification of a worker reached?
//!
//! A property of unreachable states holds and means nothing. So each phase, each action and each
//! cell of the table is shown to be reached, and each refused cell is shown not to be.

use std::collections::{BTreeMap, BTreeSet};

use tla_checker::ast::State;

use crate::spec_checks::{STATES, assert_same, names};
use crate::spec_support::{Model, elements, text};

/// The test's own search finds as many states as the checker.
#[test]
fn the_search_and_the_checker_agree() {
    let (states, _) = Model::of("WorkerLifecycle").explore();
    assert_eq!(states.len(), STATES);
}

/// Every phase, rung, timer and state of the port is reached.
#[test]
fn every_value_is_reached() {
    let model = Model::of("WorkerLifecycle");
    let (states, _) = model.explore();
    for (values, variable) in [
        ("Phases", "{phase}"),
        (r#"RungSet \cup {"none"}"#, "{rung}"),
        ("Timers", "timers"),
        (r#"Alive \cup {"exited", "released"}"#, "{port}"),
        (
            r#"{ Facts[n] : n \in 1..Len(Facts) }"#,
            "{ pending[n] : n \\in 1..Len(pending) }",
        ),
        ("BOOLEAN", "{sessions}"),
        ("{0, 1}", "{leases}"),
    ] {
        let reached: BTreeSet<_> = states
            .iter()
            .flat_map(|state| elements(&model.eval_in(state, variable)))
            .collect();
        let expected: BTreeSet<_> = elements(&model.eval(values)).into_iter().collect();
        assert_same(&reached, &expected, variable);
    }
}

/// Every action is taken in some state.
#[test]
fn every_action_is_taken() {
    let model = Model::of("WorkerLifecycle");
    let (_, taken) = model.explore();
    assert_same(&taken, &model.action_names(), "actions that are taken");
}

/// Each transition and each stale cell is reached, and no refused cell is (L2, L10).
#[test]
fn reachable_cells_are_those_not_refused() {
    let model = Model::of("WorkerLifecycle");
    let told = told("phase", &model);
    let mut wrong = Vec::new();
    for phase in names(&model, "PhaseOrder") {
        for input in names(&model, "InputOrder") {
            let cell = text(&model.eval(&format!("Cell[\"{phase}\"][\"{input}\"]")));
            match (told[&input].contains(&phase), &*cell) {
                (true, "-") => wrong.push(format!("{phase} x {input} is refused and is reached")),
                (false, cell) if cell != "-" => {
                    wrong.push(format!("{phase} x {input} is {cell} and is never reached"));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The inputs that reach each rung. The table does not distinguish rungs and could be stricter: a
/// port exits only before Reap and is released only on it.
#[test]
fn inputs_that_reach_each_rung() {
    let model = Model::of("WorkerLifecycle");
    let told = told("rung", &model);
    let found: Vec<String> = names(&model, "InputOrder")
        .iter()
        .map(|input| {
            let rungs = names(&model, "Rungs");
            let rungs = rungs.iter().filter(|rung| told[input].contains(*rung));
            let rungs: Vec<&str> = rungs.map(String::as_str).collect();
            format!("{input}: {}", rungs.join(" "))
        })
        .collect();
    assert_eq!(
        found,
        [
            "Started: Ask Term Kill",
            "StartFailed: Ask Term Kill",
            "StartElapsed: Ask Term Kill Reap",
            "Checkout: ",
            "Checkin: Ask Term Kill Reap",
            "Fault: Ask Term Kill Reap",
            "Retire: Ask Term Kill Reap",
            "SessionsEnded: Ask Term Kill Reap",
            "DrainElapsed: Ask Term Kill Reap",
            "RungElapsed: Ask Term Kill Reap",
            "Exited: Ask Term Kill",
            "Released: Reap",
            "Abandoned: Kill Reap",
        ]
    );
}

/// For each input, the values of `variable` in the states in which the worker can be fed it.
fn told(variable: &str, model: &Model) -> BTreeMap<String, BTreeSet<String>> {
    let (states, _) = model.explore();
    let told_in = |input: &String| {
        let action = format!("Feed(\"{input}\")");
        let possible = |state: &&State| !model.next(state, &action).is_empty();
        let values = states.iter().filter(possible);
        values.map(|s| text(&model.eval_in(s, variable))).collect()
    };
    let inputs = names(model, "InputOrder").into_iter();
    inputs
        .map(|input| (input.clone(), told_in(&input)))
        .collect()
}
