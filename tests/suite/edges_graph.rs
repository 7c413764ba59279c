//! The state graph of a slice of `spec/WorkerPool.tla`: every state, and every edge with its
//! action.

use std::collections::{BTreeSet, HashMap};

use ostler::Policy;
use tla_checker::ast::{State, Value};

use crate::counterexample::policy;
use crate::spec_checks::write_module;
use crate::spec_files::{disjuncts, module_texts, read};
use crate::spec_support::{Model, beside_the_spec, elements, spec_dir};
use crate::trace_names::kind;

/// An action with its parameters, and the state that it leads to. Both by number.
pub(crate) type Edge = (usize, usize);

pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) model: Model,
    /// The policy of a pool that does what the slice allows.
    pub(crate) policy: Policy,
    /// The actions with their parameters, such as `Grant("c1", 2)`.
    pub(crate) actions: Vec<String>,
    /// The first one is the initial state.
    pub(crate) states: Vec<State>,
    /// Whether the pool is settled in each state.
    pub(crate) settled: Vec<bool>,
    /// The edges from each state: inputs where the pool is settled, and decisions where it is not.
    pub(crate) edges: Vec<Vec<Edge>>,
    /// How many workers there can ever be.
    pub(crate) workers: usize,
    numbers: HashMap<State, usize>,
}

impl Slice {
    pub(crate) fn new(name: &str) -> Self {
        let (model, policy) = model(name);
        let decisions = decisions();
        let actions: Vec<String> = model
            .action_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let numbers: HashMap<String, usize> = (actions.iter().cloned().enumerate())
            .map(|(n, action)| (action, n))
            .collect();
        let [first] = &*model.initial() else {
            panic!("{name} has one initial state");
        };
        let mut slice = Self {
            name: name.to_owned(),
            workers: elements(&model.eval("Workers")).len(),
            states: vec![first.clone()],
            settled: Vec::new(),
            edges: Vec::new(),
            actions: Vec::new(),
            numbers: HashMap::from([(first.clone(), 0)]),
            model,
            policy,
        };
        while let Some(state) = slice.states.get(slice.edges.len()).cloned() {
            let settled = slice.model.eval_in(&state, "Settled") == Value::Bool(true);
            let may = |action: &str| {
                let kind = kind(action);
                // `Notice` is a part of both.
                kind == "Replace" || decisions.contains(kind) != settled
            };
            let mut edges = Vec::new();
            for (action, next) in slice.model.steps_in(&state, may) {
                let to = *slice.numbers.entry(next).or_insert_with_key(|next| {
                    slice.states.push(next.clone());
                    slice.states.len() - 1
                });
                edges.push((numbers[action], to));
            }
            slice.settled.push(settled);
            slice.edges.push(edges);
        }
        slice.actions = actions;
        slice
    }

    /// The number of a state, if the slice has it.
    pub(crate) fn number(&self, state: &State) -> Option<usize> {
        self.numbers.get(state).copied()
    }

    /// Whether the slice includes this kind of events.
    pub(crate) fn may(&self, happen: &str) -> bool {
        self.model.eval(&format!("\"{happen}\" \\in Happens")) == Value::Bool(true)
    }

    /// Whether the code leaves the slice by this action. When the deadline of a last rung passes,
    /// the code abandons the port, and most slices have no abandoned ports: the deadline passes
    /// there as often as it likes, and changes nothing.
    pub(crate) fn leaves(&self, at: usize, action: &str) -> bool {
        let worker = action.strip_prefix("RungElapsed(");
        let worker = worker.and_then(|worker| worker.strip_suffix(')'));
        worker.is_some_and(|w| {
            !self.may("Stuck") && self.holds(at, &format!("rung[{w}] \\in LastRungs"))
        })
    }

    pub(crate) fn holds(&self, at: usize, predicate: &str) -> bool {
        self.model.eval_in(&self.states[at], predicate) == Value::Bool(true)
    }

    /// The number of elements of a set.
    pub(crate) fn count(&self, set: &str) -> usize {
        elements(&self.model.eval(set)).len()
    }

    pub(crate) fn tell(&self, at: usize) -> String {
        self.model.tell(&self.states[at])
    }
}

/// The kinds of actions that are decisions of the pool.
pub(crate) fn decisions() -> BTreeSet<String> {
    let texts = module_texts(&spec_dir().join("WorkerPool.tla")).expect("the module can be read");
    let settle = disjuncts(&texts, "Settle").expect("the module defines Settle");
    let action = |disjunct: &String| {
        let action = disjunct.rsplit(" : ").next().unwrap_or_default();
        kind(action).to_owned()
    };
    settle.iter().map(action).collect()
}

/// The slice. A real pool has a surge of at least 1, so one without surge gets that, and no
/// shutdown, which would make it five times as large.
fn model(slice: &str) -> (Model, Policy) {
    let cfg = read(&spec_dir().join(slice).with_extension("cfg")).expect("the slice can be read");
    let cfg = match cfg.split_once("Surge       = 0") {
        Some((before, after)) => {
            format!("{before}Surge = 1{}", after.replace(", \"Shutdown\"", ""))
        }
        None => cfg,
    };
    let policy = policy(&cfg).expect("the slice has every constant");
    let path = write_module("edges", &format!("Edges{slice}"), "WorkerPool", "", &cfg);
    let model = Model::load(&beside_the_spec(&path));
    (
        model.unwrap_or_else(|problem| panic!("{slice}: {problem}")),
        policy,
    )
}
