//! What `bench-results.json` contains.

use std::cell::RefCell;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::rounds::{Subject, interleave, median};

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Vec<(String, String)>,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

/// What one operation costs with ostler and with others.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    /// The row's short name.
    pub(crate) id: String,
    pub(crate) operation: String,
    pub(crate) worker: String,
    /// The most that ostler's time is to be, in ns.
    pub(crate) goal: Option<f64>,
    /// What keeps ostler's time from being shorter.
    pub(crate) limit: Option<String>,
    pub(crate) measured: Vec<Measured>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The most that ostler's time is to be, divided by this one's.
    pub(crate) goal: Option<f64>,
    /// The median over all rounds, in ns.
    pub(crate) median: f64,
    pub(crate) fastest: f64,
    pub(crate) slowest: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// What the row is about. The first of a row.
    Ostler,
    /// Another pool.
    Peer,
    /// The same work without a pool.
    Floor,
    /// ostler itself in another way.
    Itself,
    /// ostler itself at a smaller size.
    Smaller,
    /// ostler itself at a larger size: a row of a chart of growth.
    Larger,
}

/// A row that is still to be measured.
pub(crate) struct Plan<'a> {
    row: Row,
    subjects: Vec<Subject<'a>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(id: &str, operation: impl Into<String>, worker: &str) -> Self {
        let row = Row {
            id: id.into(),
            operation: operation.into(),
            worker: worker.into(),
            goal: None,
            limit: None,
            measured: Vec::new(),
        };
        Self {
            row,
            subjects: Vec::new(),
        }
    }

    /// Adds what is measured. `subject` returns the time of one operation, in ns.
    pub(crate) fn add(
        mut self,
        role: Role,
        name: impl Into<String>,
        subject: impl FnMut() -> f64 + 'a,
    ) -> Self {
        self.row.measured.push(Measured {
            name: name.into(),
            role,
            goal: None,
            median: 0.0,
            fastest: 0.0,
            slowest: 0.0,
        });
        self.subjects.push(Box::new(subject));
        self
    }

    /// The goal of the last subject: of ostler, a time in ns. Of any other, the most that ostler's
    /// time is to be, divided by its time.
    pub(crate) fn goal(mut self, most: f64) -> Self {
        match &mut self.row.measured[..] {
            [_ostler] => self.row.goal = Some(most),
            measured => measured.last_mut().expect("a subject").goal = Some(most),
        }
        self
    }

    /// What keeps ostler's time from being shorter, in a sentence.
    pub(crate) fn limit(mut self, limit: &str) -> Self {
        self.row.limit = Some(limit.to_owned());
        self
    }

    pub(crate) fn measure(mut self, rounds: usize) -> Row {
        let times = interleave(rounds, &mut self.subjects);
        for (measured, times) in self.row.measured.iter_mut().zip(times) {
            measured.median = median(&times);
            measured.fastest = times[0];
            measured.slowest = times[times.len() - 1];
        }
        self.row
    }
}

impl Row {
    pub(crate) fn ostler(&self) -> &Measured {
        &self.measured[0]
    }

    /// What ostler is compared with, and ostler's time divided by its time.
    pub(crate) fn ratios(&self) -> impl Iterator<Item = (&Measured, f64)> {
        let ostler = self.ostler().median;
        let others = self.measured.iter().skip(1);
        others.map(move |other| (other, ostler / other.median))
    }
}

impl Measured {
    pub(crate) fn name(&self) -> String {
        let name = &self.name;
        match self.role {
            Role::Ostler | Role::Peer | Role::Larger => name.clone(),
            Role::Floor => format!("{name} (floor)"),
            Role::Itself => format!("{name} (ostler)"),
            Role::Smaller => format!("{name} (smaller)"),
        }
    }

    /// Whether ostler's time is to be shorter than this one's.
    pub(crate) fn is_other(&self) -> bool {
        matches!(self.role, Role::Peer | Role::Floor)
    }
}

/// Second figures of the subjects of one row: the subjects of the next row return them.
#[derive(Default)]
pub(crate) struct Second(RefCell<VecDeque<f64>>);

impl Second {
    pub(crate) fn push(&self, figure: f64) {
        self.0.borrow_mut().push_back(figure);
    }

    /// The figures come in the order in which they were pushed.
    pub(crate) fn next(&self) -> f64 {
        self.0.borrow_mut().pop_front().expect("a figure")
    }
}
