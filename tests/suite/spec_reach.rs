//! Does everything that the specification speaks of happen?
//!
//! A property of a state that is never reached holds, and means nothing. So each phase, each action and each cell of
//! the table is shown to be reached, and each refused cell not to be.

use std::collections::{BTreeMap, BTreeSet};

use tla_checker::ast::State;

use crate::spec_checks::STATES;
use crate::spec_support::{Model, assert_same, elements, names, text};

/// The test's own search finds the states that the checker counts.
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

/// Every action is taken somewhere.
#[test]
fn every_action_is_taken() {
    let model = Model::of("WorkerLifecycle");
    let (_, taken) = model.explore();
    assert_same(&taken, &model.action_names(), "actions that are taken");
}

/// Each transition and each stale cell is reached, and no cell that is refused (L2, L10).
#[test]
fn what_can_happen_is_what_the_table_does_not_refuse() {
    let model = Model::of("WorkerLifecycle");
    let told = told("phase", &model);
    let mut wrong = Vec::new();
    for phase in names(&model, "PhaseOrder") {
        for input in names(&model, "InputOrder") {
            let cell = text(&model.eval(&format!("Cell[\"{phase}\"][\"{input}\"]")));
            match (told[&input].contains(&phase), &*cell) {
                (true, "-") => wrong.push(format!("{phase} x {input} is refused, and can happen")),
                (false, cell) if cell != "-" => {
                    wrong.push(format!("{phase} x {input} is {cell}, and can never happen"));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What can happen on each rung. The table does not tell rungs apart; this shows where it could be stricter: a port is
/// released only on Reap, and exits only before.
#[test]
fn what_can_happen_on_each_rung() {
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
        ]
    );
}

/// For each input, the values of `variable` in the states in which the worker can be told it.
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
