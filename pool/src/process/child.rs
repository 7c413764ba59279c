//! One child process, from the spawn to the last of its descriptors.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process;
use std::thread;
use std::time::Duration;

use ostler::WorkerId;
use rustix::process::{
    PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, pidfd_open, waitid, waitpid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::select;

use super::group::Group;
use super::memory;
use super::stderr::Stderr;
use crate::port::{BoxFuture, Exit, ExitStatus, Pipe, Port};

/// A child that leads a process group. Dropped before it is released, it is killed with its group, and reaped.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    /// Readable from the leader's exit on. `None` once released.
    pidfd: Option<AsyncFd<OwnedFd>>,
    pipe: Option<(pipe::Receiver, pipe::Sender, Vec<u8>)>,
    /// `None` once it has ended or the port is released.
    stderr: Option<Stderr>,
    exit: Option<Exit>,
}

/// The first process of a group. While it is not reaped, the group's id is its own, and no signal can go astray.
#[derive(Debug)]
struct Leader {
    child: process::Child,
    group: Group,
    reaped: bool,
}

impl Child {
    /// Takes over a child that was spawned into a group of its own, with three pipes.
    pub(super) fn adopt(
        worker: WorkerId,
        child: process::Child,
        preamble: Vec<u8>,
    ) -> io::Result<Self> {
        // From here on, whatever fails drops the leader, and with it the process.
        let mut leader = Leader::new(child)?;
        let pidfd = pidfd_open(leader.group.id(), PidfdFlags::empty())?;
        // tokio 1.54 puts an unsafe constructor in this one's place, because not every `AsRawFd` keeps its descriptor
        // open. An `OwnedFd` does.
        #[allow(deprecated)]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        let missing = || io::Error::other("a pipe is missing");
        let stdin = OwnedFd::from(leader.child.stdin.take().ok_or_else(missing)?);
        let stdout = OwnedFd::from(leader.child.stdout.take().ok_or_else(missing)?);
        let stderr = OwnedFd::from(leader.child.stderr.take().ok_or_else(missing)?);
        let writer = pipe::Sender::from_owned_fd(stdin)?;
        let reader = pipe::Receiver::from_owned_fd(stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        Ok(Self {
            pidfd: Some(pidfd),
            pipe: Some((reader, writer, preamble)),
            stderr: Some(Stderr::new(worker, leader.child.id(), stderr)),
            leader,
            exit: None,
        })
    }

    async fn wait_for_exit(&mut self) -> Exit {
        if let Some(exit) = &self.exit {
            return exit.clone();
        }
        if let (Some(pidfd), Some(stderr)) = (&self.pidfd, &mut self.stderr) {
            select! {
                biased;
                // One that cannot be waited for any more is taken for an exit, which `waitid` confirms or not.
                _ = pidfd.readable() => {}
                never = stderr.drain() => match never {},
            }
        }
        let exit = Exit {
            status: self.leader.status(self.pidfd.as_ref()),
            stderr: self
                .stderr
                .as_mut()
                .map_or_else(String::new, Stderr::last_words),
        };
        self.exit.insert(exit).clone()
    }

    async fn release(&mut self) {
        self.leader.kill_and_reap();
        let mut pause = Duration::from_millis(1);
        while !self.leader.group.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(Duration::from_millis(50));
        }
        self.pidfd = None;
        self.pipe = None;
        self.stderr = None;
    }
}

impl Port for Child {
    fn pid(&self) -> Option<u32> {
        Some(self.leader.child.id())
    }

    fn memory(&self) -> Option<u64> {
        // Once the exit is known the leader may be reaped, and its id another's.
        match self.exit {
            None => memory::resident(self.leader.group),
            Some(_) => None,
        }
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer, preamble) = self.pipe.take().expect("the pipe is taken once");
        Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble,
        }
    }

    fn terminate(&mut self) {
        self.leader.signal(Signal::TERM);
    }

    fn kill(&mut self) {
        self.leader.signal(Signal::KILL);
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(self.wait_for_exit())
    }

    fn released(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.release())
    }
}

impl Leader {
    fn new(mut child: process::Child) -> io::Result<Self> {
        match Group::new(child.id()) {
            Some(group) => Ok(Self {
                child,
                group,
                reaped: false,
            }),
            None => {
                // No system gives out such an id; a signal to it would reach this process's own group.
                child.kill()?;
                Err(io::Error::other("the child has no usable process id"))
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if !self.reaped {
            self.group.signal(signal);
        }
    }

    /// Reads how the leader ended, and leaves it a zombie: as long as it is one, nobody else can get its group's id.
    fn status(&self, pidfd: Option<&AsyncFd<OwnedFd>>) -> ExitStatus {
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
    fn kill_and_reap(&mut self) {
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
        if !self.reaped {
            // It dies of the kill within moments, but this may run on a thread that must not wait.
            let leader = self.group.id();
            let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
            let _ = reaper.spawn(move || waitpid(Some(leader), WaitOptions::empty()));
        }
    }
}
