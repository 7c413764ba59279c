//! Writes a timeline in the trace event format of Chrome.
//!
//! The format is described in
//! <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.

use std::collections::BTreeMap;
use std::io;

use ostler::WorkerId;
use ostler::worker::Phase;
use serde_json::{Value, json};

use super::history::{History, Life, Mark, MarkKind, Stay};

/// The process of all events: the pool.
const POOL: u64 = 1;

/// The thread of the events that are about no worker.
const POOL_THREAD: u64 = 0;

/// The whole trace, as one JSON object.
pub(super) fn trace(history: &History) -> io::Result<Vec<u8>> {
    let mut events = vec![named("process_name", POOL_THREAD, "ostler pool")];
    events.push(named("thread_name", POOL_THREAD, "pool"));
    let lives: BTreeMap<WorkerId, &Life> = history.lives().map(|l| (l.worker, l)).collect();
    let mut slot = None;
    for life in lives.values() {
        if slot.replace(life.worker.slot) != Some(life.worker.slot) {
            let slot = life.worker.slot;
            events.push(named("thread_name", thread(slot), &format!("slot {slot}")));
            let name = format!("slot {slot}: calls");
            events.push(named("thread_name", thread(slot) + 1, &name));
        }
        worker(life, history.now, &mut events);
    }
    let running = lives.values().filter_map(|life| life.stay);
    let running = running.map(|stay| Stay {
        to: history.now,
        ..stay
    });
    events.extend(history.stays.iter().copied().chain(running).map(lease));
    events.extend(history.queue.iter().map(|&(at, len)| {
        json!({ "ph": "C", "name": "waiting callers", "pid": POOL, "ts": at, "args": { "callers": len } })
    }));
    events.extend(history.marks.iter().map(mark));
    let trace = json!({
        "displayTimeUnit": "ms",
        "otherData": { "started_ms": history.started_ms, "size": history.size },
        "traceEvents": events,
    });
    Ok(serde_json::to_vec(&trace)?)
}

/// The thread of a slot. The leases have the next one: a worker can begin to drain during a lease,
/// and slices of one thread must not overlap by halves.
fn thread(slot: usize) -> u64 {
    2 * slot as u64 + 1
}

fn named(what: &str, thread: u64, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": POOL, "tid": thread, "args": { "name": name } })
}

/// A worker, and its phases in it.
fn worker(life: &Life, now: u64, events: &mut Vec<Value>) {
    let end = life.end.unwrap_or(now);
    let mut slice = |name: &str, from: u64, to: u64, args: Value| {
        events.push(json!({
            "ph": "X", "cat": "worker", "name": name, "pid": POOL, "tid": thread(life.worker.slot),
            "ts": from, "dur": to - from, "args": args,
        }));
    };
    let facts = json!({
        "calls": life.calls,
        "errors": life.errors,
        "memory": life.memory,
        "replaced because": life.replacing.map(|(_, reason)| reason.to_string()),
        "left because": life.reason.map(|reason| reason.to_string()),
        "last step of the stop": life.rung.map(|rung| rung.name()),
    });
    slice(
        &format!("worker {}", life.worker),
        life.opened(),
        end,
        facts,
    );
    let ends = life.phases.iter().skip(1).map(|&(at, _)| at);
    for (&(from, phase), to) in life.phases.iter().zip(ends.chain([end])) {
        if from < to {
            slice(name_of(phase), from, to, json!({}));
        }
    }
}

const fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Initializing => "starting",
        Phase::Ready | Phase::Busy => "serving",
        Phase::Lingering | Phase::Finishing => "draining",
        _ => "stopping",
    }
}

fn lease(stay: Stay) -> Value {
    let name = match stay.calls {
        0 | 1 => stay.outcome.text().to_owned(),
        calls => format!("{calls} calls: {}", stay.outcome.text()),
    };
    json!({
        "ph": "X", "cat": "lease", "name": name, "pid": POOL, "tid": thread(stay.lease.worker.slot) + 1,
        "ts": stay.from, "dur": stay.to - stay.from,
        "args": { "calls": stay.calls, "errors": stay.errors, "waited_us": stay.waited },
    })
}

fn mark(mark: &Mark) -> Value {
    let scope = if mark.kind == MarkKind::Pool {
        "p"
    } else {
        "t"
    };
    json!({
        "ph": "i", "cat": "mark", "name": mark.text, "pid": POOL, "s": scope, "ts": mark.at,
        "tid": mark.slot.map_or(POOL_THREAD, thread), "args": { "worker": mark.worker },
    })
}
