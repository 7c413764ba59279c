//! The core of [ostler](https://docs.rs/ostler-pool): the lifecycle of one external worker process,
//! and every decision about a pool of workers.
//!
//! To run a pool, use the crate `ostler-pool`: it drives this crate with tokio and real processes.
//! Use this crate directly to write another driver, or to simulate a pool.
//!
//! # The contract
//!
//! This crate is sans-IO and `no_std`. It has no clock, no randomness and no locks, and performs no
//! I/O. [`Supervisor`] is the state machine of a pool; [`worker::Worker`] is that of one worker.
//!
//! - An **input** is a fact that happened: [`supervisor::Input`] about a pool, [`worker::Input`]
//!   about one worker.
//! - An **effect** is an order: [`supervisor::Effect`], [`worker::Effect`]. Each names the input
//!   that answers it.
//! - A **driver** feeds inputs and performs effects. **It must perform every effect, and the
//!   effects of one worker in the order given.**
//! - Timers are effects, and their expiries are inputs. The core never asks for the time.
//! - Inputs that can arrive late name the generation of their subject. A late input is counted and
//!   has no other effect.
//! - An input that cannot be true of its worker is rejected with an error. That is a defect in the
//!   driver; the core is unchanged and goes on.
//!
//! # The lifecycle of a worker
//!
//! The first table gives the next phase for each phase and input: `~` is a late input, which is
//! accepted and changes nothing, and `-` is a typed rejection. The second table gives the effects
//! of each transition.
//!
//! Both are derived from the machine. `cargo test` compares them with the TLA+ specification in
//! `spec/`, cell by cell and in both directions.
//!
//! ```text
#![doc = include_str!("../docs/lifecycle.txt")]
//! ```

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
// Gives every test a time limit. The package does not contain it: there, unlike in the repository,
// the tests do not turn the feature on.
#[cfg(all(test, feature = "serde"))]
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod clients;
mod ids;
pub mod policy;
pub mod supervisor;
pub mod trace;
mod vocabulary;
pub mod worker;

pub use clients::Clients;
pub use ids::{LeaseId, SessionId, WaiterId, WorkerId};
pub use policy::{InvalidOption, Policy};
pub use supervisor::Supervisor;
pub use worker::{Phase, PhaseSummary};
