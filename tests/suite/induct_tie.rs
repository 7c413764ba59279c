//! Does the proof translate the specification correctly? In small pools, where everything is known,
//! the translated actions and clauses are compared with the checker's, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tla_checker::ast::State;

use crate::induct::{CONSEQUENCES, OWN, STRENGTHENING, source};
use crate::induct_formula::FALSE;
use crate::induct_source::Source;
use crate::induct_state::{Known, Translator};
use crate::induct_value::{SORTS, Scope, Set, Sort, Value};
use crate::spec_pool::{SLICES, graph_of};
use crate::spec_support::{Model, elements};

/// How many states of each slice are compared.
const SAMPLE: usize = 20;

/// In small pools, where everything is known, the proof reads the specification as the checker
/// does:
///
/// - The clauses that only the proof states hold in every reachable state of every slice.
/// - From some of them, each translated action leads to the same states as the action itself. Only
///   the order of the queue is not compared.
/// - In these, and in mixtures of two, each clause and each consequence has the truth value that
///   the checker gives it.
#[test]
fn induct_translation_agrees_with_the_checker() {
    let source = source();
    let clauses = source.conjuncts("Inductive");
    let (mut actions, mut steps) = (0, 0);
    let mut compared = BTreeMap::from([(true, 0), (false, 0)]);
    for (slice, count) in SLICES {
        let model = Model::with("WorkerPoolProof", slice);
        let reachable = &graph_of(slice).states;
        assert_eq!(reachable.len(), count, "{slice}");
        // The other clauses are properties of `WorkerPool`, which `spec_pool` checks.
        let own = STRENGTHENING.iter().map(|(clause, _)| *clause).chain(OWN);
        let own: Vec<&str> = own.collect();
        let own = own.join(" /\\ ");
        for state in reachable.iter() {
            let holds = model.holds(state, &own);
            assert_eq!(
                holds,
                Some(true),
                "{slice}: {own} in\n{}",
                model.tell(state)
            );
        }
        let sample: Vec<&State> = reachable.iter().step_by(count.div_ceil(SAMPLE)).collect();
        for state in &sample {
            let mut t = Translator::of(&source, known(&model, &source, state));
            for action in t.actions() {
                let mut translated = BTreeSet::new();
                for step in t.steps(&action) {
                    assert_eq!(
                        step.condition.known(),
                        Some(true),
                        "{slice}: {}",
                        action.label
                    );
                    translated.insert(describe(&mut t, &step.after.into_iter().collect()));
                }
                let found = model.next(state, &action.text()).into_iter();
                let found: BTreeSet<_> = found
                    .map(|next| description(&model, &source, &next))
                    .collect();
                assert_eq!(
                    translated,
                    found,
                    "{slice}: {} in\n{}",
                    action.label,
                    model.tell(state)
                );
                actions += 1;
                steps += found.len();
            }
        }
        let mixed = sample
            .iter()
            .enumerate()
            .map(|(n, state)| mix(n, state, &sample));
        for state in sample.iter().map(|state| (*state).clone()).chain(mixed) {
            let mut t = Translator::of(&source, known(&model, &source, &state));
            for clause in clauses.iter().map(|clause| &**clause).chain(CONSEQUENCES) {
                // A mixture may have no value, such as the phase of no worker.
                let Some(expected) = model.holds(&state, clause) else {
                    continue;
                };
                let translated = t.truth(source.definition(clause), &Scope::default());
                assert_eq!(
                    translated.known(),
                    Some(expected),
                    "{slice}: {clause} in\n{}",
                    model.tell(&state)
                );
                *compared.entry(expected).or_default() += 1;
            }
        }
    }
    println!(
        "induction: the translation agrees with the checker on {actions} actions in states, {steps} steps, \
         {} true and {} false clauses",
        compared[&true], compared[&false]
    );
    assert!(
        compared[&false] > 50,
        "{} clauses were false",
        compared[&false]
    );
}

/// A state with the value of one variable in another state.
fn mix(n: usize, state: &State, others: &[&State]) -> State {
    let mut mixed = state.clone();
    let variable = n % mixed.values.len();
    let other = &others[(31 * n + 17) % others.len()];
    mixed.values[variable] = other.values[variable].clone();
    mixed
}

fn known(model: &Model, source: &Source, state: &State) -> Known {
    let constants = source
        .constants()
        .iter()
        .filter(|name| source.table(name).is_none());
    let constants = constants.map(|name| (name.clone(), model.eval(name)));
    let variables = source
        .variables()
        .iter()
        .cloned()
        .zip(state.values.iter().cloned());
    Known {
        elements: SORTS.map(|sort| elements(&model.eval(&format!("{sort:?}")))),
        values: constants.chain(variables).collect(),
    }
}

fn description(model: &Model, source: &Source, state: &State) -> String {
    let mut t = Translator::of(source, known(model, source, state));
    let variables = source.variables().iter();
    let values = variables
        .map(|name| (name.clone(), t.variable(name)))
        .collect();
    describe(&mut t, &values)
}

/// The values of all variables, of a queue only its members and its length.
fn describe<'a>(t: &mut Translator<'a>, values: &BTreeMap<Arc<str>, Value<'a>>) -> String {
    let mut out = String::new();
    for (name, value) in values {
        let parts = match value {
            Value::Function(function) => {
                let sort = t.sort_of(name);
                let elements = t.candidates(&Set::All(sort)).0;
                elements
                    .iter()
                    .map(|element| one(&t.apply(function, &element.value)))
                    .collect()
            }
            Value::Set(set) => {
                let within = t.within(name);
                let elements = t.candidates(&within).0;
                elements
                    .iter()
                    .map(|element| one(&Value::Truth(t.contains(set, &element.value))))
                    .collect()
            }
            Value::Queue(queue) => {
                let clients = t.candidates(&Set::All(Sort::Clients)).0;
                let members = Set::Members(queue.clone());
                let mut parts: Vec<String> = clients
                    .iter()
                    .map(|client| one(&Value::Truth(t.contains(&members, &client.value))))
                    .collect();
                parts.push(one(&t.length(queue)));
                parts
            }
            other => vec![one(other)],
        };
        out += &format!("{name}: {}\n", parts.join(", "));
    }
    out
}

/// The text of a value that is known.
fn one(value: &Value<'_>) -> String {
    match value {
        Value::Truth(lit) => lit.known().expect("a known truth value").to_string(),
        Value::Number(cases) => {
            let mut cases = cases.iter().filter(|(_, lit)| *lit != FALSE);
            let known = cases.next().and_then(|(sum, _)| sum.known());
            known.expect("a known number").to_string()
        }
        Value::Atom(cases) => {
            let mut cases = cases.iter().filter(|(_, lit)| *lit != FALSE);
            cases.next().expect("a case").0.to_string()
        }
        other => panic!("{other:?} has parts"),
    }
}
