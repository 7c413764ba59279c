//! The steps of an action: each is a condition, and the value of every variable after it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tla_checker::ast::Expr;

use crate::induct_formula::{FALSE, Lit, TRUE};
use crate::induct_state::Translator;
use crate::induct_value::{Atom, Scope, Set, Value};

/// One way to take an action.
#[derive(Clone)]
pub(crate) struct Step<'a> {
    pub(crate) condition: Lit,
    pub(crate) after: HashMap<Arc<str>, Value<'a>>,
    /// The values of the quantified variables in front of the action.
    pub(crate) parameters: Vec<Value<'a>>,
    /// How many names of each sort the parameters use.
    pub(crate) used: [usize; 3],
}

impl Default for Step<'_> {
    fn default() -> Self {
        Self {
            condition: TRUE,
            after: HashMap::new(),
            parameters: Vec::new(),
            used: [0; 3],
        }
    }
}

/// A disjunct of `Next`, with the conditions in front of it.
pub(crate) struct Action<'a> {
    pub(crate) label: &'a str,
    conditions: Vec<&'a Expr>,
    formula: &'a Expr,
}

impl Action<'_> {
    /// Its text in the specification. An input needs a pool that is settled.
    pub(crate) fn text(&self) -> String {
        match self.conditions.len() {
            0 => self.label.to_owned(),
            _ => format!("Settled /\\ ({})", self.label),
        }
    }
}

impl<'a> Translator<'a> {
    /// The disjuncts of `Next`.
    pub(crate) fn actions(&self) -> Vec<Action<'a>> {
        let source = self.source;
        let mut found = Vec::new();
        flatten(source.definition("Next"), &mut Vec::new(), &mut found);
        assert_eq!(
            found.len(),
            source.actions.len(),
            "the disjuncts of Next have names"
        );
        let named = found.into_iter().zip(&source.actions);
        let actions = named.map(|((conditions, formula), label)| Action {
            label,
            conditions,
            formula,
        });
        actions.collect()
    }

    pub(crate) fn steps(&mut self, action: &Action<'a>) -> Vec<Step<'a>> {
        let mut steps = vec![Step::default()];
        for condition in &action.conditions {
            steps = self.take_all(condition, &Scope::default(), steps);
        }
        self.complete(action.formula, steps)
    }

    /// The initial states, as steps from nowhere.
    pub(crate) fn initial(&mut self) -> Vec<Step<'a>> {
        let mut after = HashMap::new();
        let mut conjuncts = vec![self.source.definition("Init")];
        while let Some(conjunct) = conjuncts.pop() {
            match conjunct {
                Expr::And(a, b) => conjuncts.extend([&**a, &**b]),
                Expr::Eq(variable, value) => match &**variable {
                    Expr::Var(name) => {
                        let value = self.eval(value, &Scope::default());
                        after.insert(name.clone(), value);
                    }
                    other => panic!("Init: {other:?} is not a variable"),
                },
                other => panic!("Init: {other:?} is not an equation"),
            }
        }
        vec![Step {
            after,
            ..Step::default()
        }]
    }

    fn complete(&mut self, formula: &'a Expr, steps: Vec<Step<'a>>) -> Vec<Step<'a>> {
        let steps = self.take_all(formula, &Scope::default(), steps);
        for step in &steps {
            for variable in self.source.variables() {
                assert!(
                    step.after.contains_key(variable),
                    "{variable}' is not given by {formula:?}"
                );
            }
        }
        steps
    }

    fn take_all(
        &mut self,
        expr: &'a Expr,
        scope: &Scope<'a>,
        steps: Vec<Step<'a>>,
    ) -> Vec<Step<'a>> {
        let mut all = Vec::new();
        for step in steps {
            all.extend(self.take(expr, scope, step));
        }
        all
    }

    /// Continues a step with a part of its action.
    fn take(&mut self, expr: &'a Expr, scope: &Scope<'a>, step: Step<'a>) -> Vec<Step<'a>> {
        if !has_primes(expr) {
            self.after.clone_from(&step.after);
            let condition = self.truth(expr, scope);
            return self.where_holds(condition, step);
        }
        match expr {
            Expr::And(a, b) => {
                let steps = self.take(a, scope, step);
                self.take_all(b, scope, steps)
            }
            Expr::Or(a, b) => {
                let mut steps = self.take(a, scope, step.clone());
                steps.extend(self.take(b, scope, step));
                steps
            }
            Expr::If(condition, yes, no) => {
                let condition = self.truth(condition, scope);
                let mut steps = Vec::new();
                for (condition, branch) in [(condition, yes), (!condition, no)] {
                    let branches = self.where_holds(condition, step.clone());
                    steps.extend(self.take_all(branch, scope, branches));
                }
                steps
            }
            Expr::Let(name, value, body) => {
                let value = self.eval(value, scope);
                self.take(body, &scope.with(name, value), step)
            }
            Expr::Exists(name, set, body) => {
                let set = self.eval_set(set, scope);
                let mut steps = Vec::new();
                for (value, step) in self.choose(&set, step) {
                    steps.extend(self.take(body, &scope.with(name, value), step));
                }
                steps
            }
            Expr::Eq(variable, value) => match &**variable {
                Expr::Prime(name) if !step.after.contains_key(name) => {
                    let value = self.eval(value, scope);
                    let mut step = step;
                    step.after.insert(name.clone(), value);
                    vec![step]
                }
                other => panic!("{other:?} is not the new value of a variable"),
            },
            Expr::In(variable, set) => match &**variable {
                Expr::Prime(name) if !step.after.contains_key(name) => {
                    let set = self.eval_set(set, scope);
                    self.one_of_set(name, &set, step)
                }
                other => panic!("{other:?} is not the new value of a variable"),
            },
            other => panic!("{other:?} is not a part of an action"),
        }
    }

    /// `ENABLED` of an action.
    pub(crate) fn is_enabled(&mut self, action: &'a Expr, scope: &Scope<'a>) -> Lit {
        let after = std::mem::take(&mut self.after);
        let steps = self.take(action, scope, Step::default());
        self.after = after;
        let conditions = steps.into_iter().map(|step| step.condition);
        conditions.fold(FALSE, |any, condition| self.formulas.or(any, condition))
    }

    fn where_holds(&mut self, condition: Lit, mut step: Step<'a>) -> Vec<Step<'a>> {
        step.condition = self.formulas.and(step.condition, condition);
        if step.condition == FALSE {
            Vec::new()
        } else {
            vec![step]
        }
    }

    /// The steps in which a variable becomes an element of a set.
    fn one_of_set(&mut self, name: &Arc<str>, set: &Set<'a>, step: Step<'a>) -> Vec<Step<'a>> {
        match set {
            Set::Listed(values) => {
                let one = |value: &Value<'a>| {
                    let mut step = step.clone();
                    step.after.insert(name.clone(), value.clone());
                    step
                };
                values.iter().map(one).collect()
            }
            Set::Choice(condition, yes, no) => {
                let mut steps = Vec::new();
                for (condition, set) in [(*condition, yes), (!*condition, no)] {
                    for step in self.where_holds(condition, step.clone()) {
                        steps.extend(self.one_of_set(name, set, step));
                    }
                }
                steps
            }
            other => panic!("{name}' is in {other:?}"),
        }
    }

    /// The values of a quantified variable of an action. An element gets a name that no other one
    /// has.
    fn choose(&mut self, set: &Rc<Set<'a>>, step: Step<'a>) -> Vec<(Value<'a>, Step<'a>)> {
        let (candidates, complete) = self.candidates(set);
        let sort = candidates
            .iter()
            .find_map(|candidate| match candidate.rest[..] {
                [sort] => Some(sort),
                _ => None,
            });
        let values: Vec<Value<'a>> = match sort {
            Some(sort) => vec![Value::atom(Atom::Element(sort, step.used[sort as usize]))],
            None if complete => candidates
                .into_iter()
                .map(|candidate| candidate.value)
                .collect(),
            // A size.
            None => vec![candidates[0].value.clone()],
        };
        let mut chosen = Vec::new();
        for value in values {
            let mut step = step.clone();
            if let Some(sort) = sort {
                // Two parameters may be the same element, and two names are not.
                assert_eq!(
                    step.used[sort as usize], 0,
                    "an action has one parameter of a sort"
                );
                step.used[sort as usize] += 1;
            }
            let is_in = self.contains(set, &value);
            step.parameters.push(value.clone());
            chosen.extend(
                self.where_holds(is_in, step)
                    .into_iter()
                    .map(|step| (value.clone(), step)),
            );
        }
        chosen
    }
}

/// The disjuncts of an action, each with the conditions that are conjoined to several.
fn flatten<'a>(
    expr: &'a Expr,
    conditions: &mut Vec<&'a Expr>,
    found: &mut Vec<(Vec<&'a Expr>, &'a Expr)>,
) {
    match expr {
        Expr::Or(a, b) => {
            flatten(a, conditions, found);
            flatten(b, conditions, found);
        }
        Expr::And(condition, b) if matches!(**b, Expr::Or(..)) && has_primes(b) => {
            conditions.push(condition);
            flatten(b, conditions, found);
            conditions.pop();
        }
        action => found.push((conditions.clone(), action)),
    }
}

fn has_primes(expr: &Expr) -> bool {
    format!("{expr:?}").contains("Prime(")
}
