//! A mark in the environment of each worker. What the worker starts inherits it, wherever it goes: so processes are found
//! that have left the worker's group.

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
use super::system::kill_if;

/// The variable. A worker that is itself the host of a pool hands on its own mark with those of its workers.
pub(super) const VARIABLE: &str = "OSTLER_MARK";

/// How often bearers are looked for before what is left is given up: more than any of them takes to die, unless the kernel
/// holds on to it.
const ROUNDS: u32 = 9;

/// A text that is in the environment of one worker's processes, or one pool's, and of no others.
#[derive(Clone, Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// A new mark for all workers of a pool. Each worker's own begins with it.
    pub(super) fn of_pool() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(format!("{}-{random:016x}:", process::id()))
    }

    pub(super) fn of_worker(&self, worker: WorkerId) -> Self {
        Self(format!("{}{}.{};", self.0, worker.slot, worker.generation))
    }

    pub(super) fn of_zygote(&self) -> Self {
        Self(format!("{}zygote;", self.0))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a file name.
    pub(super) fn name(&self) -> String {
        format!(
            "ostler-{}",
            self.0.replace([':', ';'], "-").trim_end_matches('-')
        )
    }

    /// The variable's value for a process that is to bear this mark.
    pub(super) fn value(&self) -> OsString {
        let mut value = env::var_os(VARIABLE).unwrap_or_default();
        value.push(&self.0);
        value
    }

    /// Kills whoever bears this mark: how many processes that were, and whether any was left in the end.
    ///
    /// Blocks for as long as it takes to read the environment of every process, and at most half a second more.
    pub(super) fn sweep(&self) -> Swept {
        sweep(|pid| bears(pid, &self.0))
    }

    /// Kills whoever is in the group of the worker with this mark, whose id may be another's by now: also one of the same pool's.
    pub(super) fn sweep_group(&self, group: Group) -> Swept {
        // What was forked has the environment of its zygote, as long as it runs no other program.
        let (pool, _) = self
            .0
            .split_once(':')
            .expect("a mark begins with its pool's");
        let Self(zygote) = Self(format!("{pool}:")).of_zygote();
        let is_its = |pid| bears(pid, &self.0) || bears(pid, &zygote);
        // In this order, because threads of the kernel have no group, which is asked for in vain.
        sweep(|pid| is_its(pid) && getpgid(Some(pid)) == Ok(group.id()))
    }
}

fn sweep(is_meant: impl Fn(Pid) -> bool) -> Swept {
    let mut killed = HashSet::new();
    // Twice in a row, because a look takes a while, and a process may fork and exit behind its back, or be executing a program,
    // when it has no environment for a moment.
    let mut empty_looks = 0;
    for round in 0..ROUNDS {
        let found: Vec<Pid> = processes().filter(|&pid| kill_if(pid, &is_meant)).collect();
        empty_looks = if found.is_empty() { empty_looks + 1 } else { 0 };
        if empty_looks == 2 {
            break;
        }
        if !found.is_empty() {
            killed.extend(found);
            thread::sleep(Duration::from_millis(1 << round));
        }
    }
    Swept {
        killed: killed.len(),
        clean: empty_looks == 2,
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Whether a process is alive and has the mark in its environment. A zombie has no environment any more.
fn bears(pid: Pid, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    (environment.windows(mark.len())).any(|text| text == mark.as_bytes())
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) killed: usize,
    /// Whether nobody was left in the end.
    pub(super) clean: bool,
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    /// No worker's mark is in another's, and the pool's is in all of its own.
    #[test]
    fn marks_tell_workers_apart() {
        let (pool, other) = (Mark::of_pool(), Mark::of_pool());
        let mark = |pool: &Mark, slot, generation| pool.of_worker(WorkerId { slot, generation }).0;
        assert!(mark(&pool, 0, 1).starts_with(pool.as_str()));
        assert!(!mark(&pool, 0, 1).contains(other.as_str()));
        for (slot, generation) in [(0, 12), (0, 11), (10, 1), (1, 0)] {
            assert!(!mark(&pool, slot, generation).contains(&mark(&pool, 0, 1)));
        }
    }

    /// P4: where a worker's group may be another's by now, another worker of the same pool in it is let live; its own processes
    /// are not, nor is what its zygote has forked.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_group_is_swept_of_its_own() {
        let pool = Mark::of_pool();
        let of = |generation| {
            pool.of_worker(WorkerId {
                slot: 0,
                generation,
            })
        };
        for (bears, dies) in [(of(1), 1), (of(2), 0), (pool.of_zygote(), 1)] {
            let mut member = Command::new("sleep");
            let member = member.arg("1000").env(VARIABLE, bears.value());
            let mut member = member.process_group(0).spawn().unwrap();
            let group = Group::new(member.id()).unwrap();
            // It has not had its environment for long.
            while !self::bears(group.id(), &bears.0) {
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
