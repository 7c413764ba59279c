//! What the kernel allows for pipes.

use std::fs;

use rustix::param::page_size;

/// The largest capacity that an unprivileged process may give to a pipe, in bytes.
pub(in crate::process) fn max_size() -> Option<u64> {
    number("pipe-max-size")
}

/// What all pipes of an unprivileged user may hold before new ones get less, in bytes.
pub(in crate::process) fn quota() -> Option<u64> {
    number("pipe-user-pages-soft").map(bytes)
}

fn bytes(pages: u64) -> u64 {
    match pages {
        // No limit.
        0 => u64::MAX,
        _ => pages.saturating_mul(page_size() as u64),
    }
}

fn number(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P32: the limits are those of the kernel.
    #[test]
    fn the_limits_are_those_of_the_kernel() {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/fs/{name}")).unwrap();
        assert_eq!(format!("{}\n", max_size().unwrap()), read("pipe-max-size"));
        let pages = read("pipe-user-pages-soft").trim().parse().unwrap();
        assert_eq!(quota(), Some(bytes(pages)));
        assert_eq!([0, 3].map(bytes), [u64::MAX, 3 * page_size() as u64]);
    }
}
