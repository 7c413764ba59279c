//! What is to be run in each worker.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ostler::WorkerId;
use tokio::runtime::Handle;

use super::cgroup::Cgroup;
use super::child::Child;
use super::family::Family;
use super::find;
use super::inherited;
use super::leader::group_of;
use super::limits::{Limits, Resource};
use super::mark::{self, Mark};
use super::site::Site;
use crate::port::{BoxFuture, OpenError, Opener, Port};

/// A program that speaks the frame protocol on its stdin and stdout. One process of it runs for each worker.
///
/// ```
/// use ostler_pool::Program;
///
/// let program = Program::new("./thumbnailer").arg("--frames").env("OMP_NUM_THREADS", "1");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_clear: bool,
    current_dir: Option<PathBuf>,
    preamble: Vec<u8>,
    limits: Limits,
    cgroup: Option<PathBuf>,
    sentinel: bool,
    /// From the time on when the pool is built.
    site: Option<Arc<Site>>,
}

impl Program {
    /// A program, by its path or by a name to be looked up in the `PATH` of this process: once, when the pool is
    /// built.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            env_clear: false,
            current_dir: None,
            preamble: Vec::new(),
            limits: Limits::default(),
            cgroup: None,
            sentinel: true,
            site: None,
        }
    }

    /// The same with another program.
    pub(crate) fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the workers' environment. The others they inherit.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Lets the workers inherit no variable: their environment is what [`env`](Self::env) sets.
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// The directory that the workers run in. Default: that of this process.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// Bytes that each worker finds on its stdin before the first frame.
    pub fn preamble(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.preamble = bytes.into();
        self
    }

    /// How much of the processors the workers get beside others: -20 to 19, where less is more. Below that of this process it needs
    /// a privilege. Default: that of this process.
    pub fn nice(mut self, nice: i32) -> Self {
        self.limits.nice = Some(nice);
        self
    }

    /// Limits what each process of a worker may use, in the unit that `resource` says. It cannot raise it again.
    ///
    /// Set before the worker is sent its first byte, though not before it runs.
    pub fn limit(mut self, resource: Resource, most: u64) -> Self {
        self.limits.resources.push((resource, most));
        self
    }

    /// Gives each worker a control group of its own, below this directory of a cgroup v2 hierarchy, which must be
    /// writable: with systemd, that of a unit with `Delegate=yes`. Linux 5.14 or later.
    ///
    /// Then nothing that a worker starts can get away, and the report says that the kernel has confirmed its end. Without,
    /// what has left the worker's process group is found by a variable of its environment, `OSTLER_MARK`.
    pub fn cgroup(mut self, parent: impl Into<PathBuf>) -> Self {
        self.cgroup = Some(parent.into());
        self
    }

    /// Whether a sentinel watches over the workers: a small process, a shell that sleeps, which ends what this process
    /// leaves behind if it is killed. Default: yes.
    ///
    /// It kills what has not left by itself a second after this process has ended. Workers that end with their input, as
    /// they are to, do not need it.
    pub fn sentinel(mut self, watches: bool) -> Self {
        self.sentinel = watches;
        self
    }

    fn spawn(&self, site: &Arc<Site>, worker: WorkerId) -> Result<Child, OpenError> {
        let failed = |error: io::Error| OpenError::Spawn {
            program: site.path.display().to_string(),
            reason: error.to_string(),
        };
        // Checked before there is a process: what comes after the spawn needs a runtime.
        Handle::try_current().map_err(|error| failed(io::Error::other(error)))?;
        site.keep_sentinel()?;
        let mark = site.mark.of_worker(worker);
        let cgroup = (self.cgroup.as_ref()).map(|parent| Cgroup::create(parent, &mark.name()));
        let cgroup = cgroup.transpose().map_err(failed)?;
        let mut child = self.command(&site.path, &mark).spawn().map_err(failed)?;
        let group = group_of(&mut child).map_err(failed)?;
        let added = cgroup
            .as_ref()
            .map_or(Ok(()), |cgroup| cgroup.add(group.id()));
        let family = Family::new(group, mark, cgroup);
        // From here on, whatever fails drops the child, and with it everything.
        let site = Arc::clone(site);
        let child =
            Child::adopt(worker, child, family, site, self.preamble.clone()).map_err(failed)?;
        added.map_err(failed)?;
        self.limits.apply(group.id())?;
        Ok(child)
    }

    fn command(&self, path: &Path, mark: &Mark) -> Command {
        let mut command = Command::new(path);
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
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Opener for Program {
    fn prepare(&mut self) -> Result<(), OpenError> {
        if let Some(directory) = &self.current_dir
            && !directory.is_dir()
        {
            return Err(OpenError::NoDirectory {
                directory: directory.display().to_string(),
            });
        }
        self.limits.check()?;
        if let Some(parent) = &self.cgroup {
            Cgroup::check(parent)?;
        }
        let path = find::program(&self.program)?;
        inherited::warn();
        self.site = Some(Arc::new(Site::new(path, self.sentinel)?));
        Ok(())
    }

    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            let site = self.site.as_ref().expect("it was prepared before");
            let child = self.spawn(site, worker)?;
            Ok(Box::new(child) as Box<dyn Port>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(site) = &self.site {
                site.close().await;
            }
        })
    }
}
