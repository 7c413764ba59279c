//! Checks the properties of a [`Model`], and shows how one is violated.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use tla_checker::ast::{Expr, SafetyProperty, Spec, State, Value};
use tla_checker::checker::{self, CheckResult, format_value};
use tla_checker::eval::{self, EvalContext, make_primed_names};

use super::{Action, Checked, Model};

/// The name that [`join`] gives to its property.
const JOINED: &str = "the properties of steps";

/// A property of steps: its name, and what each step must fulfil.
pub(super) type OfSteps = (Arc<str>, Expr);

/// Joins the properties `[][A]_v`, `[][B]_v` of the same `v` to `[][A /\ B]_v`, and returns each.
///
/// For each property and each step, the checker evaluates `v` before and after the step, and
/// compares them. That takes longer than to evaluate most of the properties themselves.
pub(super) fn join(spec: &mut Spec) -> Vec<OfSteps> {
    let (mut of, mut each) = (None, Vec::new());
    spec.safety_properties.retain(|property| match property {
        SafetyProperty::Action {
            name,
            formula: Expr::BoxAction(action, variables),
        } if of.get_or_insert(variables.clone()) == variables => {
            each.push((name.clone(), (**action).clone()));
            false
        }
        _ => true,
    });
    let all = each.iter().map(|(_, action)| action.clone());
    let all = all.reduce(|a, b| Expr::And(a.into(), b.into()));
    let joined = all.zip(of).map(|(all, of)| SafetyProperty::Action {
        name: JOINED.into(),
        formula: Expr::BoxAction(all.into(), of),
    });
    spec.safety_properties.extend(joined);
    each
}

impl Model {
    /// Checks every listed property. Any outcome but those of [`Checked`] is an error: a search
    /// that was cut short, an expression without a value, a listed property that was not checked.
    pub(crate) fn check(&self) -> Result<Checked, String> {
        match checker::check(&self.spec, &self.domains, &self.config) {
            CheckResult::Ok(stats) => {
                let invariants = self.spec.invariant_names.iter().flatten();
                let checked: HashSet<&Arc<str>> =
                    invariants.chain(&stats.properties_checked).collect();
                match self.listed.iter().find(|name| !checked.contains(name)) {
                    Some(name) => Err(format!("{name} is listed and was not checked")),
                    None => Ok(Checked::Holds {
                        states: stats.states_explored,
                    }),
                }
            }
            CheckResult::InvariantViolation(found, _) => {
                let name = &self.spec.invariant_names[found.violated_invariant];
                let name = name.as_deref().unwrap_or("an invariant without a name");
                Ok(self.violated(name, &found.trace, None))
            }
            CheckResult::PropertyViolation(found, _) => match (&*found.property, &*found.trace) {
                (JOINED, [.., from, to]) => {
                    let broken = self.broken_by(from, to)?;
                    Ok(self.violated(broken, &found.trace, None))
                }
                (name, trace) => Ok(self.violated(name, trace, None)),
            },
            CheckResult::LivenessViolation(found, _) => {
                // The prefix ends with the state that the cycle begins with.
                let mut trace = found.prefix;
                let again = trace.len().saturating_sub(1);
                trace.extend(found.cycle.into_iter().skip(1));
                Ok(self.violated(&found.property, &trace, Some(again)))
            }
            other => Err(format!("no verdict: {other:?}")),
        }
    }

    /// The first joined property that a step violates.
    fn broken_by(&self, from: &State, to: &State) -> Result<&str, String> {
        let mut env = self.env_in(from);
        for (primed, value) in make_primed_names(&self.spec.vars).iter().zip(&to.values) {
            env.insert(primed.clone(), value.clone());
        }
        let context = EvalContext {
            state_vars: self.spec.vars.clone(),
        };
        let broken = self.of_steps.iter().find(|(_, action)| {
            let value = eval::eval_with_context(action, &mut env, &self.definitions, &context);
            matches!(value, Ok(Value::Bool(false)))
        });
        let (name, _) = broken.ok_or("a step violates none of the properties of steps alone")?;
        Ok(name)
    }

    fn violated(&self, property: &str, trace: &[State], again: Option<usize>) -> Checked {
        Checked::Violated {
            property: property.to_owned(),
            trace: self.print(trace, again),
        }
    }

    /// Prints a counterexample: a line for each step, with the action and the variables that it
    /// changed.
    fn print(&self, trace: &[State], again: Option<usize>) -> String {
        let mut out = String::new();
        for (n, state) in trace.iter().enumerate() {
            let before = n.checked_sub(1).map(|m| &trace[m]);
            let action = before.map_or("Init".into(), |before| self.name_step(before, state));
            let changes: Vec<String> = (self.spec.vars.iter().enumerate())
                .filter(|&(v, _)| before.is_none_or(|before| before.values[v] != state.values[v]))
                .map(|(v, name)| format!("{name} = {}", format_value(&state.values[v])))
                .collect();
            let line = format!("{n:4}  {action:24} {}", changes.join(", "));
            writeln!(out, "{}", line.trim_end()).expect("a string can be written to");
        }
        if let (Some(again), Some(last)) = (again, trace.len().checked_sub(1)) {
            if again == last {
                write!(out, "      and nothing more, for ever")
            } else {
                let back = self.name_step(&trace[last], &trace[again]);
                write!(out, "      {back}: again from {again}, for ever")
            }
            .expect("a string can be written to");
        }
        out
    }

    /// The action of a step, or all actions that could have taken it.
    fn name_step(&self, from: &State, to: &State) -> String {
        // An action of an extended module leaves the variables that the extending one adds
        // unassigned, and has no steps there.
        let takes = |action: &&Action| {
            let steps = self.try_steps(&action.expr, from);
            steps.is_ok_and(|steps| steps.contains(to))
        };
        let names: Vec<&str> = (self.actions.iter().filter(takes))
            .map(|action| &*action.name)
            .collect();
        match &*names {
            [] => "(no action)".into(),
            names => names.join(" or "),
        }
    }
}
