//! Writes a timeline as one HTML page. `page/` has its style and its scripts.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use ostler::WorkerId;
use serde::Serialize;

use super::history::{History, Life, Mark, Outcome, Stay, Totals};

/// What the page reads. All times are microseconds since the record began.
#[derive(Serialize)]
struct Data<'a> {
    started_ms: Option<u64>,
    from: u64,
    to: u64,
    size: usize,
    slots: usize,
    has_closed: bool,
    totals: Totals,
    outcomes: [&'static str; Outcome::TEXTS.len()],
    workers: Vec<Worker>,
    /// Pairs: a time, and the length of the queue from then on.
    queue: Vec<u64>,
    marks: Vec<&'a Mark>,
}

#[derive(Serialize)]
struct Worker {
    id: String,
    slot: usize,
    phases: Vec<(u64, &'static str)>,
    end: Option<u64>,
    replacing: Option<(u64, String)>,
    reason: Option<String>,
    rung: Option<&'static str>,
    calls: u64,
    errors: u64,
    memory: Option<u64>,
    /// Six numbers for each lease: microseconds from the beginning of the previous one to its own,
    /// its duration, the wait of its client, its outcome, its calls, and the errors at its end.
    /// Numbers of six digits instead of twelve, because there may be 100,000 leases.
    leases: Vec<u64>,
}

/// The data of the page, as JSON that may stand in a `script` element.
pub(super) fn data(history: &History) -> io::Result<Vec<u8>> {
    let mut leases: HashMap<WorkerId, Vec<Stay>> = HashMap::new();
    for &stay in &history.stays {
        leases.entry(stay.lease.worker).or_default().push(stay);
    }
    // The order of the page's lanes, and of the workers in them.
    let lives: BTreeMap<WorkerId, &Life> = history.lives().map(|l| (l.worker, l)).collect();
    let workers: Vec<Worker> = (lives.values())
        .map(|life| {
            worker(
                life,
                leases.remove(&life.worker).unwrap_or_default(),
                history.now,
            )
        })
        .collect();
    let queue = history.queue.iter();
    let data = Data {
        started_ms: history.started_ms,
        from: history.kept_from,
        to: history.now,
        size: history.size,
        slots: workers.last().map_or(0, |worker| worker.slot + 1),
        has_closed: history.has_closed,
        totals: history.totals,
        outcomes: Outcome::TEXTS,
        workers,
        queue: queue.flat_map(|&(at, len)| [at, len as u64]).collect(),
        marks: history.marks.iter().collect(),
    };
    let json = serde_json::to_string(&data)?;
    // Nothing in it can end the element.
    Ok(json.replace('<', "\\u003c").into_bytes())
}

fn worker(life: &Life, mut leases: Vec<Stay>, now: u64) -> Worker {
    leases.extend(life.stay.map(|stay| Stay { to: now, ..stay }));
    let mut previous = 0;
    let mut numbers = Vec::with_capacity(6 * leases.len());
    for stay in leases {
        numbers.extend([
            stay.from - previous,
            stay.to - stay.from,
            stay.waited,
            stay.outcome as u64,
            u64::from(stay.calls),
            u64::from(stay.errors),
        ]);
        previous = stay.from;
    }
    Worker {
        id: life.worker.to_string(),
        slot: life.worker.slot,
        phases: (life.phases.iter())
            .map(|&(at, phase)| (at, phase.name()))
            .collect(),
        end: life.end,
        replacing: (life.replacing).map(|(at, reason)| (at, reason.to_string())),
        reason: life.reason.map(|reason| reason.to_string()),
        rung: life.rung.map(|rung| rung.name()),
        calls: life.calls,
        errors: life.errors,
        memory: life.memory,
        leases: numbers,
    }
}

/// Writes the page around its data.
pub(super) fn write(data: &[u8], mut to: impl Write) -> io::Result<()> {
    let (before, after) = PAGE
        .split_once("{{data}}")
        .expect("the page has a place for it");
    let (head, body) = before.split_once("{{style}}").expect("as above");
    let (end, rest) = after.split_once("{{scripts}}").expect("as above");
    for part in [head, STYLE, body] {
        to.write_all(part.as_bytes())?;
    }
    to.write_all(data)?;
    to.write_all(end.as_bytes())?;
    for script in SCRIPTS {
        to.write_all(script.as_bytes())?;
    }
    to.write_all(rest.as_bytes())?;
    to.flush()
}

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");

/// One after the other, in one script.
const SCRIPTS: [&str; 6] = [
    include_str!("page/data.js"),
    include_str!("page/text.js"),
    include_str!("page/view.js"),
    include_str!("page/draw.js"),
    include_str!("page/tooltip.js"),
    include_str!("page/input.js"),
];
