//! The options of a pool, each in one place.

#[cfg(feature = "serde")]
mod env;
#[cfg(feature = "serde")]
mod options;
#[cfg(feature = "serde")]
mod units;

use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use ostler::policy::{InvalidOption, Policy, timeout};

#[cfg(feature = "serde")]
pub use self::env::EnvError;
use crate::stderr::Stderr;

/// The smallest `max_frame`, in bytes: it leaves room for the handshake and a short error.
const MIN_FRAME: usize = 1024;

/// The largest `max_frame`, in bytes. A length prefix could claim four times as much, which no
/// worker sends in one piece.
const MAX_FRAME: usize = 1 << 30;

/// The shortest `lease_warning`: all leases are looked at that often.
const MIN_LEASE_WARNING: Duration = Duration::from_millis(10);

/// The length of a pool's name in characters: it is repeated in every line.
const LENGTH_OF_NAME: RangeInclusive<usize> = 1..=64;

/// Every option of a pool.
///
/// [`Builder`](crate::Builder) has a setter of the same name for each;
/// [`Builder::config`](crate::Builder::config) takes all of them at once.
/// [`Builder::build`](crate::Builder::build) checks the ranges, and its error names the option.
///
/// ```
/// use std::time::Duration;
/// use ostler_pool::Config;
///
/// let mut config = Config::default();
/// config.size = 4;
/// config.call_timeout = Duration::from_secs(10);
/// ```
///
/// # Files and the environment
///
/// With the feature `serde`, a config is read from TOML, JSON or any other format that describes
/// itself, and `Config::with_env` reads environment variables. Absent options have their defaults,
/// and unknown ones are refused. A duration is `"500ms"`, `"30s"`, `"1h30m"` or a number of
/// seconds; a size is `"64MiB"`, `"2GB"` or a number of bytes; `"none"` turns an optional limit
/// off. The file `ostler.example.toml` of this package has every option:
///
/// ```toml
#[cfg_attr(doc, doc = include_str!("../ostler.example.toml"))]
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The name of the pool, 1 to 64 characters: in its log lines and spans, as the label `pool` of
    /// its metrics, and before the lines of its workers' stderr. It tells the pools of a process
    /// apart. Default: `None`.
    pub name: Option<String>,
    /// Time after which a lease that is still held is logged once, with the place where it was
    /// taken: the call of [`Pool::checkout`](crate::Pool::checkout),
    /// [`try_checkout`](crate::Pool::try_checkout) or
    /// [`Session::checkout`](crate::Session::checkout). `None`: never. Default: 1 min.
    pub lease_warning: Option<Duration>,
    /// Where the lines go that workers write to stderr. Default: [`Stderr::Auto`].
    pub stderr: Stderr,
    /// Workers kept serving, 1 to 16384. Default: the number of processors available to this
    /// process.
    pub size: usize,
    /// Workers allowed beyond `size` while others are replaced or are still stopping, 1 to 16384.
    /// Default: 1.
    pub surge: usize,
    /// Workers that may be starting at the same time, 1 to 16384. Default: 8.
    pub max_starting: usize,
    /// Time from the spawn of a worker to its answer to the handshake, setup included. Default: 30
    /// s.
    pub start_timeout: Duration,
    /// Backoff after a failed start, and after a crash that follows another failure. It doubles
    /// with each consecutive failure and is jittered by up to 10 %. The first crash of a worker is
    /// replaced immediately. Default: 100 ms.
    pub restart_backoff: Duration,
    /// The longest backoff. Default: 30 s.
    pub restart_backoff_max: Duration,
    /// Time that a worker must serve for its next failure to count as the first. Default: 60 s.
    pub restart_reset: Duration,
    /// Consecutive failed starts after which, while no worker serves, waiting clients are refused.
    /// Default: 5.
    pub crash_loop: u32,
    /// Clients that may wait for a worker. Beyond it, a checkout fails immediately. Default: 1024.
    pub max_waiting: usize,
    /// Time that a client waits for a worker. Default: 5 s.
    pub checkout_timeout: Duration,
    /// Time that a worker may take to answer a call, or to send the next part of a stream. Default:
    /// 30 s.
    pub call_timeout: Duration,
    /// What becomes of a call that was dropped or timed out, and of its worker. Default: the worker
    /// is stopped. See [`AbandonedCalls`].
    pub abandoned_calls: AbandonedCalls,
    /// Sessions that may be open. Beyond it, opening one fails immediately. Default: 1024.
    pub max_sessions: usize,
    /// Time without a call after which a session ends; it may take 25 % longer. `None`: never.
    /// Default: 10 min.
    pub session_idle_timeout: Option<Duration>,
    /// Time for which a session without a call may hold a shutdown. Then it is lost, and its worker
    /// is stopped. A session with a call is served until the drain deadline. Default: 1 s.
    pub session_grace: Duration,
    /// Whether idle workers get health checks. Default: true.
    pub enable_health_monitoring: bool,
    /// Interval between the health checks of an idle worker, and between the memory measurements of
    /// any worker. Jittered by up to 10 %. Default: 30 s.
    pub health_check_interval: Duration,
    /// Time that a health check may take before it counts as missed. Default: 5 s.
    pub health_check_timeout: Duration,
    /// Consecutive missed health checks after which a worker is stopped and replaced. A health
    /// check or call that succeeds resets the count. Default: 3.
    pub health_failure_threshold: u32,
    /// Age at which a worker is replaced, jittered by up to 10 % so that workers that started
    /// together do not end together. `None`: never. Default: 1 h.
    pub max_worker_age: Option<Duration>,
    /// Answered calls after which a worker is replaced, lowered at random by up to 10 %. `None`:
    /// never. Default: 1000.
    pub max_worker_requests: Option<u64>,
    /// Resident bytes of a worker's processes at which it is replaced, lowered at random by up to
    /// 10 %. Measured every `health_check_interval`. `None`: never. Default: `None`.
    pub max_worker_memory: Option<u64>,
    /// Consecutive calls answered with an error after which a worker is replaced. `None`: never.
    /// Default: 5.
    ///
    /// An error in the worker's function leaves the worker intact as far as the pool can tell. Many
    /// in a row may mean that it has lost something it needs, such as a connection.
    pub error_threshold: Option<u32>,
    /// Time that a worker serves before one of the four limits above may replace it. A limit that
    /// is reached at once then does not keep the pool restarting workers. Default: 10 s.
    pub min_worker_life: Duration,
    /// Time for a whole shutdown: calls under way finish, then the workers are stopped. `ask_grace`
    /// and `term_grace` are cut to fit. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// Time from asking a worker to exit to `SIGTERM`. Default: 2 s.
    pub ask_grace: Duration,
    /// Time from `SIGTERM` to `SIGKILL`. Default: 2 s.
    pub term_grace: Duration,
    /// Time for a worker to exit after `SIGKILL`, and again for the release of what it leaves. Then
    /// its port is abandoned: its slot is free, and the pool goes on with the release in the
    /// background. At most `size` ports are abandoned at a time; beyond that, a worker keeps its
    /// slot. 10 ms or more. Default: 5 s.
    ///
    /// A process cannot be killed while it sleeps uninterruptibly, for example on a network file
    /// system that does not answer, or if it runs as another user.
    pub release_timeout: Duration,
    /// The largest frame in either direction: a request or a reply and 5 bytes. 1 KiB to 1 GiB, in
    /// bytes. Default: 64 MiB.
    pub max_frame: usize,
}

/// What becomes of a call that its caller abandoned, and of its worker. A caller abandons a call
/// when it drops the call's future or stream before the end, as a web server does when its client
/// closes the connection.
///
/// A worker that has not taken in the whole request is stopped in any case. Whatever the worker
/// still answers is discarded, and only its next client waits for it.
///
/// ```
/// # use std::time::Duration;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{AbandonedCalls, CallError, Pool, Python};
///
/// let pool = Pool::builder(Python::function("time:sleep").json())
///     .size(1)
///     .call_timeout(Duration::from_millis(200))
///     .abandoned_calls(AbandonedCalls::Cancel(Duration::from_secs(5)))
///     .build()?;
/// let mut lease = pool.checkout().await?;
/// assert!(matches!(lease.call(b"1000").await, Err(CallError::TimedOut { .. })));
/// // The lease is over. Its worker serves the next client.
/// assert_eq!(pool.checkout().await?.worker(), lease.worker());
/// # drop(lease);
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbandonedCalls {
    /// The worker is stopped and replaced at once, also after a call that timed out. No work is
    /// wasted on an answer that is not wanted, but a worker with its state and its sessions is
    /// lost.
    #[default]
    Stop,
    /// The worker is told that the answer is not wanted. If it ends the call within this time, in
    /// any way, it serves on, with its state and its sessions, and otherwise it is stopped. The
    /// same holds for a call that timed out. Above 0, at most 7 days.
    ///
    /// In a Python worker, the signal `SIGURG` raises `Cancelled` in the function within 100 ms.
    /// `Cancelled` is not an `Exception`: only `finally` and `except BaseException` see it. Code
    /// that does not return to the interpreter, such as a long computation in C, is not
    /// interrupted.
    Cancel(Duration),
    /// The worker is left to finish the call, for up to `call_timeout` from then on, and serves on.
    /// Otherwise, and if a call times out, it is stopped. For calls whose effect matters more than
    /// their reply.
    Finish,
}

impl Default for Config {
    fn default() -> Self {
        let size = thread::available_parallelism().map_or(1, usize::from);
        let Policy {
            size,
            surge,
            max_starting,
            start_timeout,
            restart_backoff,
            restart_backoff_max,
            restart_reset,
            crash_loop,
            max_waiting,
            max_sessions,
            session_idle_timeout,
            session_grace,
            enable_health_monitoring,
            health_check_interval,
            health_check_timeout,
            health_failure_threshold,
            max_worker_age,
            max_worker_requests,
            max_worker_memory,
            error_threshold,
            min_worker_life,
            shutdown_timeout,
            cancel_grace: _,
            ask_grace,
            term_grace,
            release_timeout,
        } = Policy::new(size);
        Self {
            name: None,
            lease_warning: Some(Duration::from_secs(60)),
            stderr: Stderr::Auto,
            size,
            surge,
            max_starting,
            start_timeout,
            restart_backoff,
            restart_backoff_max,
            restart_reset,
            crash_loop,
            max_waiting,
            checkout_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            abandoned_calls: AbandonedCalls::default(),
            max_sessions,
            session_idle_timeout,
            session_grace,
            enable_health_monitoring,
            health_check_interval,
            health_check_timeout,
            health_failure_threshold,
            max_worker_age,
            max_worker_requests,
            max_worker_memory,
            error_threshold,
            min_worker_life,
            shutdown_timeout,
            ask_grace,
            term_grace,
            release_timeout,
            max_frame: 64 << 20,
        }
    }
}

impl Config {
    /// What the core decides by.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            size: self.size,
            surge: self.surge,
            max_starting: self.max_starting,
            start_timeout: self.start_timeout,
            restart_backoff: self.restart_backoff,
            restart_backoff_max: self.restart_backoff_max,
            restart_reset: self.restart_reset,
            crash_loop: self.crash_loop,
            max_waiting: self.max_waiting,
            max_sessions: self.max_sessions,
            session_idle_timeout: self.session_idle_timeout,
            session_grace: self.session_grace,
            enable_health_monitoring: self.enable_health_monitoring,
            health_check_interval: self.health_check_interval,
            health_check_timeout: self.health_check_timeout,
            health_failure_threshold: self.health_failure_threshold,
            max_worker_age: self.max_worker_age,
            max_worker_requests: self.max_worker_requests,
            max_worker_memory: self.max_worker_memory,
            error_threshold: self.error_threshold,
            min_worker_life: self.min_worker_life,
            shutdown_timeout: self.shutdown_timeout,
            cancel_grace: match self.abandoned_calls {
                AbandonedCalls::Stop => None,
                AbandonedCalls::Cancel(grace) => Some(grace),
                AbandonedCalls::Finish => Some(self.call_timeout),
            },
            ask_grace: self.ask_grace,
            term_grace: self.term_grace,
            release_timeout: self.release_timeout,
        }
    }

    /// Checks the range of every option, as [`Builder::build`](crate::Builder::build) does.
    ///
    /// ```
    /// let mut config = ostler_pool::Config::default();
    /// config.size = 0;
    /// let error = config.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "option `size` is 0; it must be 1 to 16384");
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidOption`]: the name, the value and the range of the first option that is out of it.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        // First, because the core has other names for some of these.
        self.frame_limit()?;
        self.policy().validate()
    }

    /// Checks the options that the core does not know, and returns `max_frame` as the protocol has
    /// it.
    pub(crate) fn frame_limit(&self) -> Result<u32, InvalidOption> {
        if let Some(name) = &self.name
            && (!LENGTH_OF_NAME.contains(&name.chars().count())
                || name.chars().any(char::is_control))
        {
            return Err(InvalidOption {
                option: "name",
                value: format!("{name:?}"),
                allowed: "1 to 64 characters, none of them a control character".to_owned(),
            });
        }
        let least = Duration::from_nanos(1);
        timeout("checkout_timeout", self.checkout_timeout, least)?;
        timeout("call_timeout", self.call_timeout, least)?;
        if let Some(limit) = self.lease_warning {
            timeout("lease_warning", limit, MIN_LEASE_WARNING)?;
        }
        if let AbandonedCalls::Cancel(grace) = self.abandoned_calls {
            timeout("abandoned_calls", grace, least)?;
        }
        match u32::try_from(self.max_frame) {
            Ok(limit) if (MIN_FRAME..=MAX_FRAME).contains(&self.max_frame) => Ok(limit),
            _ => Err(InvalidOption {
                option: "max_frame",
                value: self.max_frame.to_string(),
                allowed: format!("{MIN_FRAME} to {MAX_FRAME}"),
            }),
        }
    }
}
