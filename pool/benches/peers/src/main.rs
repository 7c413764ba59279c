//! Measures ostler beside other pools and beside floors: what the same work costs without a pool.
//!
//! `cargo peers` measures every row and writes `bench-results.json`, `BENCHMARKS.md` and the
//! charts. See CONTRIBUTING.md.

#[path = "../../parts/clients.rs"]
mod clients;
#[path = "../../parts/echo.rs"]
mod echo;
#[path = "../../parts/rounds.rs"]
mod rounds;
#[path = "../../parts/simulated.rs"]
#[allow(dead_code)]
mod simulated;

mod batches;
mod chart;
mod growth;
mod machine;
mod memory;
mod pipes;
mod python;
mod recycling;
mod report;
mod results;
mod scripts;
mod shared;
mod spawns;
mod streams;
mod survey;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use results::{Results, Row};

/// Measures the rows of one kind in this number of rounds.
type Measure = fn(usize) -> Vec<Row>;

/// Each kind of rows, and whether host and workers share one processor. Each runs in its own
/// process.
const KINDS: [(&str, bool, Measure); 13] = [
    ("pairs", true, memory::pairs),
    ("cancels", true, memory::cancels),
    ("sizes", true, memory::sizes),
    ("calls", true, pipes::small),
    ("large", true, pipes::large),
    ("shared", true, shared::rows),
    ("batches", true, batches::rows),
    ("streams", true, streams::rows),
    ("python", false, python::rows),
    ("recycling", false, recycling::rows),
    ("replacements", false, spawns::rows),
    ("survey", false, survey::rows),
    ("growth", true, growth::rows),
];

const USAGE: &str =
    "usage: cargo peers [--rounds N] [KIND…]    without KIND: all, and write the results
       cargo peers --report              write BENCHMARKS.md and the charts anew";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["worker"] => echo::serve(Duration::ZERO).expect("the host reads"),
        ["worker", millis] => {
            let delay = Duration::from_millis(millis.parse().expect("a number"));
            echo::serve(delay).expect("the host reads");
        }
        ["measure", kind, rounds] => {
            let (_, _, measure) = known(kind).expect("a kind");
            let rows = measure(rounds.parse().expect("a number"));
            println!("{}", serde_json::to_string(&rows).expect("rows are JSON"));
        }
        ["--report"] => report::write(&read()),
        ["--rounds", rounds, ref kinds @ ..] => run(rounds, kinds),
        ref kinds => run("9", kinds),
    }
}

fn run(rounds: &str, kinds: &[&str]) {
    if rounds.parse::<usize>().is_err() || kinds.iter().any(|kind| known(kind).is_none()) {
        let known: Vec<&str> = KINDS.iter().map(|(kind, ..)| *kind).collect();
        eprintln!("{USAGE}\nkinds: {}", known.join(", "));
        std::process::exit(2);
    }
    let is_wanted = |kind: &str| kinds.is_empty() || kinds.contains(&kind);
    let mut rows = Vec::new();
    for (kind, pinned, _) in KINDS.iter().filter(|(kind, ..)| is_wanted(kind)) {
        eprintln!("{kind}");
        let measured = measure(kind, *pinned, rounds);
        print!("{}", report::table(&measured));
        rows.extend(measured);
    }
    if kinds.is_empty() {
        let results = Results {
            machine: machine::describe(),
            rounds: rounds.parse().expect("checked above"),
            rows,
        };
        let text = serde_json::to_string_pretty(&results).expect("results are JSON");
        fs::write(root().join("bench-results.json"), text + "\n").expect("the results are written");
        // What is published is what the file says.
        report::write(&read());
    }
}

fn measure(kind: &str, pinned: bool, rounds: &str) -> Vec<Row> {
    let itself = env::current_exe().expect("a path");
    let mut command = if pinned {
        let mut taskset = Command::new("taskset");
        taskset.args(["-c", "0"]).arg(itself);
        taskset
    } else {
        Command::new(itself)
    };
    let output = command
        .args(["measure", kind, rounds])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{kind}: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("rows")
}

fn known(kind: &str) -> Option<&'static (&'static str, bool, Measure)> {
    KINDS.iter().find(|(name, ..)| *name == kind)
}

fn read() -> Results {
    let text = fs::read_to_string(root().join("bench-results.json")).expect("there are results");
    serde_json::from_str(&text).expect("the file has the format of this version")
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}
