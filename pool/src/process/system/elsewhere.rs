//! Other systems: a process is known by its id, and only this one's children are known for certain.

use std::io;
use std::os::fd::AsFd;

use rustix::net::SendFlags;
use rustix::process::{Pid, Resource, WaitId, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::{PEEK, is_child, status_of};
use crate::port::ExitStatus;

/// A child of this process, by its id, which nobody else can get before it is reaped.
#[derive(Debug)]
pub(in crate::process) struct Watched(Pid);

impl Watched {
    pub(in crate::process) fn new(process: Pid) -> io::Result<Self> {
        Ok(Self(process))
    }

    /// Waits for its exit. Cancel safe.
    ///
    /// Looks again whenever any child of this process changes its state. There may be one signal for several changes, but
    /// never none.
    pub(in crate::process) async fn exited(&self) {
        let Ok(mut changes) = signal(SignalKind::child()) else {
            return;
        };
        while self.is_alive() && changes.recv().await.is_some() {}
    }

    pub(in crate::process) fn is_alive(&self) -> bool {
        matches!(waitid(WaitId::Pid(self.0), PEEK), Ok(None))
    }

    /// Whether it is this process's to collect, alive or a zombie: as long as it is, nobody else can get its id.
    pub(in crate::process) fn is_child(&self) -> bool {
        is_child(WaitId::Pid(self.0))
    }

    /// How it ended. It stays a zombie.
    pub(in crate::process) fn status(&self) -> ExitStatus {
        status_of(WaitId::Pid(self.0)).unwrap_or(ExitStatus::Unknown)
    }
}

pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Pipes are as large as the system makes them.
pub(in crate::process) fn enlarge_pipe(_: impl AsFd, _: usize) {}

/// Refused: a process can limit only itself, and that would be between fork and exec.
pub(in crate::process) fn limit(_: Pid, _: Resource, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Kills nothing: between a look at a process and the signal, its id could become another's.
pub(in crate::process) fn kill_if(_: Pid, _: impl Fn(Pid) -> bool) -> bool {
    false
}
