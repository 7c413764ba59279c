//! What is asked of the operating system in one way on Linux, and in another elsewhere.
//!
//! Linux comes first. On other systems a worker's end is seen by `SIGCHLD`, its group is all that ends with it, and what needs
//! more than that is refused when the pool is built.

#[cfg(not(unix))]
compile_error!("ostler-pool needs Unix: process groups, and pipes that can be polled");

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use self::linux::{NO_SIGNAL, Watched, enlarge_pipe, kill_if, limit};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(not(target_os = "linux"))]
pub(super) use self::elsewhere::{NO_SIGNAL, Watched, enlarge_pipe, kill_if, limit};

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::port::ExitStatus;

/// Whether processes can be asked about in `/proc`, and held on to: what marks, sentinels and zygotes need.
pub(super) const IS_LINUX: bool = cfg!(target_os = "linux");

/// A look at a child that leaves it as it is.
const PEEK: WaitIdOptions = WaitIdOptions::EXITED
    .union(WaitIdOptions::NOWAIT)
    .union(WaitIdOptions::NOHANG);

/// Whether a child is there, alive or a zombie. It is not once it was collected, be it by somebody else in this process.
fn is_child(child: WaitId<'_>) -> bool {
    !matches!(waitid(child, PEEK), Err(Errno::CHILD))
}

/// How a child ended, if it has, and nobody has reaped it. It stays a zombie: as long as it is one, nobody else can get its
/// group's id.
fn status_of(child: WaitId<'_>) -> Option<ExitStatus> {
    let status = waitid(child, PEEK).ok()??;
    let signal = status.terminating_signal().map(ExitStatus::Signal);
    signal.or(status.exit_status().map(ExitStatus::Code))
}
