//! Random workers and clients, for `proptest`.
//!
//! ```
//! use ostler_pool::Pool;
//! use ostler_pool::testing::{Sim, strategies};
//! use proptest::prelude::*;
//!
//! # fn main() {
//! proptest!(ProptestConfig::with_cases(16), |(scripts in strategies::scripts(4), acts in strategies::acts(20))| {
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
//!     let sim = Sim::new(scripts);
//!     runtime.block_on(async {
//!         let pool = Pool::builder(sim.clone()).size(2).build().unwrap();
//!         for act in acts {
//!             act.perform(&pool).await;
//!         }
//!         pool.shutdown().await;
//!     });
//!     prop_assert_eq!(sim.books().open, 0);
//! });
//! # }
//! ```

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::timeout;

use super::Script;
use crate::Pool;

/// Something that a client or the owner of a pool does. What it asks of workers are words of [`Sim`](super::Sim), which to others
/// are requests like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// A call, to its end.
    Call(&'static str),
    /// A call that is dropped after so many milliseconds.
    Abandon(&'static str, u64),
    /// A checkout that is dropped after so many milliseconds, or the lease that it came to.
    Visit(u64),
    /// A call of one of three sessions.
    Session(u8, &'static str),
    /// The end of one of three sessions.
    EndSession(u8),
    /// One of the workers is to be replaced.
    Recycle(usize),
    /// All of them are.
    RecycleAll,
    /// The pool is to have so many.
    Resize(usize),
    /// No new clients for now.
    Drain,
    /// New clients again.
    Resume,
    /// So many milliseconds in which nobody does anything.
    Rest(u64),
}

impl Act {
    /// Does it. What comes of it is the pool's business, and is in its [`status`](Pool::status).
    pub async fn perform(self, pool: &Pool) {
        let millis = Duration::from_millis;
        match self {
            Self::Call(request) => drop(pool.call(request.as_bytes()).await),
            Self::Abandon(request, after) => {
                drop(timeout(millis(after), pool.call(request.as_bytes())).await);
            }
            Self::Visit(after) => drop(timeout(millis(after), pool.checkout()).await),
            Self::Session(which, request) => {
                if let Ok(session) = pool.session(&which.to_string()) {
                    drop(session.call(request.as_bytes()).await);
                }
            }
            Self::EndSession(which) => {
                if let Ok(session) = pool.session(&which.to_string()) {
                    session.end();
                }
            }
            Self::Recycle(which) => {
                if let Some(worker) = pool.status().workers.get(which) {
                    pool.recycle(worker.worker);
                }
            }
            Self::RecycleAll => drop(pool.recycle_all()),
            // A size that is not allowed is refused, and changes nothing.
            Self::Resize(size) => drop(pool.resize(size)),
            Self::Drain => drop(pool.drain()),
            Self::Resume => pool.resume(),
            Self::Rest(duration) => tokio::time::sleep(millis(duration)).await,
        }
    }
}

/// Up to so many acts. Most are calls, and most calls go well.
pub fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let bad = prop::sample::select(
        &[
            "hang",
            "raise",
            "exit",
            "answer and exit",
            "wrong id",
            "twice",
            "part",
            "garbage",
        ][..],
    );
    let request = prop_oneof![6 => Just("hello"), 1 => Just("think"), 3 => bad];
    let moment = 0..200u64;
    let act = prop_oneof![
        8 => request.clone().prop_map(Act::Call),
        3 => (request.clone(), moment.clone()).prop_map(|(request, after)| Act::Abandon(request, after)),
        2 => moment.clone().prop_map(Act::Visit),
        4 => (0..3u8, request).prop_map(|(which, request)| Act::Session(which, request)),
        1 => (0..3u8).prop_map(Act::EndSession),
        2 => (0..8usize).prop_map(Act::Recycle),
        1 => Just(Act::RecycleAll),
        1 => (1..6usize).prop_map(Act::Resize),
        1 => Just(Act::Drain),
        2 => Just(Act::Resume),
        2 => moment.prop_map(Act::Rest),
    ];
    vec(act, 0..=most)
}

/// The scripts of up to so many workers, one after the other. Those that follow are good.
pub fn scripts(most: usize) -> impl Strategy<Value = Vec<Script>> {
    let script = prop::sample::select(
        &[
            Script::Good,
            Script::Slow,
            Script::Unopenable,
            Script::Mute,
            Script::Deaf,
            Script::Unhealthy,
            Script::Stammering,
            Script::Babbling,
            Script::Fat,
            Script::Refuses,
            Script::ExitsAtOnce,
            Script::Stubborn,
        ][..],
    );
    vec(script, 0..=most)
}
