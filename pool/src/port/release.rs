//! What is known of the processes of a worker once it has ended.

use std::fmt;

/// What is known about the end of everything that a worker had started.
///
/// For a worker that is no process of this machine, it is [`Release::default`]: nothing escaped,
/// nothing is confirmed, and there was nothing to check. A port whose workers run elsewhere, such
/// as in a container of another machine, may count what the other side reports, and confirm what it
/// has confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Release {
    /// The number of processes that had left the worker's group, and were found and killed.
    pub escaped: usize,
    /// Whether the kernel confirmed that no descendant is alive: all of them were in a control
    /// group, which is removed. If false, a process was found outside that group, and another one
    /// could have hidden. `None`: the worker had no control group. The group is then empty and
    /// every process that was found outside it is dead, but a process that hid would not have been
    /// found.
    pub confirmed: Option<bool>,
    /// The number of processes of the host's user that started during the worker's life and whose
    /// environment could not be read. Each could be a descendant that hides.
    pub unchecked: usize,
}

impl Release {
    /// A release after which `escaped` processes had to be killed.
    ///
    /// ```
    /// # use ostler_pool::port::Release;
    /// let release = Release::new(0, None);
    /// assert_eq!(release.escaped, 0);
    /// ```
    #[must_use]
    pub fn new(escaped: usize, confirmed: Option<bool>) -> Self {
        Self {
            escaped,
            confirmed,
            unchecked: 0,
        }
    }

    /// Sets the number of processes that could not be checked.
    ///
    /// ```
    /// # use ostler_pool::port::Release;
    /// let release = Release::new(0, None).with_unchecked(1);
    /// assert_eq!(release.unchecked, 1);
    /// ```
    #[must_use]
    pub fn with_unchecked(mut self, processes: usize) -> Self {
        self.unchecked = processes;
        self
    }
}

/// A process that holds up the release of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Why it is not gone.
    pub reason: SurvivalReason,
}

impl Survivor {
    /// A process that is not gone for this reason.
    ///
    /// ```
    /// # use ostler_pool::port::{SurvivalReason, Survivor};
    /// let survivor = Survivor::new(4711, SurvivalReason::NotPermitted);
    /// assert_eq!(survivor.to_string(), "process 4711: may not be signalled");
    /// ```
    #[must_use]
    pub fn new(pid: u32, reason: SurvivalReason) -> Self {
        Self { pid, reason }
    }
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}: {}", self.pid, self.reason)
    }
}

/// Why a process outlives the release of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum SurvivalReason {
    /// The host may not signal it: it runs as another user.
    NotPermitted,
    /// It sleeps in the kernel and takes no signal until it wakes.
    Uninterruptible,
    /// Another process traces it, and has not let go of it.
    Traced,
    /// It was killed, and was not gone when the port was abandoned.
    Killed,
}

impl fmt::Display for SurvivalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotPermitted => "may not be signalled",
            Self::Uninterruptible => "in an uninterruptible sleep",
            Self::Traced => "held by a tracer",
            Self::Killed => "killed, not gone yet",
        })
    }
}
