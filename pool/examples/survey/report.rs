//! The survey's results, as text and as JSON.

use std::path::PathBuf;
use std::time::Duration;

use ostler_pool::{PoolStatus, ShutdownReport};
use serde::{Deserialize, Serialize};

/// The reply of a worker for one file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Parsed {
    Unparsable {
        lines: u64,
        unparsable: String,
    },
    Module {
        lines: u64,
        functions: u64,
        classes: u64,
        documented: u64,
    },
}

/// The result of one file.
#[derive(Debug)]
pub(crate) struct FileResult {
    pub(crate) path: PathBuf,
    pub(crate) parsed: Parsed,
    /// The duration of the call.
    pub(crate) took: Duration,
}

/// The counts and times of a survey. The field names are the keys of the JSON object.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) files: u64,
    pub(crate) parsed: u64,
    pub(crate) unparsable: u64,
    pub(crate) lines: u64,
    pub(crate) functions: u64,
    pub(crate) classes: u64,
    /// Modules, functions and classes with a docstring.
    pub(crate) documented: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) workers_started: u64,
    pub(crate) workers_killed: u64,
    pub(crate) recycled: u64,
    pub(crate) health_checks: u64,
    pub(crate) wall_s: f64,
    pub(crate) shutdown_s: f64,
    pub(crate) leaked_processes: i64,
    pub(crate) leaked_fds: i64,
}

impl Figures {
    pub(crate) fn add(&mut self, parsed: &Parsed) {
        self.files += 1;
        match parsed {
            Parsed::Unparsable { lines, .. } => {
                self.unparsable += 1;
                self.lines += lines;
            }
            Parsed::Module {
                lines,
                functions,
                classes,
                documented,
            } => {
                self.parsed += 1;
                self.lines += lines;
                self.functions += functions;
                self.classes += classes;
                self.documented += documented;
            }
        }
    }

    /// The percentage of modules, functions and classes that have a docstring.
    fn documented_percent(&self) -> f64 {
        let documentable = self.parsed + self.functions + self.classes;
        100.0 * self.documented as f64 / (documentable.max(1)) as f64
    }
}

/// The lengths of the report's lists of files.
const SLOWEST: usize = 5;
const KILLED: usize = 5;
const UNPARSABLE: usize = 20;

/// Prints the report as text.
pub(crate) fn print(
    figures: &Figures,
    results: &mut [FileResult],
    killed: &[PathBuf],
    status: &PoolStatus,
    report: &ShutdownReport,
) {
    let Figures {
        files,
        parsed,
        unparsable,
        lines,
        functions,
        classes,
        ..
    } = figures;
    println!(
        "{files} files in {:.2} s: {parsed} parsed, {unparsable} failed to parse",
        figures.wall_s
    );
    println!("  {lines} lines, {functions} functions, {classes} classes");
    println!(
        "  {:.1} % of modules, functions and classes have a docstring",
        figures.documented_percent()
    );

    results.sort_by_key(|result| std::cmp::Reverse(result.took));
    println!("\nslowest calls:");
    for result in results.iter().take(SLOWEST) {
        println!(
            "  {:7.1} ms  {}",
            1e3 * result.took.as_secs_f64(),
            result.path.display()
        );
    }
    results.sort_by(|a, b| a.path.cmp(&b.path));
    if *unparsable > 0 {
        println!("\nfailed to parse:");
    }
    let mut listed = 0;
    for result in results.iter() {
        if let Parsed::Unparsable { unparsable, .. } = &result.parsed
            && listed < UNPARSABLE
        {
            println!("  {}: {unparsable}", result.path.display());
            listed += 1;
        }
    }
    if *unparsable > listed as u64 {
        println!("  and {} more", unparsable - listed as u64);
    }
    if !killed.is_empty() {
        println!("\nworker killed during the call, which was retried:");
        for path in killed.iter().take(KILLED) {
            println!("  {}", path.display());
        }
    }
    if killed.len() > KILLED {
        println!("  and {} more", killed.len() - KILLED);
    }
    println!("\nbefore the shutdown: {}", status.to_string().trim_end());
    println!("\n{}", report.to_string().trim_end());
    println!(
        "\nsurvey: {} calls, {} of them retried; {} workers killed",
        figures.calls, figures.retries, figures.workers_killed
    );
    println!(
        "leaked: {} processes, {} descriptors",
        figures.leaked_processes, figures.leaked_fds
    );
}
