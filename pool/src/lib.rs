//! Pools of external worker processes that leak nothing: no process, zombie, descriptor, slot or
//! waiter.
//!
//! A service in Rust keeps part of its work in other processes: a Python model, a converter, a
//! language server. This crate starts them, hands each call to an idle one, replaces the ones that
//! crash or age, and stops all of them.
//!
//! # A first call
//!
//! ```
//! use ostler_pool::{Pool, Python};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Two Python processes, each with `math` imported and waiting.
//!     let pool = Pool::builder(Python::function("math:factorial").json()).size(2).build()?;
//!     let factorial: u64 = pool.call_json(&10).await?;
//!     assert_eq!(factorial, 3_628_800);
//!     println!("{}", pool.shutdown().await);
//!     Ok(())
//! }
//! ```
//!
//! # Your own function
//!
//! A function is `module:function`. It takes one argument and returns its result: `bytes`, or with
//! [`Python::json`] any JSON value. A function `setup()` in its module runs before the worker
//! counts as ready. What the function prints goes to the log.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use ostler_pool::{Pool, Program, Python};
//!
//! # let directory = std::env::temp_dir().join(format!("ostler-docs-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! let module = "
//! def setup():
//!     global model
//!     model = {'cat': 'animal'}
//!
//! def classify(word):
//!     return model.get(word, 'unknown')
//! ";
//! std::fs::write(directory.join("classifier.py"), module)?;
//!
//! let python = Python::function("classifier:classify")
//!     .json()
//!     .path(&directory)
//!     .interpreter(Program::new("python3").env("OMP_NUM_THREADS", "1"));
//! let pool = Pool::builder(python).size(2).build()?;
//! let class: String = pool.call_json("cat").await?;
//! assert_eq!(class, "animal");
//! # pool.shutdown().await;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! [`Python::module`] runs several functions in one pool, with [handles](Function) that have types.
//!
//! In any other language, a worker is a [`Program`] that reads and writes frames: a length, a kind,
//! a request id and a body. `PROTOCOL.md` in this package defines them.
//!
//! # Sessions
//!
//! A [`Session`] binds a client to one worker, which may keep state for it. If that worker dies,
//! the next call returns [`SessionError::Lost`] with the reason. A session never moves silently.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # use ostler_pool::{Pool, Python};
//! let pool = Pool::builder(Python::function("os:getpgid").json()).size(2).build()?;
//! let session = pool.session("user 42")?;
//! let first: u32 = session.call_json(&0).await?;
//! let second: u32 = session.call_json(&0).await?;
//! assert_eq!(first, second, "both calls ran in the same process");
//! session.end();
//! # pool.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Streams
//!
//! A Python generator streams its reply. A client that reads slowly slows the worker down.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # use ostler_pool::{Pool, Python};
//! let pool = Pool::builder(Python::function("builtins:iter").json()).size(1).build()?;
//! let mut lease = pool.checkout().await?;
//! let mut reply = lease.stream("[1, 2, 3]")?;
//! let mut sum = 0;
//! while let Some(part) = reply.next_json::<u32>().await {
//!     sum += part?;
//! }
//! assert_eq!(sum, 6);
//! # drop(reply);
//! # drop(lease);
//! # pool.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Shutdown
//!
//! [`Pool::shutdown`] begins at once, lets calls under way finish, and stops every worker within
//! `shutdown_timeout`. Awaited, it returns a [`ShutdownReport`], at most 100 ms later. A pool that
//! is only dropped shuts down too.
//!
//! # Errors
//!
//! Each failure that a caller would treat differently has its own variant. `Display` prints one
//! line about one level, [`source`](std::error::Error::source) returns the next level, and `report`
//! prints all of them with the remote traceback and the worker's last lines of stderr. A call is
//! never repeated silently: [`CallError::request_written`] says whether the worker may have seen
//! the request.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # use ostler_pool::{Pool, Python};
//! let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
//! match pool.call_json::<_, f64>(&-1).await {
//!     Ok(root) => println!("{root}"),
//!     Err(error) if !error.request_written() => println!("safe to retry: {error}"),
//!     Err(error) => println!("{}", error.report()),
//! }
//! # pool.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # The guide
//!
//! [The guide](https://github.com/ostler-rs/ostler/blob/main/docs/guide/README.md) has a chapter for
//! each question: a first call, environments, sessions, streams, web services, sizing, failure
//! modes, testing, operating, and how this crate compares with others.
//!
//! # Testing
//!
//! The feature `testing` has simulated workers for a paused clock, checks for leaked processes and
//! descriptors, and the contract of a [`port`] as one call. The feature `record` writes down every
//! step of a pool, to be checked against the specification.
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
//! - `serde`: [`Config`] can be read from files and the environment, and written; statuses and
//!   reports can be written.
//! - `signals`: `Pool::shutdown_on_signals`, for `SIGTERM` and Ctrl-C.
//! - `tower`: `Pool::service`, a `tower::Service` whose readiness is a leased worker.
//! - `record`: `Builder::record`, which writes down every step of a pool.
//! - `timeline`: `Timeline`, which draws what a pool did.
//! - `metrics`: counters, gauges and histograms for the recorder of the crate `metrics`.
//! - `testing`: means for tests, see above.

#![cfg_attr(docsrs, feature(doc_cfg))]

// Gives every test a time limit, and is `tokio` otherwise. The package does not contain it: there,
// unlike in the repository, the tests do not turn the feature on.
#[cfg(all(test, feature = "testing"))]
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod builder;
mod config;
mod driver;
mod end;
mod error;
mod events;
#[cfg(feature = "json")]
mod function;
mod lease;
mod map;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
mod metrics;
mod operations;
mod pool;
pub mod port;
mod process;
mod python;
mod ready;
mod recorder;
mod request;
#[cfg(not(shuttle))]
mod rt;
#[cfg(shuttle)]
pub mod rt;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(feature = "tower")]
mod service;
#[cfg(feature = "signals")]
mod signals;
mod status;
mod stderr;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
#[cfg(feature = "timeline")]
mod timeline;
mod transport;

pub use builder::Builder;
#[cfg(feature = "serde")]
pub use config::EnvError;
pub use config::{AbandonedCalls, Config};
pub use end::WorkerEnd;
pub use error::{
    BuildError, CallError, CheckoutError, JsonPart, Occupancy, ProtocolError, RemoteError, Report,
    RollingError, SessionError, StartError,
};
pub use events::{Events, Lagged, RecvError, TryRecvError};
#[cfg(feature = "json")]
pub use function::Function;
#[cfg(feature = "json")]
pub use lease::JsonStream;
pub use lease::{Iter, Lease, Map, MapUnordered, ReplyStream, Session};
pub use operations::{Drain, RollingRestart, Shutdown};
pub use ostler::supervisor::{Counters, DrainEnd, Event, Fault, Limit, Reason, Transition};
pub use ostler::worker::{Input as WorkerInput, Rung};
pub use ostler::{InvalidOption, Phase, PhaseSummary, WorkerId};
pub use pool::Pool;
pub use port::{Exit, ExitStatus, OpenError, SurvivalReason, Survivor};
pub use process::{Program, Resource};
pub use python::Python;
pub use request::Request;
#[cfg(all(feature = "tower", feature = "json"))]
pub use service::JsonService;
#[cfg(feature = "tower")]
pub use service::PoolService;
#[cfg(feature = "signals")]
pub use signals::SignalShutdown;
pub use status::{AbandonedPort, PoolStatus, Probe, ShutdownReport, WorkerStatus};
pub use stderr::Stderr;
#[cfg(feature = "timeline")]
pub use timeline::{Timeline, TraceError};

/// Compiles and runs the examples of this package's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the examples of the repository's README and `docs/`, which the package does
/// not contain.
#[cfg(all(doctest, ostler_workspace))]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/sessions.md")]
#[doc = include_str!("../../docs/workers.md")]
#[doc = include_str!("../../docs/guide/first-call.md")]
#[doc = include_str!("../../docs/testing.md")]
#[doc = include_str!("../../docs/guide/migration.md")]
#[doc = include_str!("../../docs/options.md")]
struct RepositoryReadme;
