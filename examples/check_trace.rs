//! Checks a trace that `ostler_pool::Builder::record` has written: is each of its steps one that `spec/WorkerPool.tla` allows?
//!
//! ```text
//! cargo run --release --example check_trace FILE
//! ```
//!
//! Ends with 0 if they all are. Otherwise it shows the first step that is not, what is wrong with it, and the state before it,
//! and ends with 1; with 2 for what is no trace.

// The tests' own means, of which this needs a part.
#[allow(dead_code)]
#[path = "../tests/suite/spec_files.rs"]
mod spec_files;
#[path = "../tests/suite/spec_model.rs"]
mod spec_model;
#[allow(dead_code)]
#[path = "../tests/suite/spec_support.rs"]
mod spec_support;
#[allow(dead_code)]
#[path = "../tests/suite/trace_check.rs"]
mod trace_check;
#[path = "../tests/suite/trace_claims.rs"]
mod trace_claims;
#[path = "../tests/suite/trace_effects.rs"]
mod trace_effects;
#[allow(dead_code)]
#[path = "../tests/suite/trace_mirror.rs"]
mod trace_mirror;

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: check_trace FILE");
        return ExitCode::from(2);
    };
    let text = fs::read_to_string(&file).map_err(|error| error.to_string());
    let (head, steps) = match text.and_then(|text| trace_check::parse(&text)) {
        Ok(trace) => trace,
        Err(problem) => {
            eprintln!("{}: {problem}", file.display());
            return ExitCode::from(2);
        }
    };
    let checked = trace_check::check(&head, &steps);
    let _ = fs::remove_dir_all(spec_files::scratch());
    match checked {
        Ok(allowed) => {
            print!("{allowed}");
            ExitCode::SUCCESS
        }
        Err(refused) => {
            eprint!("{}: {refused}", file.display());
            ExitCode::FAILURE
        }
    }
}
