//! Which position a worker of a [`Model`] has, and which worker retires because of it.

use ostler::supervisor::Reason;
use ostler::worker::{self, Phase};

use crate::model::{Model, Vacancy};

impl Model {
    /// R30: a serving worker whose position is beyond `size`, or is that of another serving worker,
    /// is replaced. Of two that share one, an idle one is, then one in a lower slot.
    pub(crate) fn replace_misplaced(&mut self) {
        let mut serving = self.in_phase(&[Phase::Ready]);
        serving.extend(self.in_phase(&[Phase::Busy]));
        serving.retain(|w| self.workers[*w].replacement.is_none());
        while !serving.is_empty() {
            let w = serving.remove(0);
            let position = self.workers[w].vacancy.position;
            let is_shared = |v: &usize| self.workers[*v].vacancy.position == position;
            if position >= self.policy.size || serving.iter().any(is_shared) {
                self.replace(w, Reason::Surplus, false);
            }
        }
    }

    /// L15: retires workers to be replaced while more than `size` serve: those whose replacement
    /// serves, the lowest position first, then the others, the highest position first.
    pub(crate) fn retire_replaced(&mut self) {
        while self.serving().len() > self.policy.size {
            let mut replaced = self.serving();
            replaced.retain(|w| self.workers[*w].replacement.is_some());
            let position = |w: usize| self.workers[w].vacancy.position;
            replaced.sort_by_key(|w| (position(*w), self.workers[*w].id.slot));
            let kept = |w: &usize| self.workers[*w].replacement.is_none();
            let kept: Vec<usize> = self.serving().into_iter().filter(kept).collect();
            let relieved = |w: &&usize| kept.iter().any(|v| position(*v) == position(**w));
            let first = replaced.iter().find(relieved).or(replaced.last());
            let Some(&w) = first else { return };
            let reason = self.workers[w].replacement.map(|it| it.reason);
            self.react(w, worker::Input::Retire, reason);
        }
    }

    /// Retires workers beyond `size`: starting ones whose position is beyond `size` or that of
    /// another worker, the highest position first.
    pub(crate) fn retire_surplus(&mut self) {
        while self.staff().len() > self.policy.size {
            let staff = self.staff();
            let position = |w: usize| self.workers[w].vacancy.position;
            let is_misplaced = |w: &usize| {
                let is_shared = |v: &usize| v != w && position(*v) == position(*w);
                position(*w) >= self.policy.size || staff.iter().any(is_shared)
            };
            let mut starting = self.in_phase(&[Phase::Initializing]);
            starting.retain(is_misplaced);
            let highest = |w: &usize| (position(*w), self.workers[*w].id);
            let w = starting.into_iter().max_by_key(highest);
            let w = w.expect("each serving worker has a position of its own");
            self.react(w, worker::Input::Retire, Some(Reason::Surplus));
        }
    }

    /// The oldest vacancy whose position is below `size` and has no worker, or else one at the
    /// lowest position that no worker has and no backoff waits for.
    pub(crate) fn next_vacancy(&mut self) -> Vacancy {
        let staff = self.staff();
        let position = |w: &usize| self.workers[*w].vacancy.position;
        let taken: Vec<usize> = staff.iter().map(position).collect();
        while !self.vacancies.is_empty() {
            let vacancy = self.vacancies.remove(0);
            if !taken.contains(&vacancy.position) && vacancy.position < self.policy.size {
                return vacancy;
            }
        }
        let waits = |position| (self.backoffs.iter()).any(|(_, it)| it.position == position);
        let is_free = |position: &usize| !taken.contains(position) && !waits(*position);
        let position = (0..).find(is_free).expect("positions are many");
        Vacancy {
            position,
            ..Vacancy::default()
        }
    }
}
