//! The extension point: what the pool needs of a worker's process, and nothing else.
//!
//! A port (Erlang's word) is a worker's process with its pipes. The pool owns one [`Port`] for each
//! worker, in one task, and gets them from one [`Opener`]. [`Program`](crate::Program) and
//! [`Python`](crate::Python) are openers of real processes. Implement the two traits to run workers
//! elsewhere: in a container, behind an SSH connection, or in memory for a test.
//!
//! # The contract
//!
//! The pool calls the methods in this order, and never two methods of one port at the same time:
//!
//! ```text
//! open ─► take_pipe ─► (terminate | kill)* ─► exited ─► released ─► drop      each port
//! stderr_to ─► prepare ─► open* ─► close                                      their opener
//! ```
//!
//! - A port leaves nothing behind: not after `released`, not when it is dropped earlier, and not
//!   when `open` fails or is dropped.
//! - `exited` and `released` are cancel safe: the pool polls them beside other work, drops the
//!   future and calls the method again.
//! - `exited` reports the exit of the worker, not the end of its output: a descendant may hold the
//!   pipe open, and a worker may close it and live on.
//! - Both resolve in time: `exited` after a `kill`, and `released`, each within the pool's
//!   `release_timeout`. The slot of the worker stays taken until then. Afterwards the port is
//!   abandoned: the pool calls `survivors`, frees the slot, and goes on waiting in the background.
//! - No call, no poll and no drop blocks its thread: the pool's other workers and clients share it.
//!   100 ms are too long, and for a poll of `open` 500 ms.
//! - No method panics.
//!
//! With the feature `testing`, `ostler_pool::testing::check_port` checks this contract.
//!
//! # Ports without processes
//!
//! A worker in memory or on another machine has no process here. Then:
//!
//! - `pid` and `memory` are `None`, and `survivors` is empty.
//! - `exited` reports how the worker ended as if it were a process: exit code 0 if it was asked to
//!   exit and did, a signal if it was terminated or killed. A killed worker never has exit code 0.
//! - `released` resolves when everything that the port used for the worker is gone: tasks,
//!   connections, a container. Its [`Release`] is the default, unless the other side knows more.
//! - `open` fails with [`OpenError::other`].
//!
//! # Example
//!
//! A worker in memory: a task that answers each call with the request. A frame is a length, a kind,
//! an id and a body; see `PROTOCOL.md`.
//!
//! ```
//! use ostler_pool::Pool;
//! use ostler_pool::port::{BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release, Start};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
//! use tokio::task::JoinHandle;
//!
//! #[derive(Debug)]
//! struct Echo;
//!
//! impl Opener for Echo {
//!     fn open(&self, _: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
//!         let (host, worker) = tokio::io::duplex(64 * 1024);
//!         let (worker, status) = (tokio::spawn(serve(worker)), ExitStatus::Code(0));
//!         let port = EchoPort { pipe: Some(host), worker, status };
//!         Box::pin(async { Ok(Box::new(port) as Box<dyn Port>) })
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct EchoPort {
//!     pipe: Option<DuplexStream>,
//!     worker: JoinHandle<()>,
//!     status: ExitStatus,
//! }
//!
//! impl EchoPort {
//!     fn end(&mut self, signal: i32) {
//!         if !self.worker.is_finished() {
//!             self.worker.abort();
//!             self.status = ExitStatus::Signal(signal);
//!         }
//!     }
//! }
//!
//! impl Port for EchoPort {
//!     fn pid(&self) -> Option<u32> {
//!         None
//!     }
//!     fn take_pipe(&mut self) -> Pipe {
//!         let (reader, writer) = tokio::io::split(self.pipe.take().unwrap());
//!         Pipe::new(reader, writer)
//!     }
//!     fn terminate(&mut self) {
//!         self.end(15);
//!     }
//!     fn kill(&mut self) {
//!         self.end(9);
//!     }
//!     fn exited(&mut self) -> BoxFuture<'_, Exit> {
//!         Box::pin(async {
//!             // A finished task must not be polled again, and `exited` may be called again.
//!             while !self.worker.is_finished() {
//!                 tokio::time::sleep(std::time::Duration::from_millis(1)).await;
//!             }
//!             Exit::new(self.status, "")
//!         })
//!     }
//!     fn released(&mut self) -> BoxFuture<'_, Release> {
//!         Box::pin(async { Release::default() })
//!     }
//! }
//!
//! impl Drop for EchoPort {
//!     fn drop(&mut self) {
//!         self.worker.abort();
//!     }
//! }
//!
//! /// Answers until a frame is a shutdown (3) or the pipe is closed.
//! async fn serve(mut pipe: DuplexStream) {
//!     while let Ok(length) = pipe.read_u32().await {
//!         let mut frame = vec![0; length as usize];
//!         let Ok(_) = pipe.read_exact(&mut frame).await else { return };
//!         let reply: &[u8] = match frame[0] {
//!             1 => &[128, 0, 0, 0, 0, 0, 0, 0, 1], // hello: ready, protocol version 1
//!             2 => { frame[0] = 129; &frame }      // call: reply, with the same id and body
//!             4 => { frame[0] = 131; &frame }      // ping: pong, with the same id
//!             _ => return,
//!         };
//!         let _ = pipe.write_u32(reply.len() as u32).await;
//!         let _ = pipe.write_all(reply).await;
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let pool = Pool::builder(Echo).size(2).build()?;
//! assert_eq!(pool.call(b"hello").await?, b"hello");
//! pool.shutdown().await;
//! # #[cfg(feature = "testing")]
//! # let _ = ostler_pool::testing::check_port(Echo).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod batching;
mod exit;
mod open_error;
mod release;
mod shared;
mod start;

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub use self::batching::Batching;
pub use self::exit::{Exit, ExitStatus, STDERR_TAIL};
pub use self::open_error::OpenError;
pub use self::release::{Release, SurvivalReason, Survivor};
pub(crate) use self::shared::{Memory, SharedMemory};
pub use self::start::Start;
pub use crate::stderr::StderrSink;

/// A boxed future, as an object-safe trait needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens ports: one for each worker that the pool starts. See the [module](self) for the contract.
pub trait Opener: fmt::Debug + Send + Sync + 'static {
    /// Checks once what can be checked before a worker starts, and looks up what need not be looked
    /// up for each. Default: checks nothing.
    ///
    /// [`Builder::build`](crate::Builder::build) calls this, and returns its error.
    ///
    /// # Errors
    ///
    /// Returns what makes it certain that no worker can ever start, such as a program that does not
    /// exist.
    fn prepare(&mut self) -> Result<(), OpenError> {
        Ok(())
    }

    /// Whether the workers take requests that are JSON. If not, calls with JSON fail before they
    /// use a worker. Default: true.
    ///
    /// [`Builder::build`](crate::Builder::build) asks once.
    fn takes_json(&self) -> bool {
        true
    }

    /// Where the opener is to send the lines that its workers write to stderr. Default: ignored.
    ///
    /// [`Builder::build`](crate::Builder::build) calls this once, before `prepare`.
    fn stderr_to(&mut self, sink: StderrSink) {
        let _ = sink;
    }

    /// How the pool collects the requests of concurrent calls. Default: it does not.
    ///
    /// [`Builder::build`](crate::Builder::build) asks once.
    fn batching(&self) -> Option<Batching> {
        None
    }

    /// The seed of the pool's jitter. Default: random.
    ///
    /// [`Builder::build`](crate::Builder::build) asks once. A simulation returns one, so that the
    /// same test takes the same times.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// Opens the port of a worker, that is, spawns its process. The pool does the handshake.
    ///
    /// Called after `prepare`, inside the pool's runtime, on the task that will own the port. It
    /// must not block for longer than a spawn takes. Each worker id is used once, so it can name
    /// what belongs to the worker.
    ///
    /// # Errors
    ///
    /// Returns why the port could not be opened. The worker's start has then failed, and the pool
    /// tries again after a backoff.
    ///
    /// # Cancel safety
    ///
    /// The pool drops the future when it no longer needs the worker. No process and no descriptor
    /// may be left then.
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>>;

    /// Ends what the ports share. Default: does nothing.
    ///
    /// Called once, after the last port was released or abandoned. An abandoned port may still be
    /// released afterwards. If the pool's runtime ends earlier, it is not called, and the opener is
    /// dropped.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

/// An open port. See the [module](self) for the contract.
///
/// If it is dropped at any point, it leaves nothing alive, and does not block.
pub trait Port: fmt::Debug + Send + 'static {
    /// The process id of the worker's first process, which leads its group, as this host sees it.
    /// For logs and [`WorkerStatus`](crate::WorkerStatus).
    ///
    /// It is the same from `open` to `released`. At least until `exited`, the process exists, and
    /// no other worker has its id. `None` if the worker is not a process of this machine, or one
    /// whose id means nothing here.
    fn pid(&self) -> Option<u32>;

    /// The resident memory of the worker's processes, in bytes. `None` if it is not known, and
    /// after `exited`. Default: `None`.
    ///
    /// Called after the start and every `health_check_interval`, on the pool's runtime. It must be
    /// quick.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// The two ends that the host reads and writes. Called once, directly after `open`.
    ///
    /// When the pool drops the pipe, the worker must read the end of its input.
    fn take_pipe(&mut self) -> Pipe;

    /// Asks every process of the worker to exit (`SIGTERM` to the group). Does not wait. Does
    /// nothing after `exited`.
    fn terminate(&mut self);

    /// Kills every process of the worker (`SIGKILL` to the group). Does not wait. Does nothing
    /// after `exited`.
    fn kill(&mut self);

    /// Resolves once the worker has exited. Until then, drains the worker's stderr. Releases
    /// nothing.
    ///
    /// After a `kill` of a running worker, the status is not exit code 0, so that a killed worker
    /// does not look like a clean exit.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe. Called again, also after it has resolved, and then returns the same.
    fn exited(&mut self) -> BoxFuture<'_, Exit>;

    /// Kills what is left of the group, reaps the worker, and resolves once no process of the group
    /// is alive and every descriptor of the port is closed. Called only after `exited` has
    /// resolved.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe.
    fn released(&mut self) -> BoxFuture<'_, Release>;

    /// The processes that hold up the exit or the release, and why. Empty after the release.
    /// Default: none is known.
    ///
    /// Called once, when the port is abandoned because the exit after a `kill` or the release took
    /// longer than the pool's `release_timeout`. It must be quick.
    fn survivors(&self) -> Vec<Survivor> {
        Vec::new()
    }
}

/// The host's ends of the two pipes that carry frames.
#[non_exhaustive]
pub struct Pipe {
    /// Reads what the worker writes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Writes what the worker reads.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the worker reads before the first frame. Usually empty.
    pub preamble: Vec<u8>,
    /// What the worker is offered for large requests and replies.
    pub(crate) shared: Option<SharedMemory>,
}

impl Pipe {
    /// Two ends, without a preamble.
    ///
    /// ```
    /// # use ostler_pool::port::Pipe;
    /// let (host, worker) = tokio::io::duplex(1024);
    /// let (reader, writer) = tokio::io::split(host);
    /// let pipe = Pipe::new(reader, writer);
    /// ```
    #[must_use]
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
            shared: None,
        }
    }

    /// Sets what the worker reads before the first frame.
    #[must_use]
    pub fn preamble(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.preamble = bytes.into();
        self
    }

    pub(crate) fn shared(mut self, memory: Option<SharedMemory>) -> Self {
        self.shared = memory;
        self
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}
