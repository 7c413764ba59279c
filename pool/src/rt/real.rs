//! The runtime as it is.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
pub(crate) use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

pub(crate) use tokio::runtime::Handle;
pub(crate) use tokio::time::{Instant, Sleep};

/// A timer of `runtime`, which may be polled from any other.
pub(crate) fn sleep(runtime: &Handle, duration: Duration) -> Sleep {
    let _inside = runtime.enter();
    tokio::time::sleep(duration)
}

/// Where another thread may come in between without a lock that shows it. Here it needs no invitation.
pub(crate) fn point() {}

/// A number that nobody knew before.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
