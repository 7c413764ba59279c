//! The test suite of the pool: one module per question.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

mod abandoned;
mod acts;
mod answering;
mod application_faults;
mod batches;
mod beginner;
mod breaches;
mod callbacks;
mod calls;
mod cancels;
mod contract;
mod contract_processes;
mod count;
mod drawings;
mod endurance;
mod environment;
mod errors;
mod escapes;
mod exceptions;
mod forks;
mod functions;
mod fuzz;
#[path = "../../../fuzz/bodies/config.rs"]
mod fuzz_config;
#[path = "../../../fuzz/bodies/frames.rs"]
mod fuzz_frames;
mod handed_out;
mod health;
mod host_exits;
mod hostile;
mod hosts;
mod hosts_die;
mod intake;
mod interpreters;
mod interrupts;
mod ladder;
mod languages;
mod leftovers;
mod map_bounds;
mod maps;
mod monitoring;
mod onlookers;
mod operations;
mod options;
mod pipe_ends;
mod port_ends;
mod ports;
mod positions;
mod process_logs;
mod processes;
mod product;
mod programs;
mod protocol;
mod puppets;
mod python;
mod python_acts;
mod quiet;
mod random_clients;
mod readiness;
mod reaped_elsewhere;
mod recycling;
mod releases;
mod reports;
mod requests;
mod resources;
mod retrying;
mod rig;
mod runtime;
mod runtimes;
mod scenes;
mod second_run;
mod sentinels;
mod serialized;
mod services;
mod sessions;
mod shared;
mod shown;
mod shutdown;
mod signals;
mod soak;
mod spans;
mod spawning;
mod starts;
mod starved;
mod stderr_routes;
mod stop_signals;
mod streams;
mod time_limits;
mod timeline;
mod together;
mod top;
mod tracing;
mod waiting;
mod whose;
mod worker_ends;
mod zygote;
mod zygote_dies;
mod zygote_modules;

/// Cancels abandoned calls, if there is a grace.
fn cancel(grace: impl Into<Option<std::time::Duration>>) -> ostler_pool::AbandonedCalls {
    (grace.into()).map_or_else(Default::default, ostler_pool::AbandonedCalls::Cancel)
}
