//! Pools of external worker processes for Rust that leak nothing: not a process, a zombie, a descriptor, a slot or a
//! waiter.
//!
//! ```
//! use ostler_pool::{Pool, Python};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Two Python processes, each running `math.factorial` on what comes in as JSON.
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
//! Every worker's life is a state machine in the crate [`ostler`], whose transition table equals a TLA+ specification
//! cell by cell. This crate drives those machines: it performs what they order on real processes and tells them what
//! happens. It makes no decision of its own.
//!
//! # Cargo features
//!
//! - `json` (default): [`Pool::call_json`], [`Lease::call_json`] and [`Parts::next_json`].
//! - `testing`: simulated workers, and means to look for what is left behind.
//! - `record`: `Builder::record`, which writes down every step of a pool, to be checked against the specification.

mod builder;
mod client;
mod codec;
mod driver;
mod error;
mod events;
mod lease;
mod pool;
mod port;
mod process;
mod python;
mod recorder;
mod rt;
mod session;
mod status;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use builder::Builder;
pub use error::{
    BuildError, CallError, CheckoutError, Occupancy, RemoteError, RollingError, StartError,
};
pub use events::{EventError, Events};
pub use lease::{Lease, Parts};
pub use ostler::{self, InvalidOption, Phase, PhaseSummary, WorkerId};
pub use pool::Pool;
pub use port::{BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release, STDERR_TAIL};
pub use process::{Program, Resource};
pub use python::Python;
pub use session::Session;
pub use status::{PoolStatus, Probe, ShutdownReport, WorkerEnd, WorkerStatus};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
