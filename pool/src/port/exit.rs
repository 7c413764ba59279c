//! How a worker's process ended.

use std::fmt;

/// How a worker exited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// Its exit code, or the signal that ended it.
    pub status: ExitStatus,
    /// The end of what it wrote to stderr, at most [`STDERR_TAIL`] bytes.
    pub stderr: String,
}

impl Exit {
    /// An exit with this status and this end of stderr.
    ///
    /// ```
    /// # use ostler_pool::port::{Exit, ExitStatus};
    /// let exit = Exit::new(ExitStatus::Code(1), "out of memory\n");
    /// assert_eq!(exit.status.to_string(), "exit code 1");
    /// ```
    #[must_use]
    pub fn new(status: ExitStatus, stderr: impl Into<String>) -> Self {
        Self {
            status,
            stderr: stderr.into(),
        }
    }

    /// How it exited, with a guess at the reason, for a worker that the pool did not stop.
    pub(crate) fn explained(&self) -> String {
        self.status.explained()
    }
}

/// How many bytes of a worker's stderr are kept for errors. Earlier output is in the log only.
pub const STDERR_TAIL: usize = 4096;

/// The status that a process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Not known: other code in this process reaped the child, or its zygote died before it.
    Unknown,
}

impl ExitStatus {
    /// The status, with a guess at the reason, of a worker that the pool did not stop.
    pub(crate) fn explained(self) -> String {
        match self {
            // The kernel kills so, and few others do.
            Self::Signal(9) => format!("{self}, possibly out of memory"),
            status => status.to_string(),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

/// The name of a signal by which programs end. The numbers are those of Linux on all common
/// processors, and of macOS where they are below 16, but for `SIGBUS`.
fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 if cfg!(target_os = "linux") => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 if cfg!(target_os = "linux") => "SIGSYS",
        _ => return None,
    })
}
