//! The memory that a worker shares with this process: a file without a name (memfd).
//!
//! The worker opens it through `/proc`, because a spawned process inherits no descriptor but its
//! three pipes: that would take a `pre_exec`, or a moment in which every other child inherits it,
//! too. A zygote's workers open it in the same way.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, MetadataExt as _};
use std::process;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::system::create_memory;
use crate::port::{Memory, SharedMemory};

impl Memory for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, bytes: &mut Vec<u8>, count: usize, offset: u64) -> io::Result<usize> {
        // This reads into memory that was not cleared, other than `FileExt::read_at`.
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.take(count as u64).read_to_end(bytes)
    }
}

/// Creates the shared memory of a worker, for bodies of up to `limit` bytes. The system provides
/// memory only for what is written.
pub(super) fn create(limit: u64) -> io::Result<SharedMemory> {
    let (area, size) = SharedMemory::sizes(limit);
    // Beyond this limit, the kernel would send this process a signal that ends it.
    if getrlimit(Resource::Fsize)
        .current
        .is_some_and(|most| most < size)
    {
        return Err(Errno::FBIG.into());
    }
    let file = File::from(create_memory(size)?);
    Ok(SharedMemory {
        process: process::id(),
        descriptor: file.as_raw_fd().cast_unsigned(),
        inode: file.metadata()?.ino(),
        memory: Box::new(file),
        area,
    })
}
