//! Membership, quantifiers and counts, over the named elements and the rest.
//!
//! The rest of a sort is every element without a name. One of the rest, no matter which, is the
//! *witness*. What a formula says of the witness, it says of each of the rest. So "some of the rest
//! has this property" is one bit, and "how many of the rest have it" is one number. Properties that
//! are the same formula of the witness share the bit and the number.
//!
//! A quantifier inside another one of the same sort finds the witness taken. Then the witness is
//! one element, and whether one of the others has the property is an unknown bit of its own.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::induct_formula::{FALSE, Lit, TRUE};
use crate::induct_linear::Linear;
use crate::induct_state::Translator;
use crate::induct_value::{Atom, Set, Sort, Value};

/// A possible element of a set.
pub(crate) struct Candidate<'a> {
    pub(crate) value: Value<'a>,
    /// The sorts of which it stands for all of the rest.
    pub(crate) rest: Vec<Sort>,
}

impl<'a> Translator<'a> {
    /// Whether some element of a set has a property.
    pub(crate) fn some_element(
        &mut self,
        set: &Set<'a>,
        has: &mut dyn FnMut(&mut Self, &Value<'a>) -> Lit,
    ) -> Lit {
        let (candidates, complete) = self.candidates(set);
        let mut any = if complete { FALSE } else { self.unknown() };
        for candidate in candidates {
            let one = self.at_witness(&candidate.rest, |t| {
                let is_in = t.contains(set, &candidate.value);
                if is_in == FALSE {
                    return FALSE;
                }
                let has = has(t, &candidate.value);
                t.formulas.and(is_in, has)
            });
            let one = self.some_of_rest(candidate.rest, one);
            any = self.formulas.or(any, one);
        }
        any
    }

    /// Evaluates something for a candidate that stands for the rest.
    fn at_witness<T>(&mut self, rest: &[Sort], eval: impl FnOnce(&mut Self) -> T) -> T {
        for sort in rest {
            self.bound[*sort as usize] += 1;
        }
        let value = eval(self);
        for sort in rest {
            self.bound[*sort as usize] -= 1;
        }
        value
    }

    /// Whether one of the rest has the property that `one` says of the witness.
    fn some_of_rest(&mut self, rest: Vec<Sort>, one: Lit) -> Lit {
        if rest.is_empty() {
            return one;
        }
        if one == FALSE {
            return FALSE;
        }
        let mut conjuncts = self.properties(&rest, one);
        // "Some have a or b" is "some have a, or some have b".
        let either = conjuncts
            .iter()
            .filter_map(|lit| Some((*lit, self.formulas.disjuncts(*lit)?)));
        let either: Vec<_> = either.collect();
        if let [(lit, (a, b))] = either[..] {
            conjuncts.remove(&lit);
            let others = self.formulas.all(conjuncts);
            let (a, b) = (self.formulas.and(others, a), self.formulas.and(others, b));
            let (a, b) = (
                self.some_of_rest(rest.clone(), a),
                self.some_of_rest(rest, b),
            );
            return self.formulas.or(a, b);
        }
        // What does not concern the witness is no part of the property.
        let (mut property, mut condition) = (TRUE, TRUE);
        for conjunct in conjuncts {
            let about = self.formulas.about(conjunct);
            let of = if rest.iter().any(|sort| about[*sort as usize]) {
                &mut property
            } else {
                &mut condition
            };
            *of = self.formulas.and(*of, conjunct);
        }
        if property == FALSE {
            return FALSE;
        }
        let key = (rest, property);
        let some = match self.some.get(&key) {
            Some(found) => *found,
            None => {
                let about = self.about_others(&key.0, property);
                let some = self.formulas.leaf(about);
                let fact = self.formulas.implies(property, some);
                self.formulas.fact(fact);
                if let Some(count) = self.counts.get(&key).cloned() {
                    self.some_are_counted(some, &count);
                }
                self.some.insert(key, some);
                some
            }
        };
        self.formulas.and(condition, some)
    }

    /// Of which other sorts a property may say something about the witness. Whether some of the
    /// rest has it, and how many, depends on no choice of the witness of their own sorts.
    fn about_others(&self, rest: &[Sort], property: Lit) -> [bool; 3] {
        let mut about = self.formulas.about(property);
        for sort in rest {
            about[*sort as usize] = false;
        }
        about
    }

    /// The conjuncts of a property, in a fixed order. One is that the witness exists.
    fn properties(&self, rest: &[Sort], one: Lit) -> BTreeSet<Lit> {
        let mut found = BTreeSet::new();
        for sort in rest {
            found.insert(self.witness_exists(*sort));
        }
        self.formulas.conjuncts(one, &mut found);
        found
    }

    fn some_are_counted(&mut self, some: Lit, count: &Linear) {
        let none = self.formulas.at_most_zero(count.clone());
        let fact = self.formulas.iff(some, !none);
        self.formulas.fact(fact);
    }

    /// How many of the rest have the property that `one` says of the witness.
    fn count_of_rest(&mut self, sort: Sort, one: Lit) -> Linear {
        if one == FALSE {
            return Linear::constant(0);
        }
        let conjuncts = self.properties(&[sort], one);
        let one = self.formulas.all(conjuncts);
        let key = (vec![sort], one);
        if let Some(found) = self.counts.get(&key).cloned() {
            let counted = (sort, one, found.clone());
            if !self.counted.contains(&counted) {
                self.counted.push(counted);
            }
            return found;
        }
        let about = self.about_others(&[sort], one);
        let count = self.formulas.number(about);
        let none = self.formulas.at_most_zero(count.clone());
        let fact = self.formulas.implies(one, !none);
        self.formulas.fact(fact);
        if let Some(some) = self.some.get(&key).copied() {
            self.some_are_counted(some, &count);
        }
        self.counts.insert(key, count.clone());
        self.counted.push((sort, one, count.clone()));
        count
    }

    /// The number of elements: of the named ones, how many are in the set, and of the rest, an
    /// unknown number.
    pub(crate) fn count(&mut self, set: &Set<'a>) -> Value<'a> {
        assert!(is_subset_of_a_sort(set), "{set:?} cannot be counted");
        let (candidates, complete) = self.candidates(set);
        let mut rest = match complete {
            true => Linear::constant(0),
            false => self.formulas.number([true; 3]),
        };
        // `exactly[n]`: of the named elements so far, n are in the set.
        let mut exactly = vec![TRUE];
        for candidate in candidates {
            let is_in = self.at_witness(&candidate.rest, |t| t.contains(set, &candidate.value));
            if let [sort] = candidate.rest[..] {
                rest = rest.plus(&self.count_of_rest(sort, is_in), 1);
                continue;
            }
            exactly.push(FALSE);
            for n in (0..exactly.len()).rev() {
                let fewer = n.checked_sub(1).map_or(FALSE, |m| exactly[m]);
                exactly[n] = self.formulas.choose(is_in, fewer, exactly[n]);
            }
        }
        let cases = (0..).zip(exactly).filter(|(_, lit)| *lit != FALSE);
        let cases = cases.map(|(n, lit)| (rest.plus(&Linear::constant(n), 1), lit));
        Value::Number(Rc::new(cases.collect()))
    }

    /// Every element that may be in a set, and whether these are all.
    pub(crate) fn candidates(&mut self, set: &Set<'a>) -> (Vec<Candidate<'a>>, bool) {
        match set {
            Set::All(sort) => {
                let element = |index| Value::atom(Atom::Element(*sort, index));
                let names = self.names[*sort as usize];
                let named = (0..names).map(|index| Candidate {
                    value: element(index),
                    rest: Vec::new(),
                });
                let mut all: Vec<_> = named.collect();
                if self.exists[*sort as usize][names] == FALSE {
                    return (all, true);
                }
                // When the witness is already taken, it is one element, and others are unknown.
                let free = self.bound[*sort as usize] == 0;
                all.push(Candidate {
                    value: element(names),
                    rest: if free { vec![*sort] } else { Vec::new() },
                });
                (all, free)
            }
            Set::Sizes => match self.known_constant("Sizes").cloned() {
                Some(sizes) => {
                    let set = crate::induct_translate::constant(&sizes).as_set();
                    self.candidates(&set)
                }
                None => {
                    let sizes = self.sizes.clone();
                    (
                        sizes
                            .into_iter()
                            .map(|size| single(Value::number(size)))
                            .collect(),
                        false,
                    )
                }
            },
            Set::State(variable) => {
                let within = self.within(variable);
                self.candidates(&within)
            }
            Set::Listed(elements) => (elements.iter().cloned().map(single).collect(), true),
            Set::Filter(_, of, ..) | Set::Minus(of, _) => self.candidates(of),
            Set::Both(a, b) if matches!(**a, Set::Map(..)) => self.candidates(b),
            Set::Both(a, _) => self.candidates(a),
            Set::Union(a, b) | Set::Choice(_, a, b) => {
                let ((mut all, complete), (more, also)) = (self.candidates(a), self.candidates(b));
                all.extend(more);
                (all, complete && also)
            }
            Set::Product(a, b) => {
                let ((firsts, complete), (seconds, also)) =
                    (self.candidates(a), self.candidates(b));
                let mut pairs = Vec::new();
                for first in &firsts {
                    for second in &seconds {
                        pairs.push(Candidate {
                            value: Value::Tuple(Rc::new(vec![
                                first.value.clone(),
                                second.value.clone(),
                            ])),
                            rest: [&first.rest[..], &second.rest].concat(),
                        });
                    }
                }
                (pairs, complete && also)
            }
            Set::Members(_) => self.candidates(&Set::All(Sort::Clients)),
            Set::Range(from, to) => {
                let known = |value: &Value<'a>| value.as_numbers()[0].0.known();
                match known(from).zip(known(to)) {
                    Some((from, to)) => {
                        let numbers =
                            (from..=to).map(|n| single(Value::number(Linear::constant(n))));
                        (numbers.collect(), true)
                    }
                    None => (Vec::new(), false),
                }
            }
            Set::Happens | Set::Map(..) | Set::Functions(..) => (Vec::new(), false),
        }
    }

    pub(crate) fn subset(&mut self, a: &Set<'a>, b: &Set<'a>) -> Lit {
        !self.some_element(a, &mut |t, element| !t.contains(b, element))
    }

    /// The witness of each sort, for comparisons of counts.
    pub(crate) fn witness_exists(&self, sort: Sort) -> Lit {
        self.exists[sort as usize][self.names[sort as usize]]
    }
}

fn single(value: Value<'_>) -> Candidate<'_> {
    Candidate {
        value,
        rest: Vec::new(),
    }
}

/// Whether the candidates of a set are the elements of one sort, each once.
fn is_subset_of_a_sort(set: &Set<'_>) -> bool {
    match set {
        Set::All(_) | Set::State(_) | Set::Members(_) => true,
        Set::Filter(_, of, ..) | Set::Minus(of, _) | Set::Both(of, _) => is_subset_of_a_sort(of),
        _ => false,
    }
}
