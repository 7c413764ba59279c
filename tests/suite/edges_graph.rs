//! A slice of `spec/WorkerPool.tla` as a pool: its state graph, and its policy.

use std::sync::Arc;

use ostler::Policy;
use tla_checker::ast::Value;

use crate::counterexample::policy;
use crate::spec_checks::write_module;
use crate::spec_files::read;
use crate::spec_graph::StateGraph;
use crate::spec_support::{Model, beside_the_spec, elements, spec_dir};

pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) model: Model,
    /// The policy of a pool that does what the slice allows.
    pub(crate) policy: Policy,
    pub(crate) graph: Arc<StateGraph>,
    /// How many workers there can ever be.
    pub(crate) workers: usize,
}

impl Slice {
    pub(crate) fn new(name: &str) -> Self {
        let (model, policy, cfg) = model(name);
        Self {
            name: name.to_owned(),
            workers: elements(&model.eval("Workers")).len(),
            graph: StateGraph::of(&model, &cfg),
            model,
            policy,
        }
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
        self.model.eval_in(&self.graph.states[at], predicate) == Value::Bool(true)
    }

    /// The number of elements of a set.
    pub(crate) fn count(&self, set: &str) -> usize {
        elements(&self.model.eval(set)).len()
    }

    pub(crate) fn tell(&self, at: usize) -> String {
        self.model.tell(&self.graph.states[at])
    }
}

/// The slice. A real pool has a surge of at least 1, so one without surge gets that, and no
/// shutdown, which would make it five times as large.
fn model(slice: &str) -> (Model, Policy, String) {
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
    let model = model.unwrap_or_else(|problem| panic!("{slice}: {problem}"));
    (model, policy, cfg)
}
