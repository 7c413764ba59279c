//! Why a port could not be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

/// Why a port could not be opened.
///
/// Where the operating system refused something, [`source`](Error::source) is its [`io::Error`]:
///
/// ```
/// use std::error::Error as _;
/// use std::io;
/// use ostler_pool::OpenError;
///
/// fn is_out_of_descriptors(error: &OpenError) -> bool {
///     const EMFILE: i32 = 24;
///     let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
///     source.is_some_and(|error| error.raw_os_error() == Some(EMFILE))
/// }
/// # assert!(is_out_of_descriptors(&OpenError::spawn("worker", io::Error::from_raw_os_error(24))));
/// # assert!(!is_out_of_descriptors(&OpenError::spawn("worker", io::Error::from_raw_os_error(2))));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The program was not found, neither as a path nor in `PATH`.
    NotFound {
        /// The program as it was given.
        program: String,
    },
    /// The program was found, but is not an executable file.
    NotExecutable {
        /// The path that was found.
        program: String,
    },
    /// The working directory does not exist or is not a directory.
    NoDirectory {
        /// The directory as it was given.
        directory: String,
    },
    /// The function is not written as `module:function`.
    BadTarget {
        /// The function as it was given.
        target: String,
    },
    /// An option of a Python function cannot be used.
    Python {
        /// The option.
        option: &'static str,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// No control group can be created in the given directory, or none that can be killed.
    Cgroup {
        /// The directory as it was given.
        directory: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// An option is out of its range.
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The range.
        allowed: String,
    },
    /// The operating system refused to limit the worker's process.
    Limit {
        /// The option, such as `nice` or `limit(OpenFiles)`.
        option: String,
        /// Its value.
        value: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// An option needs Linux.
    Unsupported {
        /// The option.
        option: &'static str,
    },
    /// A program that the sentinel needs is not installed.
    SentinelTool {
        /// The program.
        program: &'static str,
    },
    /// The operating system refused to start the thread that releases the pool's workers.
    Thread {
        /// What the operating system answered.
        source: Arc<io::Error>,
    },
    /// The operating system refused to make this process a sub-reaper.
    Subreaper {
        /// What it answered.
        source: Arc<io::Error>,
    },
    /// The operating system refused to start the sentinel.
    Sentinel {
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// `SIGPIPE` would end this process: it is neither ignored nor handled. A worker that dies
    /// while a request is written to it raises the signal. The runtime of Rust ignores it, except
    /// in a library that is loaded by a program in another language, and where a program was built
    /// to keep the default.
    SigPipe,
    /// The operating system refused to start the process or to create its pipes.
    Spawn {
        /// The program's path.
        program: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A port that is not a program of this machine could not be opened. Made by
    /// [`other`](Self::other).
    Other {
        /// What failed, as a sentence.
        what: String,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    /// The error for a worker that could not be started.
    ///
    /// ```
    /// # use ostler_pool::OpenError;
    /// let error = OpenError::spawn("/opt/worker", std::io::Error::from_raw_os_error(24));
    /// assert_eq!(
    ///     error.to_string(),
    ///     "program `/opt/worker` could not be started: raise the limit of open files \
    ///      (`ulimit -n`)"
    /// );
    /// ```
    #[must_use]
    pub fn spawn(program: impl Into<String>, error: io::Error) -> Self {
        Self::Spawn {
            program: program.into(),
            source: Arc::new(error),
        }
    }

    /// The error of a [`Port`](super::Port) of your own: what failed, as a sentence, and why.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use std::io;
    /// use ostler_pool::OpenError;
    ///
    /// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    /// let error = OpenError::other("container `model` could not be created", refused);
    /// assert_eq!(error.to_string(), "container `model` could not be created");
    /// assert_eq!(error.source().unwrap().to_string(), "connection refused");
    /// ```
    #[must_use]
    pub fn other(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other {
            what: what.into(),
            source: Arc::from(source.into()),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program } => write!(
                f,
                "program `{program}` was not found: give its path, or install it in a directory of \
                 PATH"
            ),
            Self::NotExecutable { program } => {
                write!(f, "program `{program}` is not an executable file")
            }
            Self::NoDirectory { directory } => {
                write!(f, "working directory `{directory}` is not a directory")
            }
            Self::BadTarget { target } => {
                write!(
                    f,
                    "`{target}` is not a Python function: write it as `module:function`, or use \
                     `Python::module`"
                )
            }
            Self::Python { option, problem } => {
                write!(f, "option `{option}` of the Python function: {problem}")
            }
            Self::Cgroup { directory, .. } => write!(
                f,
                "no control group can be created in `{directory}`: give a directory of a cgroup v2 \
                 hierarchy that is delegated to this user"
            ),
            Self::OutOfRange {
                option,
                value,
                allowed,
            } => write!(
                f,
                "option `{option}` of the program is {value}: it must be {allowed}"
            ),
            Self::Limit { option, value, .. } => {
                write!(
                    f,
                    "option `{option}` of the program could not be set to {value}"
                )
            }
            Self::Unsupported { option } => {
                write!(f, "option `{option}` of the program needs Linux")
            }
            Self::SentinelTool { program } => write!(
                f,
                "the sentinel needs `{program}`, which is not in PATH: install it, or set \
                 `sentinel(false)`"
            ),
            Self::Thread { source } => {
                let advice = advice(source).unwrap_or("the operating system refused it");
                write!(
                    f,
                    "the thread that releases the pool's workers could not be started: {advice}"
                )
            }
            Self::Sentinel { source } => {
                let advice = advice(source).unwrap_or("set `sentinel(false)` to do without");
                write!(f, "the sentinel could not be started: {advice}")
            }
            Self::SigPipe => f.write_str(
                "a worker that dies during a write would end this process by SIGPIPE: ignore that \
                 signal, as with `signal(SIGPIPE, SIG_IGN)`, before the pool is built",
            ),
            Self::Subreaper { .. } => {
                f.write_str("this process could not become a sub-reaper: set `subreaper(false)`")
            }
            Self::Spawn { program, source } => {
                write!(f, "program `{program}` could not be started")?;
                advice(source).map_or(Ok(()), |advice| write!(f, ": {advice}"))
            }
            Self::Other { what, .. } => f.write_str(what),
        }
    }
}

impl OpenError {
    /// Whether another attempt would fail in the same way. What the operating system refused may
    /// succeed later.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::NoDirectory { .. }
            | Self::BadTarget { .. }
            | Self::OutOfRange { .. }
            | Self::Unsupported { .. }
            | Self::SentinelTool { .. }
            | Self::Python { .. }
            | Self::SigPipe => true,
            Self::Cgroup { .. }
            | Self::Limit { .. }
            | Self::Thread { .. }
            | Self::Sentinel { .. }
            | Self::Subreaper { .. }
            | Self::Spawn { .. }
            | Self::Other { .. } => false,
        }
    }
}

/// What to do about the refusal to start a process, if the reason tells it.
fn advice(refusal: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(refusal)? {
        Errno::MFILE => Some("raise the limit of open files (`ulimit -n`)"),
        Errno::NFILE => {
            Some("raise the limit of open files of the system, or of pipes of the user")
        }
        Errno::AGAIN => Some(
            "raise the limit of processes of the user (`ulimit -u`) or of the control group \
             (`pids.max`)",
        ),
        Errno::TOOBIG => Some("shorten its environment and arguments"),
        _ => None,
    }
}

// By hand, because `thiserror` would return the `Arc` as the source, and a caller could not
// downcast it to the `io::Error`.
impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cgroup { source, .. }
            | Self::Limit { source, .. }
            | Self::Sentinel { source }
            | Self::Subreaper { source }
            | Self::Thread { source }
            | Self::Spawn { source, .. } => Some(&**source),
            Self::Other { source, .. } => Some(&**source),
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::NoDirectory { .. }
            | Self::BadTarget { .. }
            | Self::Python { .. }
            | Self::OutOfRange { .. }
            | Self::Unsupported { .. }
            | Self::SigPipe
            | Self::SentinelTool { .. } => None,
        }
    }
}
