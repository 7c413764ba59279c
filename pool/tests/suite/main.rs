//! The verification suite of the pool: one module per question.

mod acts;
mod calls;
mod cancels;
mod contract;
mod count;
mod endurance;
mod environment;
mod escapes;
mod fuzz;
#[path = "../../../fuzz/bodies/config.rs"]
mod fuzz_config;
#[path = "../../../fuzz/bodies/frames.rs"]
mod fuzz_frames;
mod health;
mod hostile;
mod hosts;
mod hosts_die;
mod intake;
mod interrupts;
mod languages;
mod monitoring;
mod options;
mod ports;
mod processes;
mod product;
mod programs;
mod protocol;
mod python;
mod recycling;
mod resources;
mod rig;
mod scenes;
mod sessions;
mod shutdown;
mod soak;
mod spawning;
mod starts;
mod starved;
mod streams;
mod taken;
mod timeline;
mod tracing;
mod waiting;
mod zygote;
mod zygote_dies;
