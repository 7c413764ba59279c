//! The port to a real process: a child that leads its own process group, its pipes, and its end.
//!
//! Every system call of the pool that concerns a process is made in this folder. The folder knows
//! neither phases nor frames. Its files depend on one another in one direction:
//!
//! ```text
//! launcher ─► zygote ─► spawn ─► child ─► leader ─► release ─► tree ─► proc, system
//!                         │        └────► pipes
//!                         └────► program ─► position, scope ─► sentinel
//! ```

mod child;
mod find;
mod launcher;
mod leader;
mod limits;
mod log_record;
mod pipes;
mod position;
mod proc;
mod program;
mod release;
mod scope;
mod sentinel;
mod shared;
mod spawn;
mod stderr;
mod system;
mod tree;
mod zygote;

pub use self::limits::Resource;
pub(crate) use self::position::PositionEnv;
#[cfg(feature = "testing")]
pub(crate) use self::proc::stat::Stat;
pub use self::program::Program;
