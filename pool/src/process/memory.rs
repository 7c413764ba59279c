//! How much memory a process group holds.

use std::fs;

use rustix::param::page_size;
use rustix::process::{Pid, getpgid};

use super::group::Group;

/// Processes that are looked at. A group that starts them faster than they are counted must not hold up its host.
const MOST: usize = 1024;

/// The resident bytes of the leader and of all its descendants that stayed in its group. `None` once the leader has
/// exited, and where the kernel does not tell a process's children. Not to be asked after the leader was reaped.
///
/// Descendants are found by going down from the leader, each thread listing the children that it started. So the cost
/// grows with the group and its threads. A look through all of `/proc`, which the end of a group takes once, would here
/// be taken for each worker again and again, and grow with everything else that runs on the machine.
///
/// The price: a process whose parent has exited hangs on another branch and is not counted, nor is what lies below a
/// process that left the group, nor more than [`MOST`] processes. Pages that processes share are counted for each.
pub(super) fn resident(group: Group) -> Option<u64> {
    let leader = group.id();
    // Whoever exits gives up his memory first. His exit can be seen only later, once his last thread is gone.
    let mut pages = resident_pages(leader).filter(|&pages| pages > 0)?;
    // The leader's id is its own, so that this list is missing only where the kernel keeps none for anybody.
    children_of_thread(leader, &leader.to_string())?;
    let mut unseen = children(leader);
    for _ in 0..MOST {
        let Some(process) = unseen.pop() else {
            break;
        };
        // One that is gone by now has no group. One that took its id over has another.
        if getpgid(Some(process)) == Ok(leader) {
            pages += resident_pages(process).unwrap_or(0);
            unseen.extend(children(process));
        }
    }
    Some(pages * page_size() as u64)
}

/// The second field of `statm`: what newer kernels add up exactly, where `stat` is off by some pages for each CPU.
fn resident_pages(process: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn children(process: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    threads
        .filter_map(|thread| children_of_thread(process, thread.file_name().to_str()?))
        .flatten()
        .collect()
}

fn children_of_thread(process: Pid, thread: &str) -> Option<Vec<Pid>> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).ok()?;
    let ids = list.split_ascii_whitespace();
    Some(
        ids.filter_map(|id| Pid::from_raw(id.parse().ok()?))
            .collect(),
    )
}
