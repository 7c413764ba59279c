//! A process group: the child, and everything it started that did not leave.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// A process group, by the id of its leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(Pid);

impl Group {
    /// `None` for an id that would mean something else to `kill`: 0 is the caller's own group, 1 is everybody.
    pub(super) fn new(leader: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(leader).ok()?)?;
        (pid != Pid::INIT).then_some(Self(pid))
    }

    pub(super) fn id(self) -> Pid {
        self.0
    }

    /// Signals every process of the group. Only while its leader is not reaped: afterwards the id may be another's.
    pub(super) fn signal(self, signal: Signal) {
        // An error means that there is nobody left to signal.
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether no process of the group is alive. Zombies are not: they hold nothing, and whose they are may never
    /// collect them, as the first process of a container often does not.
    pub(super) fn is_empty(self) -> bool {
        // Signal 0 only asks, so that this is safe after the reap too. One that may not be asked is there all the same.
        test_kill_process_group(self.0) == Err(Errno::SRCH) || !self.any_alive()
    }

    fn any_alive(self) -> bool {
        let Ok(processes) = fs::read_dir("/proc") else {
            // Without /proc only the kernel's answer is left: the group exists.
            return true;
        };
        processes.flatten().any(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            is_alive_in(&stat, self.0.as_raw_nonzero().get())
        })
    }
}

/// Whether a line of `/proc/<pid>/stat` is that of a process of `group` that is alive.
fn is_alive_in(stat: &str, group: i32) -> bool {
    // The name in parentheses may hold anything, so that the fields are counted from its end: state, parent, group.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next().unwrap_or("X");
    let member = fields.nth(1).and_then(|id| id.parse().ok()) == Some(group);
    // A process whose first thread has ended looks like a zombie, although others of its threads go on.
    let threads = fields.nth(14).and_then(|count| count.parse().ok());
    member && (!matches!(state, "Z" | "X" | "x") || threads > Some(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P4: the ids that would signal this process's own group, or everybody, are no groups.
    #[test]
    fn a_group_has_an_id_of_its_own() {
        assert!(Group::new(0).is_none());
        assert!(Group::new(1).is_none());
        assert!(Group::new(u32::MAX).is_none());
        assert!(Group::new(4711).is_some());
    }

    /// P5: a zombie is not alive, whatever its name looks like.
    #[test]
    fn stat_lines_are_read_from_the_name_on() {
        assert!(is_alive_in("7 (a) b) S 1 42 7 0 -1", 42));
        assert!(!is_alive_in("7 (a) b) Z 1 42 7 0 -1", 42));
        assert!(!is_alive_in("7 (a) b) S 42 43 7 0 -1", 42));
        assert!(!is_alive_in("", 42));
        let threads = |count| format!("7 (a) Z 1 42 7 0 -1 4 5 6 7 8 9 0 1 2 20 0 {count} 0 1");
        assert!(!is_alive_in(&threads(1), 42));
        assert!(is_alive_in(&threads(2), 42));
    }
}
