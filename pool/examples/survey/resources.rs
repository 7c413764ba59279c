//! The operating system's own books: what of the pool is still there, whatever the pool says.

use std::collections::HashSet;
use std::fs;

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// How many processes are children of this one, zombies included, or belong to one of the process groups `groups`.
pub(crate) fn processes(groups: &HashSet<u32>) -> usize {
    let me = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    entries
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            // The name may hold anything, also parentheses: what counts begins after the last one.
            let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(1);
            let parent: u32 = fields.next()?.parse().ok()?;
            let group: u32 = fields.next()?.parse().ok()?;
            (parent == me || groups.contains(&group)).then_some(())
        })
        .count()
}
