//! Everything that a worker started, the worker included, and how it is found.

mod cgroup;
mod env_tag;
mod group;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

pub(super) use self::cgroup::Cgroup;
pub(super) use self::env_tag::{EnvTag, VARIABLE};
pub(super) use self::group::Group;

/// A worker's processes: its group, and what has left the group, as far as that can be found.
#[derive(Debug)]
pub(super) struct ProcessTree {
    pub(super) group: Group,
    /// The worker's own tag. `None` for a zygote, because the workers that it forked carry its tag
    /// too.
    pub(super) tag: Option<EnvTag>,
    /// A process can leave it only with write permission for the hierarchy.
    pub(super) cgroup: Option<Cgroup>,
    /// When the leader started, in clock ticks since boot. No descendant is older.
    pub(super) born: Option<u64>,
}

/// The children of this process that its pools started, of all pools, that were not reaped, each
/// with the time of its start.
///
/// A search for escaped processes need not look at them, so its cost does not grow with the workers
/// that serve.
static CHILDREN: LazyLock<Mutex<HashMap<Pid, u64>>> = LazyLock::new(Mutex::default);

pub(super) fn children() -> MutexGuard<'static, HashMap<Pid, u64>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}
