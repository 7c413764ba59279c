//! Pseudo-random choices from a seed.

use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The durations that a history uses, in milliseconds. Few, so that deadlines coincide.
const PALETTE: [u64; 13] = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1_000, 3_000];

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn count(&mut self, from: usize, to: usize) -> usize {
        from + usize::try_from(self.below((to - from + 1) as u64)).expect("a count fits")
    }

    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.count(0, all.len() - 1)]
    }

    /// A duration between two of the palette.
    pub(crate) fn duration(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        let fits = |ms: &&u64| (from_ms..=to_ms).contains(*ms);
        let all: Vec<u64> = PALETTE.iter().filter(fits).copied().collect();
        Duration::from_millis(self.pick(&all))
    }
}
