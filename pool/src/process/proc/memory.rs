//! How much memory a process group holds.

use std::fs;

use rustix::param::page_size;
use rustix::process::{Pid, getpgid};

/// The most processes that one measurement looks at. A group that starts processes faster than they
/// are counted must not hold up its host.
const MAX_PROCESSES: usize = 1024;

/// The resident bytes of the group's leader and of all its descendants that stayed in the group.
/// `None` once the leader has exited, and where the kernel does not list a process's children.
/// Must not be called after the leader was reaped.
///
/// Descendants are found by walking down from the leader: each thread lists the children that it
/// started. The cost therefore grows with the group and its threads only. A scan of all of `/proc`,
/// which the end of a group takes once, would here be repeated for each worker at each health
/// check, and would grow with everything else that runs on the machine.
///
/// The price: a process whose parent has exited hangs on another branch and is not counted, nor is
/// anything below a process that left the group, nor more than [`MAX_PROCESSES`] processes. Pages
/// that processes share are counted once for each.
pub(in crate::process) fn resident(leader: Pid) -> Option<u64> {
    // An exiting process gives up its memory first. Its exit is visible only later, when its last
    // thread has ended.
    let mut pages = resident_pages(leader).filter(|&pages| pages > 0)?;
    // The id of the main thread is that of the process, so this list is missing only where the
    // kernel keeps no such lists.
    children_of_thread(leader, &leader.to_string())?;
    let mut unseen = children(leader);
    for _ in 0..MAX_PROCESSES {
        let Some(process) = unseen.pop() else {
            break;
        };
        // A process that has ended meanwhile has no group. One that took over its id has another.
        if getpgid(Some(process)) == Ok(leader) {
            pages += resident_pages(process).unwrap_or(0);
            unseen.extend(children(process));
        }
    }
    Some(pages * page_size() as u64)
}

/// The second field of `statm`. Newer kernels compute it exactly; the one in `stat` is off by some
/// pages for each CPU.
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

    use super::*;

    fn end(mut leader: Child) {
        kill_process_group(Pid::from_child(&leader), Signal::KILL).unwrap();
        leader.wait().unwrap();
    }

    /// R12: the memory of a worker is that of its leader and its descendants in the group, and
    /// nothing once it has exited.
    #[test]
    fn memory_is_that_of_the_group() {
        // A process of the group whose child is outside. It waits in all three.
        let script = "sh -c 'setsid sleep 60 & echo $! $$; wait' & wait";
        let mut leader = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(leader.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        let pids: Vec<_> = (said.split_whitespace())
            .map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
            .collect();
        let (outside, child, pid) = (pids[0], pids[1], Pid::from_child(&leader));
        while getpgid(Some(outside)) == Ok(pid) {
            std::thread::yield_now();
        }
        // Until neither is still starting.
        let expected =
            || Some((resident_pages(pid)? + resident_pages(child)?) * page_size() as u64);
        while resident(pid) != expected() {
            std::thread::yield_now();
        }
        assert!(resident(pid) > Some(0));
        rustix::process::kill_process(outside, Signal::KILL).unwrap();
        end(leader);
    }

    /// R12: a worker that has exited holds no memory, also before it is reaped.
    #[test]
    fn a_zombie_holds_no_memory() {
        let leader = Command::new("true").process_group(0).spawn().unwrap();
        let pid = Pid::from_child(&leader);
        let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), dead).unwrap();
        assert_eq!(resident(pid), None);
        end(leader);
    }
}
