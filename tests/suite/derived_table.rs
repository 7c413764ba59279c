//! The transition table of the machine, derived by driving a real worker through every state and
//! input.
//!
//! The core does not need it: a worker looks nothing up. The suite compares it with the
//! specification, the renderings in `docs/` and the machine itself.

use std::collections::{BTreeMap, VecDeque};

use ostler::worker::{Effect, Input, Phase, Reaction, Rung, Superstate, Worker};

/// How the machine answers an input in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A transition to this phase. A transition to the same phase takes the next rung of the
    /// ladder.
    Moves(Phase),
    /// Late: accepted, changes nothing.
    Stale,
    /// Illegal: a typed rejection.
    Refused,
}

/// A state of the machine: a phase and, while it is stopping, the rung.
pub(crate) type State = (Phase, Option<Rung>);

/// How the machine answers one input in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) verdict: Verdict,
    /// The state afterwards.
    pub(crate) after: State,
    /// The effects that it orders.
    pub(crate) effects: Vec<Effect>,
}

/// Every reachable state of the machine, crossed with every input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    cells: BTreeMap<(State, Input), Cell>,
    superstates: BTreeMap<Phase, Vec<Superstate>>,
}

impl Table {
    /// Starts a worker and tries every input in every state that it reaches. Panics when a rejected
    /// or stale input changes the worker.
    pub(crate) fn derive() -> Self {
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

    /// How the machine answers `input` in `phase`. Panics when that depends on the rung: the
    /// specification has one cell for all rungs.
    pub(crate) fn verdict(&self, phase: Phase, input: Input) -> Verdict {
        let mut verdicts = self
            .states()
            .filter(|&(candidate, _)| candidate == phase)
            .map(|state| self.cells[&(state, input)].verdict);
        let verdict = verdicts.next().expect("every phase is reachable");
        assert!(
            verdicts.all(|other| other == verdict),
            "{phase} x {input} depends on the rung"
        );
        verdict
    }

    /// Every reachable state, in the order of the specification.
    pub(crate) fn states(&self) -> impl Iterator<Item = State> {
        self.cells
            .keys()
            .filter(|(_, input)| *input == Input::Started)
            .map(|(state, _)| *state)
    }

    /// How the machine answers `input` in `state`. `None` when that state is unreachable.
    pub(crate) fn cell(&self, state: State, input: Input) -> Option<&Cell> {
        self.cells.get(&(state, input))
    }

    /// The superstates of `phase`, innermost first.
    pub(crate) fn superstates(&self, phase: Phase) -> &[Superstate] {
        self.superstates.get(&phase).map_or(&[], Vec::as_slice)
    }
}

fn state(worker: &Worker) -> State {
    (worker.phase(), worker.rung())
}

fn try_out(worker: &mut Worker, input: Input) -> Cell {
    let before = worker.clone();
    let (verdict, effects) = match worker.feed(input) {
        Ok(Reaction::Moved { to, effects, .. }) => (Verdict::Moves(to), effects.to_vec()),
        Ok(Reaction::Stale) => (Verdict::Stale, Vec::new()),
        Err(_) => (Verdict::Refused, Vec::new()),
    };
    if !matches!(verdict, Verdict::Moves(_)) {
        assert_eq!(
            *worker, before,
            "{input} changed a worker without a transition"
        );
    }
    Cell {
        verdict,
        after: state(worker),
        effects,
    }
}
