//! When the next worker may be started.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::Transition;
use super::{Effect, Reason, Supervisor, Timer};
use crate::policy::Policy;
use crate::worker::{Input, Phase};

/// Failures, and the backoffs that follow them.
///
/// Each vacancy carries the consecutive failures of the workers that left it, so one program that
/// keeps crashing delays only its own replacement.
#[derive(Clone, Debug, Default)]
pub(super) struct Restarts {
    /// Consecutive failed starts, pool-wide. Any worker that becomes ready resets it.
    failed_starts: u32,
    /// Vacancies held back by a backoff. Once the pool has settled, at most as many as workers are
    /// missing.
    backoffs: Vec<Backoff>,
    /// Vacancies for the next workers, oldest first. A worker that finds none here fills a new one.
    vacancies: VecDeque<Vacancy>,
    /// Backoffs so far: the generation of the latest.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    generation: u64,
    vacancy: Vacancy,
}

/// A missing worker, to be filled by the next start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vacancy {
    /// The position that the last worker left.
    pub(super) position: usize,
    /// Consecutive failures that led to it.
    pub(super) failures: u32,
    /// Why the last worker left it. `None`: it is new.
    pub(super) left: Option<Reason>,
}

impl Restarts {
    /// Whether `crash_loop` starts in a row have failed.
    pub(super) fn is_crash_loop(&self, policy: &Policy) -> bool {
        self.failed_starts >= policy.crash_loop
    }

    /// Vacancies held back now.
    pub(super) fn held_back(&self) -> usize {
        self.backoffs.len()
    }

    /// Adds a vacancy that may be filled at once.
    pub(super) fn vacate(&mut self, position: usize, failures: u32, left: Reason) {
        self.vacancies
            .push_back(Vacancy::new(position, failures, left));
    }

    /// No start can succeed: counts as many failed ones as a crash loop takes.
    pub(super) fn give_up(&mut self, policy: &Policy) {
        self.failed_starts = self.failed_starts.max(policy.crash_loop);
    }

    /// Drops the vacancies that need no worker: the pool is fully staffed.
    pub(super) fn close_vacancies(&mut self) {
        self.vacancies.clear();
    }

    fn back_off(&mut self, vacancy: Vacancy) -> Timer {
        self.generation += 1;
        let backoff = Backoff {
            generation: self.generation,
            vacancy,
        };
        self.backoffs.push(backoff);
        backoff.timer()
    }

    /// A backoff elapsed. False when it had been cancelled.
    fn elapsed(&mut self, generation: u64) -> bool {
        let found = (self.backoffs.iter()).position(|backoff| backoff.generation == generation);
        if let Some(index) = found {
            let backoff = self.backoffs.remove(index);
            self.vacancies.push_back(backoff.vacancy);
        }
        found.is_some()
    }
}

impl Vacancy {
    fn new(position: usize, failures: u32, left: Reason) -> Self {
        Self {
            position,
            failures,
            left: Some(left),
        }
    }
}

impl Backoff {
    fn timer(self) -> Timer {
        Timer::Backoff {
            generation: self.generation,
        }
    }
}

impl Supervisor {
    /// A worker became ready.
    pub(super) fn start_succeeded(&mut self) {
        self.counters.started += 1;
        self.restarts.failed_starts = 0;
    }

    /// A worker's start failed.
    pub(super) fn start_failed(&mut self) {
        self.restarts.failed_starts = self.restarts.failed_starts.saturating_add(1);
        self.stop_rolling();
    }

    /// A worker left a vacancy. It is filled at once, except after a failed start and after a crash
    /// that follows another failure: then it backs off first. A worker that broke the protocol
    /// between two calls has crashed.
    pub(super) fn vacated(&mut self, transition: Transition) {
        let (Some(occupant), Some(left)) = (self.slots.get(transition.worker), transition.reason)
        else {
            return;
        };
        // A worker that is being replaced opened its vacancy when that was decided.
        if occupant.replacement.is_some() {
            return;
        }
        let (position, before) = (occupant.position, occupant.failures);
        let failures = before.saturating_add(1);
        let doublings = match (transition.from, transition.input) {
            (_, Input::Retire) => return self.restarts.vacate(position, 0, left),
            (_, Input::Fault) if !occupant.broke => {
                return self.restarts.vacate(position, 0, left);
            }
            (Phase::Initializing, _) => failures,
            _ if before == 0 => return self.restarts.vacate(position, failures, left),
            _ => before,
        };
        let after: Duration = self.random.jitter(self.policy.backoff(doublings));
        let timer = (self.restarts).back_off(Vacancy::new(position, failures, left));
        self.start_timer(timer, after);
    }

    /// The vacancy that the next worker fills: the oldest, or else a new one at the lowest position
    /// that is free. A vacancy is void if its position has a worker again, because a worker that
    /// was to be replaced is kept, or if the pool has shrunk.
    pub(super) fn next_vacancy(&mut self) -> Vacancy {
        while let Some(vacancy) = self.restarts.vacancies.pop_front() {
            let is_filled = self.slots.positions().has_staff(vacancy.position);
            if !is_filled && vacancy.position < self.policy.size {
                return vacancy;
            }
        }
        // Staff and backoffs are together fewer than `size`, or no worker would start.
        let backoffs = &self.restarts.backoffs;
        let backs_off = |position| backoffs.iter().any(|it| it.vacancy.position == position);
        let position = self.slots.lowest_free_position(backs_off);
        Vacancy {
            position,
            ..Vacancy::default()
        }
    }

    pub(super) fn backoff_elapsed(&mut self, generation: u64) {
        if !self.restarts.elapsed(generation) {
            self.counters.stale += 1;
        }
    }

    /// Cancels backoffs, the latest first, until no more are left than workers are missing. Others
    /// may have filled the vacancy, because a worker that was to be replaced is kept, or the pool
    /// may have shrunk or ended.
    pub(super) fn cancel_backoffs_beyond(&mut self, missing: usize) {
        while self.restarts.backoffs.len() > missing
            && let Some(backoff) = self.restarts.backoffs.pop()
        {
            let timer = backoff.timer();
            self.effects.push(Effect::CancelTimer { timer });
        }
    }
}
