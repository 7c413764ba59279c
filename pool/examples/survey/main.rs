//! Parses every file of a directory of Python source with Python's `ast` module, in a pool of
//! Python workers.
//!
//! ```text
//! cargo run --release --example survey -- --kill-every 20
//! ```
//!
//! With `--kill-every N`, the survey sends `SIGKILL` to the worker of every Nth file during the
//! call. The pool replaces the worker, the survey retries the call, and the counts equal those of a
//! run without kills. The pool also recycles each worker after about `--recycle-every` files.

mod report;
mod resources;

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{fmt, thread, vec};

use clap::Parser;
use futures_util::future::{FutureExt as _, try_join_all};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use ostler_pool::{CallError, Lease, Pool, PoolStatus, Python, Timeline};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use walkdir::WalkDir;

use crate::report::{Figures, FileResult, Parsed};

/// Parse every file of a directory of Python source in a pool of Python workers.
#[derive(Debug, Parser)]
struct Args {
    /// The directory. Default: the interpreter's standard library, without `site-packages`.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The number of worker processes. Default: one for each processor.
    #[arg(long)]
    workers: Option<NonZero<usize>>,
    /// Parse only the first N files, in path order.
    #[arg(long, value_name = "N")]
    limit: Option<NonZero<usize>>,
    /// Kill the worker of every Nth file during the call, and retry the call.
    #[arg(long, value_name = "N")]
    kill_every: Option<NonZero<u64>>,
    /// Recycle each worker after about N files.
    #[arg(long, value_name = "N", default_value = "300")]
    recycle_every: NonZero<u64>,
    /// Record every step of the pool in this file, for `ostler-check-trace`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Draw what the pool did on this HTML page, or, if its name ends in `.json`, as a trace for
    /// Perfetto.
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Print only one JSON object.
    #[arg(long)]
    json: bool,
    /// The Python interpreter.
    #[arg(long, default_value = "python3")]
    python: String,
}

fn main() -> ExitCode {
    match survey(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("survey: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn survey(args: &Args) -> Result<(), Box<dyn Error>> {
    let dir = args
        .dir
        .clone()
        .map_or_else(|| standard_library(&args.python), Ok)?;
    let files = python_files(&dir, args.limit)?;
    let count = files.len() as u64;
    let workers = args
        .workers
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, usize::from);

    let descriptors = resources::descriptors();
    let since = Instant::now();
    let python = Python::function("survey_worker:parse")
        .interpreter(&args.python)
        .path(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/survey"))
        .json()
        // A collection of garbage then passes over what was there before the first file.
        .zygote();
    let mut pool = Pool::builder(python)
        .size(workers)
        .checkout_timeout(Duration::from_secs(60))
        .max_worker_requests(args.recycle_every.get())
        .min_worker_life(Duration::ZERO)
        .health_check_interval(HEALTH_CHECK_INTERVAL);
    if args.kill_every.is_some() {
        // The survey causes these crashes itself, so the pool need not back off for long.
        pool = pool
            .restart_backoff(Duration::from_millis(1))
            .restart_backoff_max(Duration::from_millis(20));
    }
    if let Some(file) = &args.record {
        let failed = |error| format!("cannot create the trace `{}`: {error}", file.display());
        pool = pool.record(File::create(file).map_err(failed)?);
    }
    let timeline = Timeline::new();
    if args.timeline.is_some() {
        pool = pool.timeline(&timeline);
    }
    let pool = pool.build()?;
    let survey = Survey {
        pool: &pool,
        files: Mutex::new(files.into_iter()),
        taken: AtomicU64::new(0),
        kill_every: args.kill_every,
        results: Mutex::default(),
        progress: progress(count),
    };
    // Twice as many clients as workers, so that a free worker never waits for a client.
    let outcome = try_join_all((0..2 * workers).map(|_| survey.run_client())).await;
    survey.progress.finish_and_clear();
    let Results {
        mut figures,
        mut files,
        mut killed,
        groups,
    } = survey.results.into_inner().expect("no client panicked");
    let status = status_after_health_checks(&pool).await;
    let report = pool.shutdown().await;
    drop(pool);
    if let Some(file) = &args.timeline {
        draw(&timeline, file)
            .map_err(|error| format!("cannot write the timeline `{}`: {error}", file.display()))?;
    }
    outcome?;

    figures.workers_started = report.counters.started;
    figures.recycled = report.counters.recycled;
    figures.health_checks = report.counters.probes;
    figures.shutdown_s = report.took.as_secs_f64();
    figures.wall_s = since.elapsed().as_secs_f64();
    figures.leaked_processes = resources::processes(&groups) as i64;
    figures.leaked_fds = resources::descriptors() as i64 - descriptors as i64;
    if figures.files != count {
        return Err(format!("{} of {count} files have a result", figures.files).into());
    }
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        println!("{}", dir.display());
        let paths = files.iter_mut().map(|file| &mut file.path);
        for path in paths.chain(&mut killed) {
            if let Ok(below) = path.strip_prefix(&dir) {
                *path = below.to_owned();
            }
        }
        report::print(&figures, &mut files, &killed, &status, &report);
    }
    Ok(())
}

fn draw(timeline: &Timeline, file: &Path) -> io::Result<()> {
    let to = BufWriter::new(File::create(file)?);
    match file
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        true => timeline.write_chrome_trace(to),
        false => timeline.write_html(to),
    }
}

/// The interval between health checks of an idle worker. Short, so that a survey of a few seconds
/// shows some.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until every worker, all idle now, has answered a health check, for at most five intervals.
async fn status_after_health_checks(pool: &Pool) -> PoolStatus {
    for _ in 0..10 {
        let status = pool.status();
        if status
            .workers
            .iter()
            .all(|worker| worker.last_probe.is_some())
        {
            return status;
        }
        tokio::time::sleep(HEALTH_CHECK_INTERVAL / 2).await;
    }
    pool.status()
}

/// The state that all clients share.
struct Survey<'a> {
    pool: &'a Pool,
    files: Mutex<vec::IntoIter<PathBuf>>,
    /// The number of files that clients have taken.
    taken: AtomicU64,
    kill_every: Option<NonZero<u64>>,
    results: Mutex<Results>,
    progress: ProgressBar,
}

#[derive(Default)]
struct Results {
    figures: Figures,
    files: Vec<FileResult>,
    /// The files whose worker was killed during the call.
    killed: Vec<PathBuf>,
    /// The process groups of all workers that clients leased.
    groups: HashSet<u32>,
}

impl Survey<'_> {
    /// Runs one client: parses files one after another until none is left.
    async fn run_client(&self) -> Result<(), CallError> {
        loop {
            let Some(path) = self.files.lock().expect("no client panicked").next() else {
                return Ok(());
            };
            let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
            let kill = self.kill_every.is_some_and(|every| number % every == 0);
            let (parsed, took) = match self.parse(&path, kill).await {
                Err(CallError::WorkerExited { .. }) if kill => {
                    {
                        let mut results = self.results();
                        results.figures.retries += 1;
                        results.killed.push(path.clone());
                    }
                    self.parse(&path, false).await?
                }
                parsed => parsed?,
            };
            let mut results = self.results();
            results.figures.add(&parsed);
            results.files.push(FileResult { path, parsed, took });
            if results.files.len() == 1 {
                // The time before is that of the start.
                self.progress.reset_elapsed();
            }
            let killed = results.figures.workers_killed;
            drop(results);
            self.progress.set_message(match killed {
                0 => String::new(),
                1 => ", 1 worker killed".to_owned(),
                killed => format!(", {killed} workers killed"),
            });
            self.progress.inc(1);
        }
    }

    /// Parses a file in a worker. Also returns how long the call took.
    async fn parse(&self, path: &Path, kill: bool) -> Result<(Parsed, Duration), CallError> {
        let mut lease = self.pool.checkout().await?;
        {
            let mut results = self.results();
            results.groups.extend(lease.pid());
            results.figures.calls += 1;
            results.figures.workers_killed += u64::from(kill);
        }
        let request = json!({ "path": path });
        let since = Instant::now();
        let parsed = match kill {
            true => call_and_kill(&mut lease, &request).await?,
            false => lease.call_json(&request).await?,
        };
        Ok((parsed, since.elapsed()))
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().expect("no client panicked")
    }
}

/// Kills the worker during a call. `SIGSTOP` comes first, so that the worker has the request and
/// cannot reply before it dies.
async fn call_and_kill(
    lease: &mut Lease,
    request: &serde_json::Value,
) -> Result<Parsed, CallError> {
    let pid = lease.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let signal = |signal| pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
    signal(Signal::STOP);
    let mut call = Box::pin(lease.call_json(request));
    // The first poll writes the request.
    let reply = call.as_mut().now_or_never();
    signal(Signal::KILL);
    match reply {
        Some(reply) => reply,
        None => call.await,
    }
}

/// The directory of the interpreter's standard library.
fn standard_library(python: &str) -> Result<PathBuf, Box<dyn Error>> {
    let script = "import sysconfig; print(sysconfig.get_paths()['stdlib'])";
    let output = Command::new(python)
        .args(["-c", script])
        .output()
        .map_err(|error| {
            format!("cannot run the interpreter `{python}` ({error}); choose another with --python")
        })?;
    if !output.status.success() {
        return Err(format!(
            "the interpreter `{python}` cannot find its standard library; \
                 choose a directory with --dir"
        )
        .into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Every Python file below `dir`, in path order.
fn python_files(dir: &Path, limit: Option<NonZero<usize>>) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !dir.is_dir() {
        return Err(format!(
            "`{}` is not a directory; choose one with --dir",
            dir.display()
        )
        .into());
    }
    let installed = |name: &std::ffi::OsStr| name == "site-packages" || name == "dist-packages";
    let mut files = Vec::new();
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !installed(entry.file_name())) {
        let entry = entry?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == "py") {
            files.push(entry.into_path());
        }
    }
    files.truncate(limit.map_or(usize::MAX, usize::from));
    if files.is_empty() {
        return Err(format!(
            "`{}` contains no Python file; choose another directory with --dir",
            dir.display()
        )
        .into());
    }
    Ok(files)
}

/// A progress bar. It draws nothing when stderr is not a terminal.
fn progress(files: u64) -> ProgressBar {
    // The first files say little: all workers start at once, and the first calls wait for them.
    let left = |state: &ProgressState, to: &mut dyn fmt::Write| {
        let (done, all) = (state.pos(), state.len().unwrap_or(0));
        if done * 20 >= all && state.elapsed() >= Duration::from_secs(1) {
            let left = state
                .elapsed()
                .mul_f64((all - done) as f64 / done.max(1) as f64);
            let _ = write!(to, ", {} left", HumanDuration(left));
        }
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files{left}{msg}");
    let style = style.expect("the template is valid").with_key("left", left);
    ProgressBar::new(files)
        .with_style(style)
        .with_message(", workers start")
}
