//! What `/proc` says about processes. Each file of it that the pool reads is parsed in one place.

pub(super) mod fds;
pub(super) mod memory;
#[cfg(target_os = "linux")]
pub(super) mod pipes;
pub(super) mod signals;
pub(super) mod stat;
pub(super) mod table;
