//! Pools of external worker processes that leak nothing: no process, zombie, descriptor, slot or
//! waiter.
//!
//! # A first call
//!
//! ```
//! use ostler_pool::{Pool, Python};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Two Python processes, each running `math.factorial` on JSON values.
//!     let pool = Pool::builder(Python::function("math:factorial").json()).size(2).build()?;
//!     let factorial: u64 = pool.call_json(&10).await?;
//!     assert_eq!(factorial, 3_628_800);
//!     println!("{}", pool.shutdown().await);
//!     Ok(())
//! }
//! ```
//!
//! # How it works
//!
//! Every worker's life is a state machine in the crate `ostler`, whose transition table equals a
//! TLA+ specification cell by cell. This crate drives those machines: it performs their effects on
//! real processes, and feeds them what happens.
//!
//! # Cargo features
//!
//! - `json` (default): calls with JSON both ways.
//! - `serde`: [`Config`] can be read and written; statuses and reports can be written.
//! - `record`: [`Builder::record`](Builder) writes down every step of a pool, to be checked against
//!   the specification.
//! - `testing`: simulated workers, and checks for leaks.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod config;
mod driver;
mod error;
mod events;
mod lease;
mod operations;
mod pool;
pub mod port;
mod process;
mod python;
mod recorder;
mod rt;
#[cfg(feature = "serde")]
mod seconds;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use builder::Builder;
pub use config::Config;
pub use error::{
    BuildError, CallError, CheckoutError, JsonPart, Occupancy, ProtocolError, RemoteError, Report,
    RollingError, SessionError, StartError,
};
pub use events::{Events, Lagged, RecvError, TryRecvError};
pub use lease::{Lease, ReplyStream, Session};
pub use operations::{Drain, RollingRestart, Shutdown};
pub use ostler::supervisor::{Counters, DrainEnd, Event, Fault, Limit, Reason, Transition};
pub use ostler::worker::{Input as WorkerInput, Rung};
pub use ostler::{InvalidOption, Phase, PhaseSummary, WorkerId};
pub use pool::Pool;
pub use port::{Exit, ExitStatus, OpenError};
pub use process::{Program, Resource};
pub use python::Python;
pub use status::{PoolStatus, Probe, ShutdownReport, WorkerEnd, WorkerStatus};

/// Compiles and runs the examples of this package's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the examples of the repository's README, which the package does not contain.
#[cfg(all(doctest, ostler_workspace))]
#[doc = include_str!("../../README.md")]
struct RepositoryReadme;
