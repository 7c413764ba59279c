//! Building a pool.

use std::time::Duration;

use ostler::supervisor::Supervisor;

use crate::config::{AbandonedCalls, Config};
use crate::driver::{Driver, Limits};
use crate::error::BuildError;
use crate::pool::Pool;
use crate::port::{Batching, Opener};
#[cfg(feature = "record")]
use crate::recorder::JsonLines;
use crate::recorder::{Recorder, Sink};
use crate::rt::{self, Handle};
use crate::stderr::{Stderr, StderrSink};

/// Builds a [`Pool`]. Made by [`Pool::builder`].
///
/// Each setter sets the option of [`Config`] with its name, where its unit, range, default and
/// reason are documented.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("math:sqrt").json())
///     .size(2)
///     .call_timeout(Duration::from_secs(10))
///     .max_worker_requests(None)
///     .build()?;
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    opener: Box<dyn Opener>,
    config: Config,
    record: Option<Sink>,
}

impl Builder {
    pub(crate) fn new(opener: Box<dyn Opener>) -> Self {
        Self {
            opener,
            config: Config::default(),
            record: None,
        }
    }

    /// Sets every option.
    ///
    /// ```
    /// # use ostler_pool::{Config, Pool, Program};
    /// let mut config = Config::default();
    /// config.size = 4;
    /// let builder = Pool::builder(Program::new("./thumbnailer")).config(config);
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets [`Config::name`].
    ///
    /// ```
    /// # use ostler_pool::{Pool, Program};
    /// let builder = Pool::builder(Program::new("./thumbnailer")).name("thumbnails");
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = Some(name.into());
        self
    }

    /// Sets [`Config::lease_warning`].
    pub fn lease_warning(mut self, lease_warning: impl Into<Option<Duration>>) -> Self {
        self.config.lease_warning = lease_warning.into();
        self
    }

    /// Sets [`Config::stderr`].
    ///
    /// ```
    /// # use ostler_pool::{Pool, Program, Stderr};
    /// let builder = Pool::builder(Program::new("./thumbnailer")).stderr(Stderr::Log);
    /// ```
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.config.stderr = stderr;
        self
    }

    /// Sets [`Config::size`].
    pub fn size(mut self, size: usize) -> Self {
        self.config.size = size;
        self
    }

    /// Sets [`Config::surge`].
    pub fn surge(mut self, surge: usize) -> Self {
        self.config.surge = surge;
        self
    }

    /// Sets [`Config::max_starting`].
    pub fn max_starting(mut self, max_starting: usize) -> Self {
        self.config.max_starting = max_starting;
        self
    }

    /// Sets [`Config::start_timeout`].
    pub fn start_timeout(mut self, start_timeout: Duration) -> Self {
        self.config.start_timeout = start_timeout;
        self
    }

    /// Sets [`Config::restart_backoff`].
    pub fn restart_backoff(mut self, restart_backoff: Duration) -> Self {
        self.config.restart_backoff = restart_backoff;
        self
    }

    /// Sets [`Config::restart_backoff_max`].
    pub fn restart_backoff_max(mut self, restart_backoff_max: Duration) -> Self {
        self.config.restart_backoff_max = restart_backoff_max;
        self
    }

    /// Sets [`Config::restart_reset`].
    pub fn restart_reset(mut self, restart_reset: Duration) -> Self {
        self.config.restart_reset = restart_reset;
        self
    }

    /// Sets [`Config::crash_loop`].
    pub fn crash_loop(mut self, crash_loop: u32) -> Self {
        self.config.crash_loop = crash_loop;
        self
    }

    /// Sets [`Config::max_waiting`].
    pub fn max_waiting(mut self, max_waiting: usize) -> Self {
        self.config.max_waiting = max_waiting;
        self
    }

    /// Sets [`Config::checkout_timeout`].
    pub fn checkout_timeout(mut self, checkout_timeout: Duration) -> Self {
        self.config.checkout_timeout = checkout_timeout;
        self
    }

    /// Sets [`Config::call_timeout`].
    pub fn call_timeout(mut self, call_timeout: Duration) -> Self {
        self.config.call_timeout = call_timeout;
        self
    }

    /// Sets [`Config::max_sessions`].
    pub fn max_sessions(mut self, max_sessions: usize) -> Self {
        self.config.max_sessions = max_sessions;
        self
    }

    /// Sets [`Config::session_idle_timeout`].
    pub fn session_idle_timeout(
        mut self,
        session_idle_timeout: impl Into<Option<Duration>>,
    ) -> Self {
        self.config.session_idle_timeout = session_idle_timeout.into();
        self
    }

    /// Sets [`Config::session_grace`].
    pub fn session_grace(mut self, session_grace: Duration) -> Self {
        self.config.session_grace = session_grace;
        self
    }

    /// Sets [`Config::enable_health_monitoring`].
    pub fn enable_health_monitoring(mut self, enable_health_monitoring: bool) -> Self {
        self.config.enable_health_monitoring = enable_health_monitoring;
        self
    }

    /// Sets [`Config::health_check_interval`].
    pub fn health_check_interval(mut self, health_check_interval: Duration) -> Self {
        self.config.health_check_interval = health_check_interval;
        self
    }

    /// Sets [`Config::health_check_timeout`].
    pub fn health_check_timeout(mut self, health_check_timeout: Duration) -> Self {
        self.config.health_check_timeout = health_check_timeout;
        self
    }

    /// Sets [`Config::health_failure_threshold`].
    pub fn health_failure_threshold(mut self, health_failure_threshold: u32) -> Self {
        self.config.health_failure_threshold = health_failure_threshold;
        self
    }

    /// Sets [`Config::max_worker_age`].
    pub fn max_worker_age(mut self, max_worker_age: impl Into<Option<Duration>>) -> Self {
        self.config.max_worker_age = max_worker_age.into();
        self
    }

    /// Sets [`Config::max_worker_requests`].
    pub fn max_worker_requests(mut self, max_worker_requests: impl Into<Option<u64>>) -> Self {
        self.config.max_worker_requests = max_worker_requests.into();
        self
    }

    /// Sets [`Config::max_worker_memory`].
    pub fn max_worker_memory(mut self, max_worker_memory: impl Into<Option<u64>>) -> Self {
        self.config.max_worker_memory = max_worker_memory.into();
        self
    }

    /// Sets [`Config::error_threshold`].
    pub fn error_threshold(mut self, error_threshold: impl Into<Option<u32>>) -> Self {
        self.config.error_threshold = error_threshold.into();
        self
    }

    /// Sets [`Config::min_worker_life`].
    pub fn min_worker_life(mut self, min_worker_life: Duration) -> Self {
        self.config.min_worker_life = min_worker_life;
        self
    }

    /// Sets [`Config::shutdown_timeout`].
    pub fn shutdown_timeout(mut self, shutdown_timeout: Duration) -> Self {
        self.config.shutdown_timeout = shutdown_timeout;
        self
    }

    /// Sets [`Config::ask_grace`].
    pub fn ask_grace(mut self, ask_grace: Duration) -> Self {
        self.config.ask_grace = ask_grace;
        self
    }

    /// Sets [`Config::term_grace`].
    pub fn term_grace(mut self, term_grace: Duration) -> Self {
        self.config.term_grace = term_grace;
        self
    }

    /// Sets [`Config::release_timeout`].
    pub fn release_timeout(mut self, release_timeout: Duration) -> Self {
        self.config.release_timeout = release_timeout;
        self
    }

    /// Sets [`Config::max_frame`].
    pub fn max_frame(mut self, max_frame: usize) -> Self {
        self.config.max_frame = max_frame;
        self
    }

    /// Sets [`Config::abandoned_calls`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// use ostler_pool::{AbandonedCalls, Pool, Python};
    ///
    /// let builder = Pool::builder(Python::function("model:predict"))
    ///     .abandoned_calls(AbandonedCalls::Cancel(Duration::from_secs(5)));
    /// ```
    pub fn abandoned_calls(mut self, abandoned_calls: AbandonedCalls) -> Self {
        self.config.abandoned_calls = abandoned_calls;
        self
    }

    /// Records every step of the pool as lines of JSON: first its policy, then each input with all
    /// of its effects, and the time (`at_us`: microseconds since the pool was built). The trace
    /// holds no requests, replies or session names.
    ///
    /// The program `ostler-check-trace` checks that the specification allows every step:
    ///
    /// ```text
    /// cargo install ostler-check-trace --locked
    /// ostler-check-trace FILE
    /// ```
    ///
    /// A thread of its own writes the lines, and flushes when no more are waiting. The pool never
    /// waits for it: if the writer fails, or falls behind by 65,536 steps, the trace ends there,
    /// and is valid up to there. When [`Pool::shutdown`] resolves, every line is written, unless
    /// the writer takes longer than the rest of `shutdown_timeout`. A writer that hangs holds up
    /// nothing else, not even the end of the runtime.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let path = std::env::temp_dir().join("ostler-example.trace");
    /// let python = Python::function("builtins:bytes");
    /// let pool = Pool::builder(python).size(1).record(std::fs::File::create(&path)?).build()?;
    /// pool.call(b"hello").await?;
    /// pool.shutdown().await;
    /// let trace = std::fs::read_to_string(&path)?;
    /// assert!(trace.starts_with(r#"{"ostler_trace":1,"policy":{"size":1,"#));
    /// assert!(trace.ends_with("\"Closed\"]}\n"));
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "record")]
    pub fn record(mut self, to: impl std::io::Write + Send + 'static) -> Self {
        (self.record.get_or_insert_default()).add(JsonLines::new(to));
        self
    }

    /// Records what the pool does in `timeline`, which writes it as a page or as a trace for
    /// Perfetto at any time. See [`Timeline`](crate::Timeline) for what it costs.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python, Timeline};
    ///
    /// let timeline = Timeline::new();
    /// let python = Python::function("builtins:bytes");
    /// let pool = Pool::builder(python).size(1).timeline(&timeline).build()?;
    /// pool.call(b"hello").await?;
    /// pool.shutdown().await;
    /// let mut page = Vec::new();
    /// timeline.write_html(&mut page)?;
    /// assert!(page.starts_with(b"<!doctype html>"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "timeline")]
    pub fn timeline(mut self, timeline: &crate::timeline::Timeline) -> Self {
        (self.record.get_or_insert_default()).add(timeline.follower());
        self
    }

    /// Checks the options and the program, and opens the pool. Its workers start on the tokio
    /// runtime that this is called in. Clients may call from any runtime, immediately.
    ///
    /// The pool's timers, pipes and tasks are driven by that runtime. A multi-threaded runtime
    /// drives itself. One with a single thread does so only inside its `block_on`: outside, clients
    /// on other runtimes wait, beyond `checkout_timeout` and `call_timeout`, until it is driven
    /// again or dropped. When the runtime ends, the pool ends with it.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: an option is out of range, the program does not exist, or there is no
    /// runtime, or one without timers or I/O. No worker was started.
    pub fn build(mut self) -> Result<Pool, BuildError> {
        let max_frame = self.config.frame_limit()?;
        let seed = self.opener.seed().unwrap_or_else(rt::seed);
        let supervisor = Supervisor::new(self.config.policy(), seed)?;
        let sink = StderrSink::new(self.config.name.clone(), self.config.stderr);
        self.opener.stderr_to(sink);
        self.opener.prepare()?;
        let batching = self.opener.batching().map(Batching::validate).transpose()?;
        let limits = Limits {
            checkout_timeout: self.config.checkout_timeout,
            call_timeout: self.config.call_timeout,
            abandoned_calls: self.config.abandoned_calls,
            lease_warning: self.config.lease_warning,
            max_frame,
            takes_lists: batching.is_some(),
            #[cfg(feature = "json")]
            takes_json: self.opener.takes_json(),
        };
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if let Some(lacks) = rt::lacks(&runtime) {
            return Err(BuildError::IncompleteRuntime { lacks });
        }
        let start = |sink| Recorder::start(supervisor.policy().clone(), sink);
        let recorder = self.record.map(start).transpose();
        let recorder = recorder.map_err(BuildError::Recorder)?;
        let driver = Driver::open(
            supervisor,
            self.opener,
            limits,
            self.config.name,
            runtime,
            recorder,
        );
        Ok(Pool::new(driver, batching))
    }
}
