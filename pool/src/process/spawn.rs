//! How a process of a program comes to be: spawned, or forked by a zygote.
//!
//! Nothing of this crate runs between fork and exec, or std would have to fork by hand, which takes 80 ms in a host of 1 GiB where
//! `posix_spawn` takes under one. What has to be done about a new process is done from outside, before it is sent its first byte.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ostler::WorkerId;
use tokio::runtime::Handle;

use super::cgroup::Cgroup;
use super::child::{Child, Frames};
use super::family::Family;
use super::leader::{Leader, Parent};
use super::mark::{self, Mark};
use super::program::Program;
use super::site::Site;
use super::zygote::{Forked, Zygote};
use crate::port::OpenError;

impl Program {
    pub(super) async fn start(
        &self,
        site: &Arc<Site>,
        worker: WorkerId,
    ) -> Result<Child, OpenError> {
        // Checked before there is a process: what comes after the spawn needs a runtime.
        Handle::try_current().map_err(|error| site.refused(io::Error::other(error)))?;
        site.keep_sentinel()?;
        let mark = site.mark.of_worker(worker);
        let cgroup = self.own_cgroup(site, &mark)?;
        if let Some((_, zygote)) = &self.zygote
            && let Some(forked) = self.fork(zygote, site, &mark).await
        {
            let (forked, stderr, frames) = forked.map_err(|error| site.refused(error))?;
            let leader = Self::lead(site, Parent::Zygote(forked), Some(mark), cgroup)?;
            return self.child(site, worker.to_string(), leader, stderr, Some(frames));
        }
        let mut command = self.command(site, &mark);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| site.refused(error))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let leader = Self::lead(site, Parent::Host(child), Some(mark), cgroup)?;
        // Whatever fails from here on drops the leader, and with it everything.
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(site.refused(io::Error::other("a pipe is missing")));
        };
        self.limits.apply(leader.id())?;
        let frames = Frames {
            stdin: stdin.into(),
            stdout: stdout.into(),
            preamble: self.preamble.clone(),
        };
        self.child(
            site,
            worker.to_string(),
            leader,
            stderr.into(),
            Some(frames),
        )
    }

    /// A control group for a process that is about to be, where there is to be one.
    fn own_cgroup(&self, site: &Site, mark: &Mark) -> Result<Option<Cgroup>, OpenError> {
        let create = |parent: &PathBuf| Cgroup::create(parent, &mark.name());
        let cgroup = self.cgroup.as_ref().map(create).transpose();
        cgroup.map_err(|error| site.refused(error))
    }

    /// Makes a process the leader of a family.
    fn lead(
        site: &Site,
        mut parent: Parent,
        mark: Option<Mark>,
        cgroup: Option<Cgroup>,
    ) -> Result<Leader, OpenError> {
        let lead = || {
            let group = parent.group()?;
            let added = cgroup.as_ref().map(|cgroup| cgroup.add(group.id()));
            let leader = Leader::new(parent, Family::new(group, mark, cgroup))?;
            added.transpose().map(|_| leader)
        };
        lead().map_err(|error| site.refused(error))
    }

    fn child(
        &self,
        site: &Arc<Site>,
        name: String,
        leader: Leader,
        stderr: OwnedFd,
        frames: Option<Frames>,
    ) -> Result<Child, OpenError> {
        let child = Child::new(name, leader, Arc::clone(site), stderr, frames);
        child.map_err(|error| site.refused(error))
    }

    /// Has a worker forked, and gives its stderr and its frames. `None` where there is no zygote.
    async fn fork(
        &self,
        zygote: &Zygote,
        site: &Arc<Site>,
        mark: &Mark,
    ) -> Option<io::Result<(Forked, OwnedFd, Frames)>> {
        let pipes = || Ok((io::pipe()?, io::pipe()?, io::pipe()?));
        let ((its_in, stdin), (stdout, its_out), (stderr, its_err)) = match pipes() {
            Ok(pipes) => pipes,
            Err(error) => return Some(Err(error)),
        };
        let its = [its_in.into(), its_out.into(), its_err.into()];
        let forked = zygote.fork(self, site, its, mark.clone()).await?;
        let frames = Frames {
            stdin: stdin.into(),
            stdout: stdout.into(),
            preamble: Vec::new(),
        };
        Some(forked.map(|forked| (forked, stderr.into(), frames)))
    }

    /// Spawns a zygote, which is to be spoken with through the other end of `socket`; and what to send before anything else.
    pub(super) fn spawn_zygote(
        &self,
        site: &Arc<Site>,
        socket: OwnedFd,
    ) -> Result<(Child, Vec<u8>), OpenError> {
        let mark = site.mark.of_zygote();
        let cgroup = self.own_cgroup(site, &mark)?;
        let mut command = self.command(site, &mark);
        command.stdin(socket).stdout(Stdio::null());
        let mut child = command.spawn().map_err(|error| site.refused(error))?;
        let stderr = child.stderr.take();
        let leader = Self::lead(site, Parent::Host(child), None, cgroup)?;
        let missing = || site.refused(io::Error::other("a pipe is missing"));
        let stderr = stderr.ok_or_else(missing)?.into();
        self.limits.apply(leader.id())?;
        let child = self.child(site, "zygote".to_owned(), leader, stderr, None)?;
        Ok((child, self.preamble.clone()))
    }

    fn command(&self, site: &Site, mark: &Mark) -> Command {
        let mut command = Command::new(&site.path);
        command.args(&self.args);
        if self.env_clear {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env(mark::VARIABLE, mark.value());
        if let Some(directory) = &self.current_dir {
            command.current_dir(directory);
        }
        // A group of its own, and no `pre_exec`: with it std would fork, which takes 80 ms in a host of 1 GiB where
        // `posix_spawn` takes under one.
        command.process_group(0);
        command.stderr(Stdio::piped());
        command
    }
}
