//! A small process beside each pool that outlives its host and kills what the host leaves behind.
//!
//! A worker should exit when its input ends, and a well-made one does. The sentinel is for the
//! others: it needs no cooperation from them, and no code between fork and exec. It reads from a
//! socket and waits. When the socket ends, the host is gone, for whatever reason; one second later
//! the sentinel kills every process that carries the pool's tag.
//!
//! It is a short shell script, so it costs one sleeping process of about 1 MiB, two descriptors of
//! the host, and one spawn when the pool's first worker starts. It does not help if it is killed
//! together with its host, as a control group or a container does; those kill the workers as well.
//! It does not find a process that a worker started without the tag, unless the workers have
//! control groups: those are killed too, and removed.
//!
//! Only the process that started a sentinel may speak to it: a copy of the host, made by `fork`
//! without `exec`, owns the same values, and dropping them must not end the workers of the host.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::send;
use rustix::process::Pid;
use tokio::time::sleep;

use super::find;
use super::system::{NO_SIGNAL, Watched};
use super::tree::{self, EnvTag};
use crate::port::OpenError;

const SCRIPT: &str = include_str!("sentinel.sh");

/// How long a sentinel may take to kill what is left, before it is killed itself. It takes a
/// fraction of a second, unless it was stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same where nothing is left and it only has to exit.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// The longest pause between two looks whether a sentinel has exited.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// How to start a sentinel.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// The absolute paths of what the script runs: it has no `PATH`, and another directory.
    tools: Vec<PathBuf>,
    tag: EnvTag,
    /// The directory of the workers' control groups. Empty if they have none.
    cgroups: PathBuf,
}

impl Watch {
    /// Looks up the programs that a sentinel needs, so that a missing one fails the build of the
    /// pool.
    pub(super) fn prepare(tag: EnvTag, cgroups: Option<&Path>) -> Result<Self, OpenError> {
        let find = |program: &'static str| {
            find::program(program.as_ref()).map_err(|_| OpenError::SentinelTool { program })
        };
        let mut tools = Vec::new();
        for program in ["sh", "grep", "sleep", "rmdir"] {
            tools.push(find(program)?);
        }
        // Optional: see the script.
        tools.push(find("setpriv").unwrap_or_default());
        // Absolute, because a sentinel runs in `/`: it must not keep its host's directory busy.
        let cgroups = cgroups.map(std::path::absolute).transpose();
        Ok(Self {
            tools,
            tag,
            cgroups: cgroups.map_err(refused)?.unwrap_or_default(),
        })
    }

    fn start(&self) -> io::Result<Running> {
        let (socket, input) = UnixStream::pair()?;
        let mut command = Command::new(&self.tools[0]);
        command
            .args(["-c", "eval \"$1\"", "ostler-sentinel", SCRIPT])
            .args(&self.tools)
            .arg(&self.cgroups)
            .arg(process::id().to_string())
            .stdin(OwnedFd::from(input))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        // The environment of this process may take all the space that the kernel has for arguments.
        // If this process is itself a worker, its pool must find the sentinel by its tag.
        command.env_clear();
        command.envs(env::var_os(tree::VARIABLE).map(|value| (tree::VARIABLE, value)));
        // A group of its own: a signal to the host's group, as a terminal sends it, must not reach
        // the sentinel.
        let child = command.process_group(0).spawn()?;
        let running = Running::new(child, socket)?;
        // It fits into the socket, so this does not block.
        let (tag, groups) = (self.tag.as_str(), self.tag.file_name());
        if let Err(error) = running.tell(&format!("{tag}\n{groups}\n")) {
            running.end();
            return Err(error);
        }
        Ok(running)
    }
}

fn refused(error: io::Error) -> OpenError {
    OpenError::Sentinel {
        source: Arc::new(error),
    }
}

/// The process of a sentinel.
#[derive(Debug)]
struct Running {
    child: Child,
    watched: Watched,
    socket: UnixStream,
    /// The process that started it.
    host: u32,
}

impl Running {
    fn new(mut child: Child, socket: UnixStream) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        match Watched::new(pid) {
            Ok(watched) => {
                // No worker's descendant is as young, so a sub-reaper takes it for none.
                tree::children().insert(pid, u64::MAX);
                Ok(Self {
                    child,
                    watched,
                    socket,
                    host: process::id(),
                })
            }
            Err(error) => {
                // Without a tag, the sentinel exits at the end of its input. The errors mean that
                // other code in this process has reaped it.
                drop(socket);
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Whether this process started it. False in a forked copy of the host.
    fn is_ours(&self) -> bool {
        self.host == process::id()
    }

    fn tell(&self, words: &str) -> io::Result<()> {
        send(&self.socket, words.as_bytes(), NO_SIGNAL)?;
        Ok(())
    }

    /// Whether it has exited. Reaps it then.
    fn is_over(&mut self) -> bool {
        // An error means that other code in this process has reaped it.
        !self.watched.is_alive() && !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, unless its id may be another process's.
    fn kill(&mut self) {
        if self.watched.is_child() {
            // An error means that it has exited.
            let _ = self.child.kill();
        }
    }

    /// Whether it has exited. Kills it if that takes longer than `patience`: perhaps it is stopped.
    fn has_ended(&mut self, since: Instant, patience: Duration) -> bool {
        let is_over = self.is_over();
        if !is_over && since.elapsed() > patience {
            self.kill();
        }
        is_over
    }

    fn wait(mut self) {
        let since = Instant::now();
        let mut pause = Duration::from_millis(1);
        while !self.has_ended(since, PATIENCE) {
            thread::sleep(pause);
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    /// Has it kill what is left of the pool, and waits for it on another thread.
    fn end(self) {
        // An error means that it is gone.
        let _ = self.tell("now\n");
        let (give, take) = mpsc::channel::<Self>();
        let reaper = thread::Builder::new().name("ostler-reaper".to_owned());
        let reaper = reaper.spawn(move || take.recv().map(Self::wait));
        match reaper {
            // An error would mean that the thread is gone, and it waits for this.
            Ok(_) => drop(give.send(self)),
            // No thread can be started. Better to wait here for a moment than to leave a zombie.
            Err(_) => self.wait(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        tree::children().remove(&Pid::from_child(&self.child));
    }
}

/// Watches over one pool. On drop, it kills at once what is left of the pool.
#[derive(Debug)]
pub(super) struct Sentinel {
    watch: Watch,
    running: Option<Running>,
}

impl Sentinel {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            running: None,
        }
    }

    /// Starts the process unless it is running. A sentinel that was killed is thereby replaced.
    pub(super) fn keep(&mut self) -> Result<(), OpenError> {
        if self.running.as_mut().is_none_or(Running::is_over) {
            self.running = None;
            self.running = Some(self.watch.start().map_err(refused)?);
        }
        Ok(())
    }

    /// Ends the process. Call this when no process of the pool is alive.
    pub(super) async fn dismiss(mut self) {
        if let Some(running) = self.running.as_mut().filter(|running| running.is_ours()) {
            // An error means that it is gone.
            let _ = running.tell("over\n");
            let since = Instant::now();
            let mut pause = Duration::from_micros(500);
            while !running.has_ended(since, EXIT_PATIENCE) {
                sleep(pause).await;
                pause = (2 * pause).min(MAX_PAUSE);
            }
            self.running = None;
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(running) = self.running.take().filter(Running::is_ours) {
            running.end();
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::{Signal, kill_process};

    use super::*;

    /// P49: a sentinel that does not exit in time is killed, and only such a one. Until it is
    /// reaped, searches for escaped processes leave it out.
    #[tokio::test]
    async fn a_sentinel_that_does_not_exit_in_time_is_killed() {
        let watch = Watch::prepare(EnvTag::of_pool(), None).unwrap();
        let hour = Duration::from_secs(3600);
        for (patience, ends) in [(hour, (Some(0), None)), (Duration::ZERO, (None, Some(9)))] {
            let mut running = watch.start().unwrap();
            let pid = Pid::from_child(&running.child);
            assert!(tree::children().contains_key(&pid));
            let since = Instant::now();
            if patience.is_zero() {
                kill_process(pid, Signal::STOP).unwrap();
            } else {
                assert!(!running.has_ended(since, patience));
            }
            running.tell("over\n").unwrap();
            while !running.has_ended(since, patience) {
                thread::yield_now();
            }
            let status = running.child.wait().unwrap();
            assert_eq!((status.code(), status.signal()), ends);
            drop(running);
            assert!(!tree::children().contains_key(&pid));
        }
    }
}
