//! The real port: a child process in a group of its own, its pipes, and the end of all of it.
//!
//! Every system call of the pool is made in this folder. It knows neither phases nor frames.

mod cgroup;
mod child;
mod family;
mod find;
mod group;
mod inherited;
mod leader;
mod limits;
mod mark;
mod memory;
mod program;
mod sentinel;
mod site;
mod spawn;
mod stderr;
mod system;
mod zygote;

pub use limits::Resource;
pub use program::Program;
