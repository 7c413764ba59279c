//! The verification suite of the pool: one module per question.

mod books;
mod calls;
mod count;
mod environment;
mod escapes;
mod health;
mod hosts;
mod intake;
mod menagerie;
mod options;
mod ports;
mod processes;
mod procfs;
mod programs;
mod python;
mod recycling;
mod rig;
mod sessions;
mod shutdown;
mod sim;
mod starts;
mod timeline;
mod tracing;
mod upkeep;
mod waiting;
mod zygote;
