//! One child process, from its spawn until its last descriptor is closed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::net::unix::pipe;
use tokio::select;

use super::leader::Leader;
use super::pipes::PipeShare;
use super::proc::memory;
use super::release::{self, Releasing};
use super::scope::{Member, Scope};
use super::stderr::Stderr;
use crate::port::{BoxFuture, Exit, Pipe, Port, Release, SharedMemory, Survivor};
use crate::stderr::Source;

/// The host's ends of the pipes of a process.
pub(super) struct Ends {
    pub(super) stderr: OwnedFd,
    /// `None` if it speaks no frames.
    pub(super) frames: Option<Frames>,
}

/// The host's ends of the pipes of a worker that speaks frames.
pub(super) struct Frames {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    /// What the worker reads before the first frame.
    pub(super) preamble: Vec<u8>,
    pub(super) shared: Option<SharedMemory>,
}

/// Pipes from which the runtime reads.
pub(super) struct Pipes {
    stderr: pipe::Receiver,
    frames: Option<Pipe>,
    share: Option<PipeShare>,
}

impl Ends {
    /// Registers them with the runtime.
    pub(super) fn listen(self) -> io::Result<Pipes> {
        let Self { stderr, frames } = self;
        let share = (frames.as_ref())
            .map(|frames| PipeShare::take([&frames.stdin, &frames.stdout], &stderr));
        Ok(Pipes {
            stderr: pipe::Receiver::from_owned_fd(stderr)?,
            frames: frames.map(Frames::open).transpose()?,
            share,
        })
    }
}

impl Frames {
    fn open(self) -> io::Result<Pipe> {
        let reader = pipe::Receiver::from_owned_fd(self.stdout)?;
        let writer = pipe::Sender::from_owned_fd(self.stdin)?;
        let pipe = Pipe::new(reader, writer).preamble(self.preamble);
        Ok(pipe.shared(self.shared))
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
    releasing: Option<Releasing>,
    released: Option<Release>,
    /// `None` if it speaks no frames.
    _share: Option<PipeShare>,
    /// Dropped last: the drop of the last one ends the sentinel, which kills what is left.
    _scope: Member,
}

impl Child {
    /// The port of a process with these pipes.
    pub(super) fn new(name: Source, leader: Leader, scope: Arc<Scope>, pipes: Pipes) -> Self {
        let pid = leader.id().as_raw_nonzero().get().cast_unsigned();
        let stderr = Stderr::new(name, pid, pipes.stderr, scope.stderr.clone());
        Self {
            stderr: Some(stderr),
            pipe: pipes.frames,
            pid,
            leader,
            exit: None,
            releasing: None,
            released: None,
            _share: pipes.share,
            _scope: Member::new(scope),
        }
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
        if let Some(released) = self.released {
            return released;
        }
        if let Some(releasing) = self.leader.release() {
            self.releasing = Some(releasing);
        }
        let Some(releasing) = &mut self.releasing else {
            unreachable!("the release has begun");
        };
        let release = releasing.released().await;
        self.pipe = None;
        self.stderr = None;
        *self.released.insert(release)
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

    fn survivors(&self) -> Vec<Survivor> {
        match &self.releasing {
            Some(releasing) => releasing.survivors(),
            None => release::survivor(self.leader.id()).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    use tokio::runtime;

    use super::*;
    use crate::port::StderrSink;
    use crate::process::release::Parent;

    /// P8: the last words of a process are read, also when it exits before its host listens.
    #[test]
    fn an_early_exit_hides_no_last_words() {
        // Another thread learns of the events, while this one runs.
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sink = StderrSink::new(None, crate::stderr::Stderr::Log);
        let scope = Scope::new("sh".into(), None, false, false, sink);
        let scope = Arc::new(scope.unwrap());
        for _ in 0..100 {
            let mut command = Command::new("sh");
            command.args(["-c", "printf words >&2"]).process_group(0);
            let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
            let ends = Ends {
                stderr: process.stderr.take().unwrap().into(),
                frames: None,
            };
            let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(Pid::from_child(&process)), exited).unwrap();
            runtime.block_on(async {
                let (parent, releaser) = (Parent::Host(process), scope.releaser.clone());
                let led = Leader::new(parent, None, None, releaser, || ends.listen());
                let (leader, pipes) = led.unwrap();
                let mut child = Child::new(Source::Zygote, leader, Arc::clone(&scope), pipes);
                assert_eq!(child.wait_for_exit().await.stderr, "words");
                child.release().await;
            });
        }
    }
}
