//! Linux: processes are held on to by descriptors.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, pidfd_open, pidfd_send_signal, prlimit,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{is_child, status_of};
use crate::port::ExitStatus;

/// Holds on to a process by a descriptor, which is readable from its exit on.
#[derive(Debug)]
pub(in crate::process) struct Watched {
    process: Pid,
    pidfd: AsyncFd<OwnedFd>,
}

impl Watched {
    pub(in crate::process) fn new(process: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(process, PidfdFlags::empty())?;
        // tokio 1.54 puts an unsafe constructor in this one's place, because not every `AsRawFd` keeps its descriptor
        // open. An `OwnedFd` does.
        #[allow(deprecated)]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        Ok(Self { process, pidfd })
    }

    /// Waits for its exit. One that cannot be waited for any more is taken for one that has exited, which its status
    /// confirms or not. Cancel safe.
    pub(in crate::process) async fn exited(&self) {
        let _ = self.pidfd.readable().await;
    }

    pub(in crate::process) fn is_alive(&self) -> bool {
        let mut exited = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut exited, Some(&Timespec::default())) == Ok(0)
    }

    /// Whether it is this process's to collect, alive or a zombie: as long as it is, nobody else can get its id.
    pub(in crate::process) fn is_child(&self) -> bool {
        is_child(WaitId::PidFd(self.pidfd.as_fd()))
    }

    /// How it ended, if it is a child of this process. It stays a zombie.
    pub(in crate::process) fn status(&self) -> ExitStatus {
        let status = status_of(WaitId::PidFd(self.pidfd.as_fd()));
        status
            .or_else(|| status_of_traced(self.process))
            .unwrap_or(ExitStatus::Unknown)
    }
}

/// How a process ended that somebody traces, as a debugger does: as long as it does, the parent is not told.
fn status_of_traced(process: Pid) -> Option<ExitStatus> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    // The last field, counted from the state: as `wait` has it, and 0 also where it may not be seen.
    let status: i32 = fields.split_ascii_whitespace().nth(49)?.parse().ok()?;
    match (status & 0x7f, status >> 8) {
        (0, 0) => None,
        (0, code) => Some(ExitStatus::Code(code)),
        (signal, _) => Some(ExitStatus::Signal(signal)),
    }
}

/// A socket whose other end is closed is an error, and no signal.
pub(in crate::process) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Lets a pipe hold more, where the system's limit for this user allows it.
pub(in crate::process) fn enlarge_pipe(pipe: impl AsFd, bytes: usize) {
    // An error means that this user's pipes hold as much as they may: it works without, at less speed.
    let _ = fcntl_setpipe_size(pipe, bytes);
}

/// Limits a process from outside.
pub(in crate::process) fn limit(process: Pid, resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    prlimit(Some(process), resource, limit)?;
    Ok(())
}

/// Kills a process that has no reason to keep its id, if it is the one that is meant.
pub(in crate::process) fn kill_if(process: Pid, is_meant: impl Fn(Pid) -> bool) -> bool {
    let held = || {
        is_meant(process).then_some(())?;
        let pidfd = pidfd_open(process, PidfdFlags::empty()).ok()?;
        // Once more, because the id may have become another's before it was held on to.
        is_meant(process).then_some(pidfd)
    };
    // An error of the signal means that it is gone already.
    held().is_some_and(|pidfd| pidfd_send_signal(pidfd, Signal::KILL).is_ok())
}
