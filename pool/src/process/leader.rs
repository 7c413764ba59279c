//! The first process of a worker, from its spawn until it is reaped.

use std::fmt;
use std::io;
use std::process;
use std::sync::Arc;
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, getpgid, kill_process, waitpid};

use super::system::Watched;
use super::tree::{Cgroup, EnvTag, Group, ProcessTree, until};
use crate::port::{BoxFuture, ExitStatus};

/// The first process of a group. Until it is reaped, the kernel gives its id, which is also the
/// group's, to no other process, so no signal can hit a stranger.
///
/// If it is dropped before it was released, it is killed with its group and reaped, and the
/// processes that have left the group are searched for.
#[derive(Debug)]
pub(super) struct Leader {
    parent: Parent,
    tree: Arc<ProcessTree>,
    /// `None` once the port is released.
    watched: Option<Watched>,
    /// Set once it is reaped: whether its group was killed before that.
    reaped: Option<GroupKilled>,
}

type GroupKilled = bool;

/// The parent of the leader: only a parent can reap its child.
#[derive(Debug)]
pub(super) enum Parent {
    /// This process.
    Host(process::Child),
    /// Another process, which reaps the leader on request.
    Other(Box<dyn Reaper>),
}

/// Reaps a leader that is the child of another process than this one.
pub(super) trait Reaper: fmt::Debug + Send + Sync {
    fn pid(&self) -> Pid;

    /// How the leader ended. Call this once it has exited. Cancel safe.
    fn status(&self) -> BoxFuture<'_, ExitStatus>;

    /// Kills the leader's group, then reaps the leader. False if the parent is gone: then no
    /// process can do either without the risk that the id is another's. Cancel safe; may be called
    /// again.
    fn kill_and_reap(&mut self) -> BoxFuture<'_, GroupKilled>;
}

impl Parent {
    /// The group of a child that leads one. Kills a child whose id cannot be that of a group.
    fn group(&mut self) -> io::Result<Group> {
        let group = match self {
            Self::Host(child) => Group::new(child.id()),
            Self::Other(reaper) => Group::new(reaper.pid().as_raw_nonzero().get().cast_unsigned()),
        };
        group.ok_or_else(|| {
            // No system assigns such an id. A signal to it would reach this process's own group.
            if let Self::Host(child) = self {
                let _ = child.kill();
            }
            io::Error::other("the child has no usable process id")
        })
    }
}

impl Leader {
    /// Takes over a child that leads a process group, and moves it into its control group.
    pub(super) fn new(
        mut parent: Parent,
        tag: Option<EnvTag>,
        cgroup: Option<Cgroup>,
    ) -> io::Result<Self> {
        let group = parent.group()?;
        let added = cgroup.as_ref().map(|cgroup| cgroup.add(group.id()));
        let mut leader = Self {
            parent,
            tree: Arc::new(ProcessTree::new(group, tag, cgroup)),
            watched: None,
            reaped: None,
        };
        // From here on, an error drops the leader, which kills the child.
        leader.watched = Some(Watched::new(leader.id())?);
        added.transpose()?;
        Ok(leader)
    }

    pub(super) fn id(&self) -> Pid {
        self.tree.group.id()
    }

    pub(super) fn tree(&self) -> &Arc<ProcessTree> {
        &self.tree
    }

    /// Waits until it has exited. Cancel safe.
    pub(super) async fn exited(&self) {
        if let Some(watched) = &self.watched {
            watched.exited().await;
        }
    }

    /// Whether its id, which is also its group's, is certain to be its own.
    fn keeps_its_id(&self) -> bool {
        match (&self.parent, &self.watched) {
            // True after its exit as well, unless other code in this process has reaped it.
            (Parent::Host(_), Some(watched)) => watched.is_child(),
            (Parent::Host(_), None) => self.reaped.is_none(),
            // After its exit it is a zombie of its parent, and the parent may be gone.
            (Parent::Other(_), watched) => watched.as_ref().is_some_and(Watched::is_alive),
        }
    }

    /// Signals its group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.keeps_its_id() {
            self.tree.group.signal(signal);
            if getpgid(Some(self.id())) != Ok(self.id()) {
                // It has joined the group of one of its children.
                let _ = kill_process(self.id(), signal);
            }
        }
    }

    /// How it ended. Call this once it has exited. It stays a zombie, which keeps the id of its
    /// group from being reused.
    pub(super) async fn status(&self) -> ExitStatus {
        match &self.parent {
            Parent::Host(_) => (self.watched.as_ref()).map_or(ExitStatus::Unknown, Watched::status),
            Parent::Other(reaper) => reaper.status().await,
        }
    }

    /// Kills the group, then reaps the leader, which has exited. In this order, because after the
    /// reap the group's id may be another's. Resolves once no process of the group is alive. Cancel
    /// safe.
    pub(super) async fn kill_and_reap(&mut self) {
        let killed = match self.reaped {
            Some(killed) => killed,
            None => self.reap().await,
        };
        self.reaped = Some(killed);
        self.tree.end_group(killed).await;
    }

    async fn reap(&mut self) -> GroupKilled {
        let keeps_its_id = self.keeps_its_id();
        match &mut self.parent {
            Parent::Host(child) if keeps_its_id => {
                self.tree.group.signal(Signal::KILL);
                // The first attempt fails if a debugger traces it: the tracer reaps it first. An
                // error means that there is nothing to wait for.
                until(|| !matches!(child.try_wait(), Ok(None))).await;
                true
            }
            Parent::Host(_) => false,
            Parent::Other(reaper) => reaper.kill_and_reap().await,
        }
    }

    /// Closes its last descriptor.
    pub(super) fn close(&mut self) {
        self.watched = None;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let released = self.reaped.is_some() && self.watched.is_none();
        if released {
            return;
        }
        self.signal(Signal::KILL);
        let keeps_its_id = self.keeps_its_id();
        let dying = match &mut self.parent {
            Parent::Host(child) if keeps_its_id => {
                matches!(child.try_wait(), Ok(None)).then_some(self.tree.group.id())
            }
            // A `Reaper` has it reaped when it is dropped. A child without its id was reaped
            // already.
            Parent::Other(_) | Parent::Host(_) => None,
        };
        let tree = Arc::clone(&self.tree);
        // It dies of the signal within moments, but this may run on a thread that must not block.
        let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
        let _ = reaper.spawn(move || {
            if let Some(leader) = dying {
                let _ = waitpid(Some(leader), WaitOptions::empty());
            }
            tree.end_blocking();
        });
    }
}
