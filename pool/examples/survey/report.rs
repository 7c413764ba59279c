//! What the survey found, for people and as JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ostler_pool::{PoolStatus, ShutdownReport};
use serde::{Deserialize, Serialize};

/// What a worker says of one file.
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

/// One file, accounted for.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    pub(crate) parsed: Parsed,
    pub(crate) took: Duration,
}

impl Finding {
    /// Names the file by its path below `dir`.
    pub(crate) fn shorten(&mut self, dir: &Path) {
        if let Ok(below) = self.path.strip_prefix(dir) {
            self.path = below.to_owned();
        }
    }
}

/// The figures of a survey.
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

    /// How many of a hundred modules, functions and classes have a docstring.
    fn documented_share(&self) -> f64 {
        let documentable = self.parsed + self.functions + self.classes;
        100.0 * self.documented as f64 / (documentable.max(1)) as f64
    }
}

/// How many files the lists of the printed report name at most.
const SLOWEST: usize = 5;
const UNPARSABLE: usize = 20;

/// Prints the report for people.
pub(crate) fn print(
    figures: &Figures,
    findings: &mut [Finding],
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
        "{files} files: {parsed} parsed, {unparsable} unparsable, in {:.2} s",
        figures.wall_s
    );
    println!("  {lines} lines, {functions} functions, {classes} classes");
    println!(
        "  {:.1} % of modules, functions and classes have a docstring",
        figures.documented_share()
    );

    findings.sort_by_key(|finding| std::cmp::Reverse(finding.took));
    println!("\nslowest:");
    for finding in findings.iter().take(SLOWEST) {
        println!(
            "  {:7.1} ms  {}",
            1e3 * finding.took.as_secs_f64(),
            finding.path.display()
        );
    }
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    println!("\nunparsable:");
    let mut named = 0;
    for finding in findings.iter() {
        if let Parsed::Unparsable { unparsable, .. } = &finding.parsed
            && named < UNPARSABLE
        {
            println!("  {}: {unparsable}", finding.path.display());
            named += 1;
        }
    }
    if *unparsable > named as u64 {
        println!("  and {} more", unparsable - named as u64);
    }
    println!("\nbefore the shutdown: {}", status.to_string().trim_end());
    println!("\n{}", report.to_string().trim_end());
    println!(
        "  {} calls, {} workers killed, {} calls made once more",
        figures.calls, figures.workers_killed, figures.retries
    );
    println!(
        "  left behind: {} processes, {} descriptors",
        figures.leaked_processes, figures.leaked_fds
    );
}
