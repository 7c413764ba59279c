//! A tag in the environment of each worker.
//!
//! Whatever the worker starts inherits the tag, whichever process group it moves to. So the pool
//! finds processes that have left the worker's group.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process;
use std::thread;
use std::time::Duration;

use ostler::WorkerId;
use rustix::process::{Pid, getpgid};

use super::group::Group;
use crate::process::system::kill_if;

/// The environment variable. A worker that is itself the host of a pool passes its own tag on, in
/// front of those of its workers.
pub(in crate::process) const VARIABLE: &str = "OSTLER_TAG";

/// How often a sweep searches before it gives up. The pauses between the searches add up to more
/// time than any process takes to die, unless the kernel holds on to it.
const ROUNDS: u32 = 9;

/// A text that the environments of one worker's processes contain, or of one pool's, and no others.
#[derive(Clone, Debug)]
pub(in crate::process) struct EnvTag(String);

impl EnvTag {
    /// A new tag for a pool. The tag of each of its workers begins with it.
    pub(in crate::process) fn of_pool() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(format!("{}-{random:016x}:", process::id()))
    }

    pub(in crate::process) fn of_worker(&self, worker: WorkerId) -> Self {
        Self(format!("{}{}.{};", self.0, worker.slot, worker.generation))
    }

    /// As long as the longest tag of a worker. Each process that the zygote forks overwrites the
    /// part after the pool's tag in its own initial environment, which the kernel reports as its
    /// `environ`: it becomes the worker's `slot.generation;`, and dots for the rest.
    pub(in crate::process) fn of_zygote(&self) -> Self {
        let longest = self.of_worker(WorkerId {
            slot: usize::MAX,
            generation: u64::MAX,
        });
        let width = longest.0.len() - self.0.len() - 1;
        Self(format!("{}{:.<width$};", self.0, "zygote"))
    }

    pub(in crate::process) fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag as a file name.
    pub(in crate::process) fn file_name(&self) -> String {
        format!(
            "ostler-{}",
            self.0.replace([':', ';'], "-").trim_end_matches(['-', '.'])
        )
    }

    /// The variable's value for a process that is to carry this tag.
    pub(in crate::process) fn value(&self) -> OsString {
        let mut value = env::var_os(VARIABLE).unwrap_or_default();
        value.push(&self.0);
        value
    }

    /// Kills every process that carries this tag.
    ///
    /// Blocks for as long as it takes to read the environment of every process, and at most half a
    /// second more.
    pub(in crate::process) fn sweep(&self) -> Swept {
        sweep(|pid| carries(pid, &self.0))
    }

    /// Kills the processes of `group` that belong to the worker with this tag. The group's id may
    /// be another group's by now, of another worker of the same pool even.
    pub(in crate::process) fn sweep_group(&self, group: Group) -> Swept {
        // A forked process has the environment of its zygote until it executes another program.
        let (pool, _) = self
            .0
            .split_once(':')
            .expect("a tag begins with its pool's");
        let Self(zygote) = Self(format!("{pool}:")).of_zygote();
        let belongs = |pid| carries(pid, &self.0) || carries(pid, &zygote);
        // The tag first: kernel threads have none, and are in group 0, which is not a valid `Pid`.
        sweep(|pid| belongs(pid) && getpgid(Some(pid)) == Ok(group.id()))
    }
}

fn sweep(is_meant: impl Fn(Pid) -> bool) -> Swept {
    let mut killed = HashSet::new();
    // Two searches in a row must find nothing. A search takes a while, and meanwhile a process may
    // fork and exit behind it, or be inside `execve`, when it has no environment for a moment.
    let mut empty_searches = 0;
    for round in 0..ROUNDS {
        let found: Vec<Pid> = processes().filter(|&pid| kill_if(pid, &is_meant)).collect();
        empty_searches = if found.is_empty() {
            empty_searches + 1
        } else {
            0
        };
        if empty_searches == 2 {
            break;
        }
        if !found.is_empty() {
            killed.extend(found);
            thread::sleep(Duration::from_millis(1 << round));
        }
    }
    Swept {
        killed: killed.len(),
        clean: empty_searches == 2,
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Whether a process is alive and its environment contains the tag. A zombie has no environment.
fn carries(pid: Pid, tag: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    (environment.windows(tag.len())).any(|text| text == tag.as_bytes())
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Swept {
    /// How many processes were killed.
    pub(in crate::process) killed: usize,
    /// Whether the last searches found no process.
    pub(in crate::process) clean: bool,
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    /// No worker's tag contains another's, and each begins with its pool's. The longest fits in the
    /// place of the zygote's.
    #[test]
    fn tags_tell_workers_apart() {
        let (pool, other) = (EnvTag::of_pool(), EnvTag::of_pool());
        let tag = |pool: &EnvTag, slot, generation| pool.of_worker(WorkerId { slot, generation }).0;
        assert!(tag(&pool, 0, 1).starts_with(pool.as_str()));
        assert!(!tag(&pool, 0, 1).contains(other.as_str()));
        for (slot, generation) in [(0, 12), (0, 11), (10, 1), (1, 0)] {
            assert!(!tag(&pool, slot, generation).contains(&tag(&pool, 0, 1)));
        }
        let zygote = pool.of_zygote().0;
        assert_eq!(zygote.len(), tag(&pool, usize::MAX, u64::MAX).len());
        assert!(zygote.starts_with(&format!("{}zygote.", pool.as_str())) && zygote.ends_with(".;"));
    }

    /// P4: a sweep of a group whose id may have been reused kills the worker's own processes and
    /// those that its zygote forked, and spares another worker of the same pool.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_sweep_of_a_group_spares_other_workers() {
        let pool = EnvTag::of_pool();
        let of = |generation| {
            pool.of_worker(WorkerId {
                slot: 0,
                generation,
            })
        };
        for (tag, dies) in [(of(1), 1), (of(2), 0), (pool.of_zygote(), 1)] {
            let mut member = Command::new("sleep");
            let member = member.arg("1000").env(VARIABLE, tag.value());
            let mut member = member.process_group(0).spawn().unwrap();
            let group = Group::new(member.id()).unwrap();
            // Its environment appears only once `execve` is done.
            while !carries(group.id(), &tag.0) {
                thread::yield_now();
            }
            let (killed, clean) = (dies, true);
            assert_eq!(of(1).sweep_group(group), Swept { killed, clean });
            assert_eq!(member.try_wait().unwrap().is_none(), dies == 0);
            member.kill().unwrap();
            member.wait().unwrap();
        }
    }
}
