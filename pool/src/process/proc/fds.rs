//! The descriptors of this process that its children inherit.

use std::fs;

/// `O_CLOEXEC` as `/proc` prints it.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Warns about descriptors that are not close-on-exec: every worker inherits them, unless it closes
/// them itself, as the Python runtime does. This crate opens all of its own close-on-exec; others,
/// such as those that a shell has left open, may not be.
///
/// The pool cannot close them between fork and exec, where none of its code runs. If it marked
/// them, it would change what other children of this process inherit.
pub(in crate::process) fn warn_inherited() {
    // Without `/proc`, or a descriptor to read it with, there is no warning.
    let names = fs::read_dir("/proc/self/fdinfo").into_iter().flatten();
    for name in names.flatten().map(|entry| entry.file_name()) {
        let fd = name.to_string_lossy();
        // A worker gets its own pipes in place of 0, 1 and 2.
        if matches!(&*fd, "0" | "1" | "2") || is_close_on_exec(&fd) != Some(false) {
            continue;
        }
        if let Ok(file) = fs::read_link(format!("/proc/self/fd/{fd}")) {
            let file = file.display();
            tracing::warn!(
                target: "ostler::pool", %fd, %file,
                "descriptor is not close-on-exec: every worker inherits it"
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
