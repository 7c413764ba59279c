//! std and tokio.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
pub(crate) use std::sync::{Mutex, MutexGuard};
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

/// Marks a place where another thread may run although no lock is taken. Only the simulated runtime
/// needs the mark.
pub(crate) fn point() {}

/// A random seed.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
