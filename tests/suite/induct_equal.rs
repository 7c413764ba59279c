//! Equality, application, choice, and queues.

use std::rc::Rc;

use tla_checker::ast::Value as Ground;

use crate::induct_formula::{FALSE, Lit, TRUE};
use crate::induct_linear::Linear;
use crate::induct_state::Translator;
use crate::induct_value::{Atom, Cases, Function, Queue, Set, Sort, Value};

impl<'a> Translator<'a> {
    pub(crate) fn equal(&mut self, a: &Value<'a>, b: &Value<'a>) -> Lit {
        match (a, b) {
            (Value::Truth(a), Value::Truth(b)) => self.formulas.iff(*a, *b),
            (Value::Set(a), Value::Set(b)) => {
                let (below, above) = (self.subset(a, b), self.subset(b, a));
                self.formulas.and(below, above)
            }
            (Value::Function(a), Value::Function(b)) => {
                let domain = self.domain(a);
                !self.some_element(&domain, &mut |t, element| {
                    let (a, b) = (t.apply(a, element), t.apply(b, element));
                    !t.equal(&a, &b)
                })
            }
            (Value::Queue(_), _) | (_, Value::Queue(_)) => {
                let (a, b) = (a.as_queue(), b.as_queue());
                self.same_queue(&a, &b)
            }
            (Value::Tuple(a), Value::Tuple(b)) => {
                if a.len() != b.len() {
                    return FALSE;
                }
                a.iter().zip(b.iter()).fold(TRUE, |all, (a, b)| {
                    let equal = self.equal(a, b);
                    self.formulas.and(all, equal)
                })
            }
            (Value::Tuple(_), _) | (_, Value::Tuple(_)) => FALSE,
            _ => match (a.atoms(), b.atoms()) {
                (Some(a), Some(b)) => self.same_atom(&a, &b),
                _ => {
                    let (below, above) = (self.at_most(a, b, 0), self.at_most(b, a, 0));
                    self.formulas.and(below, above)
                }
            },
        }
    }

    fn same_atom(&mut self, a: &Cases<Atom>, b: &Cases<Atom>) -> Lit {
        if a == b && !a.iter().any(|(atom, _)| *atom == Atom::Unknown) {
            return TRUE;
        }
        self.any_case(a, |t, x| {
            t.any_case(b, |t, y| match (x, y) {
                (Atom::Unknown, _) | (_, Atom::Unknown) => t.unknown(),
                (Atom::Other(s, m), Atom::Other(r, n)) if s == r && m != n => t.unknown(),
                (Atom::Outside(_), _) | (_, Atom::Outside(_)) if x != y => {
                    let (a, b) = (x.min(y), x.max(y));
                    t.memo_truth(format!("{a:?} is {b:?}"))
                }
                (x, y) => (x == y).into(),
            })
        })
    }

    /// `a + by <= b`, for numbers. Of two elements, it is unknown which is less.
    pub(crate) fn at_most(&mut self, a: &Value<'a>, b: &Value<'a>, by: i64) -> Lit {
        let (Value::Number(a), Value::Number(b)) = (a, b) else {
            if let (true, Value::Atom(a), Value::Atom(b)) = (self.is_known(), a, b) {
                return (self.ground(&a[0].0) <= self.ground(&b[0].0)).into();
            }
            return self.memo_truth(format!("{a:?} + {by} <= {b:?}"));
        };
        self.any_case(a, |t, m| {
            t.any_case(b, |t, n| {
                let sum = m.plus(n, -1).plus(&Linear::constant(by), 1);
                t.formulas.at_most_zero(sum)
            })
        })
    }

    /// One value or the other.
    pub(crate) fn choice(&mut self, condition: Lit, yes: &Value<'a>, no: &Value<'a>) -> Value<'a> {
        match (yes, no) {
            (Value::Truth(yes), Value::Truth(no)) => {
                Value::Truth(self.formulas.choose(condition, *yes, *no))
            }
            (Value::Set(yes), Value::Set(no)) => {
                Value::set(Set::Choice(condition, yes.clone(), no.clone()))
            }
            (Value::Function(yes), Value::Function(no)) => {
                Value::function(Function::Choice(condition, yes.clone(), no.clone()))
            }
            _ => match (yes.atoms(), no.atoms()) {
                (Some(yes), Some(no)) => Value::Atom(self.merge(condition, &yes, &no)),
                _ => {
                    let (yes, no) = (yes.as_numbers(), no.as_numbers());
                    Value::Number(self.merge(condition, &yes, &no))
                }
            },
        }
    }

    fn merge<T: Clone + PartialEq>(
        &mut self,
        condition: Lit,
        yes: &Cases<T>,
        no: &Cases<T>,
    ) -> Rc<Cases<T>> {
        let mut all: Cases<T> = Vec::new();
        for (cases, condition) in [(yes, condition), (no, !condition)] {
            for (value, is) in cases {
                let is = self.formulas.and(condition, *is);
                match all.iter_mut().find(|(other, _)| other == value) {
                    Some((_, lit)) => *lit = self.formulas.or(*lit, is),
                    None => all.push((value.clone(), is)),
                }
            }
        }
        all.retain(|(_, lit)| *lit != FALSE);
        Rc::new(all)
    }

    pub(crate) fn apply(&mut self, function: &Function<'a>, to: &Value<'a>) -> Value<'a> {
        match function {
            Function::State(variable, sort) => self.each_case(to, |t, atom| match atom {
                Atom::Element(of, _) | Atom::Other(of, _) if of == sort => {
                    t.state_value(variable, std::slice::from_ref(atom))
                }
                _ => t.outside(variable, atom),
            }),
            Function::Table(map) => self.each_case(to, |_, atom| match map.get(atom) {
                Some(value) => value.clone(),
                // Where the specification would have no value, every value is possible.
                None => match map.values().next() {
                    Some(Value::Function(_)) => Value::function(Function::Unknown),
                    _ => Value::atom(Atom::Unknown),
                },
            }),
            Function::Unknown => Value::atom(Atom::Unknown),
            Function::Each(name, _, body, scope) => self.eval(body, &scope.with(name, to.clone())),
            Function::Except(of, at, value) => {
                let is = self.equal(at, to);
                match is.known() {
                    Some(true) => value.clone(),
                    Some(false) => self.apply(of, to),
                    None => {
                        let other = self.apply(of, to);
                        self.choice(is, value, &other)
                    }
                }
            }
            Function::Choice(condition, yes, no) => {
                let (yes, no) = (self.apply(yes, to), self.apply(no, to));
                self.choice(*condition, &yes, &no)
            }
        }
    }

    fn outside(&mut self, variable: &str, atom: &Atom) -> Value<'a> {
        let number = self.unknowns.len();
        self.memo(format!("{variable} at {atom:?}"), |_| {
            Value::atom(Atom::Outside(number))
        })
    }

    /// The value for each case of an argument.
    fn each_case(
        &mut self,
        to: &Value<'a>,
        mut image: impl FnMut(&mut Self, &Atom) -> Value<'a>,
    ) -> Value<'a> {
        let cases = to.atoms().expect("a function is applied to an atom");
        let (first, others) = cases.split_first().expect("a value has a case");
        let mut value = image(self, &first.0);
        for (atom, is) in others {
            let other = image(self, atom);
            value = self.choice(*is, &other, &value);
        }
        value
    }

    pub(crate) fn domain(&self, function: &Function<'a>) -> Rc<Set<'a>> {
        match function {
            Function::State(_, sort) => Rc::new(Set::All(*sort)),
            Function::Each(_, domain, ..) => domain.clone(),
            Function::Except(of, ..) | Function::Choice(_, of, _) => self.domain(of),
            Function::Table(_) | Function::Unknown => panic!("no variable is a table"),
        }
    }

    fn same_queue(&mut self, a: &Queue<'a>, b: &Queue<'a>) -> Lit {
        if same(a, b) {
            return TRUE;
        }
        let (members, others) = (
            Set::Members(Rc::new(a.clone())),
            Set::Members(Rc::new(b.clone())),
        );
        let (below, above) = (
            self.subset(&members, &others),
            self.subset(&others, &members),
        );
        let members = self.formulas.and(below, above);
        let is_empty = |queue: &Queue<'a>| matches!(queue, Queue::Empty);
        if is_empty(a) || is_empty(b) {
            return members;
        }
        // The order may differ.
        let order = self.unknown();
        self.formulas.and(members, order)
    }

    pub(crate) fn is_waiting(&mut self, queue: &Queue<'a>, client: &Atom) -> Lit {
        match client {
            Atom::Other(Sort::Clients, _) if matches!(queue, Queue::State) => {
                self.queue_bit(client)
            }
            Atom::Element(Sort::Clients, index) => match queue {
                Queue::Empty => FALSE,
                Queue::State => self.queue_bit(client),
                Queue::Filtered(of, keep) => {
                    let is_in = self.is_waiting(of, client);
                    self.formulas.and(is_in, keep[*index])
                }
                Queue::Appended(of, last) => {
                    let is_in = self.is_waiting(of, client);
                    let is_last = self.equal(last, &Value::atom(client.clone()));
                    self.formulas.or(is_in, is_last)
                }
            },
            Atom::Other(Sort::Clients, _) | Atom::Outside(_) | Atom::Unknown => self.unknown(),
            _ => FALSE,
        }
    }

    fn queue_bit(&mut self, client: &Atom) -> Lit {
        match self.state_value("queue", std::slice::from_ref(client)) {
            Value::Truth(lit) => lit,
            other => panic!("the queue has {other:?}"),
        }
    }

    /// Whether no client is in a queue twice.
    pub(crate) fn is_distinct(&mut self, queue: &Queue<'a>) -> Lit {
        match queue {
            Queue::Empty => TRUE,
            Queue::State => match self.state_value("queue", &[]) {
                Value::Truth(lit) => lit,
                other => panic!("the queue is {other:?}"),
            },
            Queue::Filtered(of, _) => {
                let is = self.is_distinct(of);
                let unknown = self.unknown();
                self.formulas.or(is, unknown)
            }
            Queue::Appended(of, last) => {
                let is = self.is_distinct(of);
                let again = self.contains(&Set::Members(of.clone()), last);
                self.formulas.and(is, !again)
            }
        }
    }

    pub(crate) fn length(&mut self, queue: &Rc<Queue<'a>>) -> Value<'a> {
        match &**queue {
            Queue::Empty => Value::number(Linear::constant(0)),
            Queue::Appended(of, _) => {
                let cases = self.length(of).as_numbers();
                let longer = cases
                    .iter()
                    .map(|(n, lit)| (n.plus(&Linear::constant(1), 1), *lit));
                Value::Number(Rc::new(longer.collect()))
            }
            Queue::State if self.is_known() => {
                let length = i64::try_from(self.known_queue().len());
                Value::number(Linear::constant(length.expect("a short queue")))
            }
            _ if self.is_distinct(queue) == TRUE => self.count(&Set::Members(queue.clone())),
            // A queue has members exactly when it is not empty.
            _ => self.memo(format!("length of {queue:?}"), |t| {
                let length = t.formulas.number([true; 3]);
                let some = t.some_element(&Set::Members(queue.clone()), &mut |_, _| TRUE);
                let empty = t.formulas.at_most_zero(length.clone());
                let fact = t.formulas.iff(some, !empty);
                t.formulas.fact(fact);
                Value::number(length)
            }),
        }
    }

    /// The client at a position: a member of the queue, if the queue has one.
    pub(crate) fn at(&mut self, queue: &Rc<Queue<'a>>, position: &Value<'a>) -> Value<'a> {
        if let (Queue::State, true) = (&**queue, self.is_known()) {
            let known = self.known_queue();
            let at = position.as_numbers()[0]
                .0
                .known()
                .expect("a known position");
            let client = usize::try_from(at - 1)
                .ok()
                .and_then(|n| known.get(n).cloned());
            return match client.and_then(|client: Ground| self.element(Sort::Clients, &client)) {
                Some(client) => Value::atom(client),
                None => Value::atom(Atom::Unknown),
            };
        }
        self.memo(format!("{queue:?} at {position:?}"), |t| {
            let names = 0..=t.names[Sort::Clients as usize];
            let mut clients: Vec<Atom> = names.map(|n| Atom::Element(Sort::Clients, n)).collect();
            clients.push(Atom::Other(Sort::Clients, 0));
            let client = t.one_of(&clients, [true; 3]);
            let members = Set::Members(queue.clone());
            let is_member = t.contains(&members, &client);
            let some = t.some_element(&members, &mut |_, _| TRUE);
            let fact = t.formulas.implies(some, is_member);
            t.formulas.fact(fact);
            client
        })
    }
}

/// Whether two queues are built in the same way.
fn same(a: &Queue<'_>, b: &Queue<'_>) -> bool {
    match (a, b) {
        (Queue::Empty, Queue::Empty) | (Queue::State, Queue::State) => true,
        (Queue::Filtered(a, keep), Queue::Filtered(b, also)) => same(a, b) && keep == also,
        (Queue::Appended(a, client), Queue::Appended(b, other)) => {
            same(a, b)
                && client
                    .atoms()
                    .is_some_and(|cases| other.atoms() == Some(cases))
        }
        _ => false,
    }
}
