//! The transition table, derived by driving the real machine through everything that can happen to it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Effects, Input, Phase, Reaction, Rung, Superstate, Worker};

/// What the machine makes of an input in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// A transition to this phase. To the same one: the next rung of the ladder.
    Moves(Phase),
    /// Stale: accepted, changes nothing.
    Stale,
    /// Illegal: a typed rejection.
    Refused,
}

/// A state that the machine can be in: a phase and, while it is stopping, the rung.
pub type State = (Phase, Option<Rung>);

/// What the machine does with one input in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it makes of the input.
    pub verdict: Verdict,
    /// The state afterwards.
    pub after: State,
    /// What it orders.
    pub effects: Effects,
}

/// Every state that the machine can reach, crossed with every input.
///
/// Nothing here is written by hand: [`derive`](Table::derive) starts a worker and tries every input in every state
/// that turns up. `cargo test` compares the result with the specification, cell by cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    cells: BTreeMap<(State, Input), Cell>,
    superstates: BTreeMap<Phase, Vec<Superstate>>,
}

impl Table {
    /// Derives the table from the machine.
    ///
    /// # Panics
    ///
    /// When a rejected or stale input changed the worker, which would be a defect of the machine.
    #[must_use]
    pub fn derive() -> Self {
        let mut table = Self {
            cells: BTreeMap::new(),
            superstates: BTreeMap::new(),
        };
        let mut unexplored = VecDeque::from([Worker::start().0]);
        while let Some(worker) = unexplored.pop_front() {
            if table.cells.contains_key(&(state(&worker), Input::Started)) {
                continue;
            }
            table
                .superstates
                .entry(worker.phase())
                .or_insert_with(|| worker.superstates().collect());
            for &input in Input::ALL {
                let mut next = worker.clone();
                let cell = try_out(&mut next, input);
                table.cells.insert((state(&worker), input), cell);
                unexplored.push_back(next);
            }
        }
        table
    }

    /// What the machine makes of `input` in `phase`. The rung makes no difference to it.
    ///
    /// # Panics
    ///
    /// When no worker can ever be in `phase`, or when its rungs disagree: defects of the machine.
    #[must_use]
    pub fn verdict(&self, phase: Phase, input: Input) -> Verdict {
        let mut verdicts = self
            .states()
            .filter(|&(candidate, _)| candidate == phase)
            .map(|state| self.cells[&(state, input)].verdict);
        let verdict = verdicts.next().expect("every phase can be reached");
        assert!(
            verdicts.all(|other| other == verdict),
            "{phase} x {input} depends on the rung"
        );
        verdict
    }

    /// Every state that the machine can reach, in the order of the specification.
    pub fn states(&self) -> impl Iterator<Item = State> {
        self.cells
            .keys()
            .filter(|(_, input)| *input == Input::Started)
            .map(|(state, _)| *state)
    }

    /// What the machine does with `input` in `state`, if it can be in that state.
    #[must_use]
    pub fn cell(&self, state: State, input: Input) -> Option<&Cell> {
        self.cells.get(&(state, input))
    }

    /// The superstates that `phase` lies in, innermost first.
    #[must_use]
    pub fn superstates(&self, phase: Phase) -> &[Superstate] {
        self.superstates.get(&phase).map_or(&[], Vec::as_slice)
    }
}

fn state(worker: &Worker) -> State {
    (worker.phase(), worker.rung())
}

fn try_out(worker: &mut Worker, input: Input) -> Cell {
    let before = worker.clone();
    let (verdict, effects) = match worker.feed(input) {
        Ok(Reaction::Moved { to, effects, .. }) => (Verdict::Moves(to), effects),
        Ok(Reaction::Stale) => (Verdict::Stale, Effects::NONE),
        Err(_) => (Verdict::Refused, Effects::NONE),
    };
    if !matches!(verdict, Verdict::Moves(_)) {
        assert_eq!(
            *worker, before,
            "{input} changed a worker without moving it"
        );
    }
    Cell {
        verdict,
        after: state(worker),
        effects,
    }
}
