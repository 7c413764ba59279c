//! Randomness for jitter, from a seed.

use core::time::Duration;

/// Sebastiano Vigna's SplitMix64: random enough that pools do not act in lockstep, and reproducible
/// from its seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `duration`, give or take up to a tenth.
    pub(super) fn jitter(&mut self, duration: Duration) -> Duration {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        duration.mul_f64(0.9 + 0.2 * unit)
    }

    /// A limit at most a tenth below `limit`, never above it and never zero.
    pub(super) fn lowered(&mut self, limit: u64) -> u64 {
        limit - self.next() % (limit / 10 + 1)
    }
}
