//! Runs a Python function on each line of a file of JSON, on all processors, with a progress bar.
//!
//! ```text
//! printf '[1, 2, 6]\n[]\n[4]\n' > input.jsonl
//! cargo run --release --example batch -- statistics:mean input.jsonl > output.jsonl
//! cargo run --release --example batch -- my_module:my_function --path . input.jsonl > output.jsonl
//! ```
//!
//! The output has a line for each line of the input, in the same order. A line whose call failed is
//! `null`, and the reason is on stderr.

use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use futures_util::{Stream as _, StreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use ostler_pool::{Pool, Python};

/// Run a Python function on each line of a file of JSON.
#[derive(Debug, Parser)]
struct Args {
    /// The function, as `module:function`.
    function: String,
    /// The file: one JSON value on each line.
    input: PathBuf,
    /// The directory of the module.
    #[arg(long)]
    path: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match batch(&Args::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("batch: {failed} lines failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("batch: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many lines failed.
async fn batch(args: &Args) -> Result<usize, Box<dyn Error>> {
    let input = fs::read_to_string(&args.input)?;
    let lines: Vec<&str> = input.lines().collect();
    let mut python = Python::function(&args.function).json();
    if let Some(path) = &args.path {
        python = python.path(path);
    }
    // Errors are part of this job, and no reason to replace a worker.
    let pool = Pool::builder(python).error_threshold(None).build()?;

    let mut replies = pool.map(lines);
    // What is still to come is known, because the number of lines is.
    let bar = ProgressBar::new(replies.size_hint().0 as u64);
    let style =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} lines, {per_sec}, {eta} left")?;
    bar.set_style(style);
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut line, mut failed) = (0, 0);
    while let Some(reply) = replies.next().await {
        line += 1;
        bar.inc(1);
        match reply {
            Ok(json) => out.write_all(&json)?,
            Err(error) => {
                failed += 1;
                let cause = error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                bar.suspend(|| eprintln!("line {line}: {cause}"));
                out.write_all(b"null")?;
            }
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    bar.finish();
    drop(replies);
    pool.shutdown().await;
    Ok(failed)
}
