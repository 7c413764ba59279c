//! What happens in a schedule: a pool, its workers, and a script for each client. Written by chance, from a seed.

/// Numbers that look random and follow from a seed: SplitMix64.
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

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let index = self.below(all.len() as u64);
        all[usize::try_from(index).expect("an index")]
    }
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) size: usize,
    pub(crate) surge: usize,
    /// Whether workers get a chance to end what was given up.
    pub(crate) grace: bool,
    pub(crate) health: bool,
    /// How the first workers start. All others start well.
    pub(crate) starts: Vec<Start>,
    pub(crate) clients: Vec<Vec<Step>>,
}

/// How a worker starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Good,
    /// As `Good`, and does not exit before it is killed.
    Stubborn,
    Unopenable,
    Refuses,
    ExitsAtOnce,
}

/// What a request makes the worker do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Echo,
    Raise,
    /// Exits instead of an answer.
    Exit,
    /// Answers, and exits.
    Last,
    /// Breaks the protocol.
    Garbage,
    /// Never answers, but to a cancel.
    Hang,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Call(Verb),
    /// One worker for several calls.
    Lease(Vec<Verb>),
    Try(Verb),
    /// A call that is dropped after so many turns, wherever it is by then.
    Cancel(Verb, u64),
    /// A checkout that is dropped after so many turns, and what it got with it.
    GiveUp(u64),
    /// Calls in a session of this name, and its end.
    Session(&'static str, Vec<Verb>),
    Status,
    /// A new size.
    Resize(usize),
    /// Has whichever worker is the first in the status replaced.
    Recycle,
    RecycleAll,
    /// Drains, waits for that or does not, and resumes.
    Drain {
        waits: bool,
    },
    Shutdown,
}

impl Plan {
    /// Calls only, on workers that do as they should.
    pub(crate) fn calm(random: &mut Random) -> Self {
        Self::of(random, |random| match random.below(4) {
            0 => Step::Call(Verb::Raise),
            1 => Step::Lease(vec![Verb::Echo; 2]),
            2 => Step::Try(Verb::Echo),
            _ => Step::Call(Verb::Echo),
        })
    }

    /// Clients that give up at any moment.
    pub(crate) fn impatient(random: &mut Random) -> Self {
        let grace = random.chance(2);
        let step = |random: &mut Random| {
            let turns = random.below(60);
            match random.below(6) {
                0 => Step::GiveUp(turns),
                1 => Step::Cancel(Verb::Hang, turns),
                2 => Step::Cancel(Verb::Echo, turns),
                3 => Step::Try(Verb::Echo),
                _ => Step::Call(Verb::Echo),
            }
        };
        Self {
            grace,
            ..Self::of(random, step)
        }
    }

    /// Workers that fail to start, exit and break the protocol.
    pub(crate) fn hostile(random: &mut Random) -> Self {
        let all = [
            Start::Good,
            Start::Stubborn,
            Start::Unopenable,
            Start::Refuses,
            Start::ExitsAtOnce,
        ];
        let starts = (0..4).map(|_| random.pick(&all)).collect();
        let verbs = [Verb::Echo, Verb::Exit, Verb::Last, Verb::Garbage];
        let step = |random: &mut Random| match random.below(3) {
            0 => Step::Lease(vec![random.pick(&verbs), Verb::Echo]),
            _ => Step::Call(random.pick(&verbs)),
        };
        Self {
            starts,
            health: random.chance(4),
            ..Self::of(random, step)
        }
    }

    /// All of what a pool can be asked for, while others call.
    pub(crate) fn managed(random: &mut Random) -> Self {
        let step = |random: &mut Random| match random.below(12) {
            0 => Step::Resize(1 + usize::from(random.chance(2))),
            1 => Step::Recycle,
            2 => Step::RecycleAll,
            3 => Step::Drain {
                waits: random.chance(2),
            },
            4 => Step::Status,
            5 => Step::Session(random.pick(&["a", "b"]), vec![Verb::Echo; 2]),
            6 => Step::Session("c", vec![Verb::Echo, Verb::Exit]),
            7 => Step::Cancel(Verb::Echo, random.below(60)),
            8 if random.chance(2) => Step::Shutdown,
            _ => Step::Call(Verb::Echo),
        };
        Self {
            starts: vec![random.pick(&[Start::Good, Start::Stubborn])],
            grace: random.chance(2),
            ..Self::of(random, step)
        }
    }

    fn of(random: &mut Random, mut step: impl FnMut(&mut Random) -> Step) -> Self {
        Self {
            size: 1 + usize::from(random.chance(2)),
            surge: 1 + usize::from(random.chance(2)),
            grace: false,
            health: false,
            starts: Vec::new(),
            clients: (0..2 + random.below(2))
                .map(|_| (0..1 + random.below(3)).map(|_| step(random)).collect())
                .collect(),
        }
    }

    /// Whether a worker may answer a request for the last time.
    pub(crate) fn has(&self, verb: Verb) -> bool {
        self.steps().any(|step| match step {
            Step::Lease(verbs) | Step::Session(_, verbs) => verbs.contains(&verb),
            Step::Call(does) | Step::Try(does) | Step::Cancel(does, _) => *does == verb,
            _ => false,
        })
    }

    /// Whether workers start that do not come to serve.
    pub(crate) fn starts_fail(&self) -> bool {
        let failing = [Start::Unopenable, Start::Refuses, Start::ExitsAtOnce];
        self.starts.iter().any(|start| failing.contains(start))
    }

    /// Whether the pool is shut down while clients still come.
    pub(crate) fn may_close(&self) -> bool {
        self.steps().any(|step| matches!(step, Step::Shutdown))
    }

    /// The most workers that may be open at a time.
    pub(crate) fn most(&self) -> usize {
        let sizes = self.steps().map(|step| match step {
            Step::Resize(size) => *size,
            _ => self.size,
        });
        self.surge + sizes.max().unwrap_or(self.size).max(self.size)
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.clients.iter().flatten()
    }
}
