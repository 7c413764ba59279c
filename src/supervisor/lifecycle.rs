//! Feeding one worker's machine, and what its transitions mean for the pool.

use alloc::vec::Vec;

use super::event::Transition;
use super::occupant::Occupant;
use super::{Effect, Event, Fault, Illegal, Order, PortFact, Reason, Stage, Supervisor, Timer};
use crate::WorkerId;
use crate::worker::{self, Effects, Phase, Reaction, Rung};

impl Supervisor {
    pub(super) fn port(&mut self, worker: WorkerId, fact: PortFact) -> Result<(), Illegal> {
        if fact == PortFact::Released && self.abandoned.remove(&worker) {
            self.counters.released += 1;
            return Ok(());
        }
        let (input, reason) = match fact {
            PortFact::Started => (worker::Input::Started, None),
            PortFact::StartFailed { is_final } => return self.refused_to_start(worker, is_final),
            PortFact::Broke => return self.broke(worker),
            PortFact::Exited => (worker::Input::Exited, Some(Reason::Exited)),
            PortFact::Released => (worker::Input::Released, None),
        };
        self.feed_worker(worker, input, reason)?;
        Ok(())
    }

    fn refused_to_start(&mut self, worker: WorkerId, is_final: bool) -> Result<(), Illegal> {
        let (input, reason) = (worker::Input::StartFailed, Some(Reason::StartFailed));
        if self.feed_worker(worker, input, reason)? && is_final && !self.has_served() {
            self.restarts.give_up(&self.policy);
        }
        Ok(())
    }

    /// A worker broke the protocol by itself. No call is to blame, so its vacancy backs off like
    /// that of a crash: otherwise a program that does so at each start is restarted without pause.
    fn broke(&mut self, worker: WorkerId) -> Result<(), Illegal> {
        if let Some(mut occupant) = self.slots.get_mut(worker) {
            occupant.broke = occupant.is_serving() || occupant.is_draining();
        }
        let reason = Some(Reason::Fault(Fault::ProtocolBroken));
        let moved = self.feed_worker(worker, worker::Input::Fault, reason)?;
        self.counters.faulted += u64::from(moved);
        Ok(())
    }

    pub(super) fn elapsed(&mut self, timer: Timer) -> Result<(), Illegal> {
        match timer {
            Timer::Worker {
                worker,
                timer,
                generation,
            } => self.worker_timer_elapsed(worker, timer, generation)?,
            Timer::Milestone { worker, milestone } => self.milestone_reached(worker, milestone),
            Timer::Probe { lease } => self.probe_elapsed(lease)?,
            Timer::Cancel { lease } => self.cancel_elapsed(lease)?,
            Timer::Backoff { generation } => self.backoff_elapsed(generation),
            Timer::IdleSweep => self.idle_sweep(),
            Timer::SessionGrace => self.session_grace_elapsed(),
        }
        Ok(())
    }

    fn worker_timer_elapsed(
        &mut self,
        worker: WorkerId,
        timer: worker::Timer,
        generation: u64,
    ) -> Result<(), Illegal> {
        let current = self.slots.get(worker).filter(|o| o.timers == generation);
        let Some(occupant) = current else {
            self.counters.stale += 1;
            return Ok(());
        };
        let (input, reason) = match timer {
            worker::Timer::Rung if occupant.is_on_last_rung() && self.may_abandon() => {
                self.order(worker, Order::Abandon);
                (worker::Input::Abandoned, None)
            }
            worker::Timer::Start => (worker::Input::StartElapsed, Some(Reason::StartTimedOut)),
            worker::Timer::Drain => (worker::Input::DrainElapsed, None),
            worker::Timer::Rung => (worker::Input::RungElapsed, None),
        };
        self.feed_worker(worker, input, reason)?;
        Ok(())
    }

    pub(super) fn shutdown(&mut self) {
        if self.is_closing() {
            self.counters.stale += 1;
            return;
        }
        self.abandon_rolling();
        self.cancel_backoffs_beyond(0);
        self.close_unbound_sessions();
        self.stage = Stage::Draining {
            grace: self.start_session_grace(),
        };
        // Draining and stopping workers are on their way out: retiring them would count a stale
        // input.
        let staffing = (self.slots.iter()).filter(|(_, o)| o.phase().is_staffing());
        let workers: Vec<WorkerId> = staffing.map(|(worker, _)| worker).collect();
        for worker in workers {
            self.must_feed(worker, worker::Input::Retire, Some(Reason::Shutdown));
        }
    }

    pub(super) fn shutdown_now(&mut self) {
        let is_first = !self.is_closing();
        if is_first {
            self.shutdown();
            self.settle();
        }
        let graced = (self.slots.iter()).filter(|(_, o)| o.end_of_grace().is_some());
        let workers: Vec<WorkerId> = graced.map(|(worker, _)| worker).collect();
        self.counters.stale += u64::from(!is_first && workers.is_empty());
        for worker in workers {
            while let Some(elapsed) = self.slots.get(worker).and_then(Occupant::end_of_grace) {
                self.must_feed(worker, elapsed, None);
                // Each is an input of its own to the specification, which takes an input only once
                // the pool has settled.
                self.settle();
            }
        }
    }

    /// Whether one more port may be abandoned. The bound keeps a program whose processes never end
    /// from filling the host.
    fn may_abandon(&self) -> bool {
        self.abandoned.len() < self.policy.size
    }

    /// As [`feed_worker`](Self::feed_worker), for inputs that the supervisor chose because the
    /// worker's phase accepts them.
    pub(super) fn must_feed(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
    ) {
        let moved = self.feed_worker(worker, input, reason);
        debug_assert_eq!(moved, Ok(true), "worker {worker}: {input}");
    }

    /// Feeds an input to one worker's machine and passes on its effects. Returns whether the worker
    /// moved.
    pub(super) fn feed_worker(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
    ) -> Result<bool, Illegal> {
        self.feed_worker_with(worker, input, reason, |_| ())
    }

    /// As [`feed_worker`](Self::feed_worker), with something else that changes when the worker
    /// takes the input.
    pub(super) fn feed_worker_with(
        &mut self,
        worker: WorkerId,
        input: worker::Input,
        reason: Option<Reason>,
        change: impl FnOnce(&mut Occupant),
    ) -> Result<bool, Illegal> {
        let Some(mut occupant) = self.slots.get_mut(worker) else {
            self.counters.stale += 1;
            return Ok(false);
        };
        let reaction = occupant.machine.feed(input);
        if reaction.is_ok() {
            change(&mut occupant);
        }
        match reaction {
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
                drop(occupant);
                self.order_all(worker, effects);
                self.effects.push(Effect::Event(Event::Moved(transition)));
                self.after_transition(transition);
                Ok(true)
            }
        }
    }

    /// Decides what a worker's transition means for the pool.
    fn after_transition(&mut self, moved: Transition) {
        use worker::Input::{Abandoned, Exited, Released, Retire, Started};
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
        if input == Exited && from != Phase::Stopping {
            self.counters.exited += 1;
        }
        match (from, input) {
            (_, Started) => {
                self.start_succeeded();
                self.begin_monitoring(worker);
            }
            (_, Released) => {
                self.counters.released += 1;
                self.slots.free(worker);
            }
            (_, Abandoned) => {
                self.counters.abandoned += 1;
                self.abandoned.insert(worker);
                self.slots.free(worker);
            }
            (Phase::Initializing, input) if input != Retire => self.start_failed(),
            _ => {}
        }
    }

    /// Adds to a machine's effects what the machine does not know: durations, generations and
    /// reasons.
    pub(super) fn order_all(&mut self, worker: WorkerId, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        let Some(mut occupant) = self.slots.get_mut(worker) else {
            return;
        };
        for effect in effects.iter() {
            if let worker::Effect::StartTimer(_) = effect {
                occupant.timers += 1;
            }
            let generation = occupant.timers;
            let named = |timer| Timer::Worker {
                worker,
                timer,
                generation,
            };
            self.effects.push(match *effect {
                worker::Effect::Open => Effect::Worker {
                    worker,
                    order: Order::Open {
                        position: occupant.position,
                    },
                },
                worker::Effect::Stop(rung) => Effect::Worker {
                    worker,
                    order: Order::Stop {
                        rung,
                        reason: occupant.reason.unwrap_or(Reason::Shutdown),
                    },
                },
                worker::Effect::StartTimer(timer) => Effect::StartTimer {
                    timer: named(timer),
                    after: match (timer, occupant.machine.rung()) {
                        (worker::Timer::Start, _) => self.policy.start_timeout,
                        (worker::Timer::Drain, _) => self.policy.drain_timeout(),
                        (worker::Timer::Rung, rung) => {
                            self.policy.rung_timeout(rung.unwrap_or(Rung::Kill))
                        }
                    },
                },
                worker::Effect::CancelTimer(timer) => Effect::CancelTimer {
                    timer: named(timer),
                },
            });
        }
    }
}
