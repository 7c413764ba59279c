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

use super::system::{create_memory, free_memory};
use crate::port::{Memory, SharedMemory};

impl Memory for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, bytes: &mut Vec<u8>, count: usize, offset: u64) -> io::Result<usize> {
        // Unlike `FileExt::read_at`, this does not clear the memory that it reads into.
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.take(count as u64).read_to_end(bytes)
    }

    fn free(&self, offset: u64, count: u64) -> io::Result<()> {
        free_memory(self, offset, count)
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// M1: the memory holds what was written until it is freed, and no process can resize it.
    #[test]
    fn memory_is_allocated_as_it_is_written() {
        let shared = create((1 << 20) - 1).unwrap();
        assert_eq!(shared.area, 1 << 20);
        let path = format!("/proc/{}/fd/{}", shared.process, shared.descriptor);
        let file = File::options().write(true).open(path).unwrap();
        let held = || file.metadata().unwrap().blocks() * 512;
        assert_eq!((file.metadata().unwrap().ino(), held()), (shared.inode, 0));
        assert_eq!(
            shared.memory.write_at(&[7; 100_000], 1 << 20).unwrap(),
            100_000
        );
        assert!((100_000..200_000).contains(&held()), "{}", held());
        let mut read = vec![1];
        assert_eq!(
            shared
                .memory
                .read_at(&mut read, 3, (1 << 20) + 99_998)
                .unwrap(),
            3
        );
        assert_eq!(read, [1, 7, 7, 0]);
        shared.memory.free(0, 2 << 20).unwrap();
        assert_eq!(held(), 0);
        for size in [0, 4 << 20] {
            let refused = file.set_len(size).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }
    }
}
