//! The verification suite of the core: one module per question.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod beside;
#[path = "../../check_trace/src/counterexample.rs"]
mod counterexample;
mod derived_table;
mod edges;
mod edges_drive;
mod edges_graph;
mod edges_reason;
mod fuzz;
#[path = "../../fuzz/bodies/supervisor_events.rs"]
mod fuzz_supervisor_events;
#[path = "../../fuzz/bodies/worker_inputs.rs"]
mod fuzz_worker_inputs;
mod graph;
mod graph_explore;
mod graph_node;
mod graph_step;
mod induct;
mod induct_actions;
mod induct_edits;
mod induct_equal;
mod induct_formula;
mod induct_goal;
mod induct_linear;
mod induct_members;
mod induct_patterns;
mod induct_prove;
mod induct_sets;
mod induct_source;
mod induct_state;
mod induct_tell;
mod induct_tie;
mod induct_translate;
mod induct_value;
mod induct_witness;
mod jitter;
mod links;
mod model;
mod model_actions;
mod model_effects;
mod model_inputs;
mod model_leases;
mod model_positions;
mod model_random;
mod model_settle;
mod model_tally;
mod policy;
mod random;
#[path = "../../check_trace/src/regression.rs"]
mod regression;
#[rustfmt::skip]
mod regression_counterexample;
#[rustfmt::skip]
mod regression_record;
#[rustfmt::skip]
mod regression_wrong_record;
mod regressions;
mod render_table;
#[path = "../../check_trace/src/shown.rs"]
mod shown;
mod spec_checks;
mod spec_fairness;
#[path = "../../check_trace/src/spec_files.rs"]
mod spec_files;
mod spec_graph;
mod spec_histories;
#[path = "../../check_trace/src/spec_model.rs"]
mod spec_model;
mod spec_mutants;
mod spec_pool;
mod spec_reach;
mod spec_reference;
#[path = "../../check_trace/src/spec_support.rs"]
mod spec_support;
mod spec_tie;
mod supervisor;
mod supervisor_ends;
mod supervisor_positions;
mod supervisor_random;
mod supervisor_restarts;
mod table;
mod tidy;
mod trace;
#[path = "../../check_trace/src/trace_check.rs"]
mod trace_check;
#[path = "../../check_trace/src/trace_claims.rs"]
mod trace_claims;
#[path = "../../check_trace/src/trace_effects.rs"]
mod trace_effects;
#[path = "../../check_trace/src/trace_inputs.rs"]
mod trace_inputs;
#[path = "../../check_trace/src/trace_mirror.rs"]
mod trace_mirror;
#[path = "../../check_trace/src/trace_names.rs"]
mod trace_names;
mod trace_pool;
mod trace_tampered;
mod words;
mod world;
mod world_checks;
mod world_port;
