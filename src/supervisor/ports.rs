//! What happens to ports, and what the workers' machines make of it.

use alloc::vec::Vec;

use super::slots::Occupant;
use super::{Effect, Illegal, Order, PortFact, Reason, Stage, Supervisor, Timer};
use crate::WorkerId;
use crate::trace::{Event, Transition};
use crate::worker::{self, Effects, Phase, Reaction, Rung};

impl Supervisor {
    pub(super) fn port(&mut self, worker: WorkerId, fact: PortFact) -> Result<(), Illegal> {
        let (input, reason) = match fact {
            PortFact::Started => (worker::Input::Started, None),
            PortFact::StartFailed => (worker::Input::StartFailed, Some(Reason::StartFailed)),
            PortFact::Exited => (worker::Input::PortExited, Some(Reason::Exited)),
            PortFact::Released => (worker::Input::PortReleased, None),
        };
        self.drive(worker, input, reason)?;
        Ok(())
    }

    pub(super) fn elapsed(&mut self, timer: Timer) -> Result<(), Illegal> {
        match timer {
            Timer::Worker {
                worker,
                timer,
                generation,
            } => self.worker_timer_elapsed(worker, timer, generation)?,
            Timer::Upkeep { worker, due } => self.upkeep_due(worker, due),
            Timer::Probe { lease } => self.probe_elapsed(lease)?,
            Timer::Restart { generation } => self.pause_elapsed(generation),
            Timer::Sessions => self.look_elapsed(),
        }
        Ok(())
    }

    fn worker_timer_elapsed(
        &mut self,
        worker: WorkerId,
        timer: worker::Timer,
        generation: u64,
    ) -> Result<(), Illegal> {
        let current = self.slots.get(worker).map(|occupant| occupant.timers);
        if current != Some(generation) {
            self.counters.stale += 1;
            return Ok(());
        }
        let (input, reason) = match timer {
            worker::Timer::Start => (worker::Input::StartElapsed, Some(Reason::StartTimedOut)),
            worker::Timer::Drain => (worker::Input::DrainElapsed, None),
            worker::Timer::Rung => (worker::Input::RungElapsed, None),
        };
        self.drive(worker, input, reason)?;
        Ok(())
    }

    pub(super) fn shutdown(&mut self) {
        if self.is_closing() {
            self.counters.stale += 1;
            return;
        }
        self.stage = Stage::Closing;
        self.abandon_rolling();
        self.end_pauses_beyond(0);
        self.close_unbound_sessions();
        // The others are on their way out, and to retire them would be to count an input that nobody gave.
        let staffing =
            |(worker, o): (WorkerId, &Occupant)| o.phase().is_staffing().then_some(worker);
        let workers: Vec<WorkerId> = self.slots.iter().filter_map(staffing).collect();
        for worker in workers {
            self.decide(worker, worker::Input::Retire, Some(Reason::Shutdown));
        }
    }

    /// As [`drive`](Self::drive), for inputs that the supervisor itself chose by the worker's phase.
    pub(super) fn decide(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
    ) {
        let moved = self.drive(worker, input, reason);
        debug_assert_eq!(moved, Ok(true), "worker {worker}: {input}");
    }

    /// Feeds one input to one worker's machine and passes its orders on: whether the worker moved.
    pub(super) fn drive(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
    ) -> Result<bool, Illegal> {
        let Some(occupant) = self.slots.get_mut(worker) else {
            self.counters.stale += 1;
            return Ok(false);
        };
        match occupant.machine.handle(input) {
            Err(rejected) => Err(Illegal { worker, rejected }),
            Ok(Reaction::Stale) => {
                self.counters.stale += 1;
                Ok(false)
            }
            Ok(Reaction::Moved { from, to, effects }) => {
                occupant.reason = occupant.reason.or(reason);
                let transition = Transition {
                    worker,
                    from,
                    input,
                    to,
                    reason: occupant.reason,
                };
                self.order_all(worker, effects);
                self.effects.push(Effect::Trace(Event::Moved(transition)));
                self.take_note(transition);
                Ok(true)
            }
        }
    }

    /// Draws what a worker's transition means for the pool.
    fn take_note(&mut self, moved: Transition) {
        use worker::Input::{PortExited, PortReleased, Retire, Started};
        let Transition {
            worker,
            from,
            input,
            to,
            ..
        } = moved;
        if from.is_staffing() && !to.is_staffing() && !self.is_closing() {
            self.vacated(moved);
        }
        if to == Phase::Stopping && from != to {
            self.lose_sessions(worker, moved.reason.unwrap_or(Reason::Shutdown));
        }
        match (from, input) {
            (_, Started) => {
                self.start_succeeded();
                self.begin_upkeep(worker);
            }
            (_, PortReleased) => {
                self.counters.released += 1;
                self.slots.free(worker);
            }
            (Phase::Initializing, input) if input != Retire => self.start_failed(),
            (from, PortExited) if from != Phase::Stopping => self.counters.exited += 1,
            _ => {}
        }
    }

    /// Completes a machine's orders with what it does not know: how long, and why.
    pub(super) fn order_all(&mut self, worker: WorkerId, effects: Effects) {
        let Some(occupant) = self.slots.get_mut(worker) else {
            return;
        };
        for effect in effects.iter() {
            let order = match *effect {
                worker::Effect::Open => Order::Open,
                worker::Effect::Stop(rung) => Order::Stop {
                    rung,
                    reason: occupant.reason.unwrap_or(Reason::Shutdown),
                },
                worker::Effect::StartTimer(timer) => {
                    occupant.timers += 1;
                    let after = match (timer, occupant.machine.rung()) {
                        (worker::Timer::Start, _) => self.policy.start_timeout,
                        (worker::Timer::Drain, _) => self.policy.drain_timeout(),
                        (worker::Timer::Rung, rung) => {
                            self.policy.rung_timeout(rung.unwrap_or(Rung::Kill))
                        }
                    };
                    Order::StartTimer {
                        timer: occupant.timer(worker, timer),
                        after,
                    }
                }
                worker::Effect::CancelTimer(timer) => Order::CancelTimer {
                    timer: occupant.timer(worker, timer),
                },
            };
            self.effects.push(Effect::Worker { worker, order });
        }
    }
}

impl Occupant {
    /// The name of the latest timer of its machine.
    fn timer(&self, worker: WorkerId, timer: worker::Timer) -> Timer {
        Timer::Worker {
            worker,
            timer,
            generation: self.timers,
        }
    }
}
