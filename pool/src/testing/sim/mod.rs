//! A simulated port, so that the real driver can be asked what no real process does on command.

mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostler::WorkerId;
use tokio::io::DuplexStream;
use tokio::sync::watch;

use crate::port::{BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release};

/// How one worker of a simulation starts and ends. After the last entry of a script, workers are `Good`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Script {
    /// Starts, serves, and exits when its input ends.
    #[default]
    Good,
    /// The port cannot be opened.
    Unopenable,
    /// `open` panics.
    Panics,
    /// As `Good`, and answers the handshake after 60 ms.
    Slow,
    /// Never answers the handshake.
    Mute,
    /// As `Good`, and never answers a probe.
    Deaf,
    /// As `Good`, and answers each probe with an error.
    Unhealthy,
    /// As `Good`, and answers each probe twice.
    Stammering,
    /// As `Good`, and holds a gibibyte.
    Fat,
    /// As `Good`, and answers a probe with what no probe is answered with.
    Babbling,
    /// Answers the handshake with an error.
    Refuses,
    /// Exits before it answers the handshake.
    ExitsAtOnce,
    /// As `Good`, and takes no end but a kill for one.
    Stubborn,
    /// As `Good`, and is never released.
    Unreleasable,
}

/// What the ports of a simulation did, counted by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimResources {
    /// Ports that were opened.
    pub opened: usize,
    /// Ports that are open now.
    pub open: usize,
    /// The most that were open at one time.
    pub most_open: usize,
    /// How often one was told to terminate.
    pub terminated: usize,
    /// How often one was killed.
    pub killed: usize,
}

/// Opens simulated ports. Clones are of one simulation.
///
/// A simulated worker is a task on an in-memory pipe. How it starts and ends is [`Script`]ed; a call it answers with its own
/// request, unless that is one of these words:
///
/// | request | what the worker does |
/// |---|---|
/// | `think` | answers after 15 ms |
/// | `hang` | does not answer |
/// | `raise` | answers with an error |
/// | `exit` | exits with code 3 |
/// | `answer and exit` | does both |
/// | `wrong id`, `twice`, `part`, `garbage` | breaks the protocol |
/// | `heed`, `finish`, `late`, `stray`, `twice over`, `leave` | hangs, and takes a cancel well or badly |
///
/// A stream is asked for by a verb and letters, of which each is a part: `spell abc`; `ponder abc` takes 5 s for each. After them,
/// `raise`, `exit`, `hang`, `heed` and `flood` do what they say; `talk`, `encore` and `pong` break the protocol.
///
/// There is no real I/O in it, so that tests may run on tokio's paused clock, where every deadline passes at once and in its order.
///
/// ```
/// use std::time::Duration;
///
/// use ostler_pool::testing::{Script, Sim};
/// use ostler_pool::{CallError, Pool};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// // The first worker cannot be opened; the others are good.
/// let sim = Sim::new([Script::Unopenable]);
/// let pool = Pool::builder(sim.clone()).size(2).call_timeout(Duration::from_secs(1)).build()?;
/// assert_eq!(pool.call(b"hello").await?, b"hello");
/// assert!(matches!(pool.call(b"hang").await, Err(CallError::TimedOut { .. })));
/// pool.shutdown().await;
/// assert_eq!(sim.books().open, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sim {
    script: Arc<Mutex<VecDeque<Script>>>,
    books: Arc<Mutex<SimResources>>,
}

impl Sim {
    /// A simulation whose workers have these scripts, in the order in which they are opened.
    pub fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            books: Arc::default(),
        }
    }

    /// What its ports have done so far.
    #[must_use]
    pub fn books(&self) -> SimResources {
        *lock(&self.books)
    }
}

impl Opener for Sim {
    fn prepare(&mut self) -> Result<(), OpenError> {
        Ok(())
    }

    fn open(&self, _: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async { self.open() })
    }
}

impl Sim {
    fn open(&self) -> Result<Box<dyn Port>, OpenError> {
        let script = lock(&self.script).pop_front().unwrap_or_default();
        match script {
            Script::Panics => panic!("a scripted panic"),
            Script::Unopenable => {
                return Err(OpenError::Spawn {
                    program: "sim".into(),
                    reason: "scripted".into(),
                });
            }
            _ => {}
        }
        let (host, worker) = tokio::io::duplex(64 * 1024);
        let (alive, exit) = watch::channel(None);
        let alive = Arc::new(alive);
        tokio::spawn(worker::live(worker, script, Arc::clone(&alive)));
        let mut books = lock(&self.books);
        books.opened += 1;
        books.open += 1;
        books.most_open = books.most_open.max(books.open);
        drop(books);
        Ok(Box::new(SimPort {
            host: Some(host),
            script,
            alive,
            exit,
            books: Arc::clone(&self.books),
        }))
    }
}

struct SimPort {
    host: Option<DuplexStream>,
    script: Script,
    alive: Arc<watch::Sender<Option<ExitStatus>>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    books: Arc<Mutex<SimResources>>,
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
        let size = if self.script == Script::Fat {
            1 << 30
        } else {
            1 << 20
        };
        self.exit.borrow().is_none().then_some(size)
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("taken once"));
        Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
        }
    }

    fn terminate(&mut self) {
        lock(&self.books).terminated += 1;
        if self.script != Script::Stubborn {
            exit(&self.alive, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        lock(&self.books).killed += 1;
        exit(&self.alive, ExitStatus::Signal(9));
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let status = self
                .exit
                .wait_for(Option::is_some)
                .await
                .expect("the port holds the sender");
            Exit {
                status: status.expect("waited for"),
                stderr: String::new(),
            }
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async {
            if self.script == Script::Unreleasable {
                std::future::pending::<()>().await;
            }
            Release::default()
        })
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.alive, ExitStatus::Signal(9));
        lock(&self.books).open -= 1;
    }
}

/// The first exit counts.
fn exit(alive: &watch::Sender<Option<ExitStatus>>, status: ExitStatus) {
    alive.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(status);
        first
    });
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A scripted panic may have come under it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
