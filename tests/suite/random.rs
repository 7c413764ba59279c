//! Random numbers for tests.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A new seed, or the value of `OSTLER_TEST_SEED`.
    pub(crate) fn fresh_seed() -> u64 {
        let given = std::env::var("OSTLER_TEST_SEED").ok();
        let given = given.map(|seed| seed.parse().expect("a seed is a number"));
        given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
