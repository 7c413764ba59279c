//! Runs the real pool in a simulated world. Threads, time, processes, pipes, clients and operators
//! follow from one seed, and so does each failure.
//!
//! | file | what |
//! |---|---|
//! | `plan`, `lists`, `draw*`, `choices` | what a history does, drawn from a seed |
//! | `scheduler` | the order of all steps, and the passing of time |
//! | `world`, `port`, `process`, `pipe`, `scanner` | opener, ports, workers, pipes |
//! | `calls`, `batches` | what workers do with requests |
//! | `ledger` | what workers and clients saw |
//! | `client`, `maps` | clients and operators |
//! | `oracle`, `reports`, `wanted` | the judgement of what they are told |
//! | `audit` | the judgement of a pool in which nothing can run |
//! | `spec` | the judgement of the pool's record by the specification |
//! | `history` | one history, from the build of the pool to its last trace |
//! | `shrink` | a smaller plan that fails in the same way |
//! | `runs` | the tests |

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod audit;
mod batches;
mod calls;
mod choices;
mod client;
mod draw;
mod draw_batches;
mod draw_requests;
mod history;
mod ledger;
mod lists;
mod maps;
mod oracle;
mod patience;
mod pipe;
mod plan;
mod port;
mod process;
#[path = "../../../tests/suite/random.rs"]
mod random;
mod reports;
mod runs;
mod scanner;
mod scheduler;
mod sessions;
mod shrink;
mod spec;
#[allow(dead_code)]
#[path = "../../../check_trace/src/spec_files.rs"]
mod spec_files;
#[path = "../../../check_trace/src/spec_model.rs"]
mod spec_model;
#[allow(dead_code)]
#[path = "../../../check_trace/src/spec_support.rs"]
mod spec_support;
#[allow(dead_code)]
#[path = "../../../check_trace/src/trace_check.rs"]
mod trace_check;
#[path = "../../../check_trace/src/trace_claims.rs"]
mod trace_claims;
#[path = "../../../check_trace/src/trace_effects.rs"]
mod trace_effects;
#[allow(dead_code)]
#[path = "../../../check_trace/src/trace_mirror.rs"]
mod trace_mirror;
#[path = "../../../check_trace/src/trace_names.rs"]
mod trace_names;
mod wanted;
mod world;
