//! Goals: what must hold after a step, or in it.
//!
//! When a goal is false, some elements make it false: those that its quantifiers range over. They
//! get names after those of the action's parameters, so only named elements need to be looked at.

use std::rc::Rc;

use tla_checker::ast::Expr;

use crate::induct_actions::Step;
use crate::induct_formula::{FALSE, Lit, Model, Prover, TRUE};
use crate::induct_sets::Candidate;
use crate::induct_state::Translator;
use crate::induct_value::{Atom, Queue, SORTS, Scope, Set, Sort, Value};

/// A number of names of each sort.
type Used = [usize; 3];

impl<'a> Translator<'a> {
    /// Searches for a model of a step in which a goal is false.
    pub(crate) fn search(
        &mut self,
        prover: &mut Prover,
        step: &Step<'a>,
        goal: &'a Expr,
    ) -> Option<Model> {
        let free = minus(self.names, step.used);
        let (holds, used) = self.goal(goal, &Scope::default(), true, free);
        if holds == TRUE {
            return None;
        }
        let mut assumed = vec![step.condition, !holds];
        assumed.extend(self.reached(plus(step.used, used)));
        self.compare_counts(prover, &[step.condition]);
        let found = prover.model(&self.formulas, &assumed)?;
        if !self.thorough {
            return Some(found);
        }
        // More may follow if the goal is false.
        self.compare_counts(prover, &assumed);
        self.witnessed(prover, &assumed).ok()
    }

    /// A goal as a formula, where an element that makes it false has a name. `positive` tells
    /// whether the goal is false when this expression is. At most `free` names are used.
    fn goal(
        &mut self,
        expr: &'a Expr,
        scope: &Scope<'a>,
        positive: bool,
        free: Used,
    ) -> (Lit, Used) {
        match expr {
            // Names for what `Settled` says exists would be taken from those of the goal.
            expr if self.is_settled(expr) => self.exactly(expr, scope),
            Expr::Not(a) => {
                let (a, used) = self.goal(a, scope, !positive, free);
                (!a, used)
            }
            Expr::And(a, b) | Expr::Or(a, b) | Expr::Implies(a, b) => {
                let is_and = matches!(expr, Expr::And(..));
                let flips = matches!(expr, Expr::Implies(..));
                // A conclusion gets its names first: it says more of them than a condition does.
                let (first, second) = if flips { (b, a) } else { (a, b) };
                let (first, used) = self.goal(first, scope, positive, free);
                // When both parts must be false at once, their elements need names of their own.
                let left = if is_and == positive {
                    free
                } else {
                    minus(free, used)
                };
                let (second, more) = self.goal(second, scope, positive != flips, left);
                let used = if is_and == positive {
                    most(used, more)
                } else {
                    plus(used, more)
                };
                let lit = match is_and {
                    true => self.formulas.and(first, second),
                    false if flips => self.formulas.implies(second, first),
                    false => self.formulas.or(first, second),
                };
                (lit, used)
            }
            Expr::Forall(name, set, body) if positive => {
                let set = self.eval_set(set, scope);
                let named = self.named(&set, free, |t, value, free| {
                    let scope = scope.with(name, value);
                    let (lit, used) = t.goal(body, &scope, positive, free);
                    // The body itself is false, too.
                    let exact = if t.thorough {
                        t.truth(body, &scope)
                    } else {
                        lit
                    };
                    (!t.formulas.or(lit, exact), used)
                });
                named.map_or_else(|| self.exactly(expr, scope), |(some, used)| (!some, used))
            }
            Expr::Exists(name, set, body) if !positive => {
                let set = self.eval_set(set, scope);
                let named = self.named(&set, free, |t, value, free| {
                    t.goal(body, &scope.with(name, value), positive, free)
                });
                named.unwrap_or_else(|| self.exactly(expr, scope))
            }
            Expr::Let(name, value, body) => {
                let value = self.eval(value, scope);
                self.goal(body, &scope.with(name, value), positive, free)
            }
            Expr::Subset(a, b) if positive => {
                let (a, b) = (self.eval_set(a, scope), self.eval_set(b, scope));
                let outside = self.named(&a, free, |t, value, _| (!t.contains(&b, &value), [0; 3]));
                outside.map_or_else(|| self.exactly(expr, scope), |(some, used)| (!some, used))
            }
            Expr::Eq(a, b) if positive => self.equal_sets(expr, a, b, scope, free),
            Expr::Neq(a, b) if !positive => self.equal_sets(expr, a, b, scope, free),
            Expr::In(a, set) if positive => {
                let (value, set) = (self.eval(a, scope), self.eval_set(set, scope));
                let (Set::Functions(domain, range), Value::Function(function)) = (&*set, &value)
                else {
                    return (self.contains(&set, &value), [0; 3]);
                };
                let outside = self.named(domain, free, |t, at, _| {
                    let image = t.apply(function, &at);
                    (!t.contains(range, &image), [0; 3])
                });
                outside.map_or_else(|| self.exactly(expr, scope), |(some, used)| (!some, used))
            }
            _ => self.exactly(expr, scope),
        }
    }

    fn exactly(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> (Lit, Used) {
        (self.truth(expr, scope), [0; 3])
    }

    /// `a = b` or `a # b`, where a difference has a name.
    fn equal_sets(
        &mut self,
        expr: &'a Expr,
        a: &'a Expr,
        b: &'a Expr,
        scope: &Scope<'a>,
        free: Used,
    ) -> (Lit, Used) {
        let (Value::Set(a), Value::Set(b)) = (self.eval(a, scope), self.eval(b, scope)) else {
            return self.exactly(expr, scope);
        };
        let below = self.named(&a, free, |t, value, _| (!t.contains(&b, &value), [0; 3]));
        let above = self.named(&b, free, |t, value, _| (!t.contains(&a, &value), [0; 3]));
        let (Some((below, used)), Some((above, more))) = (below, above) else {
            return self.exactly(expr, scope);
        };
        let differ = self.formulas.or(below, above);
        let lit = if matches!(expr, Expr::Eq(..)) {
            !differ
        } else {
            differ
        };
        (lit, most(used, more))
    }

    /// Whether some named element of a set has a property; `None` when names may be missing.
    fn named(
        &mut self,
        set: &Rc<Set<'a>>,
        free: Used,
        mut has: impl FnMut(&mut Self, Value<'a>, Used) -> (Lit, Used),
    ) -> Option<(Lit, Used)> {
        let (candidates, complete) = self.candidates(set);
        let mut needs = [0; 3];
        for candidate in &candidates {
            for sort in SORTS {
                let rest = candidate.rest.iter().filter(|of| **of == sort).count();
                needs[sort as usize] = rest.max(needs[sort as usize]);
            }
        }
        let fits = SORTS
            .iter()
            .all(|sort| needs[*sort as usize] <= free[*sort as usize]);
        if !complete || !fits {
            return None;
        }
        let (mut any, mut used) = (FALSE, [0; 3]);
        // An element without a name so far gets the next one.
        let names = plus(minus(self.names, free), needs);
        for Candidate { value, rest } in candidates {
            if rest.is_empty() && is_below(&value, names) {
                let is_in = self.contains(set, &value);
                let (has, more) = has(self, value, minus(free, needs));
                let one = self.formulas.and(is_in, has);
                any = self.formulas.or(any, one);
                used = most(used, more);
            }
        }
        Some((any, plus(used, needs)))
    }

    /// Conditions on which elements have names. A variable leads from used elements to others,
    /// which have names too, as long as there are names left. No other element has one.
    fn reached(&mut self, used: Used) -> Vec<Lit> {
        let mut next = used;
        let mut conditions = Vec::new();
        // `has` tells whether there is an element to reach, and `is` whether a given element is the
        // one. That element has a name already, or it gets the next one.
        let mut reach = |t: &mut Self,
                         sort: Sort,
                         has: Lit,
                         is: &mut dyn FnMut(&mut Self, &Value<'a>) -> Lit| {
            let slot = next[sort as usize];
            if slot == t.names[sort as usize] {
                return;
            }
            next[sort as usize] += 1;
            let mut named = FALSE;
            for index in 0..=slot {
                let is = is(t, &Value::atom(Atom::Element(sort, index)));
                if index == slot {
                    let exists = t.exists[sort as usize][slot];
                    conditions.push(t.formulas.implies(exists, is));
                }
                named = t.formulas.or(named, is);
            }
            conditions.push(t.formulas.implies(has, named));
        };
        for (from, variable, to) in [
            (Sort::Sessions, "home", Sort::Workers),
            (Sort::Clients, "asked", Sort::Sessions),
        ] {
            for index in 0..used[from as usize] {
                let value = self.state_value(variable, &[Atom::Element(from, index)]);
                let has = self.contains(&Set::All(to), &value);
                reach(self, to, has, &mut |t, element| t.equal(&value, element));
            }
        }
        let queue = Rc::new(Queue::State);
        let length = self.length(&queue);
        let last = self.at(&queue, &length);
        let waiting = Rc::new(Set::Members(queue));
        let has = self.some_element(&waiting, &mut |_, _| TRUE);
        reach(self, Sort::Clients, has, &mut |t, client| {
            let (is_last, waits) = (t.equal(&last, client), t.contains(&waiting, client));
            t.formulas.and(is_last, waits)
        });
        for variable in ["rolling", "replacing"] {
            let set = Rc::new(Set::State(variable.into()));
            let has = self.some_element(&set, &mut |_, _| TRUE);
            reach(self, Sort::Workers, has, &mut |t, worker| {
                t.contains(&set, worker)
            });
        }
        for sort in SORTS {
            let names = next[sort as usize]..self.names[sort as usize];
            let exists = &self.exists[sort as usize][names];
            conditions.extend(exists.iter().map(|exists| !*exists));
        }
        conditions
    }

    /// Of the rest, no more have one property than another that follows from it.
    fn compare_counts(&mut self, prover: &mut Prover, conditions: &[Lit]) {
        let condition = self.formulas.all(conditions.iter().copied());
        for i in 0..self.counted.len() {
            for j in 0..self.counted.len() {
                let ((sort, a, fewer), (of, b, more)) =
                    (self.counted[i].clone(), self.counted[j].clone());
                if i == j || sort != of || !self.compared.insert((condition, a, b)) {
                    continue;
                }
                let assumed = [condition, self.witness_exists(sort), a, !b];
                if prover.excludes(&self.formulas, &assumed) {
                    let at_most = self.formulas.at_most_zero(fewer.plus(&more, -1));
                    let fact = self.formulas.implies(condition, at_most);
                    prover.assume(&self.formulas, fact);
                }
            }
        }
    }
}

/// Whether each element in a value is one of the first names.
fn is_below(value: &Value<'_>, names: Used) -> bool {
    match value {
        Value::Tuple(parts) => parts.iter().all(|part| is_below(part, names)),
        value => value.atoms().is_none_or(|cases| {
            cases.iter().all(|(atom, _)| match atom {
                Atom::Element(sort, index) => *index < names[*sort as usize],
                _ => true,
            })
        }),
    }
}

fn plus(a: Used, b: Used) -> Used {
    [0, 1, 2].map(|n| a[n] + b[n])
}

fn minus(a: Used, b: Used) -> Used {
    [0, 1, 2].map(|n| a[n] - b[n])
}

fn most(a: Used, b: Used) -> Used {
    [0, 1, 2].map(|n| a[n].max(b[n]))
}
