//! The configuration of a worker's program: plain data, which `launcher` turns into processes.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::find;
use super::limits::{Limits, Resource};
use super::position::PositionEnv;
use super::system::IS_LINUX;
use crate::port::{OpenError, Opener, StderrSink};

/// The sizes of bodies for which there can be shared memory, in bytes. Smaller bodies always use
/// the pipes, and no frame is larger.
const SHARED: RangeInclusive<u64> = 64 << 10..=1 << 32;

/// A program that speaks the frame protocol on its stdin and stdout. Each worker is one process of
/// it.
///
/// The protocol is described in `PROTOCOL.md`. A worker inherits three pipes (stdin, stdout,
/// stderr) and, as any child process does, those descriptors of this process that are not
/// close-on-exec. Rust and this crate open all of theirs close-on-exec; the pool logs a warning
/// about any other when it is built.
///
/// A worker leads a process group of its own. When the worker ends, so does its group; what has
/// left the group is found by a variable in its environment, `OSTLER_TAG`, and killed (Linux).
///
/// ```no_run
/// use ostler_pool::{Pool, Program};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let thumbnailer = Program::new("./thumbnailer").arg("--frames").env("OMP_NUM_THREADS", "1");
/// let pool = Pool::builder(thumbnailer).size(4).build()?;
/// let thumbnail = pool.call(&std::fs::read("photo.jpg")?).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Program {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) env_clear: bool,
    pub(super) position_env: PositionEnv,
    pub(super) current_dir: Option<PathBuf>,
    pub(super) preamble: Vec<u8>,
    pub(super) limits: Limits,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) sentinel: bool,
    pub(super) subreaper: bool,
    /// The largest body for which there is shared memory, in bytes.
    pub(super) shared_memory: Option<u64>,
    /// If workers are to be forked: the last argument of the process that forks them.
    pub(super) zygote: Option<&'static str>,
    /// Where the lines of their stderr go.
    pub(super) stderr: StderrSink,
    /// What opens the ports, once the pool is built. Type-erased, because the launcher depends on
    /// this module.
    pub(super) launcher: Option<Arc<dyn Opener>>,
}

impl Program {
    /// A program, given as a path, or as a name to be looked up in the `PATH` of this process.
    ///
    /// The lookup happens once, when the pool is built, and fails the build if there is no such
    /// program. A relative path is relative to the working directory of this process.
    ///
    /// ```
    /// use ostler_pool::Program;
    ///
    /// let by_name = Program::new("node").arg("worker.mjs");
    /// let by_path = Program::new("./target/release/worker");
    /// ```
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            env_clear: false,
            position_env: PositionEnv::default(),
            current_dir: None,
            preamble: Vec::new(),
            limits: Limits::default(),
            cgroup: None,
            sentinel: true,
            subreaper: false,
            shared_memory: None,
            zygote: None,
            stderr: StderrSink::default(),
            launcher: None,
        }
    }

    /// Adds an argument.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("node").arg("worker.mjs");
    /// ```
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("java").args(["-Xmx512m", "-jar", "worker.jar"]);
    /// ```
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable of the workers. They inherit all others, unless
    /// [`env_clear`](Self::env_clear) is set.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").env("OMP_NUM_THREADS", "1");
    /// ```
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Keeps the workers from inheriting environment variables: they get only those that
    /// [`env`](Self::env) and [`env_for_position`](Self::env_for_position) set, before or after this
    /// call, `OSTLER_POSITION` and `OSTLER_TAG`.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").env_clear().env("LANG", "C.UTF-8");
    /// ```
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// Sets environment variables of each worker by its position, a number from 0 to `size` - 1.
    /// For what each worker needs to itself, such as a GPU.
    ///
    /// A worker that replaces another one has its position, and while it starts, both run. A pool
    /// that shrinks keeps the workers with the lowest positions. Every worker also has its position
    /// in the variable `OSTLER_POSITION`.
    ///
    /// `env` is called for each start, on the pool's runtime, and should be quick. Variables that
    /// it sets replace those of [`env`](Self::env).
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker")
    ///     .env_for_position(|position| [("CUDA_VISIBLE_DEVICES", position.to_string())]);
    /// ```
    pub fn env_for_position<N, V, E>(
        mut self,
        env: impl Fn(usize) -> E + Send + Sync + 'static,
    ) -> Self
    where
        E: IntoIterator<Item = (N, V)>,
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.position_env.add(env);
        self
    }

    /// Adds variables to those that [`env_for_position`](Self::env_for_position) sets.
    pub(crate) fn position_env(mut self, later: PositionEnv) -> Self {
        self.position_env.append(later);
        self
    }

    /// Sets the working directory of the workers. Default: that of this process.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").current_dir("/var/lib/worker");
    /// ```
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// Sets bytes that each worker reads from its stdin before the first frame. Default: none.
    ///
    /// With it, an interpreter can be sent the code of the worker.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").preamble("key=value\n\n");
    /// ```
    pub fn preamble(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.preamble = bytes.into();
        self
    }

    /// The program as it was given.
    pub(crate) fn name(&self) -> &OsStr {
        &self.program
    }

    /// The same with another program.
    pub(crate) fn named(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// The path of the program.
    pub(crate) fn find(&self) -> Result<PathBuf, OpenError> {
        find::program(&self.program)
    }

    /// The working directory of the workers, if it is not that of this process.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.current_dir.as_deref()
    }

    /// The length of the preamble, in bytes.
    pub(crate) fn preamble_len(&self) -> usize {
        self.preamble.len()
    }

    /// Sets the niceness of the workers, -20 to 19: a higher one leaves more processor time to
    /// other processes. Default: that of this process.
    ///
    /// A lower niceness than that of this process needs a privilege (`CAP_SYS_NICE`); without it,
    /// workers fail to start.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").nice(10);
    /// ```
    pub fn nice(mut self, nice: i32) -> Self {
        self.limits.nice = Some(nice);
        self
    }

    /// Limits what each process of a worker may use, in the unit that `resource` states. A process
    /// cannot raise the limit again. Linux only: elsewhere, workers fail to start.
    ///
    /// The limit is set after the worker's process has started, and before it is sent its first
    /// byte.
    ///
    /// ```
    /// # use ostler_pool::{Program, Resource};
    /// let program = Program::new("./worker").limit(Resource::AddressSpace, 1 << 30);
    /// ```
    pub fn limit(mut self, resource: Resource, limit: u64) -> Self {
        self.limits.resources.push((resource, limit));
        self
    }

    /// Gives each worker a control group of its own below the directory `parent`. Default: none.
    ///
    /// `parent` must be a writable directory of a cgroup v2 hierarchy, such as that of a systemd
    /// unit with `Delegate=yes`. Needs Linux 5.14 or later. The pool checks both when it is built.
    ///
    /// A process cannot leave a control group without write permission for the hierarchy. So the
    /// kernel can confirm that no process of the worker is left, and the
    /// [`Release`](crate::port::Release) says so. If this process is killed, the
    /// [`sentinel`](Self::sentinel) kills the control groups and removes them.
    ///
    /// Two kinds of process are not in the control group: those that the worker started in the
    /// moment before it was moved there, and those that had the permission to leave and did. They
    /// are found by their environment, as without control groups, and the end then counts as not
    /// confirmed.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").cgroup("/sys/fs/cgroup/system.slice/my.service");
    /// ```
    pub fn cgroup(mut self, parent: impl Into<PathBuf>) -> Self {
        self.cgroup = Some(parent.into());
        self
    }

    /// Whether a sentinel kills what this process leaves behind if it is killed. Default: true. No
    /// effect outside Linux.
    ///
    /// The sentinel is a sleeping shell, one for each pool. One second after the end of this
    /// process, it kills every process of the pool that is still there. Workers that exit when
    /// their input ends, as they should, do not need it; their descendants may.
    ///
    /// It needs `sh`, `grep`, `sleep` and `rmdir` in the `PATH` of this process, without which the
    /// build of the pool fails. If this process forks itself without `exec`, the sentinel needs
    /// `setpriv` too, to notice the end of this process before that of the copy.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").sentinel(false);
    /// ```
    pub fn sentinel(mut self, enabled: bool) -> Self {
        self.sentinel = enabled;
        self
    }

    /// Whether this process becomes the sub-reaper of its descendants: the parent of those whose
    /// own parent has ended. Default: false. Linux only: elsewhere, the build of the pool fails.
    ///
    /// Then a process that left its worker's group is found even if it hides its environment, or
    /// has cleared it, and its zombie is reaped. If other workers could have started it too, it is
    /// ended when the last of them has ended.
    ///
    /// **Every child of this process that no pool has started then counts as left behind by a
    /// worker**, and is killed or reaped. Use it only in a program that starts no other processes,
    /// such as the first process of a container. It stays in effect when the pool has ended.
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").subreaper(true);
    /// ```
    pub fn subreaper(mut self, enabled: bool) -> Self {
        self.subreaper = enabled;
        self
    }

    /// Offers each worker shared memory for requests and replies of 64 KiB to `limit` bytes. Others
    /// use the pipes. Default: none. Linux only: elsewhere, the build of the pool fails.
    ///
    /// A worker that takes the offer, as [Python workers](crate::Python::shared_memory) do, need
    /// not copy a request, and this process copies it once. `PROTOCOL.md` describes what other
    /// workers must do. Those that do not know the offer use the pipes.
    ///
    /// `limit` is 64 KiB to 4 GiB. Each worker takes one more descriptor of this process, and up to
    /// twice the limit of memory: as much as its largest request and reply have used. It is freed
    /// at the second health check without such a call. It counts for
    /// [`max_worker_memory`](crate::Builder::max_worker_memory).
    ///
    /// ```
    /// # use ostler_pool::Program;
    /// let program = Program::new("./worker").shared_memory(16 << 20);
    /// ```
    pub fn shared_memory(mut self, limit: u64) -> Self {
        self.shared_memory = Some(limit);
        self
    }

    pub(super) fn check_shared_memory(&self) -> Result<(), OpenError> {
        match self.shared_memory {
            Some(_) if !IS_LINUX => Err(OpenError::Unsupported {
                option: "shared_memory",
            }),
            Some(limit) if !SHARED.contains(&limit) => Err(OpenError::OutOfRange {
                option: "shared_memory",
                value: format!("{limit} bytes"),
                allowed: format!("{} to {} bytes", SHARED.start(), SHARED.end()),
            }),
            _ => Ok(()),
        }
    }

    /// Has workers forked by a zygote: a process of this program with `argument` added, which
    /// follows the protocol of `zygote::control`.
    pub(crate) fn zygote(mut self, argument: &'static str) -> Self {
        self.zygote = Some(argument);
        self
    }
}

/// Converts a path or a name into a program, as [`Program::new`] does.
///
/// ```
/// # use ostler_pool::Program;
/// let by_name = Program::from("python3");
/// let by_path = Program::from(std::path::Path::new("/usr/bin/python3"));
/// ```
impl<P: AsRef<OsStr>> From<P> for Program {
    fn from(program: P) -> Self {
        Self::new(program.as_ref())
    }
}
