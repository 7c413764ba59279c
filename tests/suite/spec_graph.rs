//! The state graph of a slice of `spec/WorkerPool.tla`: every reachable state, and every edge with
//! its action.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use tla_checker::ast::{State, Value};

use crate::spec_files::{disjuncts, module_texts};
use crate::spec_support::{Model, spec_dir};
use crate::trace_names::kind;

/// An action with its parameters, and the state that it leads to. Both by number.
pub(crate) type Edge = (usize, usize);

pub(crate) struct StateGraph {
    /// The actions with their parameters, such as `Grant("c1", 2)`.
    pub(crate) actions: Vec<String>,
    /// The first one is the initial state.
    pub(crate) states: Vec<State>,
    /// Whether the pool is settled in each state.
    pub(crate) settled: Vec<bool>,
    /// The edges from each state: inputs where the pool is settled, and decisions where it is not.
    pub(crate) edges: Vec<Vec<Edge>>,
    numbers: HashMap<State, usize>,
}

impl StateGraph {
    /// The graph of a model with this configuration. A run of the tests explores each once.
    pub(crate) fn of(model: &Model, cfg: &str) -> Arc<Self> {
        type Graphs = BTreeMap<String, Arc<OnceLock<Arc<StateGraph>>>>;
        static KNOWN: Mutex<Graphs> = Mutex::new(BTreeMap::new());
        let known = {
            let mut known = KNOWN.lock().expect("nothing panics under the lock");
            Arc::clone(known.entry(cfg.to_owned()).or_default())
        };
        Arc::clone(known.get_or_init(|| Arc::new(Self::explored(model))))
    }

    fn explored(model: &Model) -> Self {
        let decisions = decisions();
        let actions: Vec<String> = model
            .action_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let by_name: HashMap<String, usize> = (actions.iter().cloned().enumerate())
            .map(|(n, action)| (action, n))
            .collect();
        let [first] = &*model.initial() else {
            panic!("there is one initial state");
        };
        let mut graph = Self {
            actions,
            states: vec![first.clone()],
            settled: Vec::new(),
            edges: Vec::new(),
            numbers: HashMap::from([(first.clone(), 0)]),
        };
        while let Some(state) = graph.states.get(graph.edges.len()).cloned() {
            let settled = model.eval_in(&state, "Settled") == Value::Bool(true);
            let may = |action: &str| {
                let kind = kind(action);
                // `Notice` is a part of both.
                kind == "Replace" || decisions.contains(kind) != settled
            };
            let mut edges = Vec::new();
            for (action, next) in model.steps_in(&state, may) {
                let to = *graph.numbers.entry(next).or_insert_with_key(|next| {
                    graph.states.push(next.clone());
                    graph.states.len() - 1
                });
                edges.push((by_name[action], to));
            }
            graph.settled.push(settled);
            graph.edges.push(edges);
        }
        graph
    }

    /// The number of a state, if the graph has it.
    pub(crate) fn number(&self, state: &State) -> Option<usize> {
        self.numbers.get(state).copied()
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
