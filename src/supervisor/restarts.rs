//! When may the next worker be started?

use core::time::Duration;

use super::Timer;
use crate::policy::Policy;

/// Failures in a row, and the pause that they cause.
///
/// Two rows are counted, because a worker that starts is a reason to let clients wait, and only one that serves is a
/// reason to start the next one without a pause.
#[derive(Clone, Debug)]
pub(super) struct Restarts {
    /// Starts that ended before the worker was ready. Any worker that becomes ready ends the row.
    failed_starts: u32,
    /// The same, and workers that exited before they were ever leased: what happens under a lease may be the
    /// request's fault. Any completed exchange, of any worker, ends the row.
    failures: u32,
    /// How many pauses there have been: the generation of the latest.
    pauses: u64,
    paused: bool,
    random: SplitMix64,
}

impl Restarts {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            failed_starts: 0,
            failures: 0,
            pauses: 0,
            paused: false,
            random: SplitMix64(seed),
        }
    }

    /// Whether so many starts in a row have failed that there is no telling when one will not.
    pub(super) fn is_crash_loop(&self, policy: &Policy) -> bool {
        self.failed_starts >= policy.crash_loop
    }

    /// Takes note of a failed start: the pause to make, unless one is under way. Starts that were in flight
    /// together fail together, and count once.
    pub(super) fn start_failed(&mut self, policy: &Policy) -> Option<(Timer, Duration)> {
        if !self.paused {
            self.failed_starts = self.failed_starts.saturating_add(1);
        }
        self.failed(policy)
    }

    /// As [`start_failed`](Self::start_failed), for a worker that had become ready.
    pub(super) fn failed(&mut self, policy: &Policy) -> Option<(Timer, Duration)> {
        if self.paused {
            return None;
        }
        self.paused = true;
        self.failures = self.failures.saturating_add(1);
        self.pauses += 1;
        let timer = Timer::Restart {
            generation: self.pauses,
        };
        Some((timer, self.random.jitter(policy.backoff(self.failures))))
    }

    /// Takes note of a worker that became ready.
    pub(super) fn started(&mut self) {
        self.failed_starts = 0;
    }

    /// Takes note of a completed exchange: the timer to cancel, if a pause is under way.
    pub(super) fn succeeded(&mut self) -> Option<Timer> {
        self.failures = 0;
        self.end_pause()
    }

    /// The pause, if one is under way, is over: the timer to cancel, if it is over before its time.
    pub(super) fn end_pause(&mut self) -> Option<Timer> {
        let timer = Timer::Restart {
            generation: self.pauses,
        };
        core::mem::take(&mut self.paused).then_some(timer)
    }

    /// A pause's timer elapsed. False when it is not that of the current pause.
    pub(super) fn elapsed(&mut self, generation: u64) -> bool {
        let current = self.paused && generation == self.pauses;
        if current {
            self.paused = false;
        }
        current
    }

    /// How many workers may be starting at the same time now. After a failure one is tried before the others follow.
    pub(super) fn concurrent(&self, policy: &Policy) -> usize {
        match (self.paused, self.failures) {
            (true, _) => 0,
            (false, 0) => policy.max_starting,
            (false, _) => 1,
        }
    }
}

/// Sebastiano Vigna's SplitMix64: enough randomness that pools do not act in step, and reproducible from its seed.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `duration`, changed by at most a tenth in either direction.
    fn jitter(&mut self, duration: Duration) -> Duration {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        duration.mul_f64(0.9 + 0.2 * unit)
    }
}
