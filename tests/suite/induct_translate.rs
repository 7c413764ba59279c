//! Expressions as formulas. Each formula has the truth value of its expression, for some values of
//! the unknown bits.

use std::rc::Rc;
use std::sync::Arc;

use tla_checker::ast::{Expr, Value as Ground};
use tla_checker::substitution::substitute_expr;

use crate::induct_formula::{FALSE, Lit, TRUE};
use crate::induct_linear::Linear;
use crate::induct_patterns::{distinct, maximum, members};
use crate::induct_state::{Translator, ground_atom};
use crate::induct_value::{Atom, Function, Queue, Scope, Set, Sort, Value};

impl<'a> Translator<'a> {
    pub(crate) fn truth(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Lit {
        match self.eval(expr, scope) {
            Value::Truth(lit) => lit,
            other => panic!("{expr:?} is {other:?}"),
        }
    }

    /// The value of an expression. `Settled` is translated once, so that its unknown bits are the
    /// same wherever it occurs.
    pub(crate) fn eval(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Value<'a> {
        if self.bound == [0; 3] && self.is_settled(expr) {
            return self.memo("Settled".into(), |t| t.eval_new(expr, scope));
        }
        // What mentions no bound name says nothing of the witness, so its quantifiers may use it.
        if self.bound != [0; 3] && quantifies(expr) && self.is_closed(expr, scope) {
            let bound = std::mem::take(&mut self.bound);
            let value = self.eval(expr, scope);
            self.bound = bound;
            return value;
        }
        self.eval_new(expr, scope)
    }

    fn eval_new(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Value<'a> {
        match expr {
            Expr::And(a, b) => {
                let a = self.truth(a, scope);
                if a == FALSE {
                    return Value::Truth(FALSE);
                }
                let b = self.truth(b, scope);
                Value::Truth(self.formulas.and(a, b))
            }
            Expr::Or(a, b) => {
                let a = self.truth(a, scope);
                if a == TRUE {
                    return Value::Truth(TRUE);
                }
                let b = self.truth(b, scope);
                Value::Truth(self.formulas.or(a, b))
            }
            Expr::Implies(a, b) => {
                let a = self.truth(a, scope);
                if a == FALSE {
                    return Value::Truth(TRUE);
                }
                let b = self.truth(b, scope);
                Value::Truth(self.formulas.implies(a, b))
            }
            Expr::Not(a) => Value::Truth(!self.truth(a, scope)),
            Expr::Equiv(a, b) => {
                let (a, b) = (self.truth(a, scope), self.truth(b, scope));
                Value::Truth(self.formulas.iff(a, b))
            }
            Expr::Eq(a, b) | Expr::Neq(a, b) => {
                let (a, b) = (self.eval(a, scope), self.eval(b, scope));
                let equal = self.equal(&a, &b);
                Value::Truth(if matches!(expr, Expr::Eq(..)) {
                    equal
                } else {
                    !equal
                })
            }
            Expr::In(a, set) | Expr::NotIn(a, set) => {
                let (a, set) = (self.eval(a, scope), self.eval_set(set, scope));
                let is_in = self.contains(&set, &a);
                Value::Truth(if matches!(expr, Expr::In(..)) {
                    is_in
                } else {
                    !is_in
                })
            }
            Expr::Subset(a, b) => {
                let (a, b) = (self.eval_set(a, scope), self.eval_set(b, scope));
                Value::Truth(self.subset(&a, &b))
            }
            Expr::Exists(name, set, body) => {
                let set = self.eval_set(set, scope);
                Value::Truth(self.some_element(&set, &mut |t, element| {
                    t.truth(body, &scope.with(name, element.clone()))
                }))
            }
            Expr::Forall(name, set, body) => {
                if let Some(queue) = distinct(set, name, body) {
                    let queue = self.eval(queue, scope).as_queue();
                    return Value::Truth(self.is_distinct(&queue));
                }
                let set = self.eval_set(set, scope);
                Value::Truth(!self.some_element(&set, &mut |t, element| {
                    !t.truth(body, &scope.with(name, element.clone()))
                }))
            }
            Expr::EnabledOp(action) => Value::Truth(self.is_enabled(action, scope)),
            Expr::Lt(a, b) => self.compare(a, b, scope, 1),
            Expr::Le(a, b) => self.compare(a, b, scope, 0),
            Expr::Gt(a, b) => self.compare(b, a, scope, 1),
            Expr::Ge(a, b) => self.compare(b, a, scope, 0),
            Expr::Add(a, b) => self.sum(a, b, scope, 1),
            Expr::Sub(a, b) => self.sum(a, b, scope, -1),
            Expr::If(condition, yes, no) => {
                let condition = self.truth(condition, scope);
                match condition.known() {
                    Some(true) => self.eval(yes, scope),
                    Some(false) => self.eval(no, scope),
                    None => {
                        let (yes, no) = (self.eval(yes, scope), self.eval(no, scope));
                        self.choice(condition, &yes, &no)
                    }
                }
            }
            Expr::Let(name, value, body) => {
                let value = self.eval(value, scope);
                self.eval(body, &scope.with(name, value))
            }
            Expr::Lit(value) => constant(value),
            Expr::Var(name) => match scope.get(name) {
                Some(value) => value.clone(),
                None => self.name(name),
            },
            // The parser primes every name in a primed expression, also bound ones.
            Expr::Prime(name) => match scope.get(name) {
                Some(value) => value.clone(),
                None if self.source.is_variable(name) => match self.after.get(name) {
                    Some(value) => value.clone(),
                    None => panic!("{name}' is used before it is given"),
                },
                None => self.name(name),
            },
            Expr::FnApp(function, argument) => {
                let function = self.eval(function, scope);
                let argument = self.eval(argument, scope);
                match function {
                    Value::Function(function) => self.apply(&function, &argument),
                    Value::Queue(queue) => self.at(&queue, &argument),
                    other => panic!("{other:?} is applied"),
                }
            }
            Expr::FnDef(name, domain, body) => {
                let domain = self.eval_set(domain, scope);
                Value::function(Function::Each(name, domain, body, scope.clone()))
            }
            Expr::Except(function, changes) => {
                let mut value = self.eval(function, scope);
                for (path, to) in changes {
                    let (Value::Function(function), [at]) = (&value, &path[..]) else {
                        panic!("{expr:?} changes more than a function of one argument")
                    };
                    let (at, to) = (self.eval(at, scope), self.eval(to, scope));
                    value = Value::function(Function::Except(function.clone(), at, to));
                }
                value
            }
            Expr::TupleLit(parts) => Value::Tuple(Rc::new(
                parts.iter().map(|part| self.eval(part, scope)).collect(),
            )),
            Expr::TupleAccess(tuple, index) => match self.eval(tuple, scope) {
                Value::Tuple(parts) => parts[*index].clone(),
                other => panic!("{other:?} has no parts"),
            },
            Expr::SetEnum(elements) => {
                let elements = elements.iter().map(|element| self.eval(element, scope));
                Value::set(Set::Listed(elements.collect()))
            }
            Expr::SetRange(from, to) => {
                Value::set(Set::Range(self.eval(from, scope), self.eval(to, scope)))
            }
            Expr::SetFilter(name, set, body) => {
                let set = self.eval_set(set, scope);
                Value::set(Set::Filter(name, set, body, scope.clone()))
            }
            Expr::SetMap(name, set, body) => match members(set, body) {
                Some(queue) => {
                    let queue = self.eval(queue, scope).as_queue();
                    Value::set(Set::Members(queue))
                }
                None => {
                    let set = self.eval_set(set, scope);
                    Value::set(Set::Map(name, set, body, scope.clone()))
                }
            },
            Expr::Union(a, b) => self.two_sets(Set::Union, a, b, scope),
            Expr::Intersect(a, b) => self.two_sets(Set::Both, a, b, scope),
            Expr::SetMinus(a, b) => self.two_sets(Set::Minus, a, b, scope),
            Expr::FunctionSet(a, b) => self.two_sets(Set::Functions, a, b, scope),
            Expr::Cartesian(sets) => match &sets[..] {
                [a, b] => self.two_sets(Set::Product, a, b, scope),
                _ => panic!("{expr:?} is not a product of two sets"),
            },
            Expr::Cardinality(set) => {
                let set = self.eval_set(set, scope);
                self.count(&set)
            }
            Expr::Len(queue) => {
                let queue = self.eval(queue, scope).as_queue();
                self.length(&queue)
            }
            Expr::Append(queue, client) => {
                let (queue, client) = (self.eval(queue, scope), self.eval(client, scope));
                Value::Queue(Rc::new(Queue::Appended(queue.as_queue(), client)))
            }
            Expr::SelectSeq(queue, test) => {
                let (queue, test) = (self.eval(queue, scope), self.eval(test, scope));
                let keep = (0..=self.names[Sort::Clients as usize]).map(|n| self.passes(&test, n));
                let keep = keep.collect();
                Value::Queue(Rc::new(Queue::Filtered(queue.as_queue(), keep)))
            }
            Expr::Lambda(..) => Value::Lambda(expr, scope.clone()),
            Expr::Choose(name, set, body) if maximum(set, name, body) => self.maximum(set, scope),
            Expr::Choose(name, set, body) if self.is_known() => {
                let set = self.eval_set(set, scope);
                let (candidates, _) = self.candidates(&set);
                let mut values = candidates.into_iter().map(|candidate| candidate.value);
                let chosen =
                    values.find(|value| self.truth(body, &scope.with(name, value.clone())) == TRUE);
                chosen.unwrap_or(Value::atom(Atom::Unknown))
            }
            Expr::Choose(..) => self.unknown_number(expr, scope),
            other => panic!("the translator does not know {other:?}"),
        }
    }

    pub(crate) fn is_settled(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::And(..)) && *expr == *self.source.definition("Settled")
    }

    /// Whether an expression mentions no bound name.
    fn is_closed(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> bool {
        let key = (std::ptr::from_ref(expr), scope.names());
        if let Some(known) = self.closed.get(&key) {
            return *known;
        }
        let one = |name: &&str| (Arc::from(*name), Expr::Lit(Ground::Bool(true)));
        let values: Vec<(Arc<str>, Expr)> = key.1.iter().map(one).collect();
        let closed = substitute_expr(expr, &values) == *expr;
        self.closed.insert(key, closed);
        closed
    }

    pub(crate) fn eval_set(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Rc<Set<'a>> {
        self.eval(expr, scope).as_set()
    }

    fn two_sets(
        &mut self,
        make: fn(Rc<Set<'a>>, Rc<Set<'a>>) -> Set<'a>,
        a: &'a Expr,
        b: &'a Expr,
        scope: &Scope<'a>,
    ) -> Value<'a> {
        let (a, b) = (self.eval_set(a, scope), self.eval_set(b, scope));
        Value::set(make(a, b))
    }

    /// A name that is not bound: a variable, a constant, or a definition of the table.
    fn name(&mut self, name: &'a str) -> Value<'a> {
        if self.source.is_variable(name) {
            return self.variable(name);
        }
        if let Some(sort) = Sort::named(name) {
            return Value::set(Set::All(sort));
        }
        match name {
            "Sizes" => return Value::set(Set::Sizes),
            "Happens" => return Value::set(Set::Happens),
            "BOOLEAN" => {
                let both = [TRUE, FALSE].map(Value::Truth);
                return Value::set(Set::Listed(both.into()));
            }
            _ => {}
        }
        if let Some(value) = self.source.table(name) {
            return constant(value);
        }
        assert!(self.source.is_constant(name), "{name} is not defined");
        if let Some(value) = self.known_constant(name) {
            return constant(value);
        }
        self.memo(name.to_owned(), |t| {
            Value::number(t.formulas.number([false; 3]))
        })
    }

    /// A value that is made once for each key.
    pub(crate) fn memo(
        &mut self,
        key: String,
        make: impl FnOnce(&mut Self) -> Value<'a>,
    ) -> Value<'a> {
        if let Some(found) = self.unknowns.get(&key) {
            return found.clone();
        }
        let made = make(self);
        self.unknowns.insert(key, made.clone());
        made
    }

    /// The largest of a set of numbers.
    fn maximum(&mut self, set: &'a Expr, scope: &Scope<'a>) -> Value<'a> {
        let set = self.eval_set(set, scope);
        let (elements, complete) = self.candidates(&set);
        if complete {
            let known = elements.iter().map(|e| e.value.as_numbers()[0].0.known());
            let known: Option<Vec<i64>> = known.collect();
            let known = known.expect("known sizes");
            return Value::number(Linear::constant(*known.iter().max().expect("a size")));
        }
        self.memo("maximum".into(), |t| {
            let largest = Value::number(t.formulas.number([false; 3]));
            for element in elements {
                let is_in = t.contains(&set, &element.value);
                let above = t.at_most(&element.value, &largest, 0);
                let fact = t.formulas.implies(is_in, above);
                t.formulas.fact(fact);
            }
            largest
        })
    }

    /// A number of which nothing is known, but that it is the same for the same expression.
    fn unknown_number(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Value<'a> {
        let mut key = format!("{expr:?}");
        for name in scope.names() {
            if key.contains(&format!("Var(\"{name}\")")) {
                key += &format!(" {name}: {:?}", scope.get(name));
            }
        }
        self.memo(key, |t| Value::number(t.formulas.number([true; 3])))
    }

    /// `a + by <= b`.
    fn compare(&mut self, a: &'a Expr, b: &'a Expr, scope: &Scope<'a>, by: i64) -> Value<'a> {
        let (a, b) = (self.eval(a, scope), self.eval(b, scope));
        Value::Truth(self.at_most(&a, &b, by))
    }

    fn sum(&mut self, a: &'a Expr, b: &'a Expr, scope: &Scope<'a>, factor: i64) -> Value<'a> {
        let (a, b) = (
            self.eval(a, scope).as_numbers(),
            self.eval(b, scope).as_numbers(),
        );
        let mut cases = Vec::new();
        for (m, is_m) in a.iter() {
            for (n, is_n) in b.iter() {
                cases.push((m.plus(n, factor), self.formulas.and(*is_m, *is_n)));
            }
        }
        Value::Number(Rc::new(cases))
    }

    /// Whether a client, by its index, passes a test.
    fn passes(&mut self, test: &Value<'a>, index: usize) -> Lit {
        let Value::Lambda(Expr::Lambda(parameters, body), scope) = test else {
            panic!("{test:?} is not a LAMBDA")
        };
        let is_witness = usize::from(index == self.names[Sort::Clients as usize]);
        if self.exists[Sort::Clients as usize][index] == FALSE {
            return FALSE;
        }
        self.bound[Sort::Clients as usize] += is_witness;
        let client = Value::atom(Atom::Element(Sort::Clients, index));
        let passes = self.truth(body, &scope.with(&parameters[0], client));
        self.bound[Sort::Clients as usize] -= is_witness;
        passes
    }
}

/// Whether the value of an expression depends on a quantifier or on a number of elements.
fn quantifies(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Exists(..)
            | Expr::Forall(..)
            | Expr::Eq(..)
            | Expr::Neq(..)
            | Expr::Subset(..)
            | Expr::Cardinality(_)
            | Expr::Let(..)
    )
}

pub(crate) fn constant<'a>(value: &Ground) -> Value<'a> {
    match value {
        Ground::Bool(truth) => Value::Truth((*truth).into()),
        Ground::Int(n) => Value::number(Linear::constant(*n)),
        Ground::Str(_) => Value::atom(ground_atom(value)),
        Ground::Set(set) => Value::set(Set::Listed(set.iter().map(constant).collect())),
        function => {
            let map = function.as_function_map();
            let map = map.unwrap_or_else(|| panic!("{value:?} is no value of the translator"));
            let map = map
                .iter()
                .map(|(key, value)| (ground_atom(key), constant(value)));
            Value::function(Function::Table(map.collect()))
        }
    }
}
