//! The first process of a worker, from the spawn to the reap.

use std::io;
use std::process;
use std::sync::Arc;
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, getpgid, kill_process, waitpid};

use super::family::{Family, until};
use super::group::Group;
use super::system::Watched;
use super::zygote::Forked;
use crate::port::ExitStatus;

/// The first process of a group. While it is not reaped, the group's id is its own, and no signal can go astray.
///
/// Dropped before it is released, it is killed with its group and reaped, and who has left the group is looked for.
#[derive(Debug)]
pub(super) struct Leader {
    parent: Parent,
    family: Arc<Family>,
    /// `None` once the port is released.
    watched: Option<Watched>,
    /// Once it is reaped: whether its group was killed before.
    reaped: Option<GroupKilled>,
}

type GroupKilled = bool;

/// Whose child it is, and so to reap.
#[derive(Debug)]
pub(super) enum Parent {
    Host(process::Child),
    Zygote(Forked),
}

impl Parent {
    /// The group of a child that leads one. Kills a child whose id cannot be that of a group.
    pub(super) fn group(&mut self) -> io::Result<Group> {
        let group = match self {
            Self::Host(child) => Group::new(child.id()),
            Self::Zygote(forked) => Group::new(forked.pid().as_raw_nonzero().get().cast_unsigned()),
        };
        group.ok_or_else(|| {
            // No system gives out such an id; a signal to it would reach this process's own group.
            if let Self::Host(child) = self {
                let _ = child.kill();
            }
            io::Error::other("the child has no usable process id")
        })
    }
}

impl Leader {
    pub(super) fn new(parent: Parent, family: Family) -> io::Result<Self> {
        let mut leader = Self {
            parent,
            family: Arc::new(family),
            watched: None,
            reaped: None,
        };
        leader.watched = Some(Watched::new(leader.id())?);
        Ok(leader)
    }

    pub(super) fn id(&self) -> Pid {
        self.family.group.id()
    }

    pub(super) fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Waits for its exit. Cancel safe.
    pub(super) async fn exit(&self) {
        if let Some(watched) = &self.watched {
            watched.exited().await;
        }
    }

    /// Whether its id, and with it its group's, cannot be another's.
    fn keeps_its_id(&self) -> bool {
        match (&self.parent, &self.watched) {
            // Also when it has exited, unless somebody else in this process collects children that are not his.
            (Parent::Host(_), Some(watched)) => watched.is_child(),
            (Parent::Host(_), None) => self.reaped.is_none(),
            // Once that has exited, nobody knows whether the zygote, whose zombie it is to be, is there.
            (Parent::Zygote(_), watched) => watched.as_ref().is_some_and(Watched::is_alive),
        }
    }

    /// Signals its group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.keeps_its_id() {
            self.family.group.signal(signal);
            if getpgid(Some(self.id())) != Ok(self.id()) {
                // It has joined the group of one of its children.
                let _ = kill_process(self.id(), signal);
            }
        }
    }

    /// How it ended, once it has. It stays a zombie: as long as it is one, nobody else can get its group's id.
    pub(super) async fn status(&self) -> ExitStatus {
        match &self.parent {
            Parent::Host(_) => (self.watched.as_ref()).map_or(ExitStatus::Unknown, Watched::status),
            Parent::Zygote(forked) => forked.status().await,
        }
    }

    /// The group first, while the leader still holds its id; then the leader, which has exited. Resolves once no process of
    /// the group is alive. Cancel safe.
    pub(super) async fn kill_and_reap(&mut self) {
        let killed = match self.reaped {
            Some(killed) => killed,
            None => self.reap().await,
        };
        self.reaped = Some(killed);
        self.family.end_group(killed).await;
    }

    async fn reap(&mut self) -> GroupKilled {
        let keeps_its_id = self.keeps_its_id();
        match &mut self.parent {
            Parent::Host(child) if keeps_its_id => {
                self.family.group.signal(Signal::KILL);
                // Not at once where somebody traces it: it is his first. An error means that there is nothing left to wait
                // for.
                until(|| !matches!(child.try_wait(), Ok(None))).await;
                true
            }
            Parent::Host(_) => false,
            Parent::Zygote(forked) => forked.kill_and_reap().await,
        }
    }

    /// Lets go of the last descriptor.
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
                matches!(child.try_wait(), Ok(None)).then_some(self.family.group.id())
            }
            // The zygote's to reap, which is told so when this is dropped; or whoever it was has reaped it.
            Parent::Zygote(_) | Parent::Host(_) => None,
        };
        let family = Arc::clone(&self.family);
        // It dies of the kill within moments, but this may run on a thread that must not wait.
        let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
        let _ = reaper.spawn(move || {
            if let Some(leader) = dying {
                let _ = waitpid(Some(leader), WaitOptions::empty());
            }
            family.end_blocking();
        });
    }
}
