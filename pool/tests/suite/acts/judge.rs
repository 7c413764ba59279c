//! What `/proc` says is left of a program, and whether it may be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use ostler_pool::testing::Process;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable in the environment of every process of a host's programs.
pub(super) const VARIABLE: &str = "OSTLER_TEST_ACTS";

/// A process of one of this host's programs.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) process: Process,
    /// The number of the program, and the name of the process in it. `None` for a worker that has
    /// got no program.
    pub(super) name: Option<(u32, u32)>,
    environ: Vec<u8>,
    user: u32,
}

/// A program on a worker.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) number: u32,
    pub(super) worker: u32,
    /// The worker's `OSTLER_TAG`.
    pub(super) tag: Vec<u8>,
    pub(super) survivors: BTreeSet<u32>,
}

/// The live processes of this host's programs.
pub(super) fn processes() -> Vec<Left> {
    let host = std::process::id().to_string();
    let mut found = Vec::new();
    for process in Process::all() {
        if !process.is_alive() {
            continue;
        }
        let directory = format!("/proc/{}", process.pid);
        let environ = fs::read(format!("{directory}/environ")).unwrap_or_default();
        let Some(of) = variable(&environ, VARIABLE) else {
            continue;
        };
        let of = String::from_utf8_lossy(of).into_owned();
        let mut of = of.split('.');
        if of.next() != Some(&*host) {
            continue;
        }
        let name = fs::read_to_string(format!("{directory}/comm")).unwrap_or_default();
        let parts = |text: &str| {
            let (program, name) = text.trim().split_once('.')?;
            Some((program.parse().ok()?, name.parse().ok()?))
        };
        let executed = (of.next()).zip(of.next());
        let executed = executed.and_then(|(program, name)| parts(&format!("{program}.{name}")));
        let name = name.strip_prefix('a').and_then(parts).or(executed);
        let user = fs::metadata(&directory).map_or(0, |directory| directory.uid());
        found.push(Left {
            process,
            name,
            environ,
            user,
        });
    }
    found
}

/// The value of a variable.
pub(super) fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut entries = environ.split(|&byte| byte == 0);
    entries.find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// A tag without what fills the place of a longer one, as in a process that a zygote forked.
fn tag_of(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == b';').next().unwrap_or_default()
}

impl Trial {
    /// Describes each process of the program that should have ended.
    pub(super) fn faults(&self, left: &[Left], may_survive: bool) -> Vec<String> {
        let of_this = left.iter().filter(|left| self.is_of_this(left));
        let faulty = of_this.filter(|left| !(may_survive && self.may_survive(left)));
        let in_words = |left: &Left| {
            let name = left.name.map_or(0, |(_, name)| name);
            let state = match (left.process.group == self.worker, self.is_tagged(left)) {
                (true, _) => "in the group",
                (false, true) => "tagged",
                (false, false) => "outside, without the tag",
            };
            format!("process {name} is left ({state}): {}", left.process)
        };
        faulty.map(in_words).collect()
    }

    fn is_of_this(&self, left: &Left) -> bool {
        let is_named = left.name.is_some_and(|(program, _)| program == self.number);
        is_named || self.is_tagged(left) || left.process.group == self.worker
    }

    fn is_tagged(&self, left: &Left) -> bool {
        variable(&left.environ, "OSTLER_TAG").map(tag_of) == Some(tag_of(&self.tag))
    }

    /// Whether the program allows the process to survive, and a release cannot find it.
    fn may_survive(&self, left: &Left) -> bool {
        let is_hidden = !self.is_tagged(left) || left.user != rustix::process::geteuid().as_raw();
        let is_allowed = left
            .name
            .is_some_and(|(_, name)| self.survivors.contains(&name));
        is_allowed && is_hidden && left.process.group != self.worker
    }
}

impl Left {
    pub(super) fn kill(&self) {
        let pid = Pid::from_raw(self.process.pid.cast_signed()).expect("a process id");
        // An error means that it is gone. Its id can be another's only if it was reused since.
        if let Ok(held) = pidfd_open(pid, PidfdFlags::empty())
            && self.process.is_still_alive()
        {
            let _ = pidfd_send_signal(held, Signal::KILL);
        }
    }
}
