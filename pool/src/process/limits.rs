//! Limits on a worker's processes. They are set from outside, after the spawn, so that the spawn
//! needs no code between fork and exec.

use std::io;
use std::sync::Arc;

use rustix::process::{Pid, setpriority_pgrp};

use super::system;
use crate::port::OpenError;

// The stack is missing: an `execve` that is still under way would undo its limit.
/// A resource that [`Program::limit`](crate::Program::limit) limits for each process of a worker.
/// `getrlimit(2)` describes what happens at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Address space, in bytes. Beyond it, allocations fail: Python raises `MemoryError`. Programs
    /// that reserve far more than they use need room for the reservation.
    AddressSpace,
    /// The size of a core file, in bytes. 0 writes none.
    Core,
    /// Processor time, in seconds. Beyond it, the kernel kills the process.
    CpuTime,
    /// The size of a file that the process writes, in bytes. Beyond it, writes fail.
    FileSize,
    /// Open descriptors.
    OpenFiles,
    /// Processes and threads of the *user*, including those outside the pool.
    Processes,
}

impl Resource {
    fn of_system(self) -> rustix::process::Resource {
        use rustix::process::Resource;
        match self {
            Self::AddressSpace => Resource::As,
            Self::Core => Resource::Core,
            Self::CpuTime => Resource::Cpu,
            Self::FileSize => Resource::Fsize,
            Self::OpenFiles => Resource::Nofile,
            Self::Processes => Resource::Nproc,
        }
    }
}

/// The limits of one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) nice: Option<i32>,
    pub(super) resources: Vec<(Resource, u64)>,
}

const NICE: std::ops::RangeInclusive<i32> = -20..=19;

impl Limits {
    /// Checks what can be checked before a process exists.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        match self.nice {
            Some(nice) if !NICE.contains(&nice) => Err(OpenError::OutOfRange {
                option: "nice",
                value: nice.to_string(),
                allowed: format!("{} to {}", NICE.start(), NICE.end()),
            }),
            _ => Ok(()),
        }
    }

    /// Applies the limits to a process that has just been spawned and leads a group.
    pub(super) fn apply(&self, leader: Pid) -> Result<(), OpenError> {
        let refused = |option: String, value: &dyn ToString, error: io::Error| OpenError::Limit {
            option,
            value: value.to_string(),
            source: Arc::new(error),
        };
        for (resource, limit) in &self.resources {
            system::limit(leader, resource.of_system(), *limit)
                .map_err(|error| refused(format!("limit({resource:?})"), limit, error))?;
        }
        if let Some(nice) = self.nice {
            // For the group: for the process, Linux would set that of its main thread only.
            setpriority_pgrp(Some(leader), nice)
                .map_err(|error| refused("nice".to_owned(), &nice, error.into()))?;
        }
        Ok(())
    }
}
