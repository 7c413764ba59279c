//! Simulated workers that fail on command, so that tests can run the real driver through cases that
//! no real process shows reliably.

mod answer;
mod answering;
mod port;
mod script;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostler::WorkerId;
use tokio::sync::watch;

pub use self::answer::{Answer, Fault, Request};
use self::answering::Answers;
use self::port::SimPort;
pub use self::script::Script;
use crate::port::{BoxFuture, OpenError, Opener, Port, Start};

/// What the ports of a [`Sim`] counted themselves, independently of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimStats {
    /// Ports opened so far.
    pub opened: usize,
    /// Ports open now.
    pub open: usize,
    /// The most ports that were open at the same time.
    pub peak_open: usize,
    /// Calls of `terminate`.
    pub terminated: usize,
    /// Calls of `kill`.
    pub killed: usize,
    /// Requests that reached a worker: calls, streams, and each request of a batch.
    pub requests: usize,
}

/// An [`Opener`] of simulated workers. Clones share one simulation.
///
/// [`answering`](Self::answering) stands in for the workers of an application: a closure answers
/// each request. [`new`](Self::new) makes workers for tests of a pool itself, whose requests are
/// commands; see below.
///
/// A simulation does no real I/O, so it works on tokio's paused clock: timeouts pass at once and in
/// order.
///
/// ```
/// use std::time::Duration;
///
/// use ostler_pool::testing::{Answer, Script, Sim};
/// use ostler_pool::{ExitStatus, Pool};
///
/// # let mut paused = tokio::runtime::Builder::new_current_thread();
/// # paused.enable_all().start_paused(true).build()?.block_on(async {
/// // The first worker does not start, and the first call crashes the second worker.
/// let mut crashed = false;
/// let sim = Sim::answering(move |_, request| {
///     if !std::mem::replace(&mut crashed, true) {
///         return Answer::Crash(ExitStatus::Signal(9));
///     }
///     let n: u64 = request.json();
///     Answer::json(&(n + 1)).after(Duration::from_millis(20))
/// });
/// let sim = sim.scripts([Script::StartFails]);
/// let pool = Pool::builder(sim.clone()).size(1).build()?;
/// assert!(pool.call_json::<_, u64>(&1).await.is_err());
/// assert_eq!(pool.call_json::<_, u64>(&1).await?, 2);
/// pool.shutdown().await;
/// assert_eq!((sim.stats().requests, sim.stats().opened, sim.stats().open), (2, 3, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Commands
///
/// A worker of [`Sim::new`] answers a call with the request itself, unless the request is one of
/// these:
///
/// | request | the worker |
/// |---|---|
/// | `think` | replies after 15 ms |
/// | `hang` | never replies |
/// | `raise` | replies with an error, a `ValueError` |
/// | `exit` | exits with code 3 |
/// | `answer and exit` | replies `farewell`, then exits with code 0 |
/// | `wrong id` | replies with the id of another request |
/// | `twice` | replies twice: `once` and `twice` |
/// | `part` | replies with a part of a stream |
/// | `garbage` | sends 32 bytes that are no frame |
///
/// These never reply before a cancel arrives. After the cancel:
///
/// | request | the worker |
/// |---|---|
/// | `heed` | confirms the cancel with a `Cancelled` error |
/// | `finish` | replies `finished` |
/// | `late` | replies `late` after 10 s |
/// | `stray` | replies with the id of another request |
/// | `twice over` | confirms the cancel twice |
/// | `leave` | exits with code 3 |
///
/// The request of a stream is a verb and letters, such as `spell abc`. The worker sends each letter
/// as a part (`ponder` waits 5 s before each), and then:
///
/// | verb | the worker |
/// |---|---|
/// | `spell`, `ponder` | ends the stream |
/// | `raise` | fails with an error, a `ValueError` |
/// | `exit` | exits with code 3 |
/// | `hang` | sends nothing more |
/// | `heed` | on a cancel, sends one more part and confirms the cancel |
/// | `flood` | sends parts without end |
/// | `talk` | ends the stream with a body, which the protocol forbids |
/// | `encore` | ends the stream and sends one more part |
/// | `pong` | sends the answer to a health check instead of the end |
///
/// ```
/// use std::time::Duration;
///
/// use ostler_pool::testing::{Script, Sim};
/// use ostler_pool::{CallError, Pool};
///
/// # let mut paused = tokio::runtime::Builder::new_current_thread();
/// # paused.enable_all().start_paused(true).build()?.block_on(async {
/// // The first worker cannot be opened; all later workers are `Good`.
/// let sim = Sim::new([Script::OpenFails]);
/// let pool = Pool::builder(sim.clone()).size(2).call_timeout(Duration::from_secs(1)).build()?;
/// assert_eq!(pool.call(b"hello").await?, b"hello");
/// assert!(matches!(pool.call(b"hang").await, Err(CallError::TimedOut { .. })));
/// pool.shutdown().await;
/// assert_eq!(sim.stats().open, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Sim {
    scripts: Arc<Mutex<VecDeque<Script>>>,
    answers: Answers,
    stats: Arc<Mutex<SimStats>>,
    let_go: Arc<watch::Sender<bool>>,
    functions: Arc<[String]>,
    seed: Option<u64>,
}

impl Sim {
    /// A simulation whose workers take these scripts in the order in which they are opened. Workers
    /// opened after the last script are [`Good`](Script::Good).
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::default().scripts(scripts)
    }

    /// A simulation whose workers answer each request as the closure says.
    ///
    /// It gets the worker and the request of each call, stream and session call, and each request
    /// of a batch, in the order in which they reach the workers. What it captures is the state of
    /// all workers: count there to let a worker crash once and then succeed. It runs on the pool's
    /// runtime, one request at a time, and must not block. It does not learn that a session has
    /// ended.
    ///
    /// If it panics, the panic is printed, and the worker crashes with `SIGABRT` (6) and the
    /// message on stderr.
    ///
    /// The jitter of the pool has seed 0, so the same requests take the same times on a paused
    /// clock; see [`seed`](Self::seed).
    ///
    /// ```
    /// use ostler_pool::Pool;
    /// use ostler_pool::testing::{Answer, Sim};
    ///
    /// # let mut paused = tokio::runtime::Builder::new_current_thread();
    /// # paused.enable_all().start_paused(true).build()?.block_on(async {
    /// let sim = Sim::answering(|_, request| match request.body() {
    ///     b"" => Answer::raise("ValueError", "the text is empty"),
    ///     text => Answer::reply(text.to_ascii_uppercase()),
    /// });
    /// let pool = Pool::builder(sim).build()?;
    /// assert_eq!(pool.call("hello").await?, b"HELLO");
    /// let error = pool.call("").await.unwrap_err();
    /// assert!(error.report().to_string().contains("ValueError: the text is empty"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answering(answer: impl FnMut(WorkerId, &Request) -> Answer + Send + 'static) -> Self {
        Self {
            answers: Answers::of(answer),
            ..Self::default().seed(0)
        }
    }

    /// Names the functions that the workers run, as workers of
    /// [`Python::module`](crate::Python::module) do. Each request names one of them: see
    /// [`Request::function`].
    ///
    /// ```
    /// use ostler_pool::Pool;
    /// use ostler_pool::testing::{Answer, Sim};
    ///
    /// # let mut paused = tokio::runtime::Builder::new_current_thread();
    /// # paused.enable_all().start_paused(true).build()?.block_on(async {
    /// let sim = Sim::answering(|_, request| match request.function() {
    ///     Some("double") => Answer::json(&(2 * request.json::<u64>())),
    ///     other => panic!("{other:?}"),
    /// });
    /// let pool = Pool::builder(sim.functions(["double"])).build()?;
    /// assert_eq!(pool.function_json::<u64, u64>("double").call(&21).await?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn functions(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.functions = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lets the workers take these scripts in the order in which they are opened. Workers opened
    /// after the last script are [`Good`](Script::Good).
    #[must_use]
    pub fn scripts(self, scripts: impl IntoIterator<Item = Script>) -> Self {
        *lock(&self.scripts) = scripts.into_iter().collect();
        self
    }

    /// Lets the n-th request meet the n-th of these faults, if it is one. Requests after the last
    /// one meet none. [`strategies::faults`](super::strategies::faults) draws them.
    ///
    /// ```
    /// use ostler_pool::Pool;
    /// use ostler_pool::testing::{Answer, Fault, Sim};
    ///
    /// # let mut paused = tokio::runtime::Builder::new_current_thread();
    /// # paused.enable_all().start_paused(true).build()?.block_on(async {
    /// let sim = Sim::answering(|_, _| Answer::reply("done")).faults([None, Some(Fault::Crash)]);
    /// let pool = Pool::builder(sim).build()?;
    /// assert!(pool.call("").await.is_ok());
    /// assert!(pool.call("").await.is_err());
    /// assert!(pool.call("").await.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn faults(self, faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        self.answers.set_faults(faults.into_iter().collect());
        self
    }

    /// Sets the seed of the pool's jitter, which varies backoffs, ages and the intervals of health
    /// checks by up to 10 %. Default: 0 for [`answering`](Self::answering), and random for
    /// [`new`](Self::new).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ostler_pool::Pool;
    /// use ostler_pool::testing::{Answer, Script, Sim};
    ///
    /// // The time that a pool takes whose first two starts fail.
    /// fn elapsed(seed: u64) -> Duration {
    ///     let mut runtime = tokio::runtime::Builder::new_current_thread();
    ///     let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    ///     runtime.block_on(async {
    ///         let begun = tokio::time::Instant::now();
    ///         let sim = Sim::answering(|_, _| Answer::reply("")).scripts([Script::StartFails; 2]);
    ///         let pool = Pool::builder(sim.seed(seed)).size(1).build().unwrap();
    ///         pool.call("").await.unwrap();
    ///         begun.elapsed()
    ///     })
    /// }
    /// assert_eq!(elapsed(1), elapsed(1));
    /// assert_ne!(elapsed(1), elapsed(2));
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Releases the ports that are [`NeverReleased`](Script::NeverReleased) and ends the workers
    /// that are [`Unkillable`](Script::Unkillable), present and future.
    pub fn let_go(&self) {
        self.let_go.send_replace(true);
    }

    /// What the ports have counted so far.
    #[must_use]
    pub fn stats(&self) -> SimStats {
        *lock(&self.stats)
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("scripts", &self.scripts)
            .field("stats", &self.stats)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Opener for Sim {
    fn seed(&self) -> Option<u64> {
        self.seed
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move { self.open(start.worker) })
    }
}

impl Sim {
    fn open(&self, worker: WorkerId) -> Result<Box<dyn Port>, OpenError> {
        let script = lock(&self.scripts).pop_front().unwrap_or_default();
        match script {
            Script::OpenPanics => panic!("a scripted panic"),
            Script::OpenFails => {
                return Err(OpenError::spawn("sim", io::Error::other("scripted")));
            }
            _ => {}
        }
        let (host, pipe) = tokio::io::duplex(64 * 1024);
        let (exit_sender, exit) = watch::channel(None);
        let exit_sender = Arc::new(exit_sender);
        let own = worker::Worker {
            id: worker,
            pipe,
            script,
            answers: self.answers.clone(),
            functions: Arc::clone(&self.functions),
            stats: Arc::clone(&self.stats),
        };
        tokio::spawn(own.run(Arc::clone(&exit_sender)));
        let mut stats = lock(&self.stats);
        stats.opened += 1;
        stats.open += 1;
        stats.peak_open = stats.peak_open.max(stats.open);
        drop(stats);
        Ok(Box::new(SimPort {
            host: Some(host),
            script,
            exit_sender,
            exit,
            killed: false,
            stats: Arc::clone(&self.stats),
            let_go: self.let_go.subscribe(),
        }))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // `Script::OpenPanics` may have poisoned it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
