//! The specification as a value that tests can query. Only this module runs the model checker.
//!
//! The checker is more lenient than the reference checker, and each leniency could let a test pass
//! that checks nothing. [`Model::load`] rejects what the checker lets pass.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use tla_checker::ast::{Env, Expr, Spec, State, Value};
use tla_checker::checker::{self, CheckerConfig, format_eval_error, format_value};
use tla_checker::config::parse_cfg;
use tla_checker::eval::{self, Definitions, make_primed_names};
use tla_checker::substitution::substitute_expr;
use tla_checker::{load, parser};

pub(crate) use crate::spec_files::{beside_the_spec, spec_dir};
use crate::spec_files::{disjuncts, every, module_texts, read};

#[path = "spec_verdict.rs"]
mod verdict;

use verdict::OfSteps;

/// The result of checking every property that a configuration lists.
#[derive(Debug)]
pub(crate) enum Checked {
    /// All of them hold, in this many distinct states.
    Holds { states: usize },
    /// One of them does not.
    Violated { property: String, trace: String },
}

/// A module with its configuration, ready to be checked or queried.
///
/// The checker keeps module instances per thread, so a test uses its models one after the other.
pub(crate) struct Model {
    spec: Spec,
    domains: Env,
    config: CheckerConfig,
    env: Env,
    definitions: Definitions,
    listed: Vec<Arc<str>>,
    of_steps: Vec<OfSteps>,
    actions: Vec<Action>,
    /// The action formulas that were asked for, by their text.
    formulas: RefCell<HashMap<String, Expr>>,
}

/// A disjunct of `Next`, for one value of each of its quantified variables.
struct Action {
    name: String,
    expr: Expr,
}

impl Model {
    /// Loads `module.tla` and `module.cfg` from `spec/`.
    pub(crate) fn of(module: &str) -> Self {
        Self::with(module, module)
    }

    /// Loads `module.tla` and another configuration from `spec/`.
    pub(crate) fn with(module: &str, cfg: &str) -> Self {
        let path = spec_dir().join(module).with_extension("tla");
        let cfg_path = spec_dir().join(cfg).with_extension("cfg");
        Self::configured(&path, &cfg_path).unwrap_or_else(|problem| panic!("{cfg}: {problem}"))
    }

    /// Loads a module with the configuration beside it.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        Self::configured(path, &path.with_extension("cfg"))
    }

    /// Loads a module, and rejects what the checker would let pass:
    ///
    /// - a definition that does not parse is only a warning, and in an extended module not even
    ///   that;
    /// - the ASSUMEs of extended modules are not evaluated;
    /// - by default, `Nat` ends at 100 and a search at depth 100;
    /// - a configuration that lists no property accepts everything.
    fn configured(path: &Path, cfg: &Path) -> Result<Self, String> {
        let mut prepared =
            load::prepare_from_path(path, Some(cfg), &[]).map_err(|error| error.to_string())?;
        if let Some(warning) = prepared.warnings.first() {
            return Err(format!("the checker warns: {}", warning.value));
        }
        prepared.checker_config.symbolic_integers = true;
        prepared.checker_config.max_depth = usize::MAX;
        eval::set_symbolic_integers(true);
        let (mut env, definitions) = checker::prepare_spec(
            &prepared.spec,
            &prepared.domains,
            Some(&prepared.spec_path),
            true,
        )
        .map_err(|error| format!("{error:?}"))?;
        for (_, body) in definitions.values() {
            if let Expr::Unparsed(unparsed) = body.as_ref() {
                return Err(unparsed.to_string());
            }
        }
        for (module, text) in module_texts(path)? {
            let parsed = parser::parse(&text).map_err(|error| error.to_string())?;
            for assume in parsed.assumes {
                match eval::eval(&assume, &mut env, &definitions) {
                    Ok(Value::Bool(true)) => {}
                    Ok(_) => return Err(format!("an ASSUME of {module} is false")),
                    Err(error) => {
                        let problem = format_eval_error(&error);
                        return Err(format!("an ASSUME of {module} has no value: {problem}"));
                    }
                }
            }
        }
        let cfg = parse_cfg(&read(cfg)?)?;
        let listed = [cfg.invariants, cfg.properties].concat();
        if listed.is_empty() {
            return Err("the configuration lists no property".into());
        }
        let of_steps = verdict::join(&mut prepared.spec);
        let mut model = Self {
            spec: prepared.spec,
            domains: prepared.domains,
            config: prepared.checker_config,
            env,
            definitions,
            listed,
            of_steps,
            actions: Vec::new(),
            formulas: RefCell::default(),
        };
        model.split_next(path)?;
        Ok(model)
    }

    /// The invariants and properties that the configuration lists.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(AsRef::as_ref)
    }

    /// Prints a state, a line for each variable.
    pub(crate) fn tell(&self, state: &State) -> String {
        let lines = self.spec.vars.iter().zip(&state.values);
        lines
            .map(|(name, value)| format!("  {name} = {}\n", format_value(value)))
            .collect()
    }

    /// The value of an expression without variables.
    pub(crate) fn eval(&self, expr: &str) -> Value {
        self.eval_with(expr, self.env.clone())
    }

    /// The value of an expression in a state.
    pub(crate) fn eval_in(&self, state: &State, expr: &str) -> Value {
        self.eval_with(expr, self.env_in(state))
    }

    fn env_in(&self, state: &State) -> Env {
        let mut env = self.env.clone();
        for (name, value) in self.spec.vars.iter().zip(&state.values) {
            env.insert(name.clone(), value.clone());
        }
        env
    }

    /// Whether a predicate holds in a state, where it has a value. The state need not be reachable.
    pub(crate) fn holds(&self, state: &State, predicate: &str) -> Option<bool> {
        match eval::eval(
            &parse(predicate),
            &mut self.env_in(state),
            &self.definitions,
        ) {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        }
    }

    fn eval_with(&self, expr: &str, mut env: Env) -> Value {
        eval::eval(&parse(expr), &mut env, &self.definitions)
            .unwrap_or_else(|error| panic!("{expr}: {}", format_eval_error(&error)))
    }

    /// The states that a step of `action`, any action formula, leads to from `state`.
    pub(crate) fn next(&self, state: &State, action: &str) -> Vec<State> {
        let mut formulas = self.formulas.borrow_mut();
        let unfolded = || self.unfolded(parse(action));
        let formula = formulas.entry(action.to_owned());
        self.steps(formula.or_insert_with(unfolded), state)
    }

    /// The body of a definition with the arguments of a call. Otherwise the checker would put them
    /// there in each state.
    fn unfolded(&self, call: Expr) -> Expr {
        let Expr::FnCall(name, arguments) = &call else {
            return call;
        };
        let Some((parameters, body)) = self.definitions.get(name) else {
            return call;
        };
        let pairs = parameters.iter().cloned().zip(arguments.iter().cloned());
        substitute_expr(body, &pairs.collect::<Vec<_>>())
    }

    fn steps(&self, action: &Expr, state: &State) -> Vec<State> {
        self.try_steps(action, state)
            .unwrap_or_else(|problem| panic!("{action:?}: {problem}"))
    }

    fn try_steps(&self, action: &Expr, state: &State) -> Result<Vec<State>, String> {
        let (vars, mut env) = (&self.spec.vars, self.env.clone());
        let primed = make_primed_names(vars);
        let found = eval::next_states(action, state, vars, &primed, &mut env, &self.definitions);
        let found = found.map_err(|error| format_eval_error(&error))?;
        let states = found.into_iter().map(|transition| transition.state);
        Ok(states.collect())
    }

    /// The state with these values of the variables. It need not be reachable.
    pub(crate) fn state(&self, values: &[(&str, &str)]) -> State {
        let values: BTreeMap<&str, &str> = values.iter().copied().collect();
        let values = self.spec.vars.iter().map(|name| {
            let value = values.get(&**name);
            self.eval(value.unwrap_or_else(|| panic!("{name} is not given")))
        });
        State {
            values: values.collect(),
        }
    }

    /// The initial states.
    pub(crate) fn initial(&self) -> Vec<State> {
        let init = self.spec.init.as_ref().expect("the module has an Init");
        eval::init_states(init, &self.spec.vars, &self.env, &self.definitions)
            .unwrap_or_else(|error| panic!("Init: {}", format_eval_error(&error)))
    }

    /// The steps from `state` in the actions whose names `may` accepts, each with its action.
    pub(crate) fn steps_in(&self, state: &State, may: impl Fn(&str) -> bool) -> Vec<(&str, State)> {
        let mut steps = Vec::new();
        for action in self.actions.iter().filter(|action| may(&action.name)) {
            let found = self.steps(&action.expr, state).into_iter();
            steps.extend(found.map(|next| (&*action.name, next)));
        }
        steps
    }

    /// Every reachable state, and the names of the actions that are taken.
    pub(crate) fn explore(&self) -> (Vec<State>, BTreeSet<&str>) {
        let mut taken = BTreeSet::new();
        let mut states = self.initial();
        let mut seen: HashSet<State> = states.iter().cloned().collect();
        let mut unexplored: VecDeque<State> = states.iter().cloned().collect();
        while let Some(state) = unexplored.pop_front() {
            for action in &self.actions {
                for next in self.steps(&action.expr, &state) {
                    taken.insert(&*action.name);
                    if seen.insert(next.clone()) {
                        states.push(next.clone());
                        unexplored.push_back(next);
                    }
                }
            }
        }
        (states, taken)
    }

    /// The names of all actions.
    pub(crate) fn action_names(&self) -> BTreeSet<&str> {
        self.actions.iter().map(|action| &*action.name).collect()
    }

    /// Finds the actions in the text of `Next`: in the parsed definition they are unfolded and have
    /// no names.
    fn split_next(&mut self, path: &Path) -> Result<(), String> {
        for disjunct in disjuncts(&module_texts(path)?, "Next").ok_or("no module has a Next")? {
            let actions = self.instances(&disjunct)?;
            self.actions.extend(actions);
        }
        Ok(())
    }

    /// The instances of `\E c \in S, w \in T : Grant(c, w)` for each `c` and `w`. A disjunct
    /// without a quantifier is its own.
    fn instances(&self, disjunct: &str) -> Result<Vec<Action>, String> {
        let Some(quantified) = disjunct.strip_prefix("\\E ") else {
            let (name, expr) = (disjunct.to_owned(), self.unfolded(parse(disjunct)));
            return Ok(vec![Action { name, expr }]);
        };
        let problem = || format!("`{disjunct}` is not one quantified action");
        let (bounds, call) = quantified.split_once(" : ").ok_or_else(problem)?;
        let (action, parameters) = call.split_once('(').ok_or_else(problem)?;
        let mut tuples: Vec<Vec<String>> = vec![Vec::new()];
        let mut bound = Vec::new();
        for part in bounds.split(", ") {
            let (name, set) = part.split_once(" \\in ").ok_or_else(problem)?;
            let set = every(name).unwrap_or(set);
            bound.push(name);
            let values: Vec<String> = elements(&self.eval(set)).iter().map(format_value).collect();
            let longer = |t: &Vec<String>| -> Vec<Vec<String>> {
                values
                    .iter()
                    .map(|v| [&t[..], std::slice::from_ref(v)].concat())
                    .collect()
            };
            tuples = tuples.iter().flat_map(longer).collect();
        }
        if parameters != format!("{})", bound.join(", ")) {
            return Err(problem());
        }
        let call = |values: Vec<String>| format!("{action}({})", values.join(", "));
        let names = tuples.into_iter().map(call);
        Ok(names
            .map(|name| Action {
                expr: self.unfolded(parse(&name)),
                name,
            })
            .collect())
    }
}

fn parse(expr: &str) -> Expr {
    parser::parse_expr(expr).unwrap_or_else(|error| panic!("{expr}: {error}"))
}

/// The elements of a set or a sequence.
pub(crate) fn elements(value: &Value) -> Vec<Value> {
    match value {
        Value::Set(set) => set.iter().cloned().collect(),
        Value::Tuple(tuple) => tuple.to_vec(),
        other => panic!("{} is neither a set nor a sequence", format_value(other)),
    }
}

/// The text of a string value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => panic!("{} is not a string", format_value(other)),
    }
}
