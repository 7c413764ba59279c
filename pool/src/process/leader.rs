//! The first process of a worker, from its spawn until its release.

use std::io;
use std::process;

use rustix::process::{Pid, Signal, getpgid};

use super::proc::stat::Stat;
use super::release::{Parent, Releaser, Releasing, Remains};
use super::system::Watched;
use super::tree::{Cgroup, EnvTag, ProcessTree};
use crate::port::ExitStatus;

/// The first process of a group. Until it is reaped, the kernel gives its id, which is also the
/// group's, to no other process, so no signal can hit a stranger.
///
/// If it is dropped, it is killed with its group, and released in the background.
#[derive(Debug)]
pub(super) struct Leader {
    /// `None` once the release has begun.
    remains: Option<Remains>,
    releaser: Releaser,
    id: Pid,
    /// The process that started it.
    host: u32,
}

impl Leader {
    /// Takes over a child that leads a process group, and moves it into its control group. `listen`
    /// registers its pipes with the runtime.
    ///
    /// The pipes are registered before the pidfd, because the runtime receives events in the order
    /// in which they are registered or happen. In the other order, it could see the exit first, and
    /// take a pipe that still holds the last words for an empty one.
    pub(super) fn new<P>(
        mut parent: Parent,
        tag: Option<EnvTag>,
        cgroup: Option<Cgroup>,
        releaser: Releaser,
        listen: impl FnOnce() -> io::Result<P>,
    ) -> io::Result<(Self, P)> {
        let group = parent.group()?;
        let added = cgroup.as_ref().map(|cgroup| cgroup.add(group.id()));
        let tree = ProcessTree {
            group,
            tag,
            cgroup,
            born: Stat::read(group.number()).map(|stat| stat.started),
        };
        let mut leader = Self {
            remains: Some(Remains::new(parent, tree)),
            releaser,
            id: group.id(),
            host: process::id(),
        };
        // From here on, an error drops the leader, which kills the child.
        let pipes = listen()?;
        let watched = Watched::new(leader.id)?;
        if let Some(remains) = &mut leader.remains {
            remains.watched = Some(watched);
        }
        added.transpose()?;
        Ok((leader, pipes))
    }

    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Waits until it has exited. Cancel safe.
    pub(super) async fn exited(&self) {
        if let Some(watched) = self.watched() {
            watched.exited().await;
        }
    }

    fn watched(&self) -> Option<&Watched> {
        self.remains.as_ref()?.watched.as_ref()
    }

    /// Signals its group.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(remains) = &self.remains else {
            return;
        };
        let Some(watched) = &remains.watched else {
            return;
        };
        if remains.may_kill_group() || watched.is_alive() {
            remains.tree.group.signal(signal);
            if getpgid(Some(self.id)) != Ok(self.id) {
                // It has joined the group of one of its children.
                watched.signal(signal);
            }
        }
    }

    /// How it ended. Call this once it has exited. It stays a zombie, which keeps the id of its
    /// group from being reused.
    pub(super) async fn status(&self) -> ExitStatus {
        match self.remains.as_ref().map(|remains| &remains.parent) {
            Some(Parent::Host(_)) => self.watched().map_or(ExitStatus::Unknown, Watched::status),
            Some(Parent::Other(reaper)) => reaper.status().await,
            None => ExitStatus::Unknown,
        }
    }

    /// Begins its release. `None` if it has begun.
    pub(super) fn release(&mut self) -> Option<Releasing> {
        let remains = self.remains.take()?;
        Some(self.releaser.release(remains))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let Some(remains) = self.remains.take() else {
            return;
        };
        if process::id() != self.host {
            // This is a copy of the host, which some code has forked. The worker is not its own.
            std::mem::forget(remains);
            return;
        }
        // At once, and not only when the thread gets to it: the host may be about to exit.
        remains.kill();
        self.releaser.release(remains);
    }
}
