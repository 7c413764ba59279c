//! A plan: a pool, its workers, and a script for each client, generated from a seed.

use std::time::Duration;

/// A grace that may elapse at any step.
const SHORT: Duration = Duration::from_secs(1);

/// A grace that never elapses here: see `pool/src/rt/simulated.rs`. Shorter than the
/// `shutdown_timeout`.
const LONG: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// SplitMix64, a pseudo-random generator with a seed.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).expect("an index fits")]
    }
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) size: usize,
    pub(crate) surge: usize,
    /// Whether the pool has a `cancel_grace`.
    pub(crate) has_grace: bool,
    /// Whether a port may be abandoned before it is released.
    pub(crate) may_abandon: bool,
    /// Whether `cancel_grace` never elapses, and `ask_grace` only if a worker ignores the stop. A
    /// lost order is then a deadlock; otherwise, the next deadline makes up for it.
    is_patient: bool,
    pub(crate) has_health_checks: bool,
    /// Whether a task reads the pool's events from the start to the end.
    pub(crate) has_reader: bool,
    /// The scripts of the first workers. All later ones are [`WorkerScript::Good`].
    pub(crate) workers: Vec<WorkerScript>,
    pub(crate) clients: Vec<Vec<Step>>,
}

/// How a worker starts and stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerScript {
    Good,
    /// Starts like `Good`, and ignores every stop but `SIGKILL`.
    IgnoresStop,
    /// The port cannot be opened.
    OpenFails,
    /// Answers the handshake with an error.
    StartFails,
    /// Exits before it answers the handshake.
    ExitsAtStart,
}

/// What a request makes the worker do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Replies with the request.
    Echo,
    /// Replies with an error.
    Raise,
    /// Exits without a reply.
    Exit,
    /// Replies, then exits.
    ReplyAndExit,
    /// Sends bytes that are no frame.
    Garbage,
    /// Replies only to a cancel.
    Hang,
}

/// A step of a client. A turn is one `yield_now` of a separate task.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Call(Verb),
    /// A checkout, and several calls on its lease.
    Lease(Vec<Verb>),
    /// A `try_checkout`, and a call on its lease.
    TryCheckout(Verb),
    /// A call that is dropped after this number of turns.
    DropCall(Verb, u64),
    /// A checkout that is dropped after this number of turns, with its lease if it has one by then.
    DropCheckout(u64),
    /// Calls in the session of this name, and its end.
    Session(&'static str, Vec<Verb>),
    Status,
    Resize(usize),
    /// Recycles the first worker of the status.
    Recycle,
    RecycleAll,
    /// Drains, waits for the end of the drain or not, and resumes.
    Drain {
        waits: bool,
    },
    Shutdown,
}

impl Plan {
    /// Clients only call, and all workers are good.
    pub(crate) fn calm(random: &mut Random) -> Self {
        Self::of(random, |random| match random.below(4) {
            0 => Step::Call(Verb::Raise),
            1 => Step::Lease(vec![Verb::Echo; 2]),
            2 => Step::TryCheckout(Verb::Echo),
            _ => Step::Call(Verb::Echo),
        })
    }

    /// Clients drop their calls and checkouts at any moment.
    pub(crate) fn impatient(random: &mut Random) -> Self {
        let has_grace = random.one_in(2);
        let step = |random: &mut Random| {
            let turns = random.below(60);
            match random.below(6) {
                0 => Step::DropCheckout(turns),
                1 => Step::DropCall(Verb::Hang, turns),
                2 => Step::DropCall(Verb::Echo, turns),
                3 => Step::TryCheckout(Verb::Echo),
                _ => Step::Call(Verb::Echo),
            }
        };
        Self {
            has_grace,
            ..Self::of(random, step)
        }
    }

    /// Workers fail to start, exit and break the protocol.
    pub(crate) fn hostile(random: &mut Random) -> Self {
        let all = [
            WorkerScript::Good,
            WorkerScript::IgnoresStop,
            WorkerScript::OpenFails,
            WorkerScript::StartFails,
            WorkerScript::ExitsAtStart,
        ];
        let workers = (0..4).map(|_| random.pick(&all)).collect();
        let verbs = [Verb::Echo, Verb::Exit, Verb::ReplyAndExit, Verb::Garbage];
        let step = |random: &mut Random| match random.below(3) {
            0 => Step::Lease(vec![random.pick(&verbs), Verb::Echo]),
            _ => Step::Call(random.pick(&verbs)),
        };
        Self {
            workers,
            has_health_checks: random.one_in(4),
            ..Self::of(random, step)
        }
    }

    /// Clients use every operation of the pool under load.
    pub(crate) fn managed(random: &mut Random) -> Self {
        let step = |random: &mut Random| match random.below(12) {
            0 => Step::Resize(1 + usize::from(random.one_in(2))),
            1 => Step::Recycle,
            2 => Step::RecycleAll,
            3 => Step::Drain {
                waits: random.one_in(2),
            },
            4 => Step::Status,
            5 => Step::Session(random.pick(&["a", "b"]), vec![Verb::Echo; 2]),
            6 => Step::Session("c", vec![Verb::Echo, Verb::Exit]),
            7 => Step::DropCall(Verb::Echo, random.below(60)),
            8 if random.one_in(2) => Step::Shutdown,
            _ => Step::Call(Verb::Echo),
        };
        Self {
            workers: vec![random.pick(&[WorkerScript::Good, WorkerScript::IgnoresStop])],
            has_grace: random.one_in(2),
            may_abandon: random.one_in(2),
            has_reader: random.one_in(2),
            ..Self::of(random, step)
        }
    }

    fn of(random: &mut Random, mut step: impl FnMut(&mut Random) -> Step) -> Self {
        Self {
            size: 1 + usize::from(random.one_in(2)),
            surge: 1 + usize::from(random.one_in(2)),
            has_grace: false,
            may_abandon: false,
            is_patient: random.one_in(2),
            has_health_checks: false,
            has_reader: false,
            workers: Vec::new(),
            clients: (0..2 + random.below(2))
                .map(|_| (0..1 + random.below(3)).map(|_| step(random)).collect())
                .collect(),
        }
    }

    /// Whether a client sends this request.
    pub(crate) fn has(&self, verb: Verb) -> bool {
        self.steps().any(|step| match step {
            Step::Lease(verbs) | Step::Session(_, verbs) => verbs.contains(&verb),
            Step::Call(other) | Step::TryCheckout(other) | Step::DropCall(other, _) => {
                *other == verb
            }
            _ => false,
        })
    }

    /// Whether the start of a worker fails.
    pub(crate) fn starts_fail(&self) -> bool {
        let failing = [
            WorkerScript::OpenFails,
            WorkerScript::StartFails,
            WorkerScript::ExitsAtStart,
        ];
        self.workers.iter().any(|script| failing.contains(script))
    }

    /// The pool's `cancel_grace`.
    pub(crate) fn cancel_grace(&self) -> Option<Duration> {
        let grace = if self.is_patient { LONG } else { SHORT };
        self.has_grace.then_some(grace)
    }

    /// The pool's `ask_grace`.
    pub(crate) fn ask_grace(&self) -> Duration {
        let all_heed = !self.workers.contains(&WorkerScript::IgnoresStop);
        if self.is_patient && all_heed {
            LONG
        } else {
            SHORT
        }
    }

    /// Whether a client shuts the pool down.
    pub(crate) fn may_close(&self) -> bool {
        self.steps().any(|step| matches!(step, Step::Shutdown))
    }

    /// The most ports that may be open at the same time.
    pub(crate) fn max_open(&self) -> usize {
        let sizes = self.steps().map(|step| match step {
            Step::Resize(size) => *size,
            _ => self.size,
        });
        let size = sizes.max().unwrap_or(self.size).max(self.size);
        let abandoned = if self.may_abandon { size } else { 0 };
        size + self.surge + abandoned
    }

    /// The time after which a port is abandoned.
    pub(crate) fn release_timeout(&self) -> Duration {
        if self.may_abandon { SHORT } else { LONG }
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.clients.iter().flatten()
    }
}
