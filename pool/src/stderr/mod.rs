//! Where the lines go that workers write to stderr.

mod host;

use std::fmt;

use ostler::WorkerId;
use tracing::dispatcher;

/// Where the lines go that a pool's workers write to stderr: `print`, warnings, tracebacks.
///
/// Wherever they go, the pool keeps the end of each worker's stderr for errors and for its
/// [`WorkerEnd`](crate::WorkerEnd), and a worker never waits for a reader of its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stderr {
    /// As [`Log`](Self::Log) once the program has set a `tracing` subscriber, otherwise as
    /// [`Host`](Self::Host).
    #[default]
    Auto,
    /// To `tracing`: an `info` event of the target `ostler::stderr` for each line. A record of
    /// Python's `logging` has its own level.
    Log,
    /// To the stderr of this process, after the name of the worker: `[worker 0.1] line`, or
    /// `[thumbnails worker 0.1] line` in a pool with a name.
    ///
    /// A thread of its own writes them. If this process's stderr is not read, it keeps up to 1,024
    /// lines, drops the rest, and says how many it dropped.
    Host,
    /// To both.
    Both,
    /// To neither.
    Null,
}

impl Stderr {
    #[cfg(feature = "serde")]
    pub(crate) const ALL: [Self; 5] = [Self::Auto, Self::Log, Self::Host, Self::Both, Self::Null];

    /// The name that a config file has for it.
    #[cfg(feature = "serde")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Log => "log",
            Self::Host => "host",
            Self::Both => "both",
            Self::Null => "null",
        }
    }

    fn to_log(self) -> bool {
        match self {
            Self::Auto => dispatcher::has_been_set(),
            Self::Log | Self::Both => true,
            Self::Host | Self::Null => false,
        }
    }

    fn to_host(self) -> bool {
        match self {
            Self::Auto => !dispatcher::has_been_set(),
            Self::Host | Self::Both => true,
            Self::Log | Self::Null => false,
        }
    }
}

/// Takes the lines that the workers of one pool write to stderr, and sends them where the pool's
/// option [`stderr`](crate::Config::stderr) says.
///
/// An [`Opener`](crate::port::Opener) gets it before it opens ports:
/// [`Opener::stderr_to`](crate::port::Opener::stderr_to).
#[derive(Clone, Debug, Default)]
pub struct StderrSink {
    pool: Option<String>,
    to: Stderr,
}

/// What a line comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Worker(WorkerId),
    Zygote,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker) => worker.fmt(f),
            Self::Zygote => f.write_str("zygote"),
        }
    }
}

impl StderrSink {
    pub(crate) fn new(pool: Option<String>, to: Stderr) -> Self {
        Self { pool, to }
    }

    /// Takes a line of a worker, without its end. Does not wait for a reader.
    ///
    /// `pid` is the process id of the worker, for the log.
    ///
    /// ```
    /// use ostler_pool::WorkerId;
    /// use ostler_pool::port::StderrSink;
    ///
    /// fn forward(sink: &StderrSink, worker: WorkerId, output: &str) {
    ///     output.lines().for_each(|line| sink.line(worker, None, line));
    /// }
    /// ```
    pub fn line(&self, worker: WorkerId, pid: Option<u32>, line: &str) {
        self.line_of(Source::Worker(worker), pid, line);
    }

    pub(crate) fn line_of(&self, source: Source, pid: Option<u32>, line: &str) {
        self.pass_on(source, line, |pool| {
            tracing::info!(target: "ostler::stderr", pool, worker = %source, pid, "{line}");
        });
    }

    /// Passes a text of one or more lines on. `log` logs it, given the name of the pool.
    pub(crate) fn pass_on(&self, source: Source, text: &str, log: impl FnOnce(Option<&str>)) {
        let pool = self.pool.as_deref();
        if self.to.to_log() {
            log(pool);
        }
        if self.to.to_host() {
            let pool = pool.map_or(String::new(), |pool| format!("{pool} "));
            let kind = match source {
                Source::Worker(_) => "worker ",
                Source::Zygote => "",
            };
            for line in text.split('\n') {
                host::write(format!("[{pool}{kind}{source}] {line}\n"));
            }
        }
    }

    /// Waits until the lines that this process has taken are written, for one second at most.
    pub(crate) async fn flush(&self) {
        if self.to.to_host() {
            host::flush().await;
        }
    }
}
