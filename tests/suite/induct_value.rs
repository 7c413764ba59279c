//! Values of TLA+ expressions in a state that is only partly known.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tla_checker::ast::Expr;

use crate::induct_formula::Lit;
use crate::induct_linear::Linear;

/// Workers, clients or sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Sort {
    Workers,
    Clients,
    Sessions,
}

pub(crate) const SORTS: [Sort; 3] = [Sort::Workers, Sort::Clients, Sort::Sessions];

impl Sort {
    pub(crate) fn named(name: &str) -> Option<Self> {
        SORTS.into_iter().find(|sort| format!("{sort:?}") == name)
    }
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Atom {
    Text(Arc<str>),
    Number(i64),
    /// A named element. The last index of a sort is that of its witness.
    Element(Sort, usize),
    /// An element of the rest that is not the witness. The number tells where it was read: the same
    /// number is the same element, and two numbers may be.
    Other(Sort, usize),
    /// What a variable would have outside its domain. Equal numbers are equal values.
    Outside(usize),
    /// Anything.
    Unknown,
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Number(n) => write!(f, "{n}"),
            Self::Element(sort, index) => {
                let initial = &format!("{sort:?}").to_lowercase()[..1];
                write!(f, "{initial}{}", index + 1)
            }
            Self::Other(sort, _) => write!(f, "(one of the other {sort:?})"),
            Self::Outside(_) | Self::Unknown => write!(f, "(unknown)"),
        }
    }
}

/// One of several values, each under a condition. Exactly one condition holds.
pub(crate) type Cases<T> = Vec<(T, Lit)>;

#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Truth(Lit),
    Atom(Rc<Cases<Atom>>),
    Number(Rc<Cases<Linear>>),
    Tuple(Rc<Vec<Value<'a>>>),
    Set(Rc<Set<'a>>),
    Function(Rc<Function<'a>>),
    Queue(Rc<Queue<'a>>),
    Lambda(&'a Expr, Scope<'a>),
}

/// A set, as the way to decide what is in it.
#[derive(Clone, Debug)]
pub(crate) enum Set<'a> {
    All(Sort),
    /// The constant `Sizes`.
    Sizes,
    /// The constant `Happens`.
    Happens,
    /// A variable.
    State(Arc<str>),
    Listed(Vec<Value<'a>>),
    /// The numbers from one to another.
    Range(Value<'a>, Value<'a>),
    Filter(&'a str, Rc<Set<'a>>, &'a Expr, Scope<'a>),
    Map(&'a str, Rc<Set<'a>>, &'a Expr, Scope<'a>),
    Union(Rc<Set<'a>>, Rc<Set<'a>>),
    Both(Rc<Set<'a>>, Rc<Set<'a>>),
    Minus(Rc<Set<'a>>, Rc<Set<'a>>),
    Product(Rc<Set<'a>>, Rc<Set<'a>>),
    Choice(Lit, Rc<Set<'a>>, Rc<Set<'a>>),
    /// All functions from a set to a set.
    Functions(Rc<Set<'a>>, Rc<Set<'a>>),
    Members(Rc<Queue<'a>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Function<'a> {
    /// A variable.
    State(Arc<str>, Sort),
    Table(BTreeMap<Atom, Value<'a>>),
    Each(&'a str, Rc<Set<'a>>, &'a Expr, Scope<'a>),
    Except(Rc<Function<'a>>, Value<'a>, Value<'a>),
    Choice(Lit, Rc<Function<'a>>, Rc<Function<'a>>),
    /// Any function.
    Unknown,
}

/// A queue of clients, as the set of its members, its length, and whether no client is in it twice.
/// Its order is not known.
#[derive(Clone, Debug)]
pub(crate) enum Queue<'a> {
    Empty,
    /// The variable.
    State,
    /// The members that are kept, by the index of the client.
    Filtered(Rc<Queue<'a>>, Vec<Lit>),
    Appended(Rc<Queue<'a>>, Value<'a>),
}

/// The values of bound names, the innermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'a>(Option<Rc<(&'a str, Value<'a>, Scope<'a>)>>);

impl<'a> Scope<'a> {
    pub(crate) fn with(&self, name: &'a str, value: Value<'a>) -> Self {
        Self(Some(Rc::new((name, value, self.clone()))))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let mut scope = self;
        while let Some(inner) = &scope.0 {
            if inner.0 == name {
                return Some(&inner.1);
            }
            scope = &inner.2;
        }
        None
    }
}

impl<'a> Scope<'a> {
    /// The bound names, each once.
    pub(crate) fn names(&self) -> std::collections::BTreeSet<&'a str> {
        let mut names = std::collections::BTreeSet::new();
        let mut scope = self;
        while let Some(inner) = &scope.0 {
            names.insert(inner.0);
            scope = &inner.2;
        }
        names
    }
}

impl<'a> Value<'a> {
    pub(crate) fn atom(atom: Atom) -> Self {
        Self::Atom(Rc::new(vec![(atom, crate::induct_formula::TRUE)]))
    }

    pub(crate) fn number(sum: Linear) -> Self {
        Self::Number(Rc::new(vec![(sum, crate::induct_formula::TRUE)]))
    }

    pub(crate) fn set(set: Set<'a>) -> Self {
        Self::Set(Rc::new(set))
    }

    pub(crate) fn function(function: Function<'a>) -> Self {
        Self::Function(Rc::new(function))
    }

    /// Its cases as atoms, where a known number is one.
    pub(crate) fn atoms(&self) -> Option<Rc<Cases<Atom>>> {
        match self {
            Self::Atom(cases) => Some(cases.clone()),
            Self::Number(cases) => {
                let known = |(sum, lit): &(Linear, Lit)| Some((Atom::Number(sum.known()?), *lit));
                cases.iter().map(known).collect::<Option<_>>().map(Rc::new)
            }
            _ => None,
        }
    }

    pub(crate) fn as_set(&self) -> Rc<Set<'a>> {
        match self {
            Self::Set(set) => set.clone(),
            other => panic!("{other:?} is not a set"),
        }
    }

    pub(crate) fn as_queue(&self) -> Rc<Queue<'a>> {
        match self {
            Self::Queue(queue) => queue.clone(),
            Self::Tuple(tuple) if tuple.is_empty() => Rc::new(Queue::Empty),
            other => panic!("{other:?} is not a queue"),
        }
    }

    pub(crate) fn as_numbers(&self) -> Rc<Cases<Linear>> {
        match self {
            Self::Number(cases) => cases.clone(),
            other => panic!("{other:?} is not a number"),
        }
    }
}
