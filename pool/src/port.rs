//! The port: what the driver asks of a worker's process, and nothing else.
//!
//! A port (Erlang's word) is a child process and its pipes. The driver owns one [`Port`] per worker, in one task,
//! and performs on it what the core orders. The real implementation is [`Program`](crate::Program); a test may
//! supply another one and run the real driver on it.
//!
//! ```text
//! open ─► take_pipe ─► (terminate | kill)* ─► exited ─► released ─► drop      each port
//! prepare ─► open* ─► close                                                   their opener
//! ```

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;

use ostler::WorkerId;
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future, as an object-safe trait needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens ports: one for each worker that the pool starts.
pub trait Opener: fmt::Debug + Send + Sync + 'static {
    /// Checks, once, what can be checked before any worker is started, and resolves what need not be resolved again.
    ///
    /// [`Builder::build`](crate::Builder::build) calls this and fails with its error.
    ///
    /// # Errors
    ///
    /// What makes it certain that no worker could ever be opened, such as a program that does not exist.
    fn prepare(&mut self) -> Result<(), OpenError>;

    /// Opens the port of `worker`: spawns its process. The handshake is the driver's.
    ///
    /// Called after `prepare`, inside the pool's runtime, on the task that will own the port, so it must not block for
    /// longer than a spawn takes. Never twice with the same worker, so that its name can mark what belongs to it. Dropped when the worker is not wanted any more.
    ///
    /// # Errors
    ///
    /// Why the port could not be opened. Nothing may be left behind then, nor after a drop: no process and no
    /// descriptor.
    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>>;

    /// Ends what was kept for all ports together. Called once, after the last port was released, and not where the
    /// pool's runtime ends before: then the opener is only dropped.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

/// An open port. Dropped at any point, it leaves nothing alive, and does not block.
pub trait Port: fmt::Debug + Send + 'static {
    /// The process id of the leader, for people and logs.
    fn pid(&self) -> Option<u32>;

    /// The resident bytes of the port's processes. `None` where that is not known, and after `exited`.
    ///
    /// Called at the start and every `health_check_interval`, on the pool's runtime: it must not take long.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// The two ends that the host speaks through. Called once, directly after `open`.
    ///
    /// Dropping the pipe closes both ends: the worker then reads the end of its input.
    fn take_pipe(&mut self) -> Pipe;

    /// Asks every process of the port to end (`SIGTERM` to the group). Does not wait. After `exited`: does nothing.
    fn terminate(&mut self);

    /// Ends every process of the port (`SIGKILL` to the group). Does not wait. After `exited`: does nothing.
    fn kill(&mut self);

    /// Resolves once the leader has exited; until then, keeps draining what the worker writes to its stderr.
    ///
    /// Cancel safe, and callable again: the driver polls it beside its other work. It does not release anything.
    fn exited(&mut self) -> BoxFuture<'_, Exit>;

    /// Kills what is left of the group, reaps the leader, and resolves once no process of the group is alive and
    /// every descriptor of the port is closed. Only called after `exited` has resolved. Cancel safe.
    fn released(&mut self) -> BoxFuture<'_, Release>;
}

/// What became of everything that a port's process had started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Processes that had left the group of the worker, and were found and killed.
    pub escaped: usize,
    /// Whether the kernel vouches for it that no descendant is alive: all of them were in a control group, which is gone.
    /// False: the group is empty and whoever was found outside it is dead, but one that had covered its tracks would not have
    /// been found.
    pub confirmed: Option<bool>,
}

impl Release {
    /// The release of a port that never had a process.
    pub(crate) fn nothing() -> Self {
        Self {
            escaped: 0,
            confirmed: None,
        }
    }
}

/// The host's ends of the two pipes that carry frames.
pub struct Pipe {
    /// What the worker writes.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the worker reads.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the worker is to read before the first frame. Empty for most.
    pub preamble: Vec<u8>,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

/// How a port's leader ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code or the signal that ended it.
    pub status: ExitStatus,
    /// The last lines that it wrote to stderr, at most [`STDERR_TAIL`] bytes of them.
    pub stderr: String,
}

/// How many bytes of a worker's stderr are kept for errors. What came before is in `tracing` only.
pub const STDERR_TAIL: usize = 4096;

/// The status that a process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ExitStatus {
    /// It called `exit` with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The status was taken by somebody else in this process, who waits for children that are not his.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

/// Why a port could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The program was not found, neither as a path nor in `PATH`.
    #[error(
        "program `{program}` was not found: give a path to it, or install it into a directory of PATH"
    )]
    NotFound {
        /// The program as it was given.
        program: String,
    },
    /// The program was found and cannot be executed.
    #[error("program `{program}` cannot be executed: it is not an executable file")]
    NotExecutable {
        /// The path that was found.
        program: String,
    },
    /// The working directory does not exist or is not a directory.
    #[error("working directory `{directory}` is not a directory")]
    NoDirectory {
        /// The directory as it was given.
        directory: String,
    },
    /// The function is not written as `module:function`.
    #[error("`{target}` is not a Python function: write it as `module:function`")]
    BadTarget {
        /// The function as it was given.
        target: String,
    },
    /// The directory for the workers' control groups is none, or is not writable.
    #[error(
        "control groups cannot be made in `{directory}`: {reason}; it must be a directory of a cgroup v2 hierarchy that \
         was delegated to this user"
    )]
    Cgroup {
        /// The directory as it was given.
        directory: String,
        /// What the operating system said.
        reason: String,
    },
    /// A limit on the worker's processes is out of its range, or was refused.
    #[error("the option `{option}` of the program cannot be {value}: {reason}")]
    Limit {
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What is allowed, or what the operating system said.
        reason: String,
    },
    /// An option asks for what this operating system does not have.
    #[error("the option `{option}` of the program needs Linux")]
    Unsupported {
        /// The option.
        option: &'static str,
    },
    /// The sentinel, which ends what a killed host leaves behind, cannot be started.
    #[error("no sentinel can watch over the pool: {reason}; do without it by `sentinel(false)`")]
    Sentinel {
        /// Why not.
        reason: String,
    },
    /// The operating system refused to start the process or to hand over its pipes.
    #[error("program `{program}` could not be started: {reason}")]
    Spawn {
        /// The program's path.
        program: String,
        /// What the operating system said.
        reason: String,
    },
}
