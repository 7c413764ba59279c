//! Linux: a descriptor (pidfd) identifies a process.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, getpid, pidfd_open, pidfd_send_signal,
    prlimit, set_child_subreaper, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{REAP, is_child, reap, status_of};
use crate::port::ExitStatus;
use crate::process::proc::pipes;
use crate::process::proc::stat::Stat;

/// Watches a process through its pidfd, which becomes readable when the process exits.
#[derive(Debug)]
pub(in crate::process) struct Watched {
    process: Pid,
    pidfd: AsyncFd<OwnedFd>,
}

impl Watched {
    pub(in crate::process) fn new(process: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(process, PidfdFlags::empty())?;
        // tokio 1.54 replaces this constructor by an unsafe one, because not every `AsRawFd` keeps
        // its descriptor open. An `OwnedFd` does.
        #[allow(deprecated)]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        Ok(Self { process, pidfd })
    }

    /// Waits for its exit. Also returns if waiting fails; the status then tells whether it has
    /// exited. Cancel safe.
    pub(in crate::process) async fn exited(&self) {
        let _ = self.pidfd.readable().await;
    }

    pub(in crate::process) fn is_alive(&self) -> bool {
        let mut exited = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut exited, Some(&Timespec::default())) == Ok(0)
    }

    /// Whether it is a child of this process that was not reaped, alive or a zombie. If so, its id
    /// is not reused.
    pub(in crate::process) fn is_child(&self) -> bool {
        is_child(WaitId::PidFd(self.pidfd.as_fd()))
    }

    /// Signals it. False if it is gone, its zombie included: then its id may be another's.
    pub(in crate::process) fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.pidfd, signal) != Err(Errno::SRCH)
    }

    /// Reaps it. False if it has not exited, or a debugger has not yet let go of it.
    pub(in crate::process) fn reap(&self) -> bool {
        reap(WaitId::PidFd(self.pidfd.as_fd()))
    }

    /// How it ended, if it is a child of this process. Leaves it a zombie.
    pub(in crate::process) fn status(&self) -> ExitStatus {
        let status = status_of(WaitId::PidFd(self.pidfd.as_fd()));
        status
            .or_else(|| status_of_traced(self.process))
            .unwrap_or(ExitStatus::Unknown)
    }
}

/// How a process ended while a debugger traces it. The kernel tells its parent only when the tracer
/// has reaped it.
fn status_of_traced(process: Pid) -> Option<ExitStatus> {
    let status = Stat::read(process.as_raw_nonzero().get().cast_unsigned())?.exit_status;
    match (status & 0x7f, status >> 8) {
        (0, 0) => None,
        (0, code) => Some(ExitStatus::Code(code)),
        (signal, _) => Some(ExitStatus::Signal(signal)),
    }
}

/// A write to a socket whose other end is closed fails, and raises no signal.
pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Sets the capacity of a pipe, in bytes.
pub(in crate::process) fn resize_pipe(pipe: impl AsFd, capacity: u64) -> io::Result<()> {
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    fcntl_setpipe_size(pipe, capacity)?;
    Ok(())
}

/// How many bytes the pipes of this user may hold before the kernel gives less to new ones.
/// `pipe` is any pipe of this process, whose capacity may change.
pub(in crate::process) fn pipe_quota(pipe: impl AsFd) -> u64 {
    static QUOTA: OnceLock<u64> = OnceLock::new();
    *QUOTA.get_or_init(|| {
        // The kernel has one test for both: a process that may exceed the size may exceed the
        // quota. Capabilities alone do not tell, because those of a user namespace do not count.
        let is_exempt = |size: u64| resize_pipe(pipe, size + 1).is_ok();
        if pipes::max_size().is_some_and(is_exempt) {
            return u64::MAX;
        }
        // Without `/proc`, the default of Linux.
        pipes::quota().unwrap_or(64 << 20)
    })
}

/// Creates a file in memory. Its size is sealed: no process can change it.
pub(in crate::process) fn create_memory(size: u64) -> io::Result<OwnedFd> {
    let file = memfd_create("ostler", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, size)?;
    fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// Gives a part of such a file back to the system.
pub(in crate::process) fn free_memory(file: impl AsFd, offset: u64, count: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, offset, count)?)
}

/// Limits a resource of another process. The process cannot raise the limit again.
pub(in crate::process) fn limit(process: Pid, resource: Resource, limit: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    prlimit(Some(process), resource, limit)?;
    Ok(())
}

/// Makes this process the parent of descendants whose own parent has ended.
pub(in crate::process) fn become_subreaper() -> io::Result<()> {
    // Any process id means yes.
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// A process, held by a descriptor: whatever its id means later, this is the same process.
#[derive(Debug)]
pub(in crate::process) struct Held(OwnedFd);

impl Held {
    pub(in crate::process) fn open(process: Pid) -> Result<Self, Errno> {
        pidfd_open(process, PidfdFlags::empty()).map(Self)
    }

    /// `SRCH` if it is gone. A zombie is killed without effect.
    pub(in crate::process) fn kill(&self) -> Result<(), Errno> {
        pidfd_send_signal(&self.0, Signal::KILL)
    }

    /// Reaps it if it is a zombie of this process.
    pub(in crate::process) fn reap(&self) {
        // An error means that it is another process's child, or not even that.
        let _ = waitid(WaitId::PidFd(self.0.as_fd()), REAP);
    }
}
