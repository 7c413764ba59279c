//! Do the specification and the code have the same transition table?
//!
//! The tests evaluate every cell on both sides: the specification's table and its `React`, as its
//! configuration binds them, and the real machine. They spell the answers alike and compare them in
//! both directions.

use std::collections::HashMap;

use ostler::worker::{Effect, Input, Phase, Rung};
use tla_checker::ast::{State, Value};

use crate::derived_table::{Cell, Table, Verdict};
use crate::spec_checks::names;
use crate::spec_support::{Model, elements, text};

/// Questions and answers, in the order asked.
type Answers = Vec<(String, String)>;

/// Specification and machine have the same transitions, refusals and stale inputs, cell by cell
/// (T4, L1, L2).
#[test]
fn the_table_of_the_spec_is_the_table_of_the_code() {
    let model = Model::of("WorkerLifecycle");
    let mut spec = Answers::new();
    for phase in names(&model, "PhaseOrder") {
        for input in names(&model, "InputOrder") {
            let cell = match &*text(&model.eval(&format!("Cell[\"{phase}\"][\"{input}\"]"))) {
                "~" => "stale".to_owned(),
                "-" => "refused".to_owned(),
                to => to.to_owned(),
            };
            spec.push((format!("{phase} x {input}"), cell));
        }
    }
    let table = Table::derive();
    let mut code = Answers::new();
    for phase in Phase::ALL {
        for input in Input::ALL {
            let cell = match table.verdict(*phase, *input) {
                Verdict::Moves(to) => to.name(),
                Verdict::Stale => "stale",
                Verdict::Refused => "refused",
            };
            code.push((format!("{phase} x {input}"), cell.to_owned()));
        }
    }
    assert_eq!(spec.len(), 91);
    agree(&spec, &code);
}

/// Specification and machine take the same rung in every transition, and the machine orders the
/// rung that it takes.
#[test]
fn the_ladder_of_the_spec_is_the_ladder_of_the_code() {
    let model = Model::of("WorkerLifecycle");
    let spec = each_reaction(&model, |after| text(&model.eval_in(after, "rung")));
    let code = each_transition(|state, input, cell| {
        let ordered = cell.effects.iter().find_map(|effect| match effect {
            Effect::Stop(rung) => Some(*rung),
            _ => None,
        });
        assert_eq!(
            ordered, cell.after.1,
            "{state:?} x {input}: the machine must order the rung that it takes"
        );
        cell.after.1.map_or("none", Rung::name).to_owned()
    });
    agree(&spec, &code);
}

/// Specification and machine start the same timers in every transition (L17: each rung has its own
/// deadline).
#[test]
fn the_deadlines_of_the_spec_are_the_timers_of_the_code() {
    let model = Model::of("WorkerLifecycle");
    // Each reaction begins without timers, so every timer afterwards was started by the transition.
    let spec = each_reaction(&model, |after| {
        let timers = elements(&model.eval_in(after, "timers"));
        spell_timers(timers.iter().map(text).collect())
    });
    let code = each_transition(|_, _, cell| {
        let started = cell.effects.iter().filter_map(|effect| match effect {
            Effect::StartTimer(timer) => Some(timer.name().to_owned()),
            _ => None,
        });
        spell_timers(started.collect())
    });
    agree(&spec, &code);
}

/// Every difference between two tables is reported with its cell, in both directions.
#[test]
fn a_difference_is_named() {
    let answers = |of: &[(&str, &str)]| -> Answers {
        of.iter()
            .map(|(q, a)| ((*q).to_owned(), (*a).to_owned()))
            .collect()
    };
    let spec = answers(&[
        ("Ready x Checkout", "Busy"),
        ("Busy x Fault", "Stopping"),
        ("Busy x Checkout", "refused"),
        ("Stopping x Retire", "stale"),
        ("Stopping x Rest", "stale"),
    ]);
    let code = answers(&[
        ("Busy x Checkout", "stale"),
        ("Busy x Fault", "Ready"),
        ("Ready x Checkout", "Busy"),
        ("Stopping x Retire", "refused"),
        ("Stopping x Kick", "Ready"),
    ]);
    assert_eq!(
        differences(&spec, &code),
        [
            "Busy x Fault: spec says Stopping, code says Ready",
            "Busy x Checkout: spec says refused, code says stale",
            "Stopping x Retire: spec says stale, code says refused",
            "Stopping x Rest: spec says stale, code says nothing",
            "Stopping x Kick: spec says nothing, code says Ready",
        ]
    );
    assert!(differences(&spec, &spec).is_empty());
}

fn agree(spec: &Answers, code: &Answers) {
    let differences = differences(spec, code);
    assert!(
        differences.is_empty(),
        "the specification and the code differ:\n{}",
        differences.join("\n")
    );
}

fn differences(spec: &Answers, code: &Answers) -> Vec<String> {
    let of_spec: HashMap<&String, &String> = spec.iter().map(|(q, a)| (q, a)).collect();
    let of_code: HashMap<&String, &String> = code.iter().map(|(q, a)| (q, a)).collect();
    let only_code = code.iter().filter(|(q, _)| !of_spec.contains_key(q));
    let questions = spec.iter().chain(only_code).map(|(question, _)| question);
    let says = |answers: &HashMap<&String, &String>, question| {
        answers
            .get(question)
            .map_or("nothing".to_owned(), |a| (*a).clone())
    };
    questions
        .filter(|question| of_spec.get(question) != of_code.get(question))
        .map(|question| {
            let (spec, code) = (says(&of_spec, question), says(&of_code, question));
            format!("{question}: spec says {spec}, code says {code}")
        })
        .collect()
}

/// Applies `answer` to the state after each transition of the specification, from every phase and
/// rung.
fn each_reaction(model: &Model, answer: impl Fn(&State) -> String) -> Answers {
    let mut answers = Answers::new();
    for phase in names(model, "PhaseOrder") {
        let rungs = match &*phase {
            "Stopping" => names(model, "Rungs"),
            _ => vec!["none".to_owned()],
        };
        for rung in rungs {
            for input in names(model, "InputOrder") {
                let before = model.state(&[
                    ("phase", &format!("\"{phase}\"")),
                    ("rung", &format!("\"{rung}\"")),
                    ("timers", "{}"),
                    ("port", "\"open\""),
                    ("pending", "<< >>"),
                    ("leases", "0"),
                    ("sessions", "FALSE"),
                ]);
                if model.eval_in(&before, &format!("Moves(\"{input}\")")) == Value::Bool(false) {
                    continue;
                }
                let after = model.next(&before, &format!("React(\"{input}\") /\\ Unmoved"));
                assert_eq!(after.len(), 1, "{phase} x {input} has one outcome");
                let rung = (rung != "none").then_some(&*rung);
                answers.push((question(&phase, rung, &input), answer(&after[0])));
            }
        }
    }
    answers
}

/// Applies `answer` to each transition of the machine, from every phase and rung.
fn each_transition(answer: impl Fn((Phase, Option<Rung>), Input, &Cell) -> String) -> Answers {
    let table = Table::derive();
    let mut answers = Answers::new();
    for state in table.states() {
        for input in Input::ALL {
            let cell = table.cell(state, *input).expect("the table has the cell");
            if matches!(cell.verdict, Verdict::Moves(_)) {
                let question = question(state.0.name(), state.1.map(Rung::name), input.name());
                answers.push((question, answer(state, *input, cell)));
            }
        }
    }
    answers
}

fn question(phase: &str, rung: Option<&str>, input: &str) -> String {
    match rung {
        Some(rung) => format!("{phase}({rung}) x {input}"),
        None => format!("{phase} x {input}"),
    }
}

fn spell_timers(timers: Vec<String>) -> String {
    match &*timers {
        [] => "no timer".to_owned(),
        timers => timers.join(" and "),
    }
}
