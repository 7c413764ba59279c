//! The locks, tasks, threads and timers that the pool uses.
//!
//! Normally these are the types of std and tokio. Under `cfg(shuttle)` they are simulated: one
//! thread runs all tasks in an order that follows from a seed. See `pool/simulation/`.

#[cfg(not(shuttle))]
mod real;
#[cfg(shuttle)]
pub mod simulated;

#[cfg(not(shuttle))]
use self::real as chosen;
#[cfg(shuttle)]
use self::simulated as chosen;

pub(crate) use self::chosen::{
    Handle, Instant, Keys, Mutex, MutexGuard, Sleep, lacks, point, seed, sleep,
};
#[cfg(feature = "record")]
pub(crate) use self::chosen::{Receiver, SyncSender, ThreadBuilder, sync_channel, unix_time};
