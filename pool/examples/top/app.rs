//! What the view shows.

use std::collections::VecDeque;
use std::time::Duration;

use ostler_pool::{Event, Phase, PhaseSummary, PoolStatus, WorkerId, WorkerStatus};

/// The points that the curves keep, and the lines that the log keeps.
const POINTS: usize = 400;
const LINES: usize = 200;

/// Everything on the screen.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub(crate) elapsed: Duration,
    pub(crate) size: usize,
    pub(crate) waiting: usize,
    pub(crate) is_draining: bool,
    /// Workers that serve.
    pub(crate) serving: usize,
    pub(crate) totals: Totals,
    pub(crate) rows: Vec<Row>,
    /// The index of the chosen row.
    pub(crate) selected: usize,
    /// The 95th percentile of the calls of each tick, in microseconds. The newest is last.
    pub(crate) latency: VecDeque<u64>,
    /// Calls per second, in each tick.
    pub(crate) rate: VecDeque<u64>,
    /// What happened, the newest first.
    pub(crate) log: VecDeque<String>,
    pub(crate) shows_help: bool,
}

/// Counts since the pool was built.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) started: u64,
    pub(crate) exited: u64,
    pub(crate) recycled: u64,
}

/// One worker.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) worker: WorkerId,
    pub(crate) pid: Option<u32>,
    pub(crate) phase: PhaseSummary,
    pub(crate) in_phase: Duration,
    pub(crate) age: Duration,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) memory: Option<u64>,
    /// Why it leaves or will be replaced.
    pub(crate) reason: String,
}

impl App {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the state of the pool. The chosen worker stays chosen while it is there.
    pub(crate) fn update(&mut self, status: &PoolStatus) {
        let chosen = self.chosen().map(|row| row.worker);
        self.size = status.size;
        self.waiting = status.waiting;
        self.is_draining = status.draining;
        self.serving = status.serving();
        let counters = status.counters;
        self.totals = Totals {
            calls: counters.calls,
            started: counters.started,
            exited: counters.exited,
            recycled: counters.recycled,
        };
        self.rows = status.workers.iter().map(Row::of).collect();
        self.rows.sort_by_key(|row| row.worker);
        let found = self.rows.iter().position(|row| Some(row.worker) == chosen);
        self.selected = found.unwrap_or(self.selected);
        self.select(0);
    }

    /// Takes the durations of the calls that ended in the last tick.
    pub(crate) fn tick(&mut self, mut latencies: Vec<Duration>, tick: Duration) {
        self.elapsed += tick;
        latencies.sort();
        let last = latencies.len().saturating_sub(1);
        let p95 = latencies.get(last * 95 / 100).copied().unwrap_or_default();
        push(
            &mut self.latency,
            u64::try_from(p95.as_micros()).unwrap_or(u64::MAX),
        );
        let rate = latencies.len() as f64 / tick.as_secs_f64();
        push(&mut self.rate, rate.round() as u64);
    }

    /// Logs a line for an event that is about more than one call.
    pub(crate) fn saw(&mut self, event: &Event) {
        let worker = event.worker();
        let line = match event {
            Event::Replacing { reason, .. } => format!("worker {worker} to be replaced: {reason}"),
            Event::Kept { .. } => format!("worker {worker} kept: a replacement failed to start"),
            Event::Moved(step) => match (step.from, step.to, step.reason) {
                (Phase::Initializing, Phase::Ready, _) => format!("worker {worker} started"),
                (from, Phase::Stopping, Some(reason)) if from != Phase::Stopping => {
                    format!("worker {worker} stops: {reason}")
                }
                (_, Phase::Terminated, _) => format!("worker {worker} is gone"),
                _ => return,
            },
            _ => return,
        };
        self.note(line);
    }

    /// Logs a line.
    pub(crate) fn note(&mut self, line: String) {
        self.log
            .push_front(format!("{:7.1} s  {line}", self.elapsed.as_secs_f64()));
        self.log.truncate(LINES);
    }

    /// Chooses the worker this many rows below.
    pub(crate) fn select(&mut self, below: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(below).min(last);
    }

    pub(crate) fn chosen(&self) -> Option<&Row> {
        self.rows.get(self.selected)
    }
}

impl Row {
    fn of(status: &WorkerStatus) -> Self {
        let reason = match (status.reason, status.replacing) {
            (Some(reason), _) => reason.to_string(),
            (None, Some(reason)) => format!("to be replaced: {reason}"),
            (None, None) => String::new(),
        };
        Self {
            worker: status.worker,
            pid: status.pid,
            phase: status.phase.summary(),
            in_phase: status.in_phase,
            age: status.age,
            calls: status.calls,
            errors: status.errors,
            memory: status.memory,
            reason,
        }
    }
}

fn push(points: &mut VecDeque<u64>, point: u64) {
    points.push_back(point);
    if points.len() > POINTS {
        points.pop_front();
    }
}
