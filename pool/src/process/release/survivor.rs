//! Processes that are alive although they were killed.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::port::{SurvivalReason, Survivor};
use crate::process::proc::stat::Stat;

/// A process that was killed, if it is alive.
pub(in crate::process) fn survivor(process: Pid) -> Option<Survivor> {
    let pid = number(process);
    let stat = Stat::read(pid).filter(Stat::is_alive)?;
    let reason = reason(process, &stat);
    Some(Survivor { pid, reason })
}

/// Why a process is alive that was to be killed.
pub(super) fn reason(pid: Pid, stat: &Stat) -> SurvivalReason {
    match stat.state {
        'D' => SurvivalReason::Uninterruptible,
        't' => SurvivalReason::Traced,
        // Signal 0 delivers nothing.
        _ if test_kill_process(pid) == Err(Errno::PERM) => SurvivalReason::NotPermitted,
        _ => SurvivalReason::Killed,
    }
}

pub(super) fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}
