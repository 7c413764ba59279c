//! The options of a pool that its supervisor decides by.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// The limits and deadlines that a [`Supervisor`](crate::Supervisor) decides by.
///
/// [`Policy::new`] gives the defaults and [`validate`](Policy::validate) checks the ranges; the
/// supervisor accepts no policy that fails it. The options are named as in `Config` of
/// `ostler-pool`. Unless stated otherwise, a duration is from 1 ns to 7 days.
// Exhaustive on purpose: a driver that builds a policy from its own options must fail to compile
// when it misses one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Policy {
    /// Workers that the pool keeps serving. 1 to 16384.
    pub size: usize,
    /// Workers beyond `size` that may exist while others are replaced or stopping. 1 to 16384.
    /// Default: 1.
    pub surge: usize,
    /// Workers that may start at the same time, so that a large pool does not overload its host. 1
    /// to 16384. Default: 8.
    pub max_starting: usize,
    /// Time from the order to open a port to the completed handshake. Default: 30 s.
    pub start_timeout: Duration,
    /// Delay before a worker whose start failed is replaced, and before one that crashed is
    /// replaced if its predecessor had failed too. A first crash is replaced immediately. Doubles
    /// with each consecutive failure, up to `restart_backoff_max`. Varied at random by up to 10 %.
    /// Default: 100 ms.
    pub restart_backoff: Duration,
    /// The longest restart backoff. From `restart_backoff` to 7 days. Default: 30 s.
    pub restart_backoff_max: Duration,
    /// Serving time after which a worker's next failure counts as its first. Default: 60 s.
    pub restart_reset: Duration,
    /// Consecutive failed starts after which waiting clients are refused immediately while no
    /// worker serves. The pool keeps trying. At least 1. Default: 5.
    pub crash_loop: u32,
    /// Clients that may wait for a worker. Further checkouts are refused. With 0, no client waits.
    /// Default: 1024.
    pub max_waiting: usize,
    /// Sessions that may be open. With 0, none can be opened. Default: 1024.
    pub max_sessions: usize,
    /// Time after which an unused session ends; it may take up to a quarter longer. `None`:
    /// sessions never expire. 10 ms to 7 days. Default: 10 min.
    pub session_idle_timeout: Option<Duration>,
    /// Time for which an idle session may hold a shutdown. 0 to 7 days. Default: 1 s.
    pub session_grace: Duration,
    /// Whether idle workers get health checks. Default: true.
    pub enable_health_monitoring: bool,
    /// Time between two health checks of an idle worker, and between two memory measurements of any
    /// worker. Varied at random by up to 10 %. 10 ms to 7 days. Default: 30 s.
    pub health_check_interval: Duration,
    /// Time after which a health check counts as missed. Default: 5 s.
    pub health_check_timeout: Duration,
    /// Consecutive missed health checks after which a worker is stopped and replaced. A passed
    /// health check or a completed call resets the count. At least 1. Default: 3.
    pub health_failure_threshold: u32,
    /// Serving time after which a worker is recycled. Varied at random by up to 10 %, so that
    /// workers do not expire together. `None`: no limit. 10 ms to 7 days. Default: 1 h.
    pub max_worker_age: Option<Duration>,
    /// Completed calls after which a worker is recycled. Lowered at random by up to 10 %. `None`:
    /// no limit. At least 1. Default: 1000.
    pub max_worker_requests: Option<u64>,
    /// Resident bytes of a worker's processes at which it is recycled, measured every
    /// `health_check_interval`. Lowered at random by up to 10 %. `None`: no limit. At least 1 MiB.
    /// Default: `None`.
    pub max_worker_memory: Option<u64>,
    /// Consecutive calls answered with an error after which a worker is recycled. `None`: no limit.
    /// At least 1. Default: 5.
    pub error_threshold: Option<u32>,
    /// Serving time before which none of the four limits above recycles a worker. 0 to 7 days.
    /// Default: 10 s.
    pub min_worker_life: Duration,
    /// Time for a whole shutdown: draining, then the stop ladder, whose graces are cut to fit. 10
    /// ms to 7 days. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// Time for a worker to end a call that its client gave up, before the worker is stopped.
    /// `None`: it is stopped immediately. Default: `None`.
    pub cancel_grace: Option<Duration>,
    /// Time from the shutdown frame to `SIGTERM`. 0 to 7 days. Default: 2 s.
    pub ask_grace: Duration,
    /// Time from `SIGTERM` to `SIGKILL`. 0 to 7 days. Default: 2 s.
    pub term_grace: Duration,
    /// Time for a worker to exit after `SIGKILL`, and for its port to be released after the exit.
    /// Then the port is abandoned and its slot is free. At most `size` ports are abandoned at a
    /// time; beyond that, a worker keeps its slot, and the time runs again. 10 ms to 7 days.
    /// Default: 5 s.
    pub release_timeout: Duration,
}

/// The largest `size`. Each worker costs the host one process and four descriptors, so a larger
/// value is taken for a mistake.
pub const MAX_SIZE: usize = 16_384;

/// The longest duration: 7 days. A longer one is taken for a mistake of units.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The part of a shutdown that is reserved for the kill and the release.
const RESERVE: Duration = Duration::from_secs(1);

/// The shortest interval. A shorter one is taken for a mistake of units, and would cost the host
/// CPU time.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The smallest memory limit: 1 MiB. No interpreter starts with less, so it is taken for a mistake
/// of units.
const MIN_MEMORY: u64 = 1 << 20;

/// The shortest shutdown. It leaves each stage at least a timer's resolution, 1 ms.
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
            session_grace: Duration::from_secs(1),
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
            release_timeout: Duration::from_secs(5),
        }
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] for the first option that is out of range.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        Self::validate_size(self.size)?;
        range("surge", self.surge, 1, MAX_SIZE)?;
        range("max_starting", self.max_starting, 1, MAX_SIZE)?;
        at_least("crash_loop", self.crash_loop, 1)?;
        let least = Duration::from_nanos(1);
        timeout("start_timeout", self.start_timeout, least)?;
        timeout("restart_backoff", self.restart_backoff, least)?;
        timeout(
            "restart_backoff_max",
            self.restart_backoff_max,
            self.restart_backoff,
        )?;
        timeout("restart_reset", self.restart_reset, least)?;
        if let Some(idle) = self.session_idle_timeout {
            timeout("session_idle_timeout", idle, MIN_INTERVAL)?;
        }
        timeout("session_grace", self.session_grace, Duration::ZERO)?;
        self.validate_health()?;
        timeout("shutdown_timeout", self.shutdown_timeout, MIN_SHUTDOWN)?;
        if let Some(grace) = self.cancel_grace {
            timeout("cancel_grace", grace, least)?;
        }
        timeout("ask_grace", self.ask_grace, Duration::ZERO)?;
        timeout("term_grace", self.term_grace, Duration::ZERO)?;
        timeout("release_timeout", self.release_timeout, MIN_INTERVAL)
    }

    /// Checks a new `size` for a running pool.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`] when `size` is 0 or above [`MAX_SIZE`].
    pub fn validate_size(size: usize) -> Result<(), InvalidOption> {
        range("size", size, 1, MAX_SIZE)
    }

    fn validate_health(&self) -> Result<(), InvalidOption> {
        timeout(
            "health_check_interval",
            self.health_check_interval,
            MIN_INTERVAL,
        )?;
        let least = Duration::from_nanos(1);
        timeout("health_check_timeout", self.health_check_timeout, least)?;
        at_least("health_failure_threshold", self.health_failure_threshold, 1)?;
        if let Some(age) = self.max_worker_age {
            timeout("max_worker_age", age, MIN_INTERVAL)?;
        }
        if let Some(requests) = self.max_worker_requests {
            at_least("max_worker_requests", requests, 1)?;
        }
        if let Some(bytes) = self.max_worker_memory {
            at_least("max_worker_memory", bytes, MIN_MEMORY)?;
        }
        if let Some(errors) = self.error_threshold {
            at_least("error_threshold", errors, 1)?;
        }
        timeout("min_worker_life", self.min_worker_life, Duration::ZERO)
    }

    /// The drain deadline: `shutdown_timeout` minus the stop ladder and a reserve for the kill
    /// itself. A port that takes longer than the reserve is not released when the shutdown reports.
    pub(crate) fn drain_timeout(&self) -> Duration {
        let ladder = self.grace(self.ask_grace) + self.grace(self.term_grace);
        let reserve = RESERVE.min(self.shutdown_timeout / 10);
        self.shutdown_timeout.saturating_sub(ladder + reserve)
    }

    /// The deadline of a rung.
    pub(crate) fn rung_timeout(&self, rung: crate::worker::Rung) -> Duration {
        use crate::worker::Rung;
        match rung {
            Rung::Ask => self.grace(self.ask_grace),
            Rung::Term => self.grace(self.term_grace),
            Rung::Kill | Rung::Reap => self.release_timeout,
        }
    }

    /// `ask_grace` or `term_grace`, cut in proportion so that together they take at most half of
    /// the shutdown.
    fn grace(&self, grace: Duration) -> Duration {
        let both = self.ask_grace + self.term_grace;
        let most = self.shutdown_timeout / 2;
        if both <= most {
            return grace;
        }
        most.mul_f64(grace.as_secs_f64() / both.as_secs_f64())
    }

    /// The restart backoff after `failures` consecutive failures, without jitter.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.restart_backoff
            .saturating_mul(1 << doublings)
            .min(self.restart_backoff_max)
    }
}

/// Checks that a duration is from `least` to [`MAX_TIMEOUT`].
///
/// # Errors
///
/// [`InvalidOption`] when it is not.
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

fn range(
    option: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), InvalidOption> {
    InvalidOption::unless((least..=most).contains(&value), option, || {
        (format!("{value}"), format!("{least} to {most}"))
    })
}

fn at_least<T: PartialOrd + fmt::Display>(
    option: &'static str,
    value: T,
    least: T,
) -> Result<(), InvalidOption> {
    InvalidOption::unless(value >= least, option, || {
        (format!("{value}"), format!("at least {least}"))
    })
}

/// An option that is out of range.
// Exhaustive on purpose: a driver builds it for the options that the policy does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` is {value}; it must be {allowed}")]
pub struct InvalidOption {
    /// The option's name, as in [`Policy`] or in the driver's configuration.
    pub option: &'static str,
    /// The rejected value.
    pub value: String,
    /// The range, such as `1 to 16384` or `at least 1`.
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
