//! What is to be run in each worker.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use ostler::WorkerId;

use super::find;
use super::inherited;
use super::limits::{Limits, Resource};
use super::site::Site;
use super::system::IS_LINUX;
use super::zygote::Zygote;
use crate::port::{BoxFuture, OpenError, Opener, Port};

/// A program that speaks the frame protocol on its stdin and stdout. One process of it runs for each worker.
///
/// A worker gets three pipes, and of this process's other descriptors those that are not close-on-exec, as any child
/// does. Everything that Rust and this crate open is; what is not, is named in a warning when the pool is built.
///
/// ```
/// use ostler_pool::Program;
///
/// let program = Program::new("./thumbnailer").arg("--frames").env("OMP_NUM_THREADS", "1");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Program {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) env_clear: bool,
    pub(super) current_dir: Option<PathBuf>,
    pub(super) preamble: Vec<u8>,
    pub(super) limits: Limits,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) sentinel: bool,
    /// With the argument that makes a process one.
    pub(super) zygote: Option<(&'static str, Arc<Zygote>)>,
    /// From the time on when the pool is built.
    pub(super) site: Option<Arc<Site>>,
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
            zygote: None,
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
    /// Then what a worker starts cannot get away, and the report says that the kernel has confirmed its end; and the sentinel
    /// ends and removes the control groups of a host that was killed. Without, what has left the worker's process group is found
    /// by a variable of its environment, `OSTLER_MARK`. So is, with a control group, who was started in the moment before the
    /// worker was put into it, or had the right to move itself out of it; the report does not say confirmed then.
    pub fn cgroup(mut self, parent: impl Into<PathBuf>) -> Self {
        self.cgroup = Some(parent.into());
        self
    }

    /// On Linux: whether a sentinel watches over the workers: a small process, a shell that sleeps, which ends what this process
    /// leaves behind if it is killed. Default: yes.
    ///
    /// It kills what has not left by itself a second after this process has ended. Workers that end with their input, as
    /// they are to, do not need it.
    pub fn sentinel(mut self, watches: bool) -> Self {
        self.sentinel = watches;
        self
    }

    /// Has the workers forked by a process that is started with this argument more, and speaks with this host as
    /// `zygote::control` says.
    pub(crate) fn zygote(mut self, argument: &'static str) -> Self {
        self.zygote = Some((argument, Arc::default()));
        self
    }

    /// The program of which the zygote itself is a process.
    pub(super) fn of_zygote(&self) -> Self {
        let mut program = self.clone();
        let argument = program.zygote.take().map(|(argument, _)| argument);
        program.args.extend(argument.map(Into::into));
        program
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
        let path = find::program(&self.program)?;
        inherited::warn();
        if self.zygote.is_some() && !IS_LINUX {
            return Err(OpenError::Unsupported { option: "zygote" });
        }
        let site = Site::new(path, self.cgroup.as_deref(), self.sentinel && IS_LINUX)?;
        self.site = Some(Arc::new(site));
        Ok(())
    }

    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            let site = self.site.as_ref().expect("it was prepared before");
            let child = self.start(site, worker).await?;
            Ok(Box::new(child) as Box<dyn Port>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let Some(site) = &self.site else { return };
            if let Some((_, zygote)) = &self.zygote {
                zygote.close().await;
                // What has left a forked worker without starting another program has its zygote's environment, in which
                // nothing tells it from other workers. Now none of them is left.
                site.sweep().await;
            }
            site.close().await;
        })
    }
}
