//! A small process beside each pool that outlives its host by a second, and ends what the host has left behind.
//!
//! Workers are to end by themselves when their input ends, and well-made ones do. This is for the others: it needs
//! nothing of them, and nothing between fork and exec. It holds one end of a pipe and waits. When the pipe ends, the host is gone,
//! however that came; what bears the mark of its pool then is killed.
//!
//! It is a few lines of shell, so that it is one process of about a megabyte that sleeps. It costs the host one descriptor, and
//! a spawn when the pool's first worker starts. It cannot help where it is killed with its host, as with a control group or a
//! container; those take the workers along as well. What a worker started with an environment of its own making is not found,
//! unless the workers have control groups: those are ended as well, and removed.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

use super::find;
use super::mark::Mark;
use crate::port::OpenError;

/// Waits for a word. `over`: nothing is left to be done. `now`: kill who is left. None at all: the host is gone, and who can
/// leave by himself has a second for it.
///
/// The search is repeated until it finds nobody, because a process may start another one while it is being killed. What the
/// shell itself starts bears no mark. Then the control groups are ended and removed, if the workers had any: their paths begin
/// with the second argument.
const SCRIPT: &str = r#"# ostler's sentinel: ends what its host leaves behind
trap '' HUP INT QUIT TERM USR1 USR2
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- 2>/dev/null
mark=$1
groups=$2
find_bearers() {
    bearers=$(grep -lsF -e "$mark" /proc/[0-9]*/environ)
    [ "$bearers" ]
}
find_groups() {
    set -- "$groups"*/
    [ "$groups" ] && [ -d "$1" ]
}
read -r word
[ "$word" = over ] && exit
looks=0
while [ ! "$word" ] && [ $((looks += 1)) -le 5 ] && find_bearers; do
    sleep 0.2 || sleep 1
done
rounds=0
while [ $((rounds += 1)) -le 50 ] && find_bearers; do
    for bearer in $bearers; do
        bearer=${bearer#/proc/}
        kill -KILL "${bearer%/environ}"
    done
done
rounds=0
while [ $((rounds += 1)) -le 50 ] && find_groups; do
    for group in "$groups"*/; do
        echo 1 > "${group}cgroup.kill"
        rmdir "$group"*/ "$group"
    done
    find_groups && { sleep 0.02 || sleep 1; }
done
"#;

/// How to start one.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    shell: PathBuf,
    mark: Mark,
    /// What the paths of the workers' control groups begin with. Empty where there are none.
    groups: PathBuf,
}

impl Watch {
    /// Looks for what a sentinel needs, so that it is not found missing when it is needed.
    pub(super) fn prepare(mark: Mark, cgroups: Option<&Path>) -> Result<Self, OpenError> {
        let sentinel = |reason: String| OpenError::Sentinel { reason };
        let find = |program: &str| {
            let found = find::program(program.as_ref());
            found.map_err(|error| sentinel(error.to_string()))
        };
        for program in ["grep", "sleep", "rmdir"] {
            find(program)?;
        }
        // Absolute, because a sentinel keeps no directory of its host's busy.
        let groups = cgroups.map(|parent| std::path::absolute(parent.join(mark.name())));
        let groups = groups.transpose();
        Ok(Self {
            shell: find("sh")?,
            groups: groups
                .map_err(|error| sentinel(error.to_string()))?
                .unwrap_or_default(),
            mark,
        })
    }

    fn start(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.shell);
        command
            .args(["-c", SCRIPT, "ostler-sentinel", self.mark.as_str()])
            .arg(&self.groups)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        // A group of its own: what is sent to that of the host, as by a terminal, is not meant for it.
        command.process_group(0).spawn()
    }
}

/// Watches over one pool. Dropped, it ends who is left at once.
#[derive(Debug)]
pub(super) struct Sentinel {
    watch: Watch,
    process: Option<Child>,
}

impl Sentinel {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            process: None,
        }
    }

    /// Starts it, unless it is there: also anew, where somebody has killed it.
    pub(super) fn keep(&mut self) -> Result<(), OpenError> {
        if let Some(process) = &mut self.process
            && matches!(process.try_wait(), Ok(None))
        {
            return Ok(());
        }
        let started = self.watch.start().map_err(|error| OpenError::Sentinel {
            reason: error.to_string(),
        });
        self.process = Some(started?);
        Ok(())
    }

    /// Ends it. Nothing of the pool is alive any more.
    pub(super) async fn dismiss(mut self) {
        if let Some(process) = &mut self.process {
            tell(process, "over\n");
            let mut pause = Duration::from_micros(500);
            while matches!(process.try_wait(), Ok(None)) {
                sleep(pause).await;
                pause *= 2;
                if pause > Duration::from_millis(100) {
                    // It does not listen: stopped, perhaps.
                    let _ = process.kill();
                }
            }
            self.process = None;
        }
    }
}

fn tell(process: &mut Child, word: &str) {
    // It fits into the pipe, so that this does not block; an error means that nobody listens any more.
    if let Some(mut pipe) = process.stdin.take() {
        let _ = pipe.write_all(word.as_bytes());
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        tell(&mut process, "now\n");
        let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
        let _ = reaper.spawn(move || process.wait());
    }
}
