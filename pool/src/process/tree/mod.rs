//! Everything that a worker started, the worker included: how it is signalled, and how its end is
//! made sure of.

mod cgroup;
mod env_tag;
mod group;

use std::thread;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub(super) use self::cgroup::Cgroup;
pub(super) use self::env_tag::{EnvTag, Swept, VARIABLE};
pub(super) use self::group::Group;
use crate::port::Release;

/// A worker's processes: its group, and what has left the group, as far as that can be found.
#[derive(Debug)]
pub(super) struct ProcessTree {
    pub(super) group: Group,
    /// The worker's own tag. `None` for a zygote, because the workers that it forked carry its tag
    /// too.
    tag: Option<EnvTag>,
    /// A process can leave it only with write permission for the hierarchy.
    cgroup: Option<Cgroup>,
}

/// The longest pause between two checks on processes that are being killed.
const MAX_PAUSE: Duration = Duration::from_millis(50);

impl ProcessTree {
    pub(super) fn new(group: Group, tag: Option<EnvTag>, cgroup: Option<Cgroup>) -> Self {
        Self { group, tag, cgroup }
    }

    /// Waits until no process of the group is alive. `killed` says whether the group was killed. If
    /// it could not be, because its id may have been reused, its processes are killed one by one,
    /// each identified by its tag.
    pub(super) async fn end_group(&self, killed: bool) {
        let group = self.group;
        if killed {
            return until(|| group.is_empty()).await;
        }
        while let Some(tag) = self.tag.clone() {
            // An error means that the runtime is shutting down: no task waits for this any more.
            match spawn_blocking(move || tag.sweep_group(group)).await {
                Ok(Swept { clean: false, .. }) => {}
                _ => return,
            }
        }
    }

    /// Finds and kills the processes that had left the group. The group itself is empty.
    ///
    /// A process in the control group cannot hide, so its end is confirmed. The search for the tag
    /// runs all the same, because two kinds of process are not in the control group: those started
    /// before the worker was moved into it, and those that had the permission to leave it and did.
    /// The tag, in turn, is missing in a process that changed its environment, and in one that
    /// another user's program started without it.
    pub(super) async fn end(&self) -> Release {
        let mut release = Release::default();
        if let Some(cgroup) = &self.cgroup {
            release.escaped = cgroup.members();
            cgroup.kill();
            until(|| cgroup.remove()).await;
            release.confirmed = Some(true);
        }
        let Some(tag) = self.tag.clone() else {
            return release;
        };
        // On a thread that may block, because reading an environment takes a lock of that process.
        // An error means that the runtime is shutting down, and no task reads the report.
        if let Ok(Swept { killed, clean }) = spawn_blocking(move || tag.sweep()).await {
            if !clean {
                tracing::error!(
                    target: "ostler::worker", killed,
                    "processes that left the worker's group survive SIGKILL"
                );
            }
            release.escaped += killed;
            release.confirmed = release.confirmed.map(|yes| yes && killed == 0);
        }
        release
    }

    /// Like [`end`](Self::end), for a thread that may block. Waits at most about 1 s for a
    /// control group to become empty.
    pub(super) fn end_blocking(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
            let pauses = (0..10).map(|round| Duration::from_millis(1 << round));
            for pause in pauses.take_while(|_| !cgroup.remove()) {
                thread::sleep(pause);
            }
        }
        if let Some(tag) = &self.tag {
            tag.sweep();
        }
    }
}

/// Polls until `is` holds. For facts that the kernel reports in no other way.
pub(super) async fn until(mut is: impl FnMut() -> bool) {
    let mut pause = Duration::from_millis(1);
    while !is() {
        sleep(pause).await;
        pause = (2 * pause).min(MAX_PAUSE);
    }
}
