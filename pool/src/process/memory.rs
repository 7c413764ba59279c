//! How much memory a process group holds.

use std::fs;
use std::path::PathBuf;

use rustix::param::page_size;
use rustix::process::Pid;

use super::group::Group;

/// More processes than this are not counted: a tree that grows faster than it is walked must not hold up the host.
const MOST: usize = 1024;

/// The resident bytes of the leader and of its descendants in its group. `None` when the leader is gone.
///
/// Walks down from the leader instead of looking through all of `/proc`, because it is done again and again for each
/// worker, and must cost what the worker has and not what the machine has. A descendant whose own parent has ended is
/// not found that way. It is killed with its group all the same.
pub(super) fn resident(group: Group) -> Option<u64> {
    let leader = group.id().as_raw_nonzero().get();
    let mut bytes = resident_of(leader)?;
    let mut unseen = children(leader);
    let mut seen = 1;
    while let Some(pid) = unseen.pop() {
        seen += 1;
        if seen > MOST {
            break;
        }
        if rustix::process::getpgid(Pid::from_raw(pid)).ok() == Some(group.id()) {
            bytes += resident_of(pid).unwrap_or(0);
        }
        unseen.extend(children(pid));
    }
    Some(bytes)
}

/// The second field of `statm`. Pages that processes share count for each of them, as everywhere in `/proc`.
fn resident_of(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // A zombie has none.
    (pages > 0).then_some(pages * page_size() as u64)
}

/// The children of all threads of a process.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads.flatten().map(|thread| {
        let list: PathBuf = thread.path().join("children");
        fs::read_to_string(list).unwrap_or_default()
    });
    let pids = |list: String| -> Vec<i32> {
        let pids = list.split_ascii_whitespace();
        pids.filter_map(|pid| pid.parse().ok()).collect()
    };
    lists.flat_map(pids).collect()
}
