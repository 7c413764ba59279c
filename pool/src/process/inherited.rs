//! Descriptors that this process cannot keep from its children.

use std::fs;

/// `O_CLOEXEC` as `/proc` prints it.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Warns of descriptors that every worker will inherit, unless it closes them itself as the Python runtime does: those that
/// are not marked close-on-exec. What this crate opens is; others may not be, such as what a shell has left open.
///
/// They cannot be closed between fork and exec, where nothing of ours runs, and marking them would change what other
/// children of this process get.
pub(super) fn warn() {
    let names = fs::read_dir("/proc/self/fdinfo").into_iter().flatten();
    for name in names.flatten().map(|entry| entry.file_name()) {
        let fd = name.to_string_lossy();
        // The three that a worker gets pipes for.
        if matches!(&*fd, "0" | "1" | "2") || is_close_on_exec(&fd) != Some(false) {
            continue;
        }
        if let Ok(file) = fs::read_link(format!("/proc/self/fd/{fd}")) {
            let file = file.display();
            tracing::warn!(
                target: "ostler::pool", %fd, %file,
                "is not close-on-exec, and will be inherited by every worker"
            );
        }
    }
}

fn is_close_on_exec(fd: &str) -> Option<bool> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
    Some(flags & CLOSE_ON_EXEC != 0)
}
