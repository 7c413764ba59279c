//! What is in a set.

use crate::induct_formula::{FALSE, Lit, TRUE};
use crate::induct_state::Translator;
use crate::induct_translate::constant;
use crate::induct_value::{Atom, Set, Value};

impl<'a> Translator<'a> {
    pub(crate) fn contains(&mut self, set: &Set<'a>, value: &Value<'a>) -> Lit {
        match set {
            Set::All(sort) => {
                let Some(cases) = value.atoms() else {
                    return FALSE;
                };
                self.any_case(&cases, |t, atom| match atom {
                    Atom::Element(of, index) if of == sort => t.exists[*of as usize][*index],
                    Atom::Other(of, _) if of == sort => TRUE,
                    Atom::Outside(_) => t.memo_truth(format!("{atom:?} is in {sort:?}")),
                    Atom::Unknown => t.unknown(),
                    _ => FALSE,
                })
            }
            Set::Sizes => match self.known_constant("Sizes").cloned() {
                Some(sizes) => {
                    let set = constant(&sizes).as_set();
                    self.contains(&set, value)
                }
                None => {
                    let cases = value.as_numbers();
                    self.any_case(&cases, |t, size| {
                        let key = format!("{size:?} is one of Sizes");
                        t.memo_truth(key)
                    })
                }
            },
            Set::Happens => {
                let kinds = self.known_constant("Happens").cloned();
                let cases = value.atoms().expect("a kind is a text");
                self.any_case(&cases, |t, kind| match &kinds {
                    Some(kinds) => {
                        let set = constant(kinds).as_set();
                        t.contains(&set, &Value::atom(kind.clone()))
                    }
                    None => t.memo_truth(format!("{kind} happens")),
                })
            }
            Set::State(variable) => {
                let parts = match value {
                    Value::Tuple(parts) => parts.to_vec(),
                    one => vec![one.clone()],
                };
                self.is_in_state(variable, &parts, &mut Vec::new())
            }
            Set::Listed(elements) => elements.iter().fold(FALSE, |any, element| {
                let equal = self.equal(element, value);
                self.formulas.or(any, equal)
            }),
            Set::Range(from, to) => {
                let (above, below) = (self.at_most(from, value, 0), self.at_most(value, to, 0));
                self.formulas.and(above, below)
            }
            Set::Filter(name, of, body, scope) => {
                let is_in = self.contains(of, value);
                if is_in == FALSE {
                    return FALSE;
                }
                let passes = self.truth(body, &scope.with(name, value.clone()));
                self.formulas.and(is_in, passes)
            }
            Set::Map(name, of, body, scope) => self.some_element(of, &mut |t, element| {
                let image = t.eval(body, &scope.with(name, element.clone()));
                t.equal(&image, value)
            }),
            Set::Union(a, b) => {
                let (a, b) = (self.contains(a, value), self.contains(b, value));
                self.formulas.or(a, b)
            }
            Set::Both(a, b) => {
                let (a, b) = (self.contains(a, value), self.contains(b, value));
                self.formulas.and(a, b)
            }
            Set::Minus(a, b) => {
                let (a, b) = (self.contains(a, value), self.contains(b, value));
                self.formulas.and(a, !b)
            }
            Set::Choice(condition, a, b) => {
                let (a, b) = (self.contains(a, value), self.contains(b, value));
                self.formulas.choose(*condition, a, b)
            }
            Set::Product(a, b) => match value {
                Value::Tuple(parts) => match &parts[..] {
                    [x, y] => {
                        let (x, y) = (self.contains(a, x), self.contains(b, y));
                        self.formulas.and(x, y)
                    }
                    _ => FALSE,
                },
                _ => FALSE,
            },
            Set::Functions(domain, range) => {
                let Value::Function(function) = value else {
                    return FALSE;
                };
                // Each function of a step is given for a whole sort.
                assert!(
                    matches!(*self.domain(function), Set::All(_)),
                    "{function:?}"
                );
                !self.some_element(domain, &mut |t, element| {
                    let image = t.apply(function, element);
                    !t.contains(range, &image)
                })
            }
            Set::Members(queue) => {
                let Some(cases) = value.atoms() else {
                    return FALSE;
                };
                self.any_case(&cases, |t, atom| t.is_waiting(queue, atom))
            }
        }
    }

    /// Whether one of the cases holds and passes.
    pub(crate) fn any_case<T>(
        &mut self,
        cases: &[(T, Lit)],
        mut passes: impl FnMut(&mut Self, &T) -> Lit,
    ) -> Lit {
        let mut any = FALSE;
        for (value, is) in cases {
            let passes = passes(self, value);
            let both = self.formulas.and(*is, passes);
            any = self.formulas.or(any, both);
        }
        any
    }

    pub(crate) fn memo_truth(&mut self, key: String) -> Lit {
        match self.memo(key, |t| Value::Truth(t.unknown())) {
            Value::Truth(lit) => lit,
            other => panic!("{other:?} is not a truth value"),
        }
    }

    fn is_in_state(&mut self, variable: &str, parts: &[Value<'a>], at: &mut Vec<Atom>) -> Lit {
        let Some((first, others)) = parts.split_first() else {
            return match self.state_value(variable, at) {
                Value::Truth(lit) => lit,
                other => panic!("{variable} has {other:?}"),
            };
        };
        let cases = first.atoms().expect("an element of a variable is an atom");
        self.any_case(&cases, |t, atom| match atom {
            Atom::Outside(_) | Atom::Unknown => t.unknown(),
            // `TypeOK`: no number is in a variable.
            Atom::Number(_) => FALSE,
            atom => {
                at.push(atom.clone());
                let is_in = t.is_in_state(variable, others, at);
                at.pop();
                is_in
            }
        })
    }
}
