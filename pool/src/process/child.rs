//! One child process, from the spawn to the last of its descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::unix::pipe;
use tokio::select;
use tokio::task::JoinHandle;

use super::leader::Leader;
use super::memory;
use super::site::Site;
use super::stderr::Stderr;
use super::system::enlarge_pipe;
use crate::port::{BoxFuture, Exit, Pipe, Port, Release};

/// Bytes that the pipes of the frames hold. From 64 KiB frames up, more than the system's 64 KiB saves most of the switches
/// between host and worker; the kernel takes the memory only while it is filled.
const PIPE: usize = 256 * 1024;

/// The host's ends of the pipes of a worker that speaks frames.
pub(super) struct Frames {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    /// What precedes the first frame.
    pub(super) preamble: Vec<u8>,
}

impl Frames {
    fn open(self) -> io::Result<Pipe> {
        for pipe in [&self.stdin, &self.stdout] {
            enlarge_pipe(pipe, PIPE);
        }
        Ok(Pipe {
            reader: Box::new(pipe::Receiver::from_owned_fd(self.stdout)?),
            writer: Box::new(pipe::Sender::from_owned_fd(self.stdin)?),
            preamble: self.preamble,
        })
    }
}

/// The port of a child that leads a process group.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    pid: u32,
    pipe: Option<Pipe>,
    /// `None` once it has ended or the port is released.
    stderr: Option<Stderr>,
    exit: Option<Exit>,
    /// The end of its family, once it is under way: it goes on whether or not it is waited for, so that nothing is counted twice
    /// or never.
    ending: Option<JoinHandle<Release>>,
    /// The last to go, with the sentinel: dropped, that ends whoever is left.
    _site: Arc<Site>,
}

impl Child {
    /// Takes over a process by its stderr and, where it speaks frames, its stdin and stdout. Whatever fails drops the leader,
    /// and with it the process.
    pub(super) fn new(
        name: String,
        leader: Leader,
        site: Arc<Site>,
        stderr: OwnedFd,
        frames: Option<Frames>,
    ) -> io::Result<Self> {
        let pid = leader.id().as_raw_nonzero().get().cast_unsigned();
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        Ok(Self {
            stderr: Some(Stderr::new(name, pid, stderr)),
            pipe: frames.map(Frames::open).transpose()?,
            pid,
            leader,
            exit: None,
            ending: None,
            _site: site,
        })
    }

    async fn wait_for_exit(&mut self) -> Exit {
        if let Some(exit) = &self.exit {
            return exit.clone();
        }
        if let Some(stderr) = &mut self.stderr {
            select! {
                biased;
                () = self.leader.exit() => {}
                never = stderr.drain() => match never {},
            }
        }
        let stderr = match &mut self.stderr {
            Some(stderr) => stderr.last_words().await,
            None => String::new(),
        };
        let status = self.leader.status().await;
        let exit = Exit { status, stderr };
        self.exit.insert(exit).clone()
    }

    async fn release(&mut self) -> Release {
        self.leader.kill_and_reap().await;
        let family = Arc::clone(self.leader.family());
        let end = || tokio::spawn(async move { family.end().await });
        // An error means that the runtime ends, and whoever cares for the report with it.
        let release = self
            .ending
            .get_or_insert_with(end)
            .await
            .unwrap_or_default();
        self.ending = None;
        self.leader.close();
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
        self.pipe.take().expect("the pipe is taken once")
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
