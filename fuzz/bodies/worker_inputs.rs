//! Feeds arbitrary inputs to the machine of a worker; after its end, a new worker follows.
//!
//! Each byte is an input. The reaction must agree with the derived table, and with invariants of a
//! worker's life that do not need the table.

use std::sync::LazyLock;

use ostler::worker::{Effect, Input, Phase, Reaction, Rung, Worker};

use crate::derived_table::{Table, Verdict};

/// Returns the number of workers that terminated and the transitions that were made.
pub(crate) fn run(data: &[u8]) -> Summary {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::derive);
    let mut summary = Summary::default();
    let mut life = Life::begin();
    for byte in data {
        let input = Input::ALL[usize::from(*byte) % Input::ALL.len()];
        if let Some(cell) = life.step(&TABLE, input) {
            summary.transitions.push(cell);
        }
        if life.worker.phase() == Phase::Terminated {
            // A terminated worker must ignore or reject every input.
            for late in Input::ALL {
                life.step(&TABLE, *late);
            }
            life = Life::begin();
            summary.ended += 1;
        }
    }
    summary
}

#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) ended: usize,
    pub(crate) transitions: Vec<(Phase, Option<Rung>, Input)>,
}

/// A worker, and the facts that the invariants need, tracked independently of the machine.
struct Life {
    worker: Worker,
    timer: Option<&'static str>,
    is_leased: bool,
    is_retired: bool,
    rung: Option<Rung>,
    exited: bool,
}

impl Life {
    fn begin() -> Self {
        let (worker, effects) = Worker::start();
        let mut life = Self {
            worker,
            timer: None,
            is_leased: false,
            is_retired: false,
            rung: None,
            exited: false,
        };
        life.perform(&effects);
        life
    }

    /// Feeds one input. Returns the transition, if there was one.
    fn step(&mut self, table: &Table, input: Input) -> Option<(Phase, Option<Rung>, Input)> {
        let before = (self.worker.phase(), self.worker.rung());
        let cell = table.cell(before, input).expect("the table has every cell");
        let elapsed = match input {
            Input::StartElapsed => Some("Start"),
            Input::DrainElapsed => Some("Drain"),
            Input::RungElapsed => Some("Rung"),
            _ => None,
        };
        if elapsed.is_some() && self.timer == elapsed {
            self.timer = None;
        }
        let reaction = self.worker.feed(input);
        let after = (self.worker.phase(), self.worker.rung());
        match (reaction, cell.verdict) {
            (Ok(Reaction::Moved { effects, .. }), Verdict::Moves(_)) => {
                assert_eq!(after, cell.after, "{before:?} x {input}");
                assert_eq!(&effects[..], &cell.effects[..], "{before:?} x {input}");
                self.check_invariants(before.0, input);
                self.perform(&effects);
                Some((before.0, before.1, input))
            }
            (Ok(Reaction::Stale), Verdict::Stale) => {
                assert_eq!(after, before, "a stale input changed the state");
                None
            }
            (Err(rejected), Verdict::Refused) => {
                assert_eq!(after, before, "a refused input changed the state");
                assert_eq!((rejected.phase, rejected.input), (before.0, input));
                None
            }
            (reaction, verdict) => {
                panic!("{before:?} x {input}: {reaction:?}, and the table says {verdict:?}")
            }
        }
    }

    /// Checks what must hold for every transition, whatever the table says.
    fn check_invariants(&mut self, from: Phase, input: Input) {
        let to = self.worker.phase();
        assert_ne!(from, Phase::Terminated, "a terminated worker moved");
        match input {
            Input::Checkout => {
                assert!(!self.is_leased, "a leased worker was leased again");
                assert!(!self.is_retired || from == Phase::Lingering);
                self.is_leased = true;
            }
            Input::Checkin => {
                assert!(self.is_leased, "a checkin without a lease");
                self.is_leased = false;
            }
            Input::Retire => self.is_retired = true,
            Input::Exited => self.exited = true,
            Input::Released | Input::Abandoned => assert_eq!(
                from,
                Phase::Stopping,
                "a port was released before the worker was stopped"
            ),
            _ => {}
        }
        let serves = matches!(to, Phase::Ready | Phase::Busy);
        assert!(
            !(serves && self.is_retired),
            "a draining worker serves again"
        );
        assert!(
            !(serves && self.exited),
            "a worker whose process has exited serves"
        );
        let is_gone = matches!(input, Input::Released | Input::Abandoned);
        assert_eq!(to == Phase::Terminated, is_gone);
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Open => assert!(!self.exited && self.rung.is_none()),
                Effect::Stop(rung) => {
                    assert!(
                        self.rung <= Some(rung),
                        "the stop ladder went back: {:?} to {rung}",
                        self.rung
                    );
                    self.rung = Some(rung);
                }
                Effect::StartTimer(timer) => {
                    assert_eq!(
                        self.timer.replace(timer.name()),
                        None,
                        "a second timer was started"
                    );
                }
                Effect::CancelTimer(timer) => {
                    let running = self.timer.take();
                    assert!(running.is_none() || running == Some(timer.name()));
                }
            }
        }
    }
}
