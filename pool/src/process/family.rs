//! Everything that a worker started, itself included: how it is signalled, and how its end is made sure of.

use std::thread;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::cgroup::Cgroup;
use super::group::Group;
use super::mark::{Mark, Swept};
use crate::port::Release;

/// A worker's processes: its group, and what has left it, as far as that can be found.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) group: Group,
    /// Its own. `None` for a zygote, whose mark is in what it forked too.
    mark: Option<Mark>,
    /// Where there is one, nothing leaves it that has no right to.
    cgroup: Option<Cgroup>,
}

/// The longest pause between two looks at what is being killed.
const PAUSE: Duration = Duration::from_millis(50);

impl Family {
    pub(super) fn new(group: Group, mark: Option<Mark>, cgroup: Option<Cgroup>) -> Self {
        Self {
            group,
            mark,
            cgroup,
        }
    }

    /// Waits until no process of the group is alive. If the group could not be killed, because its id may be another's by
    /// now, its processes are, one by one, each known by its mark.
    pub(super) async fn end_group(&self, killed: bool) {
        let group = self.group;
        if killed {
            return until(|| group.is_empty()).await;
        }
        while let Some(mark) = self.mark.clone() {
            // An error means that the runtime ends: nobody waits for this any more.
            match spawn_blocking(move || mark.sweep_group(group)).await {
                Ok(Swept { clean: false, .. }) => {}
                _ => return,
            }
        }
    }

    /// Finds and kills who had left the group, which is empty.
    ///
    /// Who is in the control group cannot hide, so that its end is confirmed. The mark is looked for all the same: who was
    /// started before the worker was put into its control group is not in it, nor is who had the right to leave it and did.
    /// The mark is missing in a process that has changed its environment, and was not inherited by one that another user's
    /// program started.
    pub(super) async fn end(&self) -> Release {
        let mut release = Release::default();
        if let Some(cgroup) = &self.cgroup {
            release.escaped = cgroup.members();
            cgroup.kill();
            until(|| cgroup.remove()).await;
            release.confirmed = Some(true);
        }
        let Some(mark) = self.mark.clone() else {
            return release;
        };
        // On a thread that may block, because reading an environment waits for a lock of that process. An error means that the
        // runtime ends, and whoever cares for the report with it.
        if let Ok(Swept { killed, clean }) = spawn_blocking(move || mark.sweep()).await {
            if !clean {
                tracing::error!(target: "ostler::worker", killed, "processes that left their group do not die");
            }
            release.escaped += killed;
            release.confirmed = release.confirmed.map(|yes| yes && killed == 0);
        }
        release
    }

    /// As [`end`](Self::end), for a thread that may block. Waits for as long as a process takes to die of a kill.
    pub(super) fn end_blocking(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
            let pauses = (0..10).map(|round| Duration::from_millis(1 << round));
            for pause in pauses.take_while(|_| !cgroup.remove()) {
                thread::sleep(pause);
            }
        }
        if let Some(mark) = &self.mark {
            mark.sweep();
        }
    }
}

/// Polls until `is` holds: what the kernel has no other way to tell.
pub(super) async fn until(mut is: impl FnMut() -> bool) {
    let mut pause = Duration::from_millis(1);
    while !is() {
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE);
    }
}
