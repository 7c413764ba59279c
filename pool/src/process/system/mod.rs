//! System calls that differ between Linux and other systems.
//!
//! Linux comes first. On other systems the pool sees a worker's exit by `SIGCHLD`, only the
//! worker's group ends with it, and options that need more are refused.

#[cfg(not(unix))]
compile_error!("ostler-pool needs Unix: process groups, and pipes that can be polled");

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use self::linux::{
    Held, NO_SIGNAL, Watched, become_subreaper, create_memory, free_memory, limit, pipe_quota,
    resize_pipe,
};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
pub(super) use self::elsewhere::{
    Held, NO_SIGNAL, Watched, become_subreaper, create_memory, free_memory, limit, pipe_quota,
    resize_pipe,
};

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::port::ExitStatus;

/// Whether the system has `/proc` and pidfds, which tags, sentinels and zygotes need.
pub(super) const IS_LINUX: bool = cfg!(target_os = "linux");

/// Asks about a child without reaping it.
const PEEK: WaitIdOptions = WaitIdOptions::EXITED
    .union(WaitIdOptions::NOWAIT)
    .union(WaitIdOptions::NOHANG);

/// Reaps a child if it has exited.
const REAP: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG);

/// Reaps a child. False if it has not exited. True also if other code in this process has reaped
/// it.
fn reap(child: WaitId<'_>) -> bool {
    !matches!(waitid(child, REAP), Ok(None))
}

/// Whether a child exists, alive or as a zombie. False once it was reaped, also by other code in
/// this process.
fn is_child(child: WaitId<'_>) -> bool {
    !matches!(waitid(child, PEEK), Err(Errno::CHILD))
}

/// How a child ended. `None` if it has not, or was reaped already. Leaves it a zombie, so the id of
/// its group is not reused.
fn status_of(child: WaitId<'_>) -> Option<ExitStatus> {
    let status = waitid(child, PEEK).ok()??;
    let signal = status.terminating_signal().map(ExitStatus::Signal);
    signal.or(status.exit_status().map(ExitStatus::Code))
}
