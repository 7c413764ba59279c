//! What a timeline keeps, and for how long.
//!
//! All times are microseconds since the record began.

use std::collections::{HashMap, VecDeque};

use ostler::supervisor::{Fault, Reason};
use ostler::worker::{Phase, Rung};
use ostler::{LeaseId, WaiterId, WorkerId};

/// The recent past of a pool.
#[derive(Debug)]
pub(super) struct History {
    /// How many stays, ended workers, marks and lengths of the queue are kept, of each.
    capacity: usize,
    /// When the record began, in milliseconds since the Unix epoch, if the trace says.
    pub(super) started_ms: Option<u64>,
    /// The time of the last step.
    pub(super) now: u64,
    /// What ended before this time may be forgotten.
    pub(super) kept_from: u64,
    /// The current size of the pool.
    pub(super) size: usize,
    /// Whether a shutdown has begun.
    pub(super) is_closing: bool,
    /// Whether the pool has ended.
    pub(super) has_closed: bool,
    /// The workers that have not ended, by slot.
    pub(super) alive: HashMap<usize, Life>,
    /// Those that have, in the order in which they ended.
    pub(super) ended: VecDeque<Life>,
    /// The leases that have ended, in the order in which they ended.
    pub(super) stays: VecDeque<Stay>,
    /// The clients that wait, and since when.
    pub(super) waiting: HashMap<WaiterId, u64>,
    /// The length of the queue from a time on. Never empty.
    pub(super) queue: VecDeque<(u64, usize)>,
    pub(super) marks: VecDeque<Mark>,
    /// What has happened, forgotten or not.
    pub(super) totals: Totals,
}

/// Counts since the record began.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Totals {
    pub(super) workers: u64,
    pub(super) calls: u64,
    pub(super) exits: u64,
    pub(super) kills: u64,
    pub(super) recycled: u64,
    pub(super) refused: u64,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) worker: WorkerId,
    /// Each phase and its beginning. `Ready` and `Busy` are one, and so are `Lingering` and
    /// `Finishing`: the leases tell them apart.
    pub(super) phases: Vec<(u64, Phase)>,
    /// When it was released or abandoned.
    pub(super) end: Option<u64>,
    /// Why it will be replaced, and since when.
    pub(super) replacing: Option<(u64, Reason)>,
    /// Why it left.
    pub(super) reason: Option<Reason>,
    /// The last rung of the stop ladder that was taken.
    pub(super) rung: Option<Rung>,
    pub(super) calls: u64,
    pub(super) errors: u64,
    /// Resident bytes, when last measured.
    pub(super) memory: Option<u64>,
    /// The lease that it is under now.
    pub(super) stay: Option<Stay>,
}

/// The time of a worker under one lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    pub(super) lease: LeaseId,
    pub(super) from: u64,
    pub(super) to: u64,
    /// How long its client had waited.
    pub(super) waited: u64,
    pub(super) calls: u32,
    /// How many of the last calls were answered with an error.
    pub(super) errors: u32,
    pub(super) outcome: Outcome,
}

/// How a lease ended. The number is its code in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has not ended.
    Running = 0,
    /// Between two calls.
    Ended = 1,
    /// It held a health check.
    Checked = 2,
    /// The last call was answered with an error.
    Error = 3,
    /// The caller gave its call up, and the worker ended it as it was told.
    Cancelled = 4,
    Abandoned = 5,
    TimedOut = 6,
    Broke = 7,
    /// The worker exited.
    Exited = 8,
    /// The worker was stopped, for a reason of its own.
    Stopped = 9,
    /// It held a health check, which the worker did not pass.
    Missed = 10,
}

impl Outcome {
    /// In the order of the codes. The page shows them after what it is about.
    pub(super) const TEXTS: [&'static str; 11] = [
        "under way",
        "answered",
        "health check",
        "answered with an error",
        "cancelled",
        "abandoned by its caller",
        "timed out",
        "the worker broke the protocol",
        "the worker exited",
        "the worker was stopped",
        "health check missed",
    ];

    pub(super) const fn text(self) -> &'static str {
        Self::TEXTS[self as usize]
    }

    pub(super) const fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::Abandoned => Self::Abandoned,
            Fault::TimedOut => Self::TimedOut,
            _ => Self::Broke,
        }
    }
}

/// Something at one moment.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Mark {
    pub(super) at: u64,
    pub(super) kind: MarkKind,
    /// `slot.generation`, if it is about a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<String>,
    /// Its slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<usize>,
    pub(super) text: String,
}

/// What a mark looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MarkKind {
    /// `SIGTERM` or `SIGKILL` was sent.
    Kill,
    /// A worker exited without being told to.
    Exit,
    /// A start failed.
    Start,
    /// A worker will be replaced, or is kept after all.
    Replace,
    /// A client was refused.
    Refused,
    /// About the pool.
    Pool,
}

impl Life {
    pub(super) fn new(worker: WorkerId, at: u64) -> Self {
        Self {
            worker,
            phases: vec![(at, Phase::Initializing)],
            end: None,
            replacing: None,
            reason: None,
            rung: None,
            calls: 0,
            errors: 0,
            memory: None,
            stay: None,
        }
    }

    pub(super) fn opened(&self) -> u64 {
        self.phases[0].0
    }
}

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            started_ms: None,
            now: 0,
            kept_from: 0,
            size: 0,
            is_closing: false,
            has_closed: false,
            alive: HashMap::new(),
            ended: VecDeque::new(),
            stays: VecDeque::new(),
            waiting: HashMap::new(),
            queue: VecDeque::from([(0, 0)]),
            marks: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// A pool of this size begins. What was before is forgotten.
    pub(super) fn begin(&mut self, size: usize, started_ms: Option<u64>) {
        *self = Self {
            size,
            started_ms,
            ..Self::new(self.capacity)
        };
    }

    /// Every worker that is kept.
    pub(super) fn lives(&self) -> impl Iterator<Item = &Life> {
        self.ended.iter().chain(self.alive.values())
    }

    /// Forgets the oldest entries of whatever there is too much of, and then everything that ended
    /// before them, so that the timeline has one beginning.
    pub(super) fn forget(&mut self) {
        let is_over = |len: usize| len > self.capacity;
        let mut from = self.kept_from;
        if is_over(self.stays.len()) {
            from = from.max(self.stays[0].to + 1);
        }
        if is_over(self.ended.len()) {
            from = from.max(self.ended[0].end.unwrap_or(0) + 1);
        }
        if is_over(self.queue.len()) {
            from = from.max(self.queue[1].0);
        }
        if is_over(self.marks.len()) {
            from = from.max(self.marks[0].at + 1);
        }
        if from == self.kept_from {
            return;
        }
        self.kept_from = from;
        while self.stays.front().is_some_and(|stay| stay.to < from) {
            self.stays.pop_front();
        }
        while (self.ended.front()).is_some_and(|life| life.end.is_some_and(|end| end < from)) {
            self.ended.pop_front();
        }
        // The length at the beginning stays.
        while self.queue.get(1).is_some_and(|&(at, _)| at <= from) {
            self.queue.pop_front();
        }
        while self.marks.front().is_some_and(|mark| mark.at < from) {
            self.marks.pop_front();
        }
    }
}
