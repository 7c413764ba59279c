//! The numbers that a pool is run by.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// The limits and deadlines that the [`Supervisor`](crate::Supervisor) decides by.
///
/// [`validate`](Policy::validate) says what each may be. The supervisor takes only a policy that has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// Workers kept serving. From 1 to [`MAX_SIZE`].
    pub size: usize,
    /// Workers allowed beyond `size` while others are replaced or still stopping. From 1 to [`MAX_SIZE`], default 1.
    pub surge: usize,
    /// Workers that may be starting at the same time, so that a large pool does not stampede. At least 1, default 8.
    pub max_starting: usize,
    /// From the order to open a port to the answered handshake. Default 30 s.
    pub start_timeout: Duration,
    /// The pause before a worker is replaced whose start failed, or that crashed as its predecessor did; it doubles
    /// with each failure in a row. Changed at random by up to a tenth. Default 100 ms.
    pub restart_backoff: Duration,
    /// What that pause grows to at most. Default 30 s.
    pub restart_backoff_max: Duration,
    /// A worker that has served for so long starts its row of failures anew. Default 60 s.
    pub restart_reset: Duration,
    /// After this many failed starts in a row, with nothing serving, waiters fail at once. At least 1, default 5.
    pub crash_loop: u32,
    /// Clients that may wait for a worker; beyond it, a checkout fails at once. 0 means nobody waits. Default 1024.
    pub max_waiting: usize,
    /// Sessions that may be open; beyond it, opening one fails at once. 0 means none. Default 1024.
    pub max_sessions: usize,
    /// A session that nobody has used for so long ends; it may take a quarter longer. `None`: never. Default 10 min.
    pub session_idle_timeout: Option<Duration>,
    /// Whether idle workers are probed. Default true.
    pub enable_health_monitoring: bool,
    /// How often an idle worker is probed, and a worker's memory measured. Changed at random by up to a tenth.
    /// Default 30 s.
    pub health_check_interval: Duration,
    /// How long a probe may take before it counts as missed. Default 5 s.
    pub health_check_timeout: Duration,
    /// A worker that misses so many probes in a row is retired. At least 1, default 3.
    pub health_failure_threshold: u32,
    /// A worker that has served for so long is recycled. Changed at random by up to a tenth. Default 1 h.
    pub max_worker_age: Option<Duration>,
    /// A worker that has answered so many requests is recycled. Lowered at random by up to a tenth. Default 1000.
    pub max_worker_requests: Option<u64>,
    /// A worker whose processes hold so many resident bytes is recycled. Lowered at random by up to a tenth. Default
    /// none.
    pub max_worker_memory: Option<u64>,
    /// A worker that has answered so many requests in a row with an error is recycled. Default 5.
    pub error_threshold: Option<u32>,
    /// How long a worker serves at least before one of the four limits above recycles it. Default 10 s.
    pub min_worker_life: Duration,
    /// The whole of a graceful shutdown: draining, then the ladder, cut to fit. At least 10 ms, default 30 s.
    pub shutdown_timeout: Duration,
    /// How long a worker gets to end a call that its client gave up, before it is stopped. `None`: it is stopped at once.
    /// Default `None`.
    pub cancel_grace: Option<Duration>,
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

/// What is repeated at this rate or slower costs nothing that matters, and a limit below it would be one of units.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Below this no interpreter starts: a limit that small is one of units.
const MIN_MEMORY: u64 = 1 << 20;

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
            restart_reset: Duration::from_secs(60),
            crash_loop: 5,
            max_waiting: 1024,
            max_sessions: 1024,
            session_idle_timeout: Some(Duration::from_secs(600)),
            enable_health_monitoring: true,
            health_check_interval: Duration::from_secs(30),
            health_check_timeout: Duration::from_secs(5),
            health_failure_threshold: 3,
            max_worker_age: Some(Duration::from_secs(3600)),
            max_worker_requests: Some(1000),
            max_worker_memory: None,
            error_threshold: Some(5),
            min_worker_life: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            cancel_grace: None,
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
        Self::validate_size(self.size)?;
        range("surge", self.surge, 1, MAX_SIZE)?;
        range("max_starting", self.max_starting, 1, MAX_SIZE)?;
        range("crash_loop", self.crash_loop, 1, u32::MAX)?;
        let least = Duration::from_nanos(1);
        timeout("start_timeout", self.start_timeout, least)?;
        timeout("restart_backoff", self.restart_backoff, least)?;
        timeout(
            "restart_backoff_max",
            self.restart_backoff_max,
            self.restart_backoff,
        )?;
        timeout("restart_reset", self.restart_reset, least)?;
        self.validate_health()?;
        timeout("shutdown_timeout", self.shutdown_timeout, MIN_SHUTDOWN)?;
        if let Some(grace) = self.cancel_grace {
            timeout("cancel_grace", grace, least)?;
        }
        timeout("ask_grace", self.ask_grace, Duration::ZERO)?;
        timeout("term_grace", self.term_grace, Duration::ZERO)
    }

    /// Checks a size that a pool is to be given while it runs.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] when it is 0 or above [`MAX_SIZE`].
    pub fn validate_size(size: usize) -> Result<(), InvalidOption> {
        range("size", size, 1, MAX_SIZE)
    }

    fn validate_health(&self) -> Result<(), InvalidOption> {
        if let Some(idle) = self.session_idle_timeout {
            timeout("session_idle_timeout", idle, MIN_INTERVAL)?;
        }
        timeout(
            "health_check_interval",
            self.health_check_interval,
            MIN_INTERVAL,
        )?;
        let least = Duration::from_nanos(1);
        timeout("health_check_timeout", self.health_check_timeout, least)?;
        range(
            "health_failure_threshold",
            self.health_failure_threshold,
            1,
            u32::MAX,
        )?;
        if let Some(age) = self.max_worker_age {
            timeout("max_worker_age", age, MIN_INTERVAL)?;
        }
        if let Some(requests) = self.max_worker_requests {
            range("max_worker_requests", requests, 1, u64::MAX)?;
        }
        if let Some(bytes) = self.max_worker_memory {
            range("max_worker_memory", bytes, MIN_MEMORY, u64::MAX)?;
        }
        if let Some(errors) = self.error_threshold {
            range("error_threshold", errors, 1, u32::MAX)?;
        }
        timeout("min_worker_life", self.min_worker_life, Duration::ZERO)
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

    /// The pause before the next start, after `failures` in a row, without jitter.
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

fn range<T: PartialOrd + fmt::Display>(
    option: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), InvalidOption> {
    InvalidOption::unless((&least..=&most).contains(&&value), option, || {
        (format!("{value}"), format!("{least} to {most}"))
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
