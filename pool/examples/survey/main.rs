//! Surveys a directory of Python source: a pool of Python workers parses every file with Python's own `ast`.
//!
//! ```text
//! cargo run --release --example survey -- --kill-every 20
//! ```
//!
//! Each worker is replaced after `--recycle-every` files, without the others noticing. With `--kill-every N`, the worker
//! that serves every Nth file is killed in the middle of it. The pool replaces the worker, the survey makes the call once
//! more, and the figures are those of a run without kills.

mod report;
mod resources;

use std::collections::HashSet;
use std::error::Error;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{thread, vec};

use clap::Parser;
use futures_util::future::{FutureExt as _, try_join_all};
use indicatif::{ProgressBar, ProgressStyle};
use ostler_pool::{CallError, Lease, Pool, PoolStatus, Python};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use walkdir::WalkDir;

use crate::report::{Figures, Finding, Parsed};

/// Parse every file of a directory of Python source in a pool of Python workers.
#[derive(Debug, Parser)]
struct Args {
    /// The directory. Default: the standard library of the interpreter, without `site-packages`.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Worker processes. Default: one for each processor.
    #[arg(long)]
    workers: Option<NonZero<usize>>,
    /// Parse only the first N files, in the order of their paths.
    #[arg(long, value_name = "N")]
    limit: Option<NonZero<usize>>,
    /// Kill the worker that serves every Nth file, and make the call once more.
    #[arg(long, value_name = "N")]
    kill_every: Option<NonZero<u64>>,
    /// Replace a worker after it has parsed about N files.
    #[arg(long, value_name = "N", default_value = "300")]
    recycle_every: NonZero<u64>,
    /// Write every step of the pool to this file, to be checked against the specification with `check_trace`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print one JSON object and nothing else.
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
        .json();
    let mut pool = Pool::builder(python)
        .size(workers)
        .checkout_timeout(Duration::from_secs(60))
        .max_worker_requests(args.recycle_every.get())
        .min_worker_life(Duration::ZERO)
        .health_check_interval(HEALTH_CHECKS);
    if args.kill_every.is_some() {
        // These crashes are ours, and say nothing of the program: there is no need to start it ever more seldom.
        pool = pool
            .restart_backoff(Duration::from_millis(1))
            .restart_backoff_max(Duration::from_millis(20));
    }
    if let Some(file) = &args.record {
        let failed = |error| format!("{}: {error}", file.display());
        pool = pool.record(std::fs::File::create(file).map_err(failed)?);
    }
    let pool = pool.build()?;
    let survey = Survey {
        pool: &pool,
        files: Mutex::new(files.into_iter()),
        started: AtomicU64::new(0),
        kill_every: args.kill_every,
        outcome: Mutex::default(),
        progress: progress(count),
    };
    // Twice as many clients as workers, so that a worker which becomes free finds the next file waiting.
    let walked = try_join_all((0..2 * workers).map(|_| survey.walk())).await;
    survey.progress.finish_and_clear();
    let Outcome {
        mut figures,
        mut findings,
        groups,
    } = survey.outcome.into_inner().expect("no client panicked");
    let status = checked(&pool).await;
    let report = pool.shutdown().await;
    drop(pool);
    walked?;

    figures.workers_started = report.counters.started;
    figures.recycled = report.counters.recycled;
    figures.health_checks = report.counters.probes;
    figures.shutdown_s = report.took.as_secs_f64();
    figures.wall_s = since.elapsed().as_secs_f64();
    figures.leaked_processes = resources::processes(&groups) as i64;
    figures.leaked_fds = resources::descriptors() as i64 - descriptors as i64;
    if figures.files != count {
        return Err(format!("{} of {count} files were accounted for", figures.files).into());
    }
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        println!("{}", dir.display());
        findings
            .iter_mut()
            .for_each(|finding| finding.shorten(&dir));
        report::print(&figures, &mut findings, &status, &report);
    }
    Ok(())
}

/// How often an idle worker is asked whether it is well.
const HEALTH_CHECKS: Duration = Duration::from_millis(50);

/// The pool once its workers, which are idle now, have had their health checks; or nearly, where one takes too long.
async fn checked(pool: &Pool) -> PoolStatus {
    for _ in 0..10 {
        let status = pool.status();
        if status
            .workers
            .iter()
            .all(|worker| worker.last_probe.is_some())
        {
            return status;
        }
        tokio::time::sleep(HEALTH_CHECKS / 2).await;
    }
    pool.status()
}

/// What all clients of the survey share.
struct Survey<'a> {
    pool: &'a Pool,
    files: Mutex<vec::IntoIter<PathBuf>>,
    /// How many files have been begun.
    started: AtomicU64,
    kill_every: Option<NonZero<u64>>,
    outcome: Mutex<Outcome>,
    progress: ProgressBar,
}

#[derive(Default)]
struct Outcome {
    figures: Figures,
    findings: Vec<Finding>,
    /// The process groups of all workers that were leased.
    groups: HashSet<u32>,
}

impl Survey<'_> {
    /// One client: takes a file after the other until there are none left.
    async fn walk(&self) -> Result<(), CallError> {
        loop {
            let Some(path) = self.files.lock().expect("no client panicked").next() else {
                return Ok(());
            };
            let begun = self.started.fetch_add(1, Ordering::Relaxed) + 1;
            let kill = self.kill_every.is_some_and(|every| begun % every == 0);
            let (parsed, took) = match self.parse(&path, kill).await {
                Err(CallError::WorkerExited { .. }) if kill => {
                    self.outcome
                        .lock()
                        .expect("no client panicked")
                        .figures
                        .retries += 1;
                    self.parse(&path, false).await?
                }
                parsed => parsed?,
            };
            let mut outcome = self.outcome.lock().expect("no client panicked");
            outcome.figures.add(&parsed);
            outcome.findings.push(Finding { path, parsed, took });
            self.progress.inc(1);
        }
    }

    /// What a worker says of the file, and how long it took to say it.
    async fn parse(&self, path: &Path, kill: bool) -> Result<(Parsed, Duration), CallError> {
        let mut lease = self.pool.checkout().await?;
        {
            let mut outcome = self.outcome.lock().expect("no client panicked");
            outcome.groups.extend(lease.pid());
            outcome.figures.calls += 1;
            outcome.figures.workers_killed += u64::from(kill);
        }
        let request = json!({ "path": path });
        let since = Instant::now();
        let parsed = match kill {
            true => call_and_kill(&mut lease, &request).await?,
            false => lease.call_json(&request).await?,
        };
        Ok((parsed, since.elapsed()))
    }
}

/// Kills the worker in the middle of a call: it is stopped first, so that it has the request and cannot answer it.
async fn call_and_kill(
    lease: &mut Lease,
    request: &serde_json::Value,
) -> Result<Parsed, CallError> {
    let pid = lease.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let signal = |signal| pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
    signal(Signal::STOP);
    let mut call = Box::pin(lease.call_json(request));
    let answered = call.as_mut().now_or_never();
    signal(Signal::KILL);
    match answered {
        Some(answer) => answer,
        None => call.await,
    }
}

/// Where the interpreter keeps its standard library.
fn standard_library(python: &str) -> Result<PathBuf, Box<dyn Error>> {
    let ask = "import sysconfig; print(sysconfig.get_paths()['stdlib'])";
    let output = Command::new(python)
        .args(["-c", ask])
        .output()
        .map_err(|error| {
            format!(
                "the interpreter `{python}` cannot be run ({error}); name another with --python"
            )
        })?;
    if !output.status.success() {
        return Err(
            format!("the interpreter `{python}` does not know its standard library").into(),
        );
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Every Python file below `dir`, in the order of the paths.
fn python_files(dir: &Path, limit: Option<NonZero<usize>>) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !dir.is_dir() {
        return Err(format!("`{}` is not a directory", dir.display()).into());
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
        return Err(format!("there is no Python file below `{}`", dir.display()).into());
    }
    Ok(files)
}

/// A bar on the terminal, and nothing where there is none.
fn progress(files: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left");
    ProgressBar::new(files).with_style(style.expect("the template is valid"))
}
