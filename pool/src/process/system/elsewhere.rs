//! Other systems: only an id identifies a process, and only that of a child is certain.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Pid, Resource, Signal, WaitId, kill_process, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::{PEEK, is_child, reap, status_of};
use crate::port::ExitStatus;

/// Watches a child of this process by its id, which is not reused before the reap.
#[derive(Debug)]
pub(in crate::process) struct Watched(Pid);

impl Watched {
    pub(in crate::process) fn new(process: Pid) -> io::Result<Self> {
        Ok(Self(process))
    }

    /// Waits for its exit. Cancel safe.
    ///
    /// Checks whenever any child of this process changes its state. Several changes may share a
    /// signal, but each is followed by one.
    pub(in crate::process) async fn exited(&self) {
        let Ok(mut changes) = signal(SignalKind::child()) else {
            return;
        };
        while self.is_alive() && changes.recv().await.is_some() {}
    }

    pub(in crate::process) fn is_alive(&self) -> bool {
        matches!(waitid(WaitId::Pid(self.0), PEEK), Ok(None))
    }

    /// Whether it is a child of this process that was not reaped, alive or a zombie. If so, its id
    /// is not reused.
    pub(in crate::process) fn is_child(&self) -> bool {
        is_child(WaitId::Pid(self.0))
    }

    /// Signals it. False if it is gone, its zombie included: then its id may be another's.
    pub(in crate::process) fn signal(&self, signal: Signal) -> bool {
        self.is_child() && kill_process(self.0, signal) != Err(Errno::SRCH)
    }

    /// Reaps it. False if it has not exited, or a debugger has not yet let go of it.
    pub(in crate::process) fn reap(&self) -> bool {
        reap(WaitId::Pid(self.0))
    }

    /// How it ended. Leaves it a zombie.
    pub(in crate::process) fn status(&self) -> ExitStatus {
        status_of(WaitId::Pid(self.0)).unwrap_or(ExitStatus::Unknown)
    }
}

pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Does nothing: the system chooses the capacity of a pipe.
pub(in crate::process) fn resize_pipe(_: impl AsFd, _: u64) -> io::Result<()> {
    Ok(())
}

/// Nothing is counted.
pub(in crate::process) fn pipe_quota(_: impl AsFd) -> u64 {
    u64::MAX
}

/// Refused: a process can limit only itself, which would need code between fork and exec.
pub(in crate::process) fn limit(_: Pid, _: Resource, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refused: there is no such thing.
pub(in crate::process) fn become_subreaper() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refused: a file in memory has no path here by which a worker could open it.
pub(in crate::process) fn create_memory(_: u64) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refused: there is no such file.
pub(in crate::process) fn free_memory(_: impl AsFd, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// No process can be held: between the check of a process and the signal, its id could become
/// another's.
#[derive(Debug)]
pub(in crate::process) enum Held {}

impl Held {
    pub(in crate::process) fn open(_: Pid) -> Result<Self, Errno> {
        Err(Errno::NOSYS)
    }

    pub(in crate::process) fn kill(&self) -> Result<(), Errno> {
        match *self {}
    }

    pub(in crate::process) fn reap(&self) {
        match *self {}
    }
}
