//! What the pool takes from its runtime: locks, tasks and time.
//!
//! They are std's and tokio's own. Under `cfg(shuttle)` they are simulated, so that one thread plays all of them in
//! whatever order a seed says: see `pool/tests/schedules/`.

#[cfg(not(shuttle))]
mod real;
#[cfg(shuttle)]
mod simulated;

#[cfg(not(shuttle))]
use self::real as chosen;
#[cfg(shuttle)]
use self::simulated as chosen;

pub(crate) use self::chosen::{Handle, Instant, Mutex, MutexGuard, Sleep, point, seed, sleep};
