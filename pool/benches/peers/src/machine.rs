//! What the results were measured on.

use std::fs;
use std::process::Command;

pub(crate) fn describe() -> Vec<(String, String)> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or_default().trim_matches([' ', '\t', ':']);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    [
        ("date", said("date", &["-u", "+%Y-%m-%d"])),
        ("commit", said("git", &["rev-parse", "--short=12", "HEAD"])),
        ("processors", format!("{count} x {model}")),
        ("kernel", said("uname", &["-sr"])),
        ("Rust", said("rustc", &["--version"])),
        ("Python", said("python3", &["--version"])),
        ("orjson", orjson()),
        ("Node", said("node", &["--version"])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The version of the package with which Python workers read and write JSON, if there is one.
pub(crate) fn orjson() -> String {
    said(
        "python3",
        &["-c", "import orjson; print(orjson.__version__)"],
    )
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
