//! The state before a step: bits and numbers for the named elements, and for the witness of the
//! rest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use tla_checker::ast::{Expr, Value as Ground};

use crate::induct_formula::{FALSE, Formulas, Lit, TRUE};
use crate::induct_linear::Linear;
use crate::induct_source::Source;
use crate::induct_value::{Atom, Cases, Function, Queue, SORTS, Scope, Set, Sort, Value};

/// What `TypeOK` says about a variable.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    /// One of these.
    Atom(Vec<Atom>),
    /// One of these for each element.
    Function(Sort, Vec<Atom>),
    Number,
    Truth,
    /// A subset of this.
    Set(&'a Expr),
    Queue,
}

/// A state in which everything is known, and the constants of its configuration.
pub(crate) struct Known {
    pub(crate) elements: [Vec<Ground>; 3],
    pub(crate) values: BTreeMap<Arc<str>, Ground>,
}

/// Translates expressions to formulas over one state, or over a state and the next.
pub(crate) struct Translator<'a> {
    pub(crate) formulas: Formulas,
    pub(crate) source: &'a Source,
    /// How many elements of each sort have names.
    pub(crate) names: [usize; 3],
    /// Whether each named element, and then the witness, exists.
    pub(crate) exists: [Vec<Lit>; 3],
    pub(crate) shapes: BTreeMap<&'a str, Shape<'a>>,
    /// The values of the variables after the step.
    pub(crate) after: HashMap<Arc<str>, Value<'a>>,
    /// How many quantifiers around an expression range over the rest of each sort.
    pub(crate) bound: [usize; 3],
    pub(crate) some: HashMap<(Vec<Sort>, Lit), Lit>,
    pub(crate) counts: HashMap<(Vec<Sort>, Lit), Linear>,
    /// The counts that the invariant or the current step mentions.
    pub(crate) counted: Vec<(Sort, Lit, Linear)>,
    pub(crate) compared: HashSet<(Lit, Lit, Lit)>,
    pub(crate) unknowns: HashMap<String, Value<'a>>,
    pub(crate) sizes: Vec<Linear>,
    /// How many values may be elements without names.
    others: usize,
    /// Whether a goal is also translated as a whole.
    pub(crate) thorough: bool,
    pub(crate) state: HashMap<(Arc<str>, Vec<Atom>), Value<'a>>,
    /// Whether each expression mentions none of some bound names.
    pub(crate) closed: HashMap<(*const Expr, BTreeSet<&'a str>), bool>,
    known: Option<Known>,
}

impl<'a> Translator<'a> {
    /// For a pool of any size, with this many names of each sort.
    pub(crate) fn new(source: &'a Source, names: [usize; 3]) -> Self {
        let mut new = Self::without_state(source, names, None);
        for sort in SORTS {
            for index in 0..=names[sort as usize] {
                let about = new.about(&[Atom::Element(sort, index)]);
                let exists = new.formulas.leaf(about);
                new.exists[sort as usize].push(exists);
            }
        }
        // The size that `Resize` chooses, and the size before it.
        let chosen = new.formulas.number([false; 3]);
        let before = new.state_value("size", &[]).as_numbers()[0].0.clone();
        new.sizes = vec![chosen, before];
        new
    }

    /// For one state of a small pool.
    pub(crate) fn of(source: &'a Source, known: Known) -> Self {
        let names = SORTS.map(|sort| known.elements[sort as usize].len());
        let mut new = Self::without_state(source, names, Some(known));
        for sort in SORTS {
            let mut lits = vec![TRUE; names[sort as usize]];
            lits.push(FALSE);
            new.exists[sort as usize] = lits;
        }
        new
    }

    fn without_state(source: &'a Source, names: [usize; 3], known: Option<Known>) -> Self {
        let mut new = Self {
            formulas: Formulas::new(),
            source,
            names,
            exists: Default::default(),
            shapes: BTreeMap::new(),
            after: HashMap::new(),
            bound: [0; 3],
            some: HashMap::new(),
            counts: HashMap::new(),
            counted: Vec::new(),
            compared: HashSet::new(),
            unknowns: HashMap::new(),
            sizes: Vec::new(),
            others: 0,
            thorough: false,
            state: HashMap::new(),
            closed: HashMap::new(),
            known,
        };
        let typed = source.definition("TypeOK");
        new.read_types(typed);
        for variable in source.variables() {
            assert!(
                new.shapes.contains_key(&**variable),
                "TypeOK says nothing of {variable}"
            );
        }
        new
    }

    /// Reads the shapes of the variables from the conjuncts of `TypeOK`.
    fn read_types(&mut self, typed: &'a Expr) {
        let (name, shape) = match typed {
            Expr::And(a, b) => {
                self.read_types(a);
                return self.read_types(b);
            }
            Expr::In(variable, set) => match (&**variable, &**set) {
                (Expr::Var(name), Expr::FunctionSet(domain, range)) => {
                    (name, Shape::Function(sort_of(domain), self.possible(range)))
                }
                (Expr::Var(name), Expr::SetRange(..)) => (name, Shape::Number),
                (Expr::Var(name), Expr::Union(a, _)) if **a == Expr::Var("Sizes".into()) => {
                    (name, Shape::Number)
                }
                (Expr::Var(name), Expr::Lit(_)) => (name, Shape::Truth),
                (Expr::Var(name), set) if is_boolean(set) => (name, Shape::Truth),
                (Expr::Var(name), set) => (name, Shape::Atom(self.possible(set))),
                _ => return,
            },
            Expr::Forall(_, domain, body) => match &**body {
                Expr::In(element, range) => match &**element {
                    Expr::FnApp(function, _) => match &**function {
                        Expr::Var(name) => {
                            (name, Shape::Function(sort_of(domain), self.possible(range)))
                        }
                        _ => return,
                    },
                    _ => return,
                },
                _ => return,
            },
            Expr::Subset(variable, set) => match &**variable {
                Expr::Var(name) => (name, Shape::Set(set)),
                Expr::SetMap(_, _, body) => match &**body {
                    Expr::FnApp(queue, _) => match &**queue {
                        Expr::Var(name) => (name, Shape::Queue),
                        _ => return,
                    },
                    _ => return,
                },
                _ => return,
            },
            _ => return,
        };
        self.shapes.insert(name, shape);
    }

    /// The values in a set of `TypeOK`.
    fn possible(&self, set: &Expr) -> Vec<Atom> {
        match set {
            Expr::SetEnum(elements) => elements.iter().map(literal).collect(),
            Expr::Union(a, b) | Expr::If(_, a, b) => [self.possible(a), self.possible(b)].concat(),
            Expr::Var(name) => match Sort::named(name) {
                Some(sort) => {
                    let named = (0..=self.names[sort as usize]).map(|i| Atom::Element(sort, i));
                    named.chain([Atom::Other(sort, 0)]).collect()
                }
                None => match self.source.table(name) {
                    Some(Ground::Set(set)) => set.iter().map(ground_atom).collect(),
                    other => panic!("TypeOK: {name} is {other:?}"),
                },
            },
            other => panic!("TypeOK: {other:?} is not a list of values"),
        }
    }

    /// The value of a variable, or of a function or a set at some element.
    pub(crate) fn state_value(&mut self, variable: &str, at: &[Atom]) -> Value<'a> {
        let key = (Arc::from(variable), at.to_vec());
        if let Some(found) = self.state.get(&key) {
            return found.clone();
        }
        let value = match self.known {
            Some(_) => self.known_value(variable, at),
            None => self.free_value(variable, at),
        };
        self.state.insert(key, value.clone());
        value
    }

    fn free_value(&mut self, variable: &str, at: &[Atom]) -> Value<'a> {
        let about = self.about(at);
        match self.shapes[variable].clone() {
            Shape::Atom(values) | Shape::Function(_, values) => self.one_of(&values, about),
            Shape::Number => Value::number(self.formulas.number(about)),
            Shape::Truth | Shape::Set(_) | Shape::Queue => Value::Truth(self.formulas.leaf(about)),
        }
    }

    /// Of which sorts the witness is among some elements.
    fn about(&self, elements: &[Atom]) -> [bool; 3] {
        // An element without a name may have been read at a witness.
        if elements.iter().any(|atom| matches!(atom, Atom::Other(..))) {
            return [true; 3];
        }
        SORTS.map(|sort| elements.contains(&Atom::Element(sort, self.names[sort as usize])))
    }

    /// Whether a value is an element without a name: the witness, or another one.
    fn is_of_rest(&self, value: &Atom) -> bool {
        match value {
            Atom::Element(sort, index) => *index == self.names[*sort as usize],
            Atom::Other(..) => true,
            _ => false,
        }
    }

    /// A bit of which nothing is known.
    pub(crate) fn unknown(&mut self) -> Lit {
        self.formulas.leaf([true; 3])
    }

    /// One of some values. Exactly one of the conditions holds, whatever the bits are.
    pub(crate) fn one_of(&mut self, values: &[Atom], about: [bool; 3]) -> Value<'a> {
        // Whether it is a named element does not depend on the choice of the witness. So it is
        // asked first.
        let (rest, mut values): (Vec<&Atom>, Vec<&Atom>) =
            values.iter().partition(|value| self.is_of_rest(value));
        values.extend(rest);
        let (last, others) = values.split_last().expect("a variable has a value");
        let mut cases: Cases<Atom> = Vec::new();
        let mut left = TRUE;
        for value in others {
            let mut about = about;
            if let (Atom::Element(sort, _), true) = (value, self.is_of_rest(value)) {
                about[*sort as usize] = true;
            }
            let is = self.formulas.leaf(about);
            cases.push(((*value).clone(), self.formulas.and(left, is)));
            left = self.formulas.and(left, !is);
        }
        cases.push(((*last).clone(), left));
        self.others += 1;
        for (value, _) in &mut cases {
            if let Atom::Other(_, number) = value {
                *number = self.others;
            }
        }
        for (value, lit) in &cases {
            if let Atom::Element(sort, index) = value {
                let exists = self.exists[*sort as usize][*index];
                let fact = self.formulas.implies(*lit, exists);
                self.formulas.fact(fact);
            }
        }
        Value::Atom(Rc::new(cases))
    }

    fn known_value(&self, variable: &str, at: &[Atom]) -> Value<'a> {
        let known = self.known.as_ref().expect("the state is known");
        let value = &known.values[variable];
        match &self.shapes[variable] {
            Shape::Atom(_) => Value::atom(ground_atom(value)),
            Shape::Function(_, range) => {
                let map = value.as_function_map().expect("a function");
                let value = &map[&self.ground(&at[0])];
                let sorts = SORTS
                    .into_iter()
                    .filter(|s| range.contains(&Atom::Other(*s, 0)));
                let element = sorts.filter_map(|sort| self.element(sort, value)).next();
                Value::atom(element.unwrap_or_else(|| ground_atom(value)))
            }
            Shape::Number => match value {
                Ground::Int(n) => Value::number(Linear::constant(*n)),
                other => panic!("{other:?} is not a number"),
            },
            Shape::Truth => Value::Truth((*value == Ground::Bool(true)).into()),
            Shape::Set(_) => {
                let Ground::Set(set) = value else {
                    panic!("{value:?} is not a set")
                };
                let element = match at {
                    [one] => self.ground(one),
                    pair => Ground::tuple(pair.iter().map(|atom| self.ground(atom)).collect()),
                };
                Value::Truth(set.contains(&element).into())
            }
            Shape::Queue => {
                let queue = self.known_queue();
                Value::Truth(match at {
                    // Whether no client is in it twice.
                    [] => (1..queue.len())
                        .all(|n| !queue[..n].contains(&queue[n]))
                        .into(),
                    at => queue.contains(&self.ground(&at[0])).into(),
                })
            }
        }
    }

    /// The queue of a known state.
    pub(crate) fn known_queue(&self) -> Vec<Ground> {
        match &self.known.as_ref().expect("the state is known").values["queue"] {
            Ground::Tuple(queue) => queue.to_vec(),
            other => panic!("{other:?} is not a queue"),
        }
    }

    pub(crate) fn known_constant(&self, name: &str) -> Option<&Ground> {
        self.known.as_ref().map(|known| &known.values[name])
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The element of a small pool that an atom stands for.
    pub(crate) fn ground(&self, atom: &Atom) -> Ground {
        match atom {
            Atom::Text(text) => Ground::Str(text.clone()),
            Atom::Number(n) => Ground::Int(*n),
            Atom::Element(sort, index) => self.known.as_ref().expect("the state is known").elements
                [*sort as usize][*index]
                .clone(),
            other => panic!("{other} is no value"),
        }
    }

    pub(crate) fn element(&self, sort: Sort, value: &Ground) -> Option<Atom> {
        let elements = &self.known.as_ref()?.elements[sort as usize];
        let index = elements.iter().position(|element| element == value)?;
        Some(Atom::Element(sort, index))
    }

    /// The variable itself.
    pub(crate) fn variable(&mut self, name: &str) -> Value<'a> {
        match self.shapes[name] {
            Shape::Function(sort, _) => Value::function(Function::State(name.into(), sort)),
            Shape::Set(_) => Value::set(Set::State(name.into())),
            Shape::Queue => Value::Queue(Rc::new(Queue::State)),
            Shape::Atom(_) | Shape::Number | Shape::Truth => self.state_value(name, &[]),
        }
    }

    /// The domain of a variable that is a function.
    pub(crate) fn sort_of(&self, variable: &str) -> Sort {
        match self.shapes[variable] {
            Shape::Function(sort, _) => sort,
            ref other => panic!("{variable} is {other:?}"),
        }
    }

    /// The set that contains a variable's set.
    pub(crate) fn within(&mut self, variable: &str) -> Rc<Set<'a>> {
        match self.shapes[variable] {
            Shape::Set(set) => self.eval(set, &Scope::default()).as_set(),
            ref other => panic!("{variable} is {other:?}"),
        }
    }
}

fn is_boolean(set: &Expr) -> bool {
    *set == Expr::Var("BOOLEAN".into())
        || matches!(set, Expr::SetEnum(of) if matches!(of[..], [Expr::Lit(Ground::Bool(_)), _]))
}

fn sort_of(domain: &Expr) -> Sort {
    let sort = match domain {
        Expr::Var(name) => Sort::named(name),
        _ => None,
    };
    sort.unwrap_or_else(|| panic!("TypeOK: {domain:?} is neither workers, clients nor sessions"))
}

fn literal(expr: &Expr) -> Atom {
    match expr {
        Expr::Lit(value) => ground_atom(value),
        other => panic!("TypeOK: {other:?} is not a literal"),
    }
}

pub(crate) fn ground_atom(value: &Ground) -> Atom {
    match value {
        Ground::Str(text) => Atom::Text(text.clone()),
        Ground::Int(n) => Atom::Number(*n),
        other => panic!("{other:?} has parts"),
    }
}
