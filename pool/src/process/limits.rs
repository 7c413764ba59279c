//! What a worker's processes may use. Set from outside, after the spawn, so that the spawn stays a fast one.

use std::io;

use rustix::process::{Pid, setpriority_pgrp};

use super::system;
use crate::port::OpenError;

// The stack is not among them: an exec that is still under way would undo it.
/// Something of which each process of a worker may use only so much. See `getrlimit(2)` for what happens beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Bytes of address space. Beyond it, memory is refused: Python raises `MemoryError`. Programs that reserve far more
    /// than they use need room for that too.
    AddressSpace,
    /// Bytes of a core file. 0: none is written.
    Core,
    /// Seconds of processor time. Beyond it, the process is killed.
    CpuTime,
    /// Bytes of a file that is written. Beyond it, writing fails.
    FileSize,
    /// Open descriptors.
    OpenFiles,
    /// Processes and threads that the *user* has, those outside the pool included.
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

/// What `nice` ranges over.
const NICE: std::ops::RangeInclusive<i32> = -20..=19;

impl Limits {
    pub(super) fn check(&self) -> Result<(), OpenError> {
        match self.nice {
            Some(nice) if !NICE.contains(&nice) => Err(OpenError::Limit {
                option: "nice".to_owned(),
                value: nice.to_string(),
                reason: format!("allowed is {} to {}", NICE.start(), NICE.end()),
            }),
            _ => Ok(()),
        }
    }

    /// Applies them to a process that has just been spawned, and leads a group.
    pub(super) fn apply(&self, leader: Pid) -> Result<(), OpenError> {
        let failed = |option: &str, value: &dyn ToString, error: io::Error| OpenError::Limit {
            option: option.to_owned(),
            value: value.to_string(),
            reason: error.to_string(),
        };
        for (resource, most) in &self.resources {
            system::limit(leader, resource.of_system(), *most)
                .map_err(|error| failed(&format!("limit {resource:?}"), most, error))?;
        }
        if let Some(nice) = self.nice {
            // Of the group, because the kernel would take the process for its main thread.
            setpriority_pgrp(Some(leader), nice)
                .map_err(|error| failed("nice", &nice, error.into()))?;
        }
        Ok(())
    }
}
