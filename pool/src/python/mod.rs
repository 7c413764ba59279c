//! Workers that run a Python function.

mod checks;
mod command;
mod positions;
mod runtime;

use std::path::PathBuf;
use std::time::Duration;

use crate::port::{Batching, BoxFuture, OpenError, Opener, Port, Start, StderrSink};
use crate::process::{PositionEnv, Program};

/// A Python function that each worker runs. Needs Python 3.9 or later and no package: the worker
/// runtime is part of this crate.
///
/// The function takes one argument, the request, and returns the reply: `bytes` both ways, or JSON
/// values with [`json`](Self::json). An exception fails the call with
/// [`CallError::Raised`](crate::CallError::Raised), and the worker keeps serving. Only `SystemExit`
/// and `KeyboardInterrupt` end the worker. `print` goes where everything goes that the worker
/// writes to stderr: see [`Stderr`](crate::Stderr).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{CallError, Pool, Python};
///
/// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
/// assert_eq!(pool.call_json::<_, f64>(&2.25).await?, 1.5);
/// let Err(CallError::Raised { source, .. }) = pool.call_json::<_, f64>(&-1).await else {
///     panic!("-1 has a root")
/// };
/// assert_eq!(source.kind, "ValueError");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Hooks of the module
///
/// The module of the function may define more functions, which may be `async`:
///
/// - `setup()` runs once in each worker, before the worker is ready.
/// - `health()` runs at each health check. An exception fails the check, and the worker keeps
///   serving; the result does not matter. It delays calls, so it should be quick. Without it, the
///   runtime answers health checks itself, between two calls.
/// - `end_session(name)` runs between two calls, when a session has ended whose calls came to this
///   worker. An exception is logged.
///
/// # What the function learns of its call
///
/// `import ostler` works in a worker, and needs no install: `ostler.session()`, `deadline()`,
/// `position()`, `traceparent()`, `cancelled()`, and `log(level, message, **fields)`. Records of
/// `logging` keep their level. A package `ostler` that the interpreter finds by itself comes first.
///
/// # Coroutines
///
/// An `async def` runs on one event loop, which belongs to the worker and runs only during calls.
/// An asynchronous generator is a stream.
///
/// # Streams and cancellation
///
/// For [`Lease::stream`](crate::Lease::stream), the function may return an iterator, such as a
/// generator: each item is sent as soon as it is there.
///
/// In a pool that [cancels](crate::AbandonedCalls::Cancel) abandoned calls, a call that its caller
/// gives up is interrupted: the function gets the exception `Cancelled`, which is not an
/// `Exception`, and a generator is closed. In a coroutine, it is an `asyncio.CancelledError`, too.
/// If the exception is lost, such as in an asyncio task or a `__del__`, it is raised again after
/// 200 ms, but never while an `except` or `finally` block handles it. C code that does not check
/// for signals runs on until the grace is over.
///
/// # Interpreter and modules
///
/// Modules are looked up in the worker's working directory, in `PYTHONPATH` and so on, as for
/// `python3 -c`. Everything about the process (interpreter, environment, directory, limits) is set
/// by [`interpreter`](Self::interpreter).
#[derive(Clone, Debug)]
#[must_use]
pub struct Python {
    target: String,
    /// Whether the target is a module, with several functions.
    several: bool,
    /// The option of the runtime that names the form of requests and replies. `None`: bytes.
    form: Option<&'static str>,
    batching: Option<Batching>,
    path: Vec<PathBuf>,
    zygote: bool,
    shared_memory: Option<u64>,
    position_env: PositionEnv,
    interpreter: Program,
    venv: Option<PathBuf>,
    /// The interpreter with its arguments, from `prepare` on.
    prepared: Option<Program>,
}

impl Python {
    /// A function, written as `module:function`. It may be an attribute of an attribute, as in
    /// `module:Class.method`.
    ///
    /// The build of the pool fails if the text has another form. A module or function that does not
    /// exist fails the start of each worker.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("zlib:decompress")).size(1).build()?;
    /// let compressed = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";
    /// assert_eq!(pool.call(compressed).await?, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn function(target: impl Into<String>) -> Self {
        Self::new(target.into(), false)
    }

    /// A module with several functions, written as `package.module`. Each call names the function
    /// that it runs.
    ///
    /// The functions are those in the module's `__all__`. Without it, they are the public functions
    /// and other callables that the module defines, but no classes. The
    /// [hooks](#hooks-of-the-module) are not among them. Each worker lists them when it starts, so a
    /// call of another one fails before it uses a worker.
    ///
    /// [`batch`](Self::batch) needs [`function`](Self::function), and fails the build here.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::module("math").json()).size(1).build()?;
    /// let sqrt = pool.function_json::<f64, f64>("sqrt");
    /// let floor = pool.function_json::<f64, i64>("floor");
    /// assert_eq!((sqrt.call(&2.25).await?, floor.call(&2.25).await?), (1.5, 2));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn module(name: impl Into<String>) -> Self {
        Self::new(name.into(), true)
    }

    fn new(target: String, several: bool) -> Self {
        Self {
            target,
            several,
            form: None,
            batching: None,
            path: Vec::new(),
            zygote: false,
            shared_memory: None,
            position_env: PositionEnv::default(),
            interpreter: Program::new(checks::DEFAULT),
            venv: None,
            prepared: None,
        }
    }

    /// Makes requests and replies JSON: the function gets a value, not bytes, and returns one.
    ///
    /// The worker uses the package `orjson` if its interpreter has it, which is three to four times
    /// as fast on large values. The values are the same as without it: whatever `orjson` reads or
    /// writes differently, Python's `json` does. Values of numpy are written as numbers and lists,
    /// dataclasses as objects, members of an `Enum` as their value, and dates, times, paths and
    /// `UUID`s as text. NaN and infinities are refused.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("builtins:sorted").json()).size(1).build()?;
    /// let sorted: Vec<u32> = pool.call_json(&[3, 1, 2]).await?;
    /// assert_eq!(sorted, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn json(mut self) -> Self {
        self.form = Some("--json");
        self
    }

    /// As [`json`](Self::json), with Python's `json` only: the worker does not import `orjson`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let modules = Python::function("sys:modules.get").stdlib_json();
    /// let pool = Pool::builder(modules).size(1).build()?;
    /// assert_eq!(pool.call_json::<_, Option<()>>("orjson").await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn stdlib_json(mut self) -> Self {
        self.form = Some("--stdlib-json");
        self
    }

    /// Collects the requests of concurrent callers, for a function that takes a list and returns a
    /// list of as many results. For models, which need little longer for many inputs than for one.
    ///
    /// [`Pool::call`](crate::Pool::call) and `call_json` stay as they are for their callers: each
    /// sends one request and gets its own reply. The function gets up to `max` requests at once:
    /// those that waited while all workers were busy, or that came until the first was `wait` old.
    /// 0 as `wait` collects only while all workers are busy.
    ///
    /// An exception is the error of every request in the list, and counts as one error of the
    /// worker. For the error of one request, return an exception in the place of its result. The
    /// whole list has `call_timeout`. A caller that gives up does not affect the others; when the
    /// last one gives up, the call is abandoned, as for [`Lease::call`](crate::Lease::call).
    ///
    /// A call on a lease or a session is a list of one, and so is a
    /// [`request`](crate::Pool::request), which has options of its own. A
    /// [`map`](crate::Pool::map) makes its own lists of up to `max`.
    ///
    /// The build of the pool fails unless `max` is 1 to 4096 and `wait` at most 60 s.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use ostler_pool::{Pool, Python};
    ///
    /// // A function of a list, which returns its items as they are.
    /// let list = Python::function("builtins:list").json();
    /// let pool = Pool::builder(list.batch(32, Duration::from_millis(2))).size(1).build()?;
    /// let (one, two) = tokio::join!(pool.call_json::<_, u8>(&1), pool.call_json::<_, u8>(&2));
    /// assert_eq!((one?, two?), (1, 2));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn batch(mut self, max: usize, wait: Duration) -> Self {
        self.batching = Some(Batching::new(max, wait));
        self
    }

    /// Adds a directory in which modules are looked up, before all others except those added
    /// earlier.
    ///
    /// A relative directory is relative to the worker's working directory. The build of the pool
    /// fails if the directory is missing.
    ///
    /// ```no_run
    /// # use ostler_pool::Python;
    /// let python = Python::function("model:predict").path("python/src");
    /// ```
    pub fn path(mut self, directory: impl Into<PathBuf>) -> Self {
        self.path.push(directory.into());
        self
    }

    /// Sets the interpreter: a path, a name to be looked up in `PATH`, or a [`Program`] with
    /// environment, directory and limits. Default: `python3`.
    ///
    /// For a virtual environment, use [`venv`](Self::venv).
    ///
    /// Arguments of the program come first, so they are options of the interpreter. A program with
    /// a [`preamble`](Program::preamble) fails the build of the pool: the worker runtime is in its
    /// place.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Program, Python};
    ///
    /// let python3 = Program::new("python3").arg("-O").env("OMP_NUM_THREADS", "1").nice(10);
    /// let getenv = Python::function("os:getenv").json().interpreter(python3);
    /// let pool = Pool::builder(getenv).size(1).build()?;
    /// assert_eq!(pool.call_json::<_, String>("OMP_NUM_THREADS").await?, "1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn interpreter(mut self, interpreter: impl Into<Program>) -> Self {
        self.interpreter = interpreter.into();
        self
    }

    /// Uses the packages of a virtual environment, such as that of `python3 -m venv` or `uv`: runs
    /// its interpreter, `bin/python`, in place of that of [`interpreter`](Self::interpreter), whose
    /// other settings stay.
    ///
    /// A relative directory is relative to the working directory of this process. The build of the
    /// pool fails if the directory has no interpreter. An environment that is activated
    /// (`VIRTUAL_ENV`, `PATH`) needs no option.
    ///
    /// ```no_run
    /// # use ostler_pool::Python;
    /// let python = Python::function("model:predict").venv(".venv");
    /// ```
    pub fn venv(mut self, directory: impl Into<PathBuf>) -> Self {
        self.venv = Some(directory.into());
        self
    }

    /// Hands requests and replies of 64 KiB to `limit` bytes over in memory that host and worker
    /// share, instead of through the pipe. Linux only: elsewhere, the build of the pool fails.
    ///
    /// The function gets each request, large or small, as a read-only `memoryview` instead of
    /// `bytes`. A large one is the shared memory itself, so `numpy.frombuffer` and `struct` read it
    /// without a copy. With [`json`](Self::json), it still gets a value.
    ///
    /// The function may keep the view, or an array made from it: its bytes do not change.
    /// Meanwhile, requests to that worker go through the pipe. A process that the function forks
    /// sees the bytes of later requests in the view.
    ///
    /// A worker that cannot open the memory says so on stderr, and uses the pipe: it runs as
    /// another user or in another process namespace, its address space is limited, or it is not
    /// CPython. See [`Program::shared_memory`] for the sizes and what the memory costs.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let hexlify = Python::function("binascii:hexlify").shared_memory(16 << 20);
    /// let pool = Pool::builder(hexlify).size(1).build()?;
    /// let reply = pool.call(vec![7; 1 << 20]).await?;
    /// assert_eq!(reply, b"07".repeat(1 << 20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn shared_memory(mut self, limit: u64) -> Self {
        self.shared_memory = Some(limit);
        self
    }

    /// Forks workers from a zygote: a process that has imported the module and run `setup()` once.
    /// Linux only: elsewhere, the build of the pool fails.
    ///
    /// A worker is then ready within milliseconds, however long the imports take, and the workers
    /// share the memory that none of them changes. `setup()` does not run again in each worker.
    ///
    /// A fork copies neither threads nor the state of a connection's other end. The zygote refuses
    /// to start if a thread is left after `setup()` that does not end at a fork, also one of a C
    /// library; start threads and open connections in the first call instead.
    ///
    /// While no zygote runs, because it could not start or was killed, workers start without one,
    /// and the pool tries to start another. The workers of a dead zygote keep serving, but their
    /// exit status is [`ExitStatus::Unknown`](crate::ExitStatus::Unknown), because they were its
    /// children.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("statistics:fmean").json().zygote()).build()?;
    /// assert_eq!(pool.call_json::<_, f64>(&[1, 2, 6]).await?, 3.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn zygote(mut self) -> Self {
        self.zygote = true;
        self
    }
}

impl Opener for Python {
    fn stderr_to(&mut self, sink: StderrSink) {
        self.interpreter.stderr_to(sink);
    }

    fn prepare(&mut self) -> Result<(), OpenError> {
        self.prepared.insert(self.program()?).prepare()
    }

    fn takes_json(&self) -> bool {
        self.form.is_some()
    }

    fn batching(&self) -> Option<Batching> {
        self.batching
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let program = self.prepared.as_ref();
        program.expect("`prepare` comes first").open(start)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        match &self.prepared {
            Some(program) => program.close(),
            None => Box::pin(std::future::ready(())),
        }
    }
}
