//! Checks that `spec/WorkerPool.tla` allows every step of a trace written by
//! `ostler_pool::Builder::record`.
//!
//! ```text
//! cargo run --release --example check_trace FILE
//! ```
//!
//! Exits with 0 if it does. Otherwise it prints the first step that is not allowed, the reason and
//! the state before it, and exits with 1. It exits with 2 if the file cannot be read as a trace.

// The test suite's trace checker. This example uses only part of it.
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
#[path = "../tests/suite/trace_names.rs"]
mod trace_names;

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
        Ok(summary) => {
            print!("{summary}");
            ExitCode::SUCCESS
        }
        Err(rejection) => {
            eprint!("{}: {rejection}", file.display());
            ExitCode::FAILURE
        }
    }
}
