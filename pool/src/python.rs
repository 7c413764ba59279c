//! Workers that run a Python function.

use std::ffi::OsString;
use std::path::PathBuf;

use ostler::WorkerId;

use crate::port::{BoxFuture, OpenError, Opener, Port};
use crate::process::{Program, Resource};

/// The worker runtime: one file, standard library only.
const RUNTIME: &str = include_str!("../python/ostler_worker.py");

/// Closes what the host has inherited to it, which it could not mark; reads the runtime from stdin, where it precedes the frames, and runs it. So that it needs no file, the process list
/// stays readable, and its lines still show in tracebacks.
const BOOTSTRAP: &str = "\
import linecache, os, sys
if sys.version_info < (3, 9): sys.exit('ostler worker: Python 3.9 or later is needed')
for fd in map(int, os.listdir('/dev/fd')):
    if fd > 2:
        try: os.close(fd)
        except OSError: pass
name, size, source = '<ostler_worker>', int(sys.argv[1]), b''
while len(source) < size:
    piece = os.read(0, size - len(source))
    if not piece: sys.exit('ostler worker: the host was gone before it had started')
    source += piece
linecache.cache[name] = (size, None, source.decode().splitlines(True), name)
worker = {'__name__': 'ostler_worker', '__file__': name}
exec(compile(source, name, 'exec'), worker)
sys.exit(worker['main'](*sys.argv[2:]))";

/// A Python function to be run in each worker. No package is needed: the worker runtime travels inside this crate.
///
/// The function takes one argument and returns its result: `bytes` for `bytes`, or with [`json`](Python::json)
/// whatever JSON can say. What it raises comes back as [`CallError::Raised`](crate::CallError::Raised). What it prints
/// goes to the log, as all of the worker's stderr does. If its module has a function `setup`, that is run, without
/// arguments, before the worker counts as ready.
///
/// A probe of its health is answered by the runtime itself, between two calls: a worker that does is alive and not
/// stuck. If the function's module also has a function `health`, that is run at each probe, without arguments. What it
/// raises fails the probe, and the worker goes on serving; what it returns does not matter. Like a call, it keeps the
/// worker from anything else, so it had better be quick.
///
/// What it returns to [`Lease::stream`](crate::Lease::stream) may be an iterator, such as a generator, each item of which
/// is sent as a part. In a pool with a [`cancel_grace`](crate::Builder::cancel_grace), a call that its client gave up is
/// interrupted by an exception, `Cancelled`, which is no `Exception`; a generator is closed. Code in C that does not look for
/// signals goes on until the grace is over.
///
/// Python 3.9 or later. Modules are looked up in the working directory, in `PYTHONPATH` and so on, as for `python -c`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{CallError, Pool, Python};
///
/// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
/// assert_eq!(pool.call_json::<_, f64>(&2.25).await?, 1.5);
/// let Err(CallError::Raised { source, .. }) = pool.call_json::<_, f64>(&-1).await else { panic!() };
/// assert_eq!(source.kind, "ValueError");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Python {
    target: String,
    json: bool,
    path: Vec<PathBuf>,
    /// What is run: as the user says, and with its arguments once it has been prepared.
    program: Program,
}

impl Python {
    /// A function, written as `module:function`. The function may be an attribute of an attribute, as in
    /// `module:Class.method`.
    pub fn function(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            json: false,
            path: Vec::new(),
            program: Program::new("python3"),
        }
    }

    /// The interpreter, by its path or by a name to be looked up in `PATH`. Default `python3`. The one of a virtual
    /// environment brings its packages along.
    pub fn interpreter(mut self, interpreter: impl Into<OsString>) -> Self {
        self.program = self.program.program(interpreter);
        self
    }

    /// Requests and replies are JSON: the function gets the value, not the bytes, and returns one.
    pub fn json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Adds a directory to look up modules in, before all others but those added earlier.
    pub fn path(mut self, directory: impl Into<PathBuf>) -> Self {
        self.path.push(directory.into());
        self
    }

    /// Sets a variable of the workers' environment. The others they inherit.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.program = self.program.env(name, value);
        self
    }

    /// The directory that the workers run in. Default: that of this process.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.program = self.program.current_dir(directory);
        self
    }

    /// Starts workers by forking them from a process that has imported the function's module and run `setup` once: a zygote. A
    /// worker is ready within milliseconds then, however long the imports take, and shares with the others the memory that none
    /// of them changes.
    ///
    /// What a fork does not copy must not exist after `setup`: threads (the zygote gives up where it finds any) and, as a rule,
    /// connections; open those with the first call. `setup` is not run again in each worker.
    ///
    /// While there is no zygote, because it could not start or was killed, workers start as without one, and another
    /// zygote is started. The workers that it had forked serve on; but how those end is not known
    /// ([`ExitStatus::Unknown`](crate::ExitStatus::Unknown)), as they were its children.
    pub fn zygote(mut self) -> Self {
        self.program = self.program.zygote("--zygote");
        self
    }

    /// Lets the workers inherit no variable. See [`Program::env_clear`].
    pub fn env_clear(mut self) -> Self {
        self.program = self.program.env_clear();
        self
    }

    /// How much of the processors the workers get. See [`Program::nice`].
    pub fn nice(mut self, nice: i32) -> Self {
        self.program = self.program.nice(nice);
        self
    }

    /// Limits what each process of a worker may use. See [`Program::limit`].
    pub fn limit(mut self, resource: Resource, most: u64) -> Self {
        self.program = self.program.limit(resource, most);
        self
    }

    /// Gives each worker a control group of its own. See [`Program::cgroup`].
    pub fn cgroup(mut self, parent: impl Into<PathBuf>) -> Self {
        self.program = self.program.cgroup(parent);
        self
    }

    /// Whether a sentinel watches over the workers. See [`Program::sentinel`].
    pub fn sentinel(mut self, watches: bool) -> Self {
        self.program = self.program.sentinel(watches);
        self
    }

    fn program(&self) -> Result<Program, OpenError> {
        let named = |name: &str| !name.is_empty() && name.split('.').all(is_identifier);
        if !self
            .target
            .split_once(':')
            .is_some_and(|(module, function)| named(module) && named(function))
        {
            return Err(OpenError::BadTarget {
                target: self.target.clone(),
            });
        }
        let mut program = (self.program.clone())
            .args(["-u", "-c", BOOTSTRAP])
            .arg(RUNTIME.len().to_string())
            .arg(&self.target)
            .preamble(RUNTIME);
        if self.json {
            program = program.arg("--json");
        }
        for directory in &self.path {
            let mut option = OsString::from("--path=");
            option.push(directory);
            program = program.arg(option);
        }
        Ok(program)
    }
}

/// Good enough to tell a mistake of writing from a name; Python itself decides the rest.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|char| char.is_alphanumeric() || char == '_')
}

impl Opener for Python {
    fn prepare(&mut self) -> Result<(), OpenError> {
        self.program = self.program()?;
        self.program.prepare()
    }

    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.program.open(worker)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.program.close()
    }
}
