//! A small process beside each pool that outlives its host and kills what the host leaves behind.
//!
//! A worker should exit when its input ends, and a well-made one does. The sentinel is for the
//! others: it needs no cooperation from them, and no code between fork and exec. It holds one end
//! of a pipe and waits. When the pipe ends, the host is gone, for whatever reason; one second later
//! the sentinel kills every process that carries the pool's tag.
//!
//! It is a short shell script, so it costs one sleeping process of about 1 MiB, one descriptor of
//! the host, and one spawn when the pool's first worker starts. It does not help if it is killed
//! together with its host, as a control group or a container does; those kill the workers as well.
//! It does not find a process that a worker started without the tag, unless the workers have
//! control groups: those are killed too, and removed.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

use super::find;
use super::tree::EnvTag;
use crate::port::OpenError;

const SCRIPT: &str = include_str!("sentinel.sh");

/// The command line of a sentinel.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    shell: PathBuf,
    tag: EnvTag,
    /// What the paths of the workers' control groups begin with. Empty if they have none.
    groups: PathBuf,
}

impl Watch {
    /// Looks up the programs that a sentinel needs, so that a missing one fails the build of the
    /// pool.
    pub(super) fn prepare(tag: EnvTag, cgroups: Option<&Path>) -> Result<Self, OpenError> {
        let find = |program: &'static str| {
            find::program(program.as_ref()).map_err(|_| OpenError::SentinelTool { program })
        };
        for program in ["grep", "sleep", "rmdir"] {
            find(program)?;
        }
        // Absolute, because a sentinel runs in `/`: it must not keep its host's directory busy.
        let groups = cgroups.map(|parent| std::path::absolute(parent.join(tag.file_name())));
        Ok(Self {
            shell: find("sh")?,
            groups: groups.transpose().map_err(refused)?.unwrap_or_default(),
            tag,
        })
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.shell);
        command
            .args(["-c", SCRIPT, "ostler-sentinel", self.tag.as_str()])
            .arg(&self.groups)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        // A group of its own: a signal to the host's group, as a terminal sends it, must not reach
        // the sentinel.
        command.process_group(0).spawn()
    }
}

fn refused(error: io::Error) -> OpenError {
    OpenError::Sentinel {
        source: Arc::new(error),
    }
}

/// Watches over one pool. On drop, it kills at once what is left of the pool.
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

    /// Starts the process unless it is running. A sentinel that was killed is thereby replaced.
    pub(super) fn keep(&mut self) -> Result<(), OpenError> {
        if let Some(process) = &mut self.process
            && matches!(process.try_wait(), Ok(None))
        {
            return Ok(());
        }
        self.process = Some(self.watch.start().map_err(refused)?);
        Ok(())
    }

    /// Ends the process. Call this when no process of the pool is alive.
    pub(super) async fn dismiss(mut self) {
        if let Some(process) = &mut self.process {
            tell(process, "over\n");
            let mut pause = Duration::from_micros(500);
            while matches!(process.try_wait(), Ok(None)) {
                sleep(pause).await;
                pause *= 2;
                if pause > Duration::from_millis(100) {
                    // It does not react; perhaps it is stopped.
                    let _ = process.kill();
                }
            }
            self.process = None;
        }
    }
}

fn tell(process: &mut Child, word: &str) {
    // The word fits into the pipe, so this does not block. An error means that the sentinel is
    // gone.
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
