//! std and tokio.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::catch_unwind;
#[cfg(feature = "record")]
pub(crate) use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(feature = "record")]
pub(crate) use std::thread::Builder as ThreadBuilder;
use std::time::Duration;

pub(crate) use tokio::runtime::Handle;
pub(crate) use tokio::time::{Instant, Sleep};

/// A hash with a secret random key: SipHash, whose outputs do not tell further ones.
pub(crate) type Keys = RandomState;

/// A timer that runs on `runtime`. It may be polled on any other runtime, or on none.
pub(crate) fn sleep(runtime: &Handle, duration: Duration) -> Sleep {
    let _inside = runtime.enter();
    tokio::time::sleep(duration)
}

/// What the pool needs of a runtime and this one lacks, as `BuildError` names it.
///
/// tokio panics where a driver that is disabled is used, and has no other way to ask. The panic
/// hook runs, so what tokio says is printed.
pub(crate) fn lacks(runtime: &Handle) -> Option<&'static str> {
    let _inside = runtime.enter();
    if catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_err() {
        return Some("timers");
    }
    // That the pipe cannot be made, for want of descriptors, says nothing of the runtime.
    let pipe = catch_unwind(|| drop(tokio::net::unix::pipe::pipe()));
    pipe.is_err().then_some("I/O")
}

/// Marks a place where another thread may run although no lock is taken. Only the simulated runtime
/// needs the mark.
pub(crate) fn point() {}

/// A random seed.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The time since the Unix epoch.
#[cfg(feature = "record")]
pub(crate) fn unix_time() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}
