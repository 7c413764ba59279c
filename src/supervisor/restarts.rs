//! When may the next worker be started?

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Effect, Reason, Supervisor, Timer};
use crate::policy::Policy;
use crate::trace::Transition;
use crate::worker::{Input, Phase};

/// Failures, and the pauses that they cause.
///
/// Each position of the pool has its own row of failures, which goes on from a worker to its replacement: one program
/// that crashes again and again slows down its own replacement and no other's.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts {
    /// Starts in a row that ended before the worker was ready. Any worker that becomes ready ends the row.
    failed_starts: u32,
    /// Positions that are held back for a while. Once the pool has settled, at most as many as are vacant.
    pauses: Vec<Pause>,
    /// Positions for the next workers to be opened. Those that are not listed are new ones.
    vacancies: VecDeque<Vacancy>,
    /// How many pauses there have been: the generation of the latest.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    generation: u64,
    vacancy: Vacancy,
}

/// A position that a worker has left, or is to leave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vacancy {
    /// The position's row of failures.
    pub(super) failures: u32,
    /// Why it was left. `None`: it is a new one.
    pub(super) left: Option<Reason>,
}

impl Restarts {
    /// Whether so many starts in a row have failed that there is no telling when one will not.
    pub(super) fn is_crash_loop(&self, policy: &Policy) -> bool {
        self.failed_starts >= policy.crash_loop
    }

    /// How many positions are held back now.
    pub(super) fn held_back(&self) -> usize {
        self.pauses.len()
    }

    /// The position that the next worker takes.
    pub(super) fn next_vacancy(&mut self) -> Vacancy {
        self.vacancies.pop_front().unwrap_or_default()
    }

    /// Takes note of a position that is to be filled at once.
    pub(super) fn vacate(&mut self, failures: u32, left: Reason) {
        let left = Some(left);
        self.vacancies.push_back(Vacancy { failures, left });
    }

    /// Forgets the positions that are not to be filled: the pool has as many workers as it is to have.
    pub(super) fn close_vacancies(&mut self) {
        self.vacancies.clear();
    }

    fn pause(&mut self, failures: u32, left: Reason, after: Duration) -> Effect {
        let left = Some(left);
        self.generation += 1;
        let pause = Pause {
            generation: self.generation,
            vacancy: Vacancy { failures, left },
        };
        self.pauses.push(pause);
        let timer = pause.timer();
        Effect::StartTimer { timer, after }
    }

    /// A pause's timer elapsed. False when there is no such pause any more.
    fn elapsed(&mut self, generation: u64) -> bool {
        let found = self.pauses.iter().position(|p| p.generation == generation);
        if let Some(index) = found {
            let pause = self.pauses.remove(index);
            self.vacancies.push_back(pause.vacancy);
        }
        found.is_some()
    }
}

impl Pause {
    fn timer(self) -> Timer {
        Timer::Restart {
            generation: self.generation,
        }
    }
}

impl Supervisor {
    /// Takes note that a worker became ready.
    pub(super) fn start_succeeded(&mut self) {
        self.counters.started += 1;
        self.restarts.failed_starts = 0;
    }

    /// Takes note that a worker's start failed.
    pub(super) fn start_failed(&mut self) {
        self.restarts.failed_starts = self.restarts.failed_starts.saturating_add(1);
        self.stop_rolling();
    }

    /// Takes note that a position was left that is to be filled again. After a failed start, and after a crash that
    /// follows another failure, that has to wait.
    pub(super) fn vacated(&mut self, transition: Transition) {
        let (Some(occupant), Some(left)) = (self.slots.get(transition.worker), transition.reason)
        else {
            return;
        };
        // The position of one that is being replaced has been given away.
        if occupant.mark.is_some() {
            return;
        }
        let failures = occupant.failures;
        let row = failures.saturating_add(1);
        let doublings = match (transition.from, transition.input) {
            (_, Input::Retire | Input::Fault) => return self.restarts.vacate(0, left),
            (Phase::Initializing, _) => row,
            _ if failures == 0 => return self.restarts.vacate(row, left),
            _ => failures,
        };
        let after = self.random.jitter(self.policy.backoff(doublings));
        let pause = self.restarts.pause(row, left, after);
        self.effects.push(pause);
    }

    /// The timer of a pause elapsed.
    pub(super) fn pause_elapsed(&mut self, generation: u64) {
        if !self.restarts.elapsed(generation) {
            self.counters.stale += 1;
        }
    }

    /// Ends the pauses, the latest first, until no more are left than there are positions to hold back: some may have been
    /// filled, because the worker that was to be replaced is kept, or be gone, because the pool is smaller or ends.
    pub(super) fn end_pauses_beyond(&mut self, vacant: usize) {
        while self.restarts.pauses.len() > vacant
            && let Some(pause) = self.restarts.pauses.pop()
        {
            let timer = pause.timer();
            self.effects.push(Effect::CancelTimer { timer });
        }
    }
}
