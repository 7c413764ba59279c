//! Checks that ostler's specification allows every step of a record that a pool has written. See
//! this package's README.
//!
//! The test suites of the core and of the simulation compile the modules of this package, too, and
//! use more of them than this program does.

#[allow(dead_code)]
mod spec_files;
mod spec_model;
#[allow(dead_code)]
mod spec_support;
#[allow(dead_code)]
mod trace_check;
mod trace_claims;
mod trace_effects;
#[allow(dead_code)]
mod trace_mirror;
mod trace_names;

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: ostler-check-trace FILE");
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
    // Nothing is left in it but the directory itself.
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
