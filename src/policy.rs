//! The numbers that a pool is run by.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// The limits and deadlines that the [`Supervisor`](crate::Supervisor) decides by.
///
/// [`validate`](Policy::validate) says what each may be. The supervisor takes only a policy that has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Workers kept serving. From 1 to [`MAX_SIZE`].
    pub size: usize,
    /// Workers allowed beyond `size` while others are replaced or still stopping. From 1 to `size`, default 1.
    pub surge: usize,
    /// Workers that may be starting at the same time, so that a large pool does not stampede. At least 1, default 8.
    pub max_starting: usize,
    /// From the order to open a port to the answered handshake. Default 30 s.
    pub start_timeout: Duration,
    /// The pause after the first of several failed starts in a row; it doubles with each. Default 100 ms.
    pub restart_backoff: Duration,
    /// What that pause grows to at most. Default 30 s.
    pub restart_backoff_max: Duration,
    /// After this many failed starts in a row, with nothing serving, waiters fail at once. At least 1, default 5.
    pub crash_loop: u32,
    /// Clients that may wait for a worker; beyond it, a checkout fails at once. 0 means nobody waits. Default 1024.
    pub max_waiting: usize,
    /// The whole of a graceful shutdown: draining, then the ladder, cut to fit. At least 10 ms, default 30 s.
    pub shutdown_timeout: Duration,
    /// How long a worker that was asked to end gets before `SIGTERM`. Default 2 s.
    pub ask_grace: Duration,
    /// How long it then gets before `SIGKILL`. Default 2 s.
    pub term_grace: Duration,
}

/// More workers than this are taken for a mistake: each is a process with four descriptors of the host's.
pub const MAX_SIZE: usize = 4096;

/// Timers further away than this are taken for a mistake of units.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a kill or a reap may take before it is ordered again.
const REPEAT: Duration = Duration::from_secs(1);

/// The shortest shutdown that still leaves each stage a timer's resolution.
const MIN_SHUTDOWN: Duration = Duration::from_millis(10);

impl Policy {
    /// The defaults, for a pool of `size` workers.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self {
            size,
            surge: 1,
            max_starting: 8,
            start_timeout: Duration::from_secs(30),
            restart_backoff: Duration::from_millis(100),
            restart_backoff_max: Duration::from_secs(30),
            crash_loop: 5,
            max_waiting: 1024,
            shutdown_timeout: Duration::from_secs(30),
            ask_grace: Duration::from_secs(2),
            term_grace: Duration::from_secs(2),
        }
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range, with its value and the range.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let count = |option, value: usize, least: usize, most: usize| {
            InvalidOption::unless((least..=most).contains(&value), option, || {
                (format!("{value}"), format!("{least} to {most}"))
            })
        };
        count("size", self.size, 1, MAX_SIZE)?;
        count("surge", self.surge, 1, self.size)?;
        count("max_starting", self.max_starting, 1, MAX_SIZE)?;
        count("crash_loop", self.crash_loop as usize, 1, u32::MAX as usize)?;
        let least = Duration::from_nanos(1);
        timeout("start_timeout", self.start_timeout, least)?;
        timeout("restart_backoff", self.restart_backoff, least)?;
        timeout(
            "restart_backoff_max",
            self.restart_backoff_max,
            self.restart_backoff,
        )?;
        timeout("shutdown_timeout", self.shutdown_timeout, MIN_SHUTDOWN)?;
        timeout("ask_grace", self.ask_grace, Duration::ZERO)?;
        timeout("term_grace", self.term_grace, Duration::ZERO)
    }

    /// How long a draining worker is waited for: what the shutdown has left after the ladder and a reserve for the
    /// kill itself.
    pub(crate) fn drain_timeout(&self) -> Duration {
        let ladder = self.grace(self.ask_grace) + self.grace(self.term_grace);
        let reserve = REPEAT.min(self.shutdown_timeout / 10);
        self.shutdown_timeout.saturating_sub(ladder + reserve)
    }

    /// The deadline of a rung.
    pub(crate) fn rung_timeout(&self, rung: crate::worker::Rung) -> Duration {
        use crate::worker::Rung;
        match rung {
            Rung::Ask => self.grace(self.ask_grace),
            Rung::Term => self.grace(self.term_grace),
            Rung::Kill | Rung::Reap => REPEAT,
        }
    }

    /// One of the two graces, cut so that both take at most half of the shutdown.
    fn grace(&self, grace: Duration) -> Duration {
        let both = self.ask_grace + self.term_grace;
        let most = self.shutdown_timeout / 2;
        if both <= most {
            return grace;
        }
        most.mul_f64(grace.as_secs_f64() / both.as_secs_f64())
    }

    /// The pause before the next start, after `failures` failed ones in a row, without jitter.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.restart_backoff
            .saturating_mul(1 << doublings)
            .min(self.restart_backoff_max)
    }
}

/// Checks a deadline against the range that every deadline shares.
///
/// # Errors
///
/// [`InvalidOption`] when it is below `least` or above [`MAX_TIMEOUT`].
pub fn timeout(
    option: &'static str,
    value: Duration,
    least: Duration,
) -> Result<(), InvalidOption> {
    InvalidOption::unless((least..=MAX_TIMEOUT).contains(&value), option, || {
        (
            format!("{value:?}"),
            format!("{least:?} to {MAX_TIMEOUT:?}"),
        )
    })
}

/// An option that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` is {value}, and must be {allowed}")]
pub struct InvalidOption {
    /// The option's name.
    pub option: &'static str,
    /// The value that it was given.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

impl InvalidOption {
    fn unless(
        holds: bool,
        option: &'static str,
        describe: impl FnOnce() -> (String, String),
    ) -> Result<(), Self> {
        if holds {
            return Ok(());
        }
        let (value, allowed) = describe();
        Err(Self {
            option,
            value,
            allowed,
        })
    }
}
