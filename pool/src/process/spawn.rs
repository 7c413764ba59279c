//! Spawns the processes of a program.
//!
//! No code of this crate runs between fork and exec: with a `pre_exec`, std would have to fork,
//! which takes 80 ms in a host of 1 GiB, where `posix_spawn` takes less than 1 ms. Everything else
//! that a new process needs is done from outside, before the process is sent its first byte.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command, Stdio};
use std::sync::Arc;

use super::child::{Child, Ends, Frames};
use super::leader::Leader;
use super::position;
use super::program::Program;
use super::release::Parent;
use super::scope::Scope;
use super::shared;
use super::tree::{self, Cgroup, EnvTag};
use crate::port::{OpenError, SharedMemory};
use crate::stderr::Source;

/// Spawns the processes of one program, in the scope of one pool.
#[derive(Debug)]
pub(super) struct Spawner {
    program: Program,
    scope: Arc<Scope>,
}

impl Spawner {
    pub(super) fn new(program: Program, scope: Arc<Scope>) -> Self {
        Self { program, scope }
    }

    pub(super) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Spawns a worker, with these variables in addition to those of all workers.
    pub(super) fn spawn(
        &self,
        name: Source,
        tag: EnvTag,
        cgroup: Option<Cgroup>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Child, OpenError> {
        let refused = |error| self.scope.refused(error);
        let shared = self.shared_memory().map_err(refused)?;
        let mut command = self.command(&tag);
        command.envs(env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(refused)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ends = match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Some(Ends {
                stderr: stderr.into(),
                frames: Some(Frames {
                    stdin: stdin.into(),
                    stdout: stdout.into(),
                    preamble: self.program.preamble.clone(),
                    shared,
                }),
            }),
            _ => None,
        };
        self.lead(name, child, Some(tag), cgroup, ends)
    }

    /// The variables of the worker at this position.
    pub(super) fn env_of(&self, position: usize) -> Vec<(OsString, OsString)> {
        self.program.position_env.at(position)
    }

    /// Creates what a worker shares with this process, if it is to share anything.
    pub(super) fn shared_memory(&self) -> io::Result<Option<SharedMemory>> {
        self.program.shared_memory.map(shared::create).transpose()
    }

    /// Spawns a zygote, which talks to this host through the other end of `socket`. It expects the
    /// [`preamble`](Self::preamble) first.
    pub(super) fn spawn_zygote(&self, socket: OwnedFd) -> Result<Child, OpenError> {
        let refused = |error| self.scope.refused(error);
        let tag = self.scope.tag.of_zygote();
        let cgroup = self.scope.create_cgroup(&tag)?;
        let mut command = self.command(&tag);
        // Not that of this process, which may be a worker itself.
        command.env_remove(position::VARIABLE);
        command.stdin(socket).stdout(Stdio::null());
        let mut child = command.spawn().map_err(refused)?;
        let ends = child.stderr.take().map(|stderr| Ends {
            stderr: stderr.into(),
            frames: None,
        });
        // Without the tag, because its workers carry it too, and outlive it.
        self.lead(Source::Zygote, child, None, cgroup, ends)
    }

    /// Takes over a process with its ends of the pipes. Without them, or on another error, it is
    /// killed.
    fn lead(
        &self,
        name: Source,
        child: process::Child,
        tag: Option<EnvTag>,
        cgroup: Option<Cgroup>,
        ends: Option<Ends>,
    ) -> Result<Child, OpenError> {
        let (parent, releaser) = (Parent::Host(child), self.scope.releaser.clone());
        let listen = || {
            let ends = ends.ok_or_else(|| io::Error::other("a pipe is missing"))?;
            ends.listen()
        };
        let refused = |error| self.scope.refused(error);
        let led = Leader::new(parent, tag, cgroup, releaser, listen);
        let (leader, pipes) = led.map_err(refused)?;
        self.program.limits.apply(leader.id())?;
        Ok(Child::new(name, leader, Arc::clone(&self.scope), pipes))
    }

    pub(super) fn preamble(&self) -> &[u8] {
        &self.program.preamble
    }

    fn command(&self, tag: &EnvTag) -> Command {
        let program = &self.program;
        let mut command = Command::new(&self.scope.path);
        command.args(&program.args);
        if program.env_clear {
            command.env_clear();
        }
        command.envs(program.env.iter().map(|(name, value)| (name, value)));
        command.env(tree::VARIABLE, tag.value());
        if let Some(directory) = &program.current_dir {
            command.current_dir(directory);
        }
        // std sets this up inside `posix_spawn`. A `pre_exec` would make it fork.
        command.process_group(0);
        command.stderr(Stdio::piped());
        command
    }
}
