//! Any sequence of inputs, on the machine of one worker after the other.
//!
//! Each byte is an input. What the machine makes of it is compared with the table that people read, and with what can be said of
//! a worker's life without a table.

use std::sync::LazyLock;

use ostler::worker::{Effect, Input, Phase, Reaction, Rung, Worker};

use crate::derived_table::{Table, Verdict};

/// Returns how many workers have lived to their end, and which transitions were made.
pub(crate) fn run(data: &[u8]) -> Lives {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::derive);
    let mut lives = Lives::default();
    let mut life = Life::begin();
    for byte in data {
        let input = Input::ALL[usize::from(*byte) % Input::ALL.len()];
        if let Some(cell) = life.step(&TABLE, input) {
            lives.transitions.push(cell);
        }
        if life.worker.phase() == Phase::Terminated {
            // What comes late finds it as it is.
            for late in Input::ALL {
                life.step(&TABLE, *late);
            }
            life = Life::begin();
            lives.ended += 1;
        }
    }
    lives
}

#[derive(Debug, Default)]
pub(crate) struct Lives {
    pub(crate) ended: usize,
    pub(crate) transitions: Vec<(Phase, Option<Rung>, Input)>,
}

/// A worker, and what is known of it without sweeping.
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

    /// The transition, if it was one.
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
                self.lives_by_its_promises(before.0, input);
                self.perform(&effects);
                Some((before.0, before.1, input))
            }
            (Ok(Reaction::Stale), Verdict::Stale) => {
                assert_eq!(after, before, "what comes late changes nothing");
                None
            }
            (Err(rejected), Verdict::Refused) => {
                assert_eq!(after, before, "what is refused changes nothing");
                assert_eq!((rejected.phase, rejected.input), (before.0, input));
                None
            }
            (reaction, verdict) => {
                panic!("{before:?} x {input}: {reaction:?}, and the table says {verdict:?}")
            }
        }
    }

    /// What holds of every life, whatever the table says.
    fn lives_by_its_promises(&mut self, from: Phase, input: Input) {
        let to = self.worker.phase();
        assert_ne!(from, Phase::Terminated, "the dead stay dead");
        match input {
            Input::Checkout => {
                assert!(!self.is_leased, "a worker has one lease");
                assert!(!self.is_retired || from == Phase::Lingering);
                self.is_leased = true;
            }
            Input::Checkin => {
                assert!(self.is_leased, "who gives a lease back had one");
                self.is_leased = false;
            }
            Input::Retire => self.is_retired = true,
            Input::Exited => self.exited = true,
            Input::Released => assert_eq!(
                from,
                Phase::Stopping,
                "a port is shut before it is released"
            ),
            _ => {}
        }
        let serves = matches!(to, Phase::Ready | Phase::Busy);
        assert!(
            !(serves && self.is_retired),
            "a draining worker never serves again"
        );
        assert!(
            !(serves && self.exited),
            "nor does one whose process is gone"
        );
        assert_eq!(to == Phase::Terminated, input == Input::Released);
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Open => assert!(!self.exited && self.rung.is_none()),
                Effect::Stop(rung) => {
                    assert!(
                        self.rung <= Some(rung),
                        "down the ladder: {:?} to {rung}",
                        self.rung
                    );
                    self.rung = Some(rung);
                }
                Effect::StartTimer(timer) => {
                    assert_eq!(self.timer.replace(timer.name()), None, "two timers at once");
                }
                Effect::CancelTimer(timer) => {
                    let running = self.timer.take();
                    assert!(running.is_none() || running == Some(timer.name()));
                }
            }
        }
    }
}
