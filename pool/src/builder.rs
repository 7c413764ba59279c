//! The options of a pool.

use std::thread;
use std::time::Duration;

use ostler::policy::{InvalidOption, Policy, timeout};
use ostler::supervisor::Supervisor;

use crate::driver::{Driver, Limits};
use crate::error::BuildError;
use crate::pool::Pool;
use crate::port::Opener;
use crate::recorder::{Recorder, Sink};
use crate::rt::{self, Handle};

/// The smallest frame limit that leaves room for the handshake and a short error.
const MIN_FRAME: usize = 1024;

/// The largest one. A length prefix could claim four times as much, and no worker answers that in one piece.
const MAX_FRAME: usize = 1 << 30;

/// Builds a [`Pool`]. Made by [`Pool::builder`].
///
/// Every option has a default, and is checked by [`build`](Builder::build).
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    opener: Box<dyn Opener>,
    policy: Policy,
    checkout_timeout: Duration,
    call_timeout: Duration,
    cancel_grace: Option<Duration>,
    max_frame: usize,
    record: Option<Sink>,
}

impl Builder {
    pub(crate) fn new(opener: Box<dyn Opener>) -> Self {
        let size = thread::available_parallelism().map_or(1, usize::from);
        Self {
            opener,
            policy: Policy::new(size),
            checkout_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            cancel_grace: None,
            max_frame: 64 << 20,
            record: None,
        }
    }

    /// Workers kept serving. Default: the number of processors that this process may use.
    pub fn size(mut self, workers: usize) -> Self {
        self.policy.size = workers;
        self
    }

    /// Workers allowed beyond `size` while others are replaced or still stopping. At least 1, default 1.
    pub fn surge(mut self, workers: usize) -> Self {
        self.policy.surge = workers;
        self
    }

    /// Workers that may be starting at the same time. Default 8.
    pub fn max_starting(mut self, workers: usize) -> Self {
        self.policy.max_starting = workers;
        self
    }

    /// From the spawn of a worker to its answer to the handshake, setup included. Default 30 s.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.policy.start_timeout = timeout;
        self
    }

    /// The pause after a failed start, and what it grows to by doubling. Each is changed at random by up to a tenth.
    /// A worker that crashes is replaced at once; when its replacement crashes too, there is a pause as well. Default
    /// 100 ms and 30 s.
    pub fn restart_backoff(mut self, first: Duration, max: Duration) -> Self {
        self.policy.restart_backoff = first;
        self.policy.restart_backoff_max = max;
        self
    }

    /// A worker that has served for so long starts its row of failures anew. Default 60 s.
    pub fn restart_reset(mut self, after: Duration) -> Self {
        self.policy.restart_reset = after;
        self
    }

    /// Whether idle workers are probed, each every `health_check_interval`. Default true.
    pub fn enable_health_monitoring(mut self, enable: bool) -> Self {
        self.policy.enable_health_monitoring = enable;
        self
    }

    /// How often an idle worker is probed, and the memory of every worker measured. Changed at random by up to a tenth.
    /// Default 30 s.
    pub fn health_check_interval(mut self, interval: Duration) -> Self {
        self.policy.health_check_interval = interval;
        self
    }

    /// How long a probe may take before it counts as missed. Default 5 s.
    pub fn health_check_timeout(mut self, timeout: Duration) -> Self {
        self.policy.health_check_timeout = timeout;
        self
    }

    /// A worker that misses so many probes in a row is stopped and replaced. One that is answered in time, or a call
    /// that is answered, starts the row anew. Default 3.
    pub fn health_failure_threshold(mut self, misses: u32) -> Self {
        self.policy.health_failure_threshold = misses;
        self
    }

    /// A worker that has served for so long is replaced. Changed at random by up to a tenth, so that workers which
    /// started together do not end together. `None`: never. Default 1 h.
    pub fn max_worker_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.policy.max_worker_age = age.into();
        self
    }

    /// A worker that has answered so many calls is replaced. Lowered at random by up to a tenth. `None`: never.
    /// Default 1000.
    pub fn max_worker_requests(mut self, requests: impl Into<Option<u64>>) -> Self {
        self.policy.max_worker_requests = requests.into();
        self
    }

    /// A worker whose processes hold so many resident bytes is replaced. They are measured every
    /// `health_check_interval`. Lowered at random by up to a tenth. `None`: never, and the default.
    pub fn max_worker_memory(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.policy.max_worker_memory = bytes.into();
        self
    }

    /// A worker that has answered so many calls in a row with an error is replaced. `None`: never. Default 5.
    ///
    /// An error that the worker's function raises leaves the worker as good as before, as far as anybody can tell. Many
    /// in a row may mean that it has lost something that it needs, such as a connection.
    pub fn error_threshold(mut self, errors: impl Into<Option<u32>>) -> Self {
        self.policy.error_threshold = errors.into();
        self
    }

    /// How long a worker serves at least before one of the four limits above replaces it, so that a limit which is
    /// reached at once does not keep the pool starting workers. Default 10 s.
    pub fn min_worker_life(mut self, life: Duration) -> Self {
        self.policy.min_worker_life = life;
        self
    }

    /// Sessions that may be open; beyond it, opening one fails at once. Default 1024.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.policy.max_sessions = sessions;
        self
    }

    /// A session that nobody has used for so long ends; it may take a quarter longer. `None`: never. Default 10 min.
    pub fn session_idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.policy.session_idle_timeout = timeout.into();
        self
    }

    /// After this many failed starts in a row, with nothing serving, waiting clients fail at once. Default 5.
    pub fn crash_loop(mut self, failures: u32) -> Self {
        self.policy.crash_loop = failures;
        self
    }

    /// How long a client waits for a worker. Default 5 s.
    pub fn checkout_timeout(mut self, timeout: Duration) -> Self {
        self.checkout_timeout = timeout;
        self
    }

    /// Clients that may wait for a worker; beyond it, a checkout fails at once. Default 1024.
    pub fn max_waiting(mut self, clients: usize) -> Self {
        self.policy.max_waiting = clients;
        self
    }

    /// How long a worker may take to answer a call, or for the next part of a stream. Default 30 s.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How long a worker gets to end a call or a stream that was dropped or has timed out, before it is stopped. It is
    /// told that nobody wants the answer any more; if it ends the exchange in time, in whatever way, it serves on with the
    /// state that it has, sessions included. `None`: it is stopped at once. Default `None`.
    ///
    /// Nobody waits for this but the worker's next client. The answer is thrown away, and one that comes after the grace
    /// changes nothing. There is no grace for a worker that had not taken in the whole request.
    ///
    /// In a Python worker, `Cancelled` is raised in the function, within a tenth of a second, by the signal `SIGURG`. It is
    /// no `Exception`, so that only `finally` and `except BaseException` see it. What does not return to the interpreter,
    /// such as a long computation in C, is not interrupted, and costs its worker when the grace has passed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{CallError, Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("time:sleep").json())
    ///     .size(1)
    ///     .call_timeout(Duration::from_millis(200))
    ///     .cancel_grace(Duration::from_secs(5))
    ///     .build()?;
    /// let mut lease = pool.checkout().await?;
    /// assert!(matches!(lease.call(b"1000").await, Err(CallError::TimedOut { .. })));
    /// // The lease is over, and its worker is there for the next client.
    /// assert_eq!(pool.checkout().await?.worker(), lease.worker());
    /// # drop(lease);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn cancel_grace(mut self, grace: impl Into<Option<Duration>>) -> Self {
        self.cancel_grace = grace.into();
        self
    }

    /// How long the whole of a shutdown may take: calls under way are waited for, then the workers are stopped. The
    /// graces of [`stop_grace`](Self::stop_grace) are cut to fit. Default 30 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.policy.shutdown_timeout = timeout;
        self
    }

    /// How long a worker that is told to end gets before `SIGTERM`, and after it before `SIGKILL`. Default 2 s each.
    pub fn stop_grace(mut self, ask: Duration, term: Duration) -> Self {
        self.policy.ask_grace = ask;
        self.policy.term_grace = term;
        self
    }

    /// The largest frame in bytes, in either direction: a request or a reply, and 5 bytes. Default 64 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Writes down every step of the pool: a line of JSON for its policy, and one for each thing that happens with all that
    /// the pool orders because of it. Whether the specification allows what was written is checked by
    ///
    /// ```text
    /// cargo run --release --example check_trace FILE
    /// ```
    ///
    /// in a checkout of ostler. There are no requests, replies or names of sessions in it.
    ///
    /// The lines are written on a thread of their own, and flushed whenever there is no next one. A pool never waits for
    /// them: where they fall behind by some ten thousand steps, or cannot be written, the trace ends there, and is good up to
    /// there. When [`Pool::shutdown`] returns, all of them are written.
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
        self.record = Some(Sink::new(to));
        self
    }

    /// Checks the options and the program, and opens the pool. Its workers start on the runtime that this is called
    /// in; clients may come from anywhere, and at once.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: an option out of its range, a program that does not exist, or no runtime. No worker has been
    /// started then.
    pub fn build(mut self) -> Result<Pool, BuildError> {
        let least = Duration::from_nanos(1);
        timeout("checkout_timeout", self.checkout_timeout, least)?;
        timeout("call_timeout", self.call_timeout, least)?;
        if let Some(grace) = self.cancel_grace {
            timeout("cancel_grace", grace, least)?;
        }
        let limits = Limits {
            checkout_timeout: self.checkout_timeout,
            call_timeout: self.call_timeout,
            cancel_grace: self.cancel_grace,
            max_frame: frame_limit(self.max_frame)?,
        };
        let supervisor = Supervisor::new(self.policy, rt::seed())?;
        self.opener.prepare()?;
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let start = |sink| Recorder::start(supervisor.policy().clone(), sink);
        let recorder = self.record.map(start).transpose()?;
        Ok(Pool::new(Driver::open(
            supervisor,
            self.opener,
            limits,
            runtime,
            recorder,
        )))
    }
}

fn frame_limit(bytes: usize) -> Result<u32, InvalidOption> {
    match u32::try_from(bytes) {
        Ok(limit) if (MIN_FRAME..=MAX_FRAME).contains(&bytes) => Ok(limit),
        _ => Err(InvalidOption {
            option: "max_frame",
            value: bytes.to_string(),
            allowed: format!("{MIN_FRAME} to {MAX_FRAME}"),
        }),
    }
}
