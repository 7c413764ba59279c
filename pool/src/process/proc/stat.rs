//! `/proc/<pid>/stat`: the one parser of this file.

use std::fs;

/// One process at one moment, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Stat {
    pub(crate) state: char,
    /// The id of its parent.
    pub(crate) parent: u32,
    /// The id of its process group.
    pub(crate) group: u32,
    /// The processor time that it has spent in user mode, in clock ticks.
    pub(crate) user_ticks: u64,
    pub(crate) threads: u32,
    /// When it started, in clock ticks since boot. With the pid, it identifies a process for good.
    pub(crate) started: u64,
    /// Whether its environment is not empty, or not there yet, because it is inside `execve`. Means
    /// nothing where this process may not read the environment.
    pub(crate) has_environ: bool,
    /// Without memory, it is exiting or a kernel thread.
    pub(crate) has_memory: bool,
    /// The status that `wait` returns. 0 before the exit, and where this process may not read it.
    pub(crate) exit_status: i32,
}

impl Stat {
    /// `None` if no such process exists, not even as a zombie, and where there is no `/proc`.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    pub(in crate::process) fn parse(line: &str) -> Option<Self> {
        // The process chooses its name, which may contain spaces and parentheses. The fields are
        // therefore counted from the last parenthesis. `proc(5)` counts from 1, and the first one
        // here, the state, is its third.
        let (_, fields) = line.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            state: field(3)?.chars().next()?,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            user_ticks: field(14)?.parse().ok()?,
            threads: field(20)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
            has_memory: field(23)? != "0",
            has_environ: field(23)? != "0" && (field(51)? == "0" || field(50)? != field(51)?),
            exit_status: field(52).and_then(|status| status.parse().ok())?,
        })
    }

    /// Whether any of its threads is alive. A process whose main thread has ended while others run
    /// is in the state of a zombie, and is alive.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: char, threads: u32) -> String {
        format!(
            "7 ({name}) {state} 1 42 7 0 -1 4194560 1 2 3 4 55 66 0 1 20 0 {threads} 0 99 1 2 3 4 5 \
             6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 9"
        )
    }

    /// The fields are found whatever the name of the process is.
    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        for name in ["sleep", "a) b", ") Z 1 1 (", ""] {
            let expected = Stat {
                state: 'S',
                parent: 1,
                group: 42,
                user_ticks: 55,
                threads: 3,
                started: 99,
                has_environ: true,
                has_memory: true,
                exit_status: 9,
            };
            assert_eq!(Stat::parse(&line(name, 'S', 3)), Some(expected), "{name}");
        }
        assert_eq!(Stat::parse(""), None);
        assert_eq!(Stat::parse("7 (a) S 1 42"), None);
    }

    /// P5: a zombie is not alive, unless a thread of it still runs.
    #[test]
    fn a_zombie_is_not_alive() {
        let is_alive = |state, threads| Stat::parse(&line("a", state, threads)).unwrap().is_alive();
        assert!(is_alive('S', 1));
        assert!(is_alive('R', 2));
        assert!(!is_alive('Z', 1));
        assert!(!is_alive('X', 1));
        assert!(is_alive('Z', 2));
    }

    /// P48: a process has an environment unless it has none to read, or no memory.
    #[test]
    fn an_environment_that_is_not_there_yet_is_no_empty_one() {
        let has_environ = |size, start, end| {
            let line = line("a", 'R', 1).replace(" 99 1 ", &format!(" 99 {size} "));
            let line = line.replace(" 28 29 9", &format!(" {start} {end} 9"));
            Stat::parse(&line).unwrap().has_environ
        };
        assert!(has_environ(1, 28, 29));
        assert!(has_environ(1, 0, 0));
        assert!(!has_environ(1, 28, 28));
        assert!(!has_environ(0, 0, 0));
    }

    /// The parser agrees with the kernel of this machine.
    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_read() {
        let this = Stat::read(std::process::id()).unwrap();
        assert_eq!(this.parent, std::os::unix::process::parent_id());
        assert!(this.is_alive() && this.started > 0);
    }
}
