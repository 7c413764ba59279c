//! The first process of a worker, from the spawn to the reap.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process;
use std::sync::Arc;
use std::thread;

use rustix::process::{Signal, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};
use tokio::io::unix::AsyncFd;

use super::family::Family;
use super::group::Group;
use crate::port::ExitStatus;

/// The first process of a group. While it is not reaped, the group's id is its own, and no signal can go astray.
///
/// Dropped before that, it is killed with its group and reaped, and who has left the group is looked for.
#[derive(Debug)]
pub(super) struct Leader {
    child: process::Child,
    family: Arc<Family>,
    reaped: bool,
}

/// The group of a child that was spawned into one of its own. Kills the child where there is none.
pub(super) fn group_of(child: &mut process::Child) -> io::Result<Group> {
    match Group::new(child.id()) {
        Some(group) => Ok(group),
        None => {
            // No system gives out such an id; a signal to it would reach this process's own group.
            child.kill()?;
            Err(io::Error::other("the child has no usable process id"))
        }
    }
}

impl Leader {
    pub(super) fn new(child: process::Child, family: Family) -> Self {
        Self {
            child,
            family: Arc::new(family),
            reaped: false,
        }
    }

    pub(super) fn family(&self) -> &Family {
        &self.family
    }

    pub(super) fn take_pipes(&mut self) -> Option<[OwnedFd; 3]> {
        let stdin = self.child.stdin.take()?.into();
        let stdout = self.child.stdout.take()?.into();
        let stderr = self.child.stderr.take()?.into();
        Some([stdin, stdout, stderr])
    }

    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            self.family.group.signal(signal);
        }
    }

    /// Reads how the leader ended, and leaves it a zombie: as long as it is one, nobody else can get its group's id.
    pub(super) fn status(&self, pidfd: Option<&AsyncFd<OwnedFd>>) -> ExitStatus {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = pidfd.and_then(|pidfd| waitid(WaitId::PidFd(pidfd.as_fd()), peek).ok()?);
        match status.map(|status| (status.exit_status(), status.terminating_signal())) {
            Some((_, Some(signal))) => ExitStatus::Signal(signal),
            Some((Some(code), _)) => ExitStatus::Code(code),
            // Somebody else in this process has reaped it.
            _ => ExitStatus::Unknown,
        }
    }

    /// The group first, while the leader still holds its id; then the leader.
    pub(super) fn kill_and_reap(&mut self) {
        self.signal(Signal::KILL);
        // An error means that there is nothing left to wait for.
        self.reaped = !matches!(self.child.try_wait(), Ok(None));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.kill_and_reap();
        let (leader, reaped) = (self.family.group.id(), self.reaped);
        let family = Arc::clone(&self.family);
        // It dies of the kill within moments, but this may run on a thread that must not wait.
        let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
        let _ = reaper.spawn(move || {
            if !reaped {
                let _ = waitpid(Some(leader), WaitOptions::empty());
            }
            family.end_blocking();
        });
    }
}
