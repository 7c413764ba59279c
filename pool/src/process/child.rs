//! One child process, from its spawn until its last descriptor is closed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::unix::pipe;
use tokio::select;
use tokio::task::JoinHandle;

use super::leader::Leader;
use super::pipes::PipeShare;
use super::proc::memory;
use super::scope::Scope;
use super::stderr::Stderr;
use crate::port::{BoxFuture, Exit, Pipe, Port, Release};

/// The host's ends of the pipes of a worker that speaks frames.
pub(super) struct Frames {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    /// What the worker reads before the first frame.
    pub(super) preamble: Vec<u8>,
}

impl Frames {
    fn open(self) -> io::Result<Pipe> {
        let reader = pipe::Receiver::from_owned_fd(self.stdout)?;
        let writer = pipe::Sender::from_owned_fd(self.stdin)?;
        Ok(Pipe::new(reader, writer).preamble(self.preamble))
    }
}

/// The port of a child that leads a process group.
#[derive(Debug)]
pub(super) struct Child {
    leader: Leader,
    pid: u32,
    pipe: Option<Pipe>,
    /// `None` once the port is released.
    stderr: Option<Stderr>,
    exit: Option<Exit>,
    /// The end of the process tree, once it has begun. A task of its own, so that it goes on when
    /// `released` is dropped, and each escaped process is counted exactly once.
    ending: Option<JoinHandle<Release>>,
    /// `None` if it speaks no frames.
    _share: Option<PipeShare>,
    /// Dropped last: the drop of the last one ends the sentinel, which kills what is left.
    _scope: Arc<Scope>,
}

impl Child {
    /// Takes over a process by its stderr and, if it speaks frames, its stdin and stdout. On an
    /// error the leader is dropped, which kills the process.
    pub(super) fn new(
        name: String,
        leader: Leader,
        scope: Arc<Scope>,
        stderr: OwnedFd,
        frames: Option<Frames>,
    ) -> io::Result<Self> {
        let pid = leader.id().as_raw_nonzero().get().cast_unsigned();
        let share = (frames.as_ref())
            .map(|frames| PipeShare::take([&frames.stdin, &frames.stdout], &stderr));
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        Ok(Self {
            stderr: Some(Stderr::new(name, pid, stderr)),
            pipe: frames.map(Frames::open).transpose()?,
            pid,
            leader,
            exit: None,
            ending: None,
            _share: share,
            _scope: scope,
        })
    }

    async fn wait_for_exit(&mut self) -> Exit {
        if let Some(exit) = &self.exit {
            return exit.clone();
        }
        if let Some(stderr) = &mut self.stderr {
            select! {
                biased;
                () = self.leader.exited() => {}
                never = stderr.drain() => match never {},
            }
        }
        let stderr = match &mut self.stderr {
            Some(stderr) => stderr.read_rest().await,
            None => String::new(),
        };
        let status = self.leader.status().await;
        self.exit.insert(Exit::new(status, stderr)).clone()
    }

    async fn release(&mut self) -> Release {
        self.leader.kill_and_reap().await;
        let tree = Arc::clone(self.leader.tree());
        let end = || tokio::spawn(async move { tree.end().await });
        // An error means that the runtime is shutting down, and no task reads the report.
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
        // Once the exit is known, the leader may be reaped, and its id may be another's.
        match self.exit {
            None => memory::resident(self.leader.id()),
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
