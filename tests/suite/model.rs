//! What must a pool do? The plainest account of it, beside which `supervisor_random` runs the supervisor.
//!
//! Everything that there ever was stays in a list, and what can be counted is counted when it is asked for. Nothing is
//! shared with `src/supervisor/` but the words. What one worker does is read from the table of its machine, which the
//! specification is compared with. What happens to a pool is in `model_inputs`, what follows from it in `model_settle`.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use ostler::supervisor::{
    Counters, Effect, Illegal, Input, Order, Reason, SessionEnd, Timer, WorkerView,
};
use ostler::supervisor::{Event, Transition};
use ostler::worker::{self, Phase, Rejected, Rung};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId};

use crate::derived_table::{State, Table, Verdict};
use crate::world::PortState;

static TABLE: LazyLock<Table> = LazyLock::new(Table::derive);

/// A worker that there is or has been.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) state: State,
    /// What its port can still do, until it is released.
    pub(crate) port: PortState,
    /// The position that it has among the `size` workers.
    pub(crate) position: Position,
    /// Why it is on its way out.
    pub(crate) reason: Option<Reason>,
    pub(crate) mark: Option<Mark>,
    /// Whether it was with an error that it answered, for each whole exchange.
    pub(crate) errors: Vec<bool>,
    pub(crate) misses: u32,
    pub(crate) memory: Option<u64>,
    /// Whether it has served for `min_worker_life`.
    pub(crate) mature: bool,
    /// Whether it has served for `max_worker_age`.
    pub(crate) aged: bool,
}

/// What goes on from a worker to the one that takes its position.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    /// How many workers in a row have failed in it.
    pub(crate) failures: u32,
    /// Why the last one left it, or is to.
    pub(crate) left: Option<Reason>,
}

/// That a worker is to be replaced, and whether it is a rolling restart that wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) reason: Reason,
    pub(crate) rolling: bool,
}

/// Somebody who has asked for a lease.
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
    /// Whether its holder still has it, which it may for longer than there is a worker.
    pub(crate) out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Client(Option<SessionId>),
    /// The health monitor, whose probe has missed a deadline or not.
    Monitor {
        late: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) home: Home,
    /// How many looks in a row have found it unused.
    pub(crate) unused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// It has had no lease.
    None,
    Worker(WorkerId),
    /// Its worker is gone, and its client does not know.
    Lost(Reason),
    /// The session is over.
    Over,
}

/// A pool, and who is around it.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) policy: Policy,
    /// In the order in which they were opened.
    pub(crate) workers: Vec<Worker>,
    /// In the order in which they came.
    pub(crate) clients: Vec<Client>,
    pub(crate) leases: Vec<Lease>,
    pub(crate) sessions: Vec<Session>,
    /// Timers that run.
    pub(crate) timers: Vec<Timer>,
    /// Every timer that was ever started.
    pub(crate) all_timers: Vec<Timer>,
    /// Positions that are to be filled, the first one next. Whoever finds none takes a new one.
    pub(crate) vacant: Vec<Position>,
    /// Positions that are held back, and the timer of each. The latest is the last.
    pub(crate) paused: Vec<(Timer, Position)>,
    pub(crate) failed_starts: u32,
    /// How many workers the rolling restart has marked, while there is one.
    pub(crate) rolling: Option<usize>,
    /// Whether newcomers are taken, and if not, whether it was said that nobody is left.
    pub(crate) intake: Intake,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) counters: Counters,
    /// What the last action was to the pool. `None`: it did not apply.
    pub(crate) input: Option<Input>,
    /// What the pool must say to it.
    pub(crate) effects: Vec<Effect>,
    pub(crate) illegal: Option<Illegal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    Open,
    Paused,
    Drained,
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
            vacant: Vec::new(),
            paused: Vec::new(),
            failed_starts: 0,
            rolling: None,
            intake: Intake::Open,
            closing: false,
            closed: false,
            counters: Counters::default(),
            input: None,
            effects: Vec::new(),
            illegal: None,
        };
        model.settle();
        model
    }

    /// The workers whose port is not released, in the order of their slots: their places in the list of all.
    pub(crate) fn alive(&self) -> Vec<usize> {
        let mut alive: Vec<usize> = (0..self.workers.len())
            .filter(|w| self.workers[*w].state.0 != Phase::Terminated)
            .collect();
        alive.sort_by_key(|w| self.workers[*w].id.slot);
        alive
    }

    /// Of those, the ones in these phases.
    pub(crate) fn in_phase(&self, phases: &[Phase]) -> Vec<usize> {
        let mut workers = self.alive();
        workers.retain(|w| phases.contains(&self.workers[*w].state.0));
        workers
    }

    pub(crate) fn serving(&self) -> Vec<usize> {
        self.in_phase(&[Phase::Ready, Phase::Busy])
    }

    /// Those that count towards the size: they serve, or will once they have started, and are not being replaced.
    pub(crate) fn staff(&self) -> Vec<usize> {
        let mut staff = self.in_phase(&[Phase::Initializing, Phase::Ready, Phase::Busy]);
        staff.retain(|w| self.workers[*w].mark.is_none());
        staff
    }

    /// Those that the rolling restart has marked and not replaced yet.
    pub(crate) fn rolling_on(&self) -> Vec<usize> {
        let mut marked = self.serving();
        marked.retain(|w| self.workers[*w].mark.is_some_and(|mark| mark.rolling));
        marked
    }

    /// The worker of that name, if its port is not released.
    pub(crate) fn find(&self, id: WorkerId) -> Option<usize> {
        self.alive().into_iter().find(|w| self.workers[*w].id == id)
    }

    /// The lease of that name, if it is out and its worker is not released.
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

    /// What the pool must show of its workers.
    pub(crate) fn views(&self) -> Vec<WorkerView> {
        let view = |w: usize| {
            let worker = &self.workers[w];
            WorkerView {
                worker: worker.id,
                phase: worker.state.0,
                rung: worker.state.1,
                calls: worker.errors.len() as u64,
                errors: worker.errors_in_a_row(),
                misses: worker.misses,
                memory: worker.memory,
                sessions: self.sessions_of(worker.id),
                marked: worker.mark.map(|mark| mark.reason),
                reason: worker.reason,
                replaces: worker.position.left,
            }
        };
        self.alive().into_iter().map(view).collect()
    }

    /// Feeds one input to one worker: whether it moved.
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
                self.say(Effect::Event(Event::Moved(moved)));
                self.moved(w, moved);
                true
            }
        }
    }

    /// What a worker makes of an input in this state.
    pub(crate) fn verdict(state: State, input: worker::Input) -> Verdict {
        TABLE.cell(state, input).expect("a worker's state").verdict
    }

    /// Completes what a worker's machine orders.
    pub(crate) fn pass_on(&mut self, w: usize, effect: worker::Effect) {
        let worker = &self.workers[w];
        let (id, reason) = (worker.id, worker.reason);
        let order = match effect {
            worker::Effect::Open => Order::Open,
            worker::Effect::Stop(rung) => Order::Stop {
                rung,
                reason: reason.expect("nobody is stopped for nothing"),
            },
            worker::Effect::StartTimer(timer) => Order::StartTimer {
                timer: Timer::Worker {
                    worker: id,
                    timer,
                    generation: self.machine_timers(id) + 1,
                },
                after: self.deadline(timer, worker.state.1),
            },
            worker::Effect::CancelTimer(timer) => Order::CancelTimer {
                timer: Timer::Worker {
                    worker: id,
                    timer,
                    generation: self.machine_timers(id),
                },
            },
        };
        self.order(id, order);
    }

    /// How many timers of its machine a worker has had.
    fn machine_timers(&self, id: WorkerId) -> u64 {
        let of_machine =
            |timer: &&Timer| matches!(timer, Timer::Worker { worker, .. } if *worker == id);
        self.all_timers.iter().filter(of_machine).count() as u64
    }

    /// The deadlines of a worker, with the defaults for the shutdown: 30 s, of which the ladder has four, and one is
    /// kept for the kill.
    fn deadline(&self, timer: worker::Timer, rung: Option<Rung>) -> Duration {
        match (timer, rung) {
            (worker::Timer::Start, _) => self.policy.start_timeout,
            (worker::Timer::Drain, _) => Duration::from_secs(25),
            (worker::Timer::Rung, Some(Rung::Ask | Rung::Term)) => Duration::from_secs(2),
            (worker::Timer::Rung, _) => Duration::from_secs(1),
        }
    }

    pub(crate) fn order(&mut self, worker: WorkerId, order: Order) {
        self.say(Effect::Worker { worker, order });
    }

    pub(crate) fn end_session_of(&mut self, session: SessionId, end: SessionEnd) {
        for known in &mut self.sessions {
            if known.id == session {
                known.home = Home::Over;
            }
        }
        self.say(Effect::SessionEnded { session, end });
    }

    /// What the pool says is what happens to timers and ports, and it is what is counted.
    pub(crate) fn say(&mut self, effect: Effect) {
        use worker::Input::{Exited, Released, Retire, Started};
        self.effects.push(effect);
        let counters = &mut self.counters;
        match effect {
            Effect::Grant { .. } => counters.granted += 1,
            Effect::Refuse { .. } => counters.refused += 1,
            Effect::StartTimer { timer, .. } => self.start_timer(timer),
            Effect::CancelTimer { timer } => self.timers.retain(|running| *running != timer),
            Effect::Event(Event::Opened { .. }) => counters.opened += 1,
            Effect::Event(Event::Moved(moved)) => match (moved.from, moved.input, moved.reason) {
                (_, Started, _) => counters.started += 1,
                (_, Released, _) => counters.released += 1,
                // One that exits before it has started is a start that failed.
                (Phase::Initializing | Phase::Stopping, Exited, _) => {}
                (_, Exited, _) => counters.exited += 1,
                (_, Retire, Some(Reason::Recycled | Reason::Limit(_))) => counters.recycled += 1,
                _ => {}
            },
            Effect::Worker { worker, order } => match order {
                Order::StartTimer { timer, .. } => self.start_timer(timer),
                Order::CancelTimer { timer } => self.timers.retain(|running| *running != timer),
                Order::Probe { .. } => counters.probes += 1,
                Order::Stop {
                    rung: Rung::Reap, ..
                } => {
                    let w = self.find(worker).expect("it is being stopped");
                    self.workers[w].port = PortState::Releasing;
                }
                Order::Open | Order::Stop { .. } | Order::Measure => {}
            },
            Effect::Event(_) | Effect::SessionEnded { .. } => {}
            Effect::Rolled(_) | Effect::Drained | Effect::Closed => {}
        }
    }

    fn start_timer(&mut self, timer: Timer) {
        self.timers.push(timer);
        self.all_timers.push(timer);
    }
}

impl Worker {
    pub(crate) fn errors_in_a_row(&self) -> u64 {
        self.errors.iter().rev().take_while(|error| **error).count() as u64
    }
}

impl fmt::Debug for Model {
    /// The policy isolated, which is what a failing test begins with: the rest follows from its actions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}
