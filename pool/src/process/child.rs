//! One child process, from the spawn to the last of its descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;

use ostler::WorkerId;
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::select;

use super::family::Family;
use super::leader::Leader;
use super::memory;
use super::site::Site;
use super::stderr::Stderr;
use crate::port::{BoxFuture, Exit, Pipe, Port, Release};

/// Bytes that the pipes of the frames hold. From 64 KiB frames up, more than the system's 64 KiB saves most of the switches
/// between host and worker; the kernel takes the memory only while it is filled.
const PIPE: usize = 256 * 1024;

/// The port of a child that leads a process group.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    pid: u32,
    /// Readable from the leader's exit on. `None` once released.
    pidfd: Option<AsyncFd<OwnedFd>>,
    pipe: Option<(pipe::Receiver, pipe::Sender, Vec<u8>)>,
    /// `None` once it has ended or the port is released.
    stderr: Option<Stderr>,
    exit: Option<Exit>,
    /// The last to go, with the sentinel: dropped, that ends whoever is left.
    _site: Arc<Site>,
}

impl Child {
    /// Takes over a child that was spawned into a group of its own, with three pipes. Whatever fails drops the leader, and
    /// with it the process.
    pub(super) fn adopt(
        worker: WorkerId,
        child: process::Child,
        family: Family,
        site: Arc<Site>,
        preamble: Vec<u8>,
    ) -> io::Result<Self> {
        let pid = child.id();
        let mut leader = Leader::new(child, family);
        let pidfd = pidfd_open(leader.family().group.id(), PidfdFlags::empty())?;
        // tokio 1.54 puts an unsafe constructor in this one's place, because not every `AsRawFd` keeps its descriptor
        // open. An `OwnedFd` does.
        #[allow(deprecated)]
        let pidfd = AsyncFd::with_interest(pidfd, Interest::READABLE)?;
        let missing = || io::Error::other("a pipe is missing");
        let [stdin, stdout, stderr] = leader.take_pipes().ok_or_else(missing)?;
        for pipe in [&stdin, &stdout] {
            // An error means that this user's pipes hold as much as they may: it works without, at less speed.
            let _ = fcntl_setpipe_size(pipe, PIPE);
        }
        let writer = pipe::Sender::from_owned_fd(stdin)?;
        let reader = pipe::Receiver::from_owned_fd(stdout)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        Ok(Self {
            pid,
            pidfd: Some(pidfd),
            pipe: Some((reader, writer, preamble)),
            stderr: Some(Stderr::new(worker, pid, stderr)),
            leader,
            exit: None,
            _site: site,
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

    async fn release(&mut self) -> Release {
        self.leader.kill_and_reap();
        let release = self.leader.family().end().await;
        self.pidfd = None;
        self.pipe = None;
        self.stderr = None;
        release
    }
}

impl Port for Child {
    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }

    fn memory(&self) -> Option<u64> {
        // Once the exit is known the leader may be reaped, and its id another's.
        match self.exit {
            None => memory::resident(self.leader.family().group),
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

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(self.release())
    }
}
