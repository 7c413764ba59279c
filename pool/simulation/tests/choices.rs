//! Random choices of a plan.

use std::time::Duration;

use crate::random::Random;

/// The durations of a plan, in milliseconds. Few, so that deadlines coincide.
const PALETTE: [u64; 13] = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1_000, 3_000];

impl Random {
    pub(crate) fn count(&mut self, from: usize, to: usize) -> usize {
        from + usize::try_from(self.below((to - from + 1) as u64)).expect("a count fits")
    }

    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.count(0, all.len() - 1)]
    }

    /// A duration between two durations of the palette.
    pub(crate) fn duration(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        let fits = |ms: &&u64| (from_ms..=to_ms).contains(*ms);
        let all: Vec<u64> = PALETTE.iter().filter(fits).copied().collect();
        Duration::from_millis(self.pick(&all))
    }
}
