//! The verification suite of the core: one module per question.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod beside;
mod derived_table;
mod fuzz;
#[path = "../../fuzz/bodies/supervisor_events.rs"]
mod fuzz_supervisor_events;
#[path = "../../fuzz/bodies/worker_inputs.rs"]
mod fuzz_worker_inputs;
mod graph;
mod graph_explore;
mod graph_node;
mod graph_step;
mod jitter;
mod model;
mod model_actions;
mod model_effects;
mod model_inputs;
mod model_leases;
mod model_random;
mod model_settle;
mod model_tally;
mod policy;
mod random;
mod render_table;
mod spec_checks;
mod spec_files;
mod spec_model;
mod spec_mutants;
mod spec_pool;
mod spec_reach;
mod spec_reference;
mod spec_support;
mod spec_tie;
mod supervisor;
mod supervisor_ends;
mod supervisor_random;
mod supervisor_restarts;
mod table;
mod tidy;
mod trace;
mod trace_check;
mod trace_claims;
mod trace_effects;
mod trace_mirror;
mod trace_names;
mod trace_pool;
mod trace_tampered;
mod words;
mod world;
mod world_checks;
mod world_port;
