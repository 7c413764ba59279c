//! Counts processes and descriptors independently of the pool, to show what the pool leaked.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use ostler_pool::testing::Process;

/// The number of descriptors that this process has open. 0 on systems without `/proc`.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The number of processes, zombies included, that are children of this one or belong to one of the
/// process groups `groups`. 0 on systems without `/proc`.
pub(crate) fn processes(groups: &HashSet<u32>) -> usize {
    if !Path::new("/proc/self/stat").exists() {
        return 0;
    }
    let me = std::process::id();
    Process::all()
        .iter()
        .filter(|process| process.parent == me || groups.contains(&process.group))
        .count()
}
