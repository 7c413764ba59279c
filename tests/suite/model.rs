//! What must a pool do? The reference model of the supervisor, as plain as possible;
//! `supervisor_random` compares the two.
//!
//! The model keeps every worker, client, lease and session for ever in a list, and counts on
//! demand. It shares no code with `src/supervisor/`, only its types. What one worker does comes
//! from the derived transition table, which `spec_tie` compares with the specification.
//! `model_inputs` and `model_leases` handle inputs, `model_settle` the consequences.

use std::fmt;
use std::sync::LazyLock;

use ostler::supervisor::{
    Counters, Effect, Event, Fault, Illegal, Input, Reason, Timer, Transition, WorkerView,
};
use ostler::worker::{self, Phase, Rejected};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId};

use crate::derived_table::{State, Table, Verdict};
use crate::world_port::PortState;

static TABLE: LazyLock<Table> = LazyLock::new(Table::derive);

/// A worker, alive or released.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) state: State,
    /// What its port can still do, until it is released.
    pub(crate) port: PortState,
    /// Whether its port is abandoned and not released.
    pub(crate) abandoned: bool,
    /// The vacancy that it filled.
    pub(crate) vacancy: Vacancy,
    /// Whether it broke the protocol between two calls.
    pub(crate) broke: bool,
    /// Why it leaves the pool, once it does.
    pub(crate) reason: Option<Reason>,
    pub(crate) replacement: Option<Replacement>,
    /// Whether the reply was an error, for each completed call. `None`: that was counted for
    /// another call, which was answered with it.
    pub(crate) errors: Vec<Option<bool>>,
    pub(crate) misses: u32,
    pub(crate) memory: Option<u64>,
    /// Whether it has served for `min_worker_life`.
    pub(crate) mature: bool,
    /// Whether it has served for `max_worker_age`.
    pub(crate) aged: bool,
}

/// What a worker passes on to its replacement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vacancy {
    /// The position of the previous worker.
    pub(crate) position: usize,
    /// Consecutive failures that led to it.
    pub(crate) failures: u32,
    /// Why the previous worker left or is leaving.
    pub(crate) left: Option<Reason>,
}

/// A pending replacement, and whether a rolling restart wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replacement {
    pub(crate) reason: Reason,
    pub(crate) rolling: bool,
}

/// A client that asked for a lease.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: WaiterId,
    pub(crate) session: Option<SessionId>,
    pub(crate) waits: bool,
}

/// A lease that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    pub(crate) holder: Holder,
    /// Whether its holder still has it. It may outlive its worker.
    pub(crate) out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Client(Option<SessionId>),
    /// A health check, and whether it has missed a deadline.
    Probe {
        late: bool,
    },
    /// The pool, while the worker cancels a call that its client gave up.
    Cancel(Fault),
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) home: Home,
    /// Consecutive sweeps that found it unused.
    pub(crate) idle: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// It has had no lease.
    None,
    Worker(WorkerId),
    /// Its worker left, and its client has not been told.
    Lost(Reason),
    /// The session is over.
    Over,
}

/// A pool, with its clients, leases, sessions and timers.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) policy: Policy,
    /// In the order in which they opened.
    pub(crate) workers: Vec<Worker>,
    /// In the order in which they came.
    pub(crate) clients: Vec<Client>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) sessions: Vec<Session>,
    /// Running timers.
    pub(crate) timers: Vec<Timer>,
    /// Every timer that was ever started.
    pub(crate) all_timers: Vec<Timer>,
    /// Vacancies to be filled, oldest first. A worker that finds none fills a new one.
    pub(crate) vacancies: Vec<Vacancy>,
    /// Vacancies held back, with the timer of each; the latest is last.
    pub(crate) backoffs: Vec<(Timer, Vacancy)>,
    pub(crate) failed_starts: u32,
    /// How many workers the rolling restart under way chose.
    pub(crate) rolling: Option<usize>,
    pub(crate) intake: Intake,
    pub(crate) stage: Stage,
    pub(crate) counters: Counters,
    /// The input that the last action was. `None`: it did not apply.
    pub(crate) input: Option<Input>,
    /// The effects that the pool must give.
    pub(crate) effects: Vec<Effect>,
    pub(crate) illegal: Option<Illegal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Draining,
    /// Still draining, after the end of the drain was reported.
    Drained,
}

/// How far the pool is in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Draining,
    /// Draining, and idle sessions no longer hold their workers.
    Hurrying,
    Stopping,
    Closed,
}

impl Model {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut model = Self {
            policy,
            workers: Vec::new(),
            clients: Vec::new(),
            leases: Vec::new(),
            sessions: Vec::new(),
            timers: Vec::new(),
            all_timers: Vec::new(),
            vacancies: Vec::new(),
            backoffs: Vec::new(),
            failed_starts: 0,
            rolling: None,
            intake: Intake::Open,
            stage: Stage::Open,
            counters: Counters::default(),
            input: None,
            effects: Vec::new(),
            illegal: None,
        };
        model.settle();
        model
    }

    /// The workers whose ports are abandoned, in the order of their ids.
    pub(crate) fn abandoned(&self) -> Vec<WorkerId> {
        let abandoned = self.workers.iter().filter(|worker| worker.abandoned);
        let mut ids: Vec<WorkerId> = abandoned.map(|worker| worker.id).collect();
        ids.sort();
        ids
    }

    /// Indexes of the workers that have a slot, in slot order.
    pub(crate) fn alive(&self) -> Vec<usize> {
        let mut alive: Vec<usize> = (0..self.workers.len())
            .filter(|w| self.workers[*w].state.0 != Phase::Terminated)
            .collect();
        alive.sort_by_key(|w| self.workers[*w].id.slot);
        alive
    }

    /// Those of [`alive`](Self::alive) that are in these phases.
    pub(crate) fn in_phase(&self, phases: &[Phase]) -> Vec<usize> {
        let mut workers = self.alive();
        workers.retain(|w| phases.contains(&self.workers[*w].state.0));
        workers
    }

    pub(crate) fn serving(&self) -> Vec<usize> {
        self.in_phase(&[Phase::Ready, Phase::Busy])
    }

    /// Those that count towards `size`: starting or serving, and not being replaced.
    pub(crate) fn staff(&self) -> Vec<usize> {
        let mut staff = self.in_phase(&[Phase::Initializing, Phase::Ready, Phase::Busy]);
        staff.retain(|w| self.workers[*w].replacement.is_none());
        staff
    }

    /// Those that the rolling restart chose and that still serve.
    pub(crate) fn rolling_left(&self) -> Vec<usize> {
        let mut left = self.serving();
        left.retain(|w| self.workers[*w].replacement.is_some_and(|it| it.rolling));
        left
    }

    /// The index of the worker, if it has a slot.
    pub(crate) fn find(&self, id: WorkerId) -> Option<usize> {
        self.alive().into_iter().find(|w| self.workers[*w].id == id)
    }

    /// The index of the lease, if it is out and its worker is not released.
    pub(crate) fn lease_out(&self, id: LeaseId) -> Option<usize> {
        self.find(id.worker)?;
        self.leases
            .iter()
            .position(|lease| lease.id == id && lease.out)
    }

    pub(crate) fn home_of(&self, session: SessionId) -> Home {
        let known = self.sessions.iter().find(|known| known.id == session);
        known.map_or(Home::Over, |known| known.home)
    }

    pub(crate) fn sessions_of(&self, worker: WorkerId) -> usize {
        let here = |session: &&Session| session.home == Home::Worker(worker);
        self.sessions.iter().filter(here).count()
    }

    pub(crate) fn open_sessions(&self) -> usize {
        let open = |session: &&Session| session.home != Home::Over;
        self.sessions.iter().filter(open).count()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.clients.iter().filter(|client| client.waits).count()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.stage != Stage::Open
    }

    /// What the pool must show of its workers.
    pub(crate) fn views(&self) -> Vec<WorkerView> {
        let view = |w: usize| {
            let worker = &self.workers[w];
            WorkerView {
                worker: worker.id,
                position: worker.vacancy.position,
                phase: worker.state.0,
                rung: worker.state.1,
                calls: worker.errors.len() as u64,
                errors: worker.consecutive_errors(),
                misses: worker.misses,
                memory: worker.memory,
                sessions: self.sessions_of(worker.id),
                replacing: worker.replacement.map(|it| it.reason),
                reason: worker.reason,
                replaces: worker.vacancy.left,
            }
        };
        self.alive().into_iter().map(view).collect()
    }

    /// Feeds an input to one worker. Returns whether it moved.
    pub(crate) fn react(&mut self, w: usize, input: worker::Input, reason: Option<Reason>) -> bool {
        let worker = &mut self.workers[w];
        let (id, from) = (worker.id, worker.state.0);
        let cell = TABLE
            .cell(worker.state, input)
            .expect("a state of a worker");
        match cell.verdict {
            Verdict::Refused => {
                let rejected = Rejected { phase: from, input };
                self.illegal = Some(Illegal {
                    worker: id,
                    rejected,
                });
                false
            }
            Verdict::Stale => {
                self.counters.stale += 1;
                false
            }
            Verdict::Moves(to) => {
                worker.state = cell.after;
                worker.reason = worker.reason.or(reason);
                let moved = Transition {
                    worker: id,
                    from,
                    input,
                    to,
                    reason: worker.reason,
                };
                for effect in cell.effects.iter() {
                    self.pass_on(w, *effect);
                }
                self.emit(Effect::Event(Event::Moved(moved)));
                self.after_transition(w, moved);
                true
            }
        }
    }

    /// The table's verdict on an input in this state.
    pub(crate) fn verdict(state: State, input: worker::Input) -> Verdict {
        TABLE.cell(state, input).expect("a worker's state").verdict
    }
}

impl Worker {
    pub(crate) fn consecutive_errors(&self) -> u64 {
        let errors = self.errors.iter().rev().filter_map(|error| *error);
        errors.take_while(|error| *error).count() as u64
    }
}

impl fmt::Debug for Model {
    /// Only the policy: the rest of a failing test follows from its actions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}
