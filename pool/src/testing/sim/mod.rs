//! Simulated workers that fail on command, so that tests can run the real driver through cases that
//! no real process shows reliably.

mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostler::WorkerId;
use tokio::io::DuplexStream;
use tokio::sync::watch;

use crate::port::{
    BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release, SurvivalReason, Survivor,
};

/// How one simulated worker starts, answers health checks and ends.
///
/// Each variant differs from [`Good`](Self::Good) only in what its description says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Script {
    /// Completes the handshake at once, answers every health check, uses 1 MiB, and exits with code
    /// 0 on a shutdown frame or at the end of its input.
    #[default]
    Good,
    /// `open` returns an error.
    OpenFails,
    /// `open` panics.
    OpenPanics,
    /// Answers the handshake after 60 ms.
    SlowStart,
    /// Never answers the handshake.
    NoHandshake,
    /// Answers the handshake with an error.
    StartFails,
    /// Exits with code 3 before it answers the handshake.
    ExitsAtStart,
    /// Never answers a health check.
    IgnoresPings,
    /// Answers each health check with an error.
    Unhealthy,
    /// Answers each health check twice.
    DoublePong,
    /// Answers each health check with a frame of the wrong kind.
    WrongPong,
    /// Uses 1 GiB of memory.
    LargeMemory,
    /// Ignores the shutdown frame, the end of its input and `SIGTERM`; only `SIGKILL` ends it.
    IgnoresStop,
    /// Its port is not released before [`Sim::let_go`].
    NeverReleased,
    /// As [`IgnoresStop`](Self::IgnoresStop), and `SIGKILL` ends it only after [`Sim::let_go`].
    Unkillable,
}

/// The process id that the simulated survivor of an abandoned port has.
const SURVIVOR: u32 = 4711;

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
}

/// An [`Opener`] of simulated workers. Clones share one simulation.
///
/// Each worker is a task on an in-memory pipe. Its [`Script`] says how it starts and ends. It
/// answers a call with the request itself, unless the request is one of these:
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
/// A simulation does no real I/O, so it works on tokio's paused clock: timeouts pass at once and in
/// order.
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
#[derive(Clone, Debug, Default)]
pub struct Sim {
    scripts: Arc<Mutex<VecDeque<Script>>>,
    stats: Arc<Mutex<SimStats>>,
    let_go: Arc<watch::Sender<bool>>,
}

impl Sim {
    /// A simulation whose workers take these scripts in the order in which they are opened. Workers
    /// opened after the last script are [`Good`](Script::Good).
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self {
            scripts: Arc::new(Mutex::new(scripts.into_iter().collect())),
            stats: Arc::default(),
            let_go: Arc::default(),
        }
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

impl Script {
    /// Whether only `SIGKILL` ends the worker, if anything does.
    fn ignores_stop(self) -> bool {
        matches!(self, Self::IgnoresStop | Self::Unkillable)
    }
}

impl Opener for Sim {
    fn open(&self, _: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async { self.open() })
    }
}

impl Sim {
    fn open(&self) -> Result<Box<dyn Port>, OpenError> {
        let script = lock(&self.scripts).pop_front().unwrap_or_default();
        match script {
            Script::OpenPanics => panic!("a scripted panic"),
            Script::OpenFails => {
                return Err(OpenError::spawn("sim", io::Error::other("scripted")));
            }
            _ => {}
        }
        let (host, worker) = tokio::io::duplex(64 * 1024);
        let (exit_sender, exit) = watch::channel(None);
        let exit_sender = Arc::new(exit_sender);
        tokio::spawn(worker::run(worker, script, Arc::clone(&exit_sender)));
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

struct SimPort {
    host: Option<DuplexStream>,
    script: Script,
    exit_sender: Arc<watch::Sender<Option<ExitStatus>>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    killed: bool,
    stats: Arc<Mutex<SimStats>>,
    let_go: watch::Receiver<bool>,
}

impl fmt::Debug for SimPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPort")
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

impl Port for SimPort {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn memory(&self) -> Option<u64> {
        let size = if self.script == Script::LargeMemory {
            1 << 30
        } else {
            1 << 20
        };
        self.exit.borrow().is_none().then_some(size)
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("the pipe is taken once"));
        Pipe::new(reader, writer)
    }

    fn terminate(&mut self) {
        lock(&self.stats).terminated += 1;
        if !self.script.ignores_stop() {
            exit(&self.exit_sender, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        lock(&self.stats).killed += 1;
        self.killed = true;
        if self.script != Script::Unkillable {
            exit(&self.exit_sender, ExitStatus::Signal(9));
        }
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if self.killed && self.script == Script::Unkillable {
                // The simulation holds the sender. If it is gone, nothing can let go any more.
                let _ = self.let_go.wait_for(|let_go| *let_go).await;
                exit(&self.exit_sender, ExitStatus::Signal(9));
            }
            let status = self
                .exit
                .wait_for(Option::is_some)
                .await
                .expect("the port holds the sender");
            Exit {
                status: status.expect("the status is set"),
                stderr: String::new(),
            }
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async {
            if self.script == Script::NeverReleased
                && self.let_go.wait_for(|let_go| *let_go).await.is_err()
            {
                // Nothing can let go any more.
                std::future::pending::<()>().await;
            }
            Release::default()
        })
    }

    fn survivors(&self) -> Vec<Survivor> {
        let is_stuck = matches!(self.script, Script::NeverReleased | Script::Unkillable);
        let survivor = Survivor::new(SURVIVOR, SurvivalReason::Uninterruptible);
        Vec::from_iter((is_stuck && !*self.let_go.borrow()).then_some(survivor))
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.exit_sender, ExitStatus::Signal(9));
        lock(&self.stats).open -= 1;
    }
}

/// Reports an exit. Only the first one counts: a worker that has exited cannot be killed any more.
fn exit(sender: &watch::Sender<Option<ExitStatus>>, status: ExitStatus) {
    sender.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(status);
        first
    });
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // `Script::OpenPanics` may have poisoned it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
