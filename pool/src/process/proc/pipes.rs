//! What the kernel allows for pipes.

use std::fs;

use rustix::param::page_size;

/// The largest capacity that an unprivileged process may give to a pipe, in bytes.
pub(in crate::process) fn max_size() -> Option<u64> {
    number("pipe-max-size")
}

/// What all pipes of an unprivileged user may hold before new ones get less, in bytes.
pub(in crate::process) fn quota() -> Option<u64> {
    let pages = number("pipe-user-pages-soft")?;
    // 0 stands for no limit.
    Some(match pages {
        0 => u64::MAX,
        _ => pages.saturating_mul(page_size() as u64),
    })
}

fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?;
    text.trim().parse().ok()
}
