//! Checks that ostler's specification allows every step of a record that a pool has written, or
//! writes a Rust test of the same steps. See this package's README.
//!
//! The test suites of the core and of the simulation compile the modules of this package, too, and
//! use more of them than this program does.

mod counterexample;
mod regression;
mod shown;
#[allow(dead_code)]
mod spec_files;
mod spec_model;
#[allow(dead_code)]
mod spec_support;
#[allow(dead_code)]
mod trace_check;
mod trace_claims;
mod trace_effects;
mod trace_inputs;
#[allow(dead_code)]
mod trace_mirror;
mod trace_names;

use std::process::ExitCode;
use std::{env, fs};

use ostler::trace::{Head, Step};

const USAGE: &str = "usage: ostler-check-trace RECORD
       ostler-check-trace --regression RECORD
       ostler-check-trace --regression COUNTEREXAMPLE CONFIGURATION";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        ["--regression", counterexample, cfg] => from_counterexample(counterexample, cfg),
        ["--regression", record] => from_record(record),
        [record] if !record.starts_with('-') => check(record),
        _ => Err((2, USAGE.into())),
    };
    // Nothing is left in it but the directory itself.
    let _ = fs::remove_dir_all(spec_files::scratch());
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err((code, problem)) => {
            eprintln!("{}", problem.trim_end());
            ExitCode::from(code)
        }
    }
}

/// Says whether the specification allows the record.
fn check(file: &str) -> Result<String, (u8, String)> {
    let (head, steps) = read(file).and_then(|text| parse(file, &text))?;
    let checked = trace_check::check(&head, &steps);
    let allowed = checked.map_err(|rejection| (1, format!("{file}: {rejection}")))?;
    Ok(allowed.to_string())
}

/// Writes a test of the same steps.
fn from_record(file: &str) -> Result<String, (u8, String)> {
    let (head, steps) = read(file).and_then(|text| parse(file, &text))?;
    let refused = trace_check::check(&head, &steps).err();
    let test = regression::of_trace(&head, &steps, refused.as_deref());
    test.map_err(|problem| (1, format!("{file}: {problem}")))
}

/// Writes a test of the same steps, as far as the code takes them.
fn from_counterexample(file: &str, cfg: &str) -> Result<String, (u8, String)> {
    let test = counterexample::of_counterexample(&read(file)?, &read(cfg)?);
    test.map_err(|problem| (1, format!("{file}: {problem}")))
}

fn read(file: &str) -> Result<String, (u8, String)> {
    fs::read_to_string(file).map_err(|error| (2, format!("{file}: {error}")))
}

fn parse(file: &str, text: &str) -> Result<(Head, Vec<Step>), (u8, String)> {
    trace_check::parse(text).map_err(|problem| (2, format!("{file}: {problem}")))
}
