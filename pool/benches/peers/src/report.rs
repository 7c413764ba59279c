//! `BENCHMARKS.md`, from the results.

use std::fmt::Write;
use std::fs;

use crate::chart;
use crate::results::{Results, Row};
use crate::root;
use crate::rounds::shown;

const METHOD: &str = "\
`cargo peers` measures every row, and writes this page, its charts and [`bench-results.json`](bench-results.json).
[`CONTRIBUTING.md`](CONTRIBUTING.md#benchmarks) says how to run it.

- Each time is the time of one operation: the median of the rounds. In each round, every subject of a row runs once, so that
  a slow moment of the machine meets all of them. The first round is not counted.
- A ratio is ostler's time divided by the other's: below 1.00x, ostler is faster.
- A *floor* is the same work without a pool, and *smaller* is ostler itself at a smaller size.
- A *goal* is the most that ostler's time, or the ratio, is to be.
- Rows that name one processor, and rows of simulated workers, run on one processor, host and workers together.
- Times of simulated workers are CPU times of the one thread that runs clients and pool, and CPU of a host is that of all
  its threads. All others are times of day.
- Every pool has its default options, but for its size, when workers are replaced, and limits that the row would exceed.
  ostler has a timeout for each wait. The worker of each row is named, and the same for all subjects, but for piscina, whose
  worker is a thread that runs JavaScript.
";

pub(crate) fn write(results: &Results) {
    let rows: Vec<&Row> = results.rows.iter().filter(|row| !is_growth(row)).collect();
    let growth: Vec<&Row> = results.rows.iter().filter(|row| is_growth(row)).collect();
    let mut page = String::from("# Benchmarks\n\n");
    page += METHOD;
    page += "\n| | |\n|---|---|\n";
    for (name, value) in &results.machine {
        _ = writeln!(page, "| {name} | {value} |");
    }
    _ = writeln!(page, "| rounds | {} |\n", results.rounds);
    page += "![ostler's time beside that of other pools and of floors](docs/benchmarks.svg)\n\n";
    page += "## Every row\n\n";
    page += &markdown(&rows);
    page += "\n## Where ostler is slower, or misses a goal\n\n";
    page += &slower(&rows);
    page += "\n## How cost grows\n\n";
    page += "![the time of one operation at 1 to 10,000](docs/growth.svg)\n\n";
    page += "Processes are measured up to 1,000: 10,000 would need 40,000 descriptors.\n\n";
    page += &grown(&growth);
    let root = root();
    fs::write(root.join("BENCHMARKS.md"), page).expect("the page is written");
    fs::write(root.join("docs/benchmarks.svg"), chart::ratios(&rows)).expect("a chart is written");
    fs::write(root.join("docs/growth.svg"), chart::growth(&growth)).expect("a chart is written");
}

fn is_growth(row: &Row) -> bool {
    row.id == "growth"
}

fn markdown(rows: &[&Row]) -> String {
    let columns = [
        "operation",
        "worker",
        "ostler",
        "beside",
        "time",
        "ratio",
        "goal",
        "met",
    ];
    let mut text = format!("| | {} |\n", columns.join(" | "));
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let time = row.ostler().median;
        let mut head = format!(
            "| {} | {} | {} | {} |",
            row.id,
            row.operation,
            row.worker,
            shown(time)
        );
        let mut line = |rest: String| {
            _ = writeln!(text, "{head} {rest} |");
            head = "| | | | |".to_owned();
        };
        if let Some(most) = row.goal {
            line(format!(" | | | {} | {}", shown(most), met(time, most)));
        }
        for (other, ratio) in row.ratios() {
            let goal = other.goal;
            let goal = goal.map(|most| format!("{most:.2}x | {}", met(ratio, most)));
            let [name, time] = [other.name(), shown(other.median)];
            let goal = goal.unwrap_or_else(|| " | ".to_owned());
            line(format!("{name} | {time} | {ratio:.2}x | {goal}"));
        }
    }
    text
}

fn met(value: f64, most: f64) -> &'static str {
    if value <= most { "yes" } else { "no" }
}

fn slower(rows: &[&Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut why = Vec::new();
        if let Some(most) = row.goal.filter(|most| row.ostler().median > *most) {
            let time = shown(row.ostler().median);
            why.push(format!("{time}, the goal is {}", shown(most)));
        }
        for (other, ratio) in row.ratios() {
            let missed = other.goal.filter(|most| ratio > *most);
            // What would be shown as 1.00x is not slower.
            if missed.is_some() || (other.is_other() && ratio >= 1.005) {
                let goal = missed.map(|most| format!(", the goal is {most:.2}x"));
                let goal = goal.unwrap_or_default();
                why.push(format!("{ratio:.2}x {}{goal}", other.name));
            }
        }
        if !why.is_empty() {
            let (id, operation) = (&row.id, &row.operation);
            let limit = row.limit.as_deref().unwrap_or("The limit is not known.");
            _ = writeln!(text, "- {id}, {operation}: {}. {limit}", why.join("; "));
        }
    }
    text
}

fn grown(rows: &[&Row]) -> String {
    let sizes = |row: &Row| {
        let names = row.measured.iter().map(|measured| measured.name.clone());
        names.collect::<Vec<_>>().join(" | ")
    };
    let mut text = String::new();
    for row in rows {
        if text.is_empty() {
            let columns = "---|".repeat(row.measured.len());
            _ = writeln!(
                text,
                "| at a size of | worker | {} |\n|---|---|{columns}",
                sizes(row)
            );
        }
        let times = row.measured.iter().map(|measured| shown(measured.median));
        let mut times: Vec<String> = times.collect();
        times.resize(rows[0].measured.len(), String::new());
        let (operation, worker) = (&row.operation, &row.worker);
        _ = writeln!(text, "| {operation} | {worker} | {} |", times.join(" | "));
    }
    text
}

/// The rows as text for a terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let Row {
            id,
            operation,
            worker,
            ..
        } = row;
        _ = writeln!(text, "{id}: {operation} ({worker})");
        for measured in &row.measured {
            let ratio = row.ostler().median / measured.median;
            let [time, fastest, slowest] =
                [measured.median, measured.fastest, measured.slowest].map(shown);
            let name = measured.name();
            let goal = measured.goal.map(|most| format!("goal {most:.2}x"));
            let goal = goal.unwrap_or_default();
            _ = writeln!(
                text,
                "    {name:<44}{time:>10}  {ratio:>7.2}x {goal:<12} {fastest} to {slowest}",
            );
        }
    }
    text
}
