//! What this process does with signals.

use std::fs;

use crate::port::OpenError;

/// The number of `SIGPIPE` on Linux.
const SIGPIPE: u32 = 13;

/// Refuses a host that `SIGPIPE` would end.
///
/// A worker may die while the host writes a request to it. The write then raises `SIGPIPE`, and a
/// pipe has no `MSG_NOSIGNAL` that would prevent that. The runtime of Rust ignores the signal, but
/// not in a library that a program in another language loads.
///
/// Elsewhere than on Linux, or without `/proc`, nothing is known, and the host is accepted.
pub(in crate::process) fn check_sigpipe() -> Result<(), OpenError> {
    match fs::read_to_string("/proc/self/status") {
        Ok(status) if ends_with_sigpipe(&status) == Some(true) => Err(OpenError::SigPipe),
        _ => Ok(()),
    }
}

/// Whether the signal is neither ignored nor handled. `None`: the text does not say.
fn ends_with_sigpipe(status: &str) -> Option<bool> {
    let has = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
        let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
        Some(mask & 1 << (SIGPIPE - 1) != 0)
    };
    Some(!has("SigIgn:")? && !has("SigCgt:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C7: the signal ends a process that neither ignores nor handles it.
    #[test]
    fn the_disposition_is_read_from_the_masks() {
        let status = |ignored: &str, handled: &str| {
            let blocked = "SigBlk:\t0000000000001000";
            ends_with_sigpipe(&format!(
                "{blocked}\nSigIgn:\t{ignored}\nSigCgt:\t{handled}\n"
            ))
        };
        let (none, pipe) = ("0000000000000000", "0000000000001000");
        assert_eq!(status(none, none), Some(true));
        assert_eq!(status("0000000000002fff", "ffffffffffffefff"), Some(true));
        assert_eq!(status(pipe, none), Some(false));
        assert_eq!(status(none, pipe), Some(false));
        assert_eq!(ends_with_sigpipe("Name:\thost\n"), None);
    }
}
