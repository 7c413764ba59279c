//! Memory that a worker shares with this process, for large requests and replies.

use std::fmt;
use std::io;

/// The size of the shared memory is a multiple of this, in bytes, because a mapping begins at a
/// page, and no system has larger pages.
const PAGE: u64 = 64 * 1024;

/// Reads and writes memory without mapping it, so that a worker that writes at the wrong moment
/// cannot break the rules of Rust.
pub(crate) trait Memory: Send {
    /// Writes some of `bytes` at `offset`. Returns how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads `count` bytes from `offset` and appends them to `bytes`. Returns how many it read.
    fn read_at(&self, bytes: &mut Vec<u8>, count: usize, offset: u64) -> io::Result<usize>;

    /// Gives `count` bytes from `offset` back to the system. They are 0 from then on.
    fn free(&self, offset: u64, count: u64) -> io::Result<()>;
}

/// The shared memory of one worker: an area for requests, one for replies, and the worker's state.
pub(crate) struct SharedMemory {
    /// What it is read and written through. Its drop frees the memory, once the worker's mapping is
    /// gone too.
    pub(crate) memory: Box<dyn Memory>,
    /// Where the worker finds it: the process, its descriptor, and the number of the file.
    pub(crate) process: u32,
    pub(crate) descriptor: u32,
    pub(crate) inode: u64,
    /// The size of an area, in bytes.
    pub(crate) area: u64,
}

impl SharedMemory {
    /// The size of the areas that have room for bodies of `limit` bytes, and of the whole.
    pub(crate) fn sizes(limit: u64) -> (u64, u64) {
        let area = limit.next_multiple_of(PAGE);
        (area, 2 * area + PAGE)
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").finish_non_exhaustive()
    }
}
