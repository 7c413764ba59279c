//! What is left of a worker: its leader until it is reaped, and its process tree.

use std::fmt;
use std::io;
use std::process;

use rustix::process::{Pid, Signal};

use crate::port::{BoxFuture, ExitStatus};
use crate::process::system::Watched;
use crate::process::tree::{Group, ProcessTree, children};

/// The parent of the leader: only a parent can reap its child.
#[derive(Debug)]
pub(in crate::process) enum Parent {
    /// This process.
    Host(process::Child),
    /// Another process, which reaps the leader on request.
    Other(Box<dyn Reaper>),
}

/// Reaps a leader that is the child of another process than this one. If it is dropped before that,
/// it has the leader killed and reaped.
pub(in crate::process) trait Reaper: fmt::Debug + Send + Sync {
    fn pid(&self) -> Pid;

    /// How the leader ended. Call this once it has exited. Cancel safe.
    fn status(&self) -> BoxFuture<'_, ExitStatus>;

    /// Has the leader reaped, without waiting for that. True once it is reaped, or its parent is
    /// gone: then init reaps it. Call it until it returns true.
    fn reap(&mut self) -> bool;
}

impl Parent {
    /// The group of a child that leads one. Kills a child whose id cannot be that of a group.
    pub(in crate::process) fn group(&mut self) -> io::Result<Group> {
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

/// A leader that was not reaped, and everything that it started.
#[derive(Debug)]
pub(in crate::process) struct Remains {
    pub(in crate::process) parent: Parent,
    pub(in crate::process) tree: ProcessTree,
    /// `None` if the process could not be watched.
    pub(in crate::process) watched: Option<Watched>,
    is_reaped: bool,
}

impl Remains {
    pub(in crate::process) fn new(parent: Parent, tree: ProcessTree) -> Self {
        children().insert(tree.group.id(), tree.born.unwrap_or(0));
        Self {
            parent,
            tree,
            watched: None,
            is_reaped: false,
        }
    }

    /// Whether a signal to the group's id is certain to reach this group and no other.
    pub(in crate::process) fn may_kill_group(&self) -> bool {
        let is_child = || self.watched.as_ref().is_none_or(Watched::is_child);
        // As a zombie of another process it keeps its id only until that process reaps it, or ends.
        !self.is_reaped && matches!(self.parent, Parent::Host(_)) && is_child()
    }

    /// Kills the leader. False if it is gone, its zombie included: then the id of the group may be
    /// another's.
    pub(super) fn holds_id(&self) -> bool {
        match &self.watched {
            Some(watched) => watched.signal(Signal::KILL),
            None => self.may_kill_group(),
        }
    }

    /// Kills the leader and its group.
    pub(in crate::process) fn kill(&self) {
        if self.may_kill_group() {
            self.tree.group.signal(Signal::KILL);
        }
        // Also if it has joined another group.
        self.holds_id();
    }

    /// Reaps the leader. False if it has not exited, or is not yet reaped.
    pub(super) fn reap(&mut self) -> bool {
        self.is_reaped = match (&mut self.parent, &self.watched) {
            (Parent::Host(_), Some(watched)) => watched.reap(),
            // An error means that other code has reaped it.
            (Parent::Host(child), None) => !matches!(child.try_wait(), Ok(None)),
            (Parent::Other(reaper), _) => reaper.reap(),
        };
        self.is_reaped
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        children().remove(&self.tree.group.id());
    }
}
