//! The pure core of [ostler](https://docs.rs/ostler-pool): the lifecycle of an external worker process, and every
//! decision of a pool of such workers.
//!
//! Most users want the crate `ostler-pool`, which drives this one with tokio and real processes and re-exports it.
//!
//! # The contract
//!
//! The core is *sans-IO*. It has no clock, no operating system, no randomness and no lock: it is `no_std`.
//!
//! - An **input** is a fact that happened: [`worker::Input`] for one worker, [`supervisor::Input`] for a pool.
//! - An **effect** is an order: [`worker::Effect`], [`supervisor::Effect`]. Each says which input answers it.
//! - Whoever drives the core **performs every effect, those about one worker in the order in which they were given**,
//!   and reports what comes of it.
//! - Timers are effects and inputs. Nothing here asks what time it is.
//! - What can come late carries a generation, and is recognised when it does.
//!
//! # The lifecycle of a worker
//!
//! Every phase against every input: the next phase, `~` for an input that comes late and changes nothing, `-` for a
//! typed rejection. Below it, each transition with what it orders. This text is generated from the machine; the
//! specification in `spec/` says the same, and `cargo test` compares the two in both directions.
//!
//! ```text
#![doc = include_str!("../docs/lifecycle.txt")]
//! ```

#![no_std]

extern crate alloc;

mod ids;
pub mod policy;
pub mod supervisor;
pub mod trace;
mod vocabulary;
pub mod worker;

pub use ids::{LeaseId, SessionId, WaiterId, WorkerId};
pub use policy::{InvalidOption, Policy};
pub use supervisor::Supervisor;
pub use worker::{Phase, PhaseSummary};
