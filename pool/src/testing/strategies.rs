//! Random faults, worker scripts and client actions, for `proptest`.
//!
//! [`faults`] make the calls of an application fail: workers exit, raise errors, hang and answer
//! late. [`scripts`] concern the start and the health of workers, and [`actions`] are what other
//! clients and operators do. They do not fail the application's own calls, so use them together
//! with `faults`.
//!
//! A retry, tested with random faults in its calls:
//!
//! ```
//! use ostler_pool::testing::{Answer, Sim, strategies};
//! use ostler_pool::{CallError, Pool};
//! use proptest::prelude::*;
//!
//! // What is tested: each request is tried up to five times.
//! async fn square(pool: &Pool, n: u64) -> Result<u64, CallError> {
//!     for _ in 1..5 {
//!         if let Ok(square) = pool.call_json(&n).await {
//!             return Ok(square);
//!         }
//!     }
//!     pool.call_json(&n).await
//! }
//!
//! # fn main() {
//! // Four faults at most, so the fifth attempt succeeds.
//! proptest!(|(faults in strategies::faults(4))| {
//!     let mut runtime = tokio::runtime::Builder::new_current_thread();
//!     let runtime = runtime.enable_all().start_paused(true).build()?;
//!     let sim = Sim::answering(|_, request| {
//!         let n: u64 = request.json();
//!         Answer::json(&(n * n))
//!     });
//!     let square = runtime.block_on(async {
//!         let pool = Pool::builder(sim.faults(faults)).size(2).build().unwrap();
//!         square(&pool, 7).await
//!     });
//!     prop_assert_eq!(square.unwrap(), 49);
//! });
//! # }
//! ```
//!
//! A pool with random workers and random clients:
//!
//! ```
//! use ostler_pool::Pool;
//! use ostler_pool::testing::{Sim, strategies};
//! use proptest::prelude::*;
//!
//! # fn main() {
//! proptest!(
//!     ProptestConfig::with_cases(16),
//!     |(scripts in strategies::scripts(4), actions in strategies::actions(20))| {
//!         let mut runtime = tokio::runtime::Builder::new_current_thread();
//!         let runtime = runtime.enable_all().start_paused(true).build()?;
//!         let sim = Sim::new(scripts);
//!         runtime.block_on(async {
//!             let pool = Pool::builder(sim.clone()).size(2).build().unwrap();
//!             for action in actions {
//!                 action.perform(&pool).await;
//!             }
//!             pool.shutdown().await;
//!         });
//!         prop_assert_eq!(sim.stats().open, 0);
//!     }
//! );
//! # }
//! ```

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::timeout;

use super::{Fault, Script};
use crate::Pool;

/// Something that a client or the owner of a pool does. Times are in milliseconds.
///
/// The requests are those that a [`Sim`](super::Sim) understands. Other workers receive them as
/// ordinary bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Calls and waits for the outcome.
    Call(&'static str),
    /// Calls, and drops the call after this time if it is still pending.
    DropCall(&'static str, u64),
    /// Checks out a worker and returns it at once, or drops the checkout after this time if it is
    /// still pending.
    DropCheckout(u64),
    /// Calls in the session with this number.
    SessionCall(u8, &'static str),
    /// Ends the session with this number.
    EndSession(u8),
    /// Recycles the worker at this index of the status, if there is one.
    Recycle(usize),
    /// Starts a rolling restart.
    RecycleAll,
    /// Resizes the pool.
    Resize(usize),
    /// Starts a drain.
    Drain,
    /// Resumes the pool.
    Resume,
    /// Sleeps for this time.
    Sleep(u64),
}

impl Action {
    /// Performs the action and discards its outcome; check [`Pool::status`] afterwards.
    pub async fn perform(self, pool: &Pool) {
        let millis = Duration::from_millis;
        match self {
            Self::Call(request) => drop(pool.call(request.as_bytes()).await),
            Self::DropCall(request, after) => {
                drop(timeout(millis(after), pool.call(request.as_bytes())).await);
            }
            Self::DropCheckout(after) => drop(timeout(millis(after), pool.checkout()).await),
            Self::SessionCall(number, request) => {
                if let Ok(session) = pool.session(&number.to_string()) {
                    drop(session.call(request.as_bytes()).await);
                }
            }
            Self::EndSession(number) => {
                if let Ok(session) = pool.session(&number.to_string()) {
                    session.end();
                }
            }
            Self::Recycle(index) => {
                if let Some(worker) = pool.status().workers.get(index) {
                    pool.recycle(worker.worker);
                }
            }
            Self::RecycleAll => drop(pool.recycle_all()),
            // The pool rejects an invalid size and changes nothing.
            Self::Resize(size) => drop(pool.resize(size)),
            Self::Drain => drop(pool.drain()),
            Self::Resume => pool.resume(),
            Self::Sleep(duration) => tokio::time::sleep(millis(duration)).await,
        }
    }
}

/// Up to `max` actions, in three sessions at most. Most are calls, and most calls succeed.
///
/// After a [`Drain`](Action::Drain), every client is refused until a [`Resume`](Action::Resume);
/// [`actions_without_drain`] has neither.
pub fn actions(max: usize) -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        23 => action(),
        1 => Just(Action::Drain),
        2 => Just(Action::Resume),
    ];
    vec(action, 0..=max)
}

/// As [`actions`], without [`Drain`](Action::Drain) and [`Resume`](Action::Resume), so that the
/// pool accepts the calls of an application all the time.
pub fn actions_without_drain(max: usize) -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 0..=max)
}

/// An action, in the proportions of the weights, which add up to 23.
fn action() -> impl Strategy<Value = Action> {
    let failing = prop::sample::select(
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
    let request = prop_oneof![6 => Just("hello"), 1 => Just("think"), 3 => failing];
    let millis = 0..200u64;
    prop_oneof![
        8 => request.clone().prop_map(Action::Call),
        3 => (request.clone(), millis.clone()).prop_map(|(name, ms)| Action::DropCall(name, ms)),
        2 => millis.clone().prop_map(Action::DropCheckout),
        4 => (0..3u8, request).prop_map(|(number, request)| Action::SessionCall(number, request)),
        1 => (0..3u8).prop_map(Action::EndSession),
        2 => (0..8usize).prop_map(Action::Recycle),
        1 => Just(Action::RecycleAll),
        1 => (1..6usize).prop_map(Action::Resize),
        2 => millis.prop_map(Action::Sleep),
    ]
}

/// For [`Sim::faults`](super::Sim::faults): what goes wrong with the first `max` requests at most.
///
/// Half of the requests meet a fault, of each kind equally often. Delays are between 0 and 60 s:
/// with the default `call_timeout`, half of them time out. A worker that has crashed repeatedly is
/// replaced after a backoff; raise `checkout_timeout` above `restart_backoff_max` if no call may
/// fail for lack of a worker. Shrinks to fewer faults.
pub fn faults(max: usize) -> impl Strategy<Value = Vec<Option<Fault>>> {
    let delay = (0..60_000u64).prop_map(|ms| Fault::Delay(Duration::from_millis(ms)));
    let fault = prop_oneof![
        Just(Fault::Raise),
        Just(Fault::Crash),
        Just(Fault::CrashAfterwards),
        Just(Fault::Hang),
        delay,
    ];
    vec(proptest::option::of(fault), 0..=max)
}

/// Scripts for up to `max` workers. Later workers are [`Good`](Script::Good).
///
/// Leaves out [`OpenPanics`](Script::OpenPanics), which prints a panic message, and
/// [`NeverReleased`](Script::NeverReleased) and [`Unkillable`](Script::Unkillable), whose ports are
/// still open after the shutdown.
pub fn scripts(max: usize) -> impl Strategy<Value = Vec<Script>> {
    let script = prop::sample::select(
        &[
            Script::Good,
            Script::SlowStart,
            Script::OpenFails,
            Script::NoHandshake,
            Script::IgnoresPings,
            Script::Unhealthy,
            Script::DoublePong,
            Script::WrongPong,
            Script::LargeMemory,
            Script::StartFails,
            Script::ExitsAtStart,
            Script::IgnoresStop,
        ][..],
    );
    vec(script, 0..=max)
}
