//! What `bench-results.json` contains.

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
    pub(crate) measured: Vec<Measured>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) role: Role,
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
            median: 0.0,
            fastest: 0.0,
            slowest: 0.0,
        });
        self.subjects.push(Box::new(subject));
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
