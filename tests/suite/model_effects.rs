//! The effects that a [`Model`] predicts, and what follows from them.

use std::time::Duration;

use ostler::supervisor::{Effect, Event, Order, Reason, SessionEnd, Timer};
use ostler::worker::{self, Phase, Rung};
use ostler::{SessionId, WorkerId};

use crate::model::{Home, Model};
use crate::world_port::PortState;

impl Model {
    /// Completes an effect of a worker's machine with durations, generations and reasons.
    pub(crate) fn pass_on(&mut self, w: usize, effect: worker::Effect) {
        let worker = &self.workers[w];
        let (id, reason) = (worker.id, worker.reason);
        let order = match effect {
            worker::Effect::Open => Order::Open {
                position: worker.vacancy.position,
            },
            worker::Effect::Stop(rung) => Order::Stop {
                rung,
                reason: reason.expect("a worker is stopped for a reason"),
            },
            worker::Effect::StartTimer(timer) => {
                let after = self.deadline(timer, worker.state.1);
                let generation = self.machine_timers(id) + 1;
                return self.start_timer(of_machine(id, timer, generation), after);
            }
            worker::Effect::CancelTimer(timer) => {
                let generation = self.machine_timers(id);
                return self.cancel_timer(of_machine(id, timer, generation));
            }
        };
        self.order(id, order);
    }

    /// How many timers a worker's machine has started.
    fn machine_timers(&self, id: WorkerId) -> u64 {
        let of_machine =
            |timer: &&Timer| matches!(timer, Timer::Worker { worker, .. } if *worker == id);
        self.all_timers.iter().filter(of_machine).count() as u64
    }

    /// The deadlines of a worker with the default options: of the 30 s of a shutdown, the ladder
    /// takes 4 s and the kill 1 s.
    fn deadline(&self, timer: worker::Timer, rung: Option<Rung>) -> Duration {
        match (timer, rung) {
            (worker::Timer::Start, _) => self.policy.start_timeout,
            (worker::Timer::Drain, _) => Duration::from_secs(25),
            (worker::Timer::Rung, Some(Rung::Ask | Rung::Term)) => Duration::from_secs(2),
            (worker::Timer::Rung, _) => self.policy.release_timeout,
        }
    }

    pub(crate) fn order(&mut self, worker: WorkerId, order: Order) {
        self.emit(Effect::Worker { worker, order });
    }

    pub(crate) fn end_session_of(&mut self, session: SessionId, end: SessionEnd) {
        for known in &mut self.sessions {
            if known.id == session {
                known.home = Home::Over;
            }
        }
        self.emit(Effect::SessionEnded { session, end });
    }

    /// Gives an effect. Timers, ports and counters follow from the effects.
    pub(crate) fn emit(&mut self, effect: Effect) {
        use worker::Input::{Abandoned, Exited, Released, Retire, Started};
        self.effects.push(effect);
        let counters = &mut self.counters;
        match effect {
            Effect::Grant { .. } => counters.granted += 1,
            Effect::Refuse { .. } => counters.refused += 1,
            Effect::StartTimer { timer, .. } => {
                self.timers.push(timer);
                self.all_timers.push(timer);
            }
            Effect::CancelTimer { timer } => self.timers.retain(|running| *running != timer),
            Effect::Event(Event::Opened { .. }) => counters.opened += 1,
            Effect::Event(Event::Moved(moved)) => match (moved.from, moved.input, moved.reason) {
                (_, Started, _) => counters.started += 1,
                (_, Released, _) => counters.released += 1,
                (_, Abandoned, _) => counters.abandoned += 1,
                (Phase::Stopping, Exited, _) => {}
                (_, Exited, _) => counters.exited += 1,
                (_, Retire, Some(Reason::Recycled | Reason::Limit(_))) => counters.recycled += 1,
                _ => {}
            },
            Effect::Worker { worker, order } => match order {
                Order::Probe { .. } => counters.probes += 1,
                Order::Stop {
                    rung: Rung::Reap, ..
                } => {
                    let w = self.find(worker).expect("it is being stopped");
                    self.workers[w].port = PortState::Releasing;
                }
                Order::Abandon => {
                    let w = self.find(worker).expect("it has a slot");
                    self.workers[w].port = self.workers[w].port.abandoned();
                }
                Order::Open { .. } | Order::Stop { .. } | Order::Cancel { .. } | Order::Measure => {
                }
            },
            Effect::Event(_) | Effect::SessionEnded { .. } => {}
            Effect::RollingEnded(_) | Effect::DrainEnded(_) => {}
            Effect::ShutdownDrained | Effect::Closed => {}
        }
    }

    pub(crate) fn start_timer(&mut self, timer: Timer, after: Duration) {
        self.emit(Effect::StartTimer { timer, after });
    }

    pub(crate) fn cancel_timer(&mut self, timer: Timer) {
        self.emit(Effect::CancelTimer { timer });
    }
}

fn of_machine(worker: WorkerId, timer: worker::Timer, generation: u64) -> Timer {
    Timer::Worker {
        worker,
        timer,
        generation,
    }
}
