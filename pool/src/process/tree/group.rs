//! A process group: the worker's leader and every descendant that did not leave the group.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// A process group, by the id of its leader.
#[derive(Clone, Copy, Debug)]
pub(in crate::process) struct Group(Pid);

impl Group {
    /// `None` for an id that means something else to `kill`: 0 is the caller's own group, and 1
    /// (as -1) is every process.
    pub(in crate::process) fn new(leader: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(leader).ok()?)?;
        (pid != Pid::INIT).then_some(Self(pid))
    }

    pub(in crate::process) fn id(self) -> Pid {
        self.0
    }

    pub(in crate::process) fn number(self) -> u32 {
        self.0.as_raw_nonzero().get().cast_unsigned()
    }

    /// Signals every process of the group. Call this only before the leader is reaped: afterwards,
    /// the kernel may give the id to another group.
    pub(in crate::process) fn signal(self, signal: Signal) {
        // An error means that the group is empty, or that this process may signal none of it. The
        // release then does not find it empty.
        let _ = kill_process_group(self.0, signal);
    }

    /// Whether no process is in the group, not even a zombie. A process that may not be signalled
    /// is in it.
    pub(in crate::process) fn is_gone(self) -> bool {
        // Signal 0 delivers nothing, so this is safe after the reap too.
        test_kill_process_group(self.0) == Err(Errno::SRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P4: an id that would signal this process's own group, or every process, is no group.
    #[test]
    fn reserved_ids_are_no_groups() {
        assert!(Group::new(0).is_none());
        assert!(Group::new(1).is_none());
        assert!(Group::new(u32::MAX).is_none());
        assert!(Group::new(4711).is_some());
    }
}
