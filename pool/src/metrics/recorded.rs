//! Hands the metrics to the program's recorder.
//!
//! A recorder is foreign code, so nothing here that calls it runs under the pool's lock: what
//! happens under the lock is [`Pending`] until the lock is released.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString, counter, gauge, histogram};
use ostler::supervisor::{Reason, Transition};
use ostler::worker::{Input, Phase};
use smallvec::SmallVec;

use super::names::{
    CALL, DRAIN, ENDS, PHASES, QUEUE, START, TRANSITIONS, WAIT, WORKERS, describe, phase, reason,
};
use super::{Outcome, Wait};
use crate::rt::Instant;

/// The metrics of one pool.
pub(crate) struct Metrics {
    pool: SharedString,
    /// What each checkout and checkin count, so that they need no lookup.
    leased: Counter,
    returned: Counter,
    workers: [Gauge; PHASES.len()],
    queue: Gauge,
    wait: [Histogram; Wait::ALL.len()],
    call: [Histogram; Outcome::ALL.len()],
    start: Histogram,
    drain: Histogram,
}

impl Metrics {
    pub(crate) fn new(pool: Option<&str>) -> Self {
        describe();
        let name = pool.unwrap_or("default").to_owned();
        let pool = || name.clone();
        Self {
            leased: transition(pool(), Phase::Ready, Phase::Busy, None),
            returned: transition(pool(), Phase::Busy, Phase::Ready, None),
            workers: PHASES.map(|(_, label)| gauge!(WORKERS, "pool" => pool(), "phase" => label)),
            queue: gauge!(QUEUE, "pool" => pool()),
            wait: Wait::ALL
                .map(|wait| histogram!(WAIT, "pool" => pool(), "outcome" => wait.label())),
            call: Outcome::ALL
                .map(|call| histogram!(CALL, "pool" => pool(), "outcome" => call.label())),
            start: histogram!(START, "pool" => pool()),
            drain: histogram!(DRAIN, "pool" => pool()),
            pool: name.into(),
        }
    }

    /// Records what happened under the lock.
    pub(crate) fn record(&self, pending: &Pending) {
        for moved in &pending.moves {
            self.moved(moved);
        }
        if pending.queue != 0 {
            self.queue.increment(f64::from(pending.queue));
        }
        if let Some(took) = pending.start {
            self.start.record(took);
        }
        if let Some(took) = pending.drain {
            self.drain.record(took);
        }
    }

    fn moved(&self, moved: &Move) {
        let Move { from, to, reason } = *moved;
        if let Some(gauge) = from.and_then(|from| self.workers_in(from)) {
            gauge.decrement(1.0);
        }
        if let Some(gauge) = self.workers_in(to) {
            gauge.increment(1.0);
        }
        match (from, to, reason) {
            (None, _, _) => {}
            (Some(Phase::Ready), Phase::Busy, None) => self.leased.increment(1),
            (Some(Phase::Busy), Phase::Ready, None) => self.returned.increment(1),
            (Some(from), to, reason) => {
                transition(self.pool.clone(), from, to, reason).increment(1);
            }
        }
    }

    fn workers_in(&self, phase: Phase) -> Option<&Gauge> {
        let summary = phase.summary();
        let index = PHASES.iter().position(|(other, _)| *other == summary)?;
        Some(&self.workers[index])
    }

    /// A client that waited since then, or not at all, waits no longer.
    pub(crate) fn waited(&self, wait: Wait, since: Option<Instant>) {
        let took = since.map_or(Duration::ZERO, |since| since.elapsed());
        self.wait[wait as usize].record(took);
    }

    pub(crate) fn called(&self, outcome: Outcome, timer: Timer) {
        self.call[outcome as usize].record(timer.0.elapsed());
    }

    pub(crate) fn ended(&self, of: Reason) {
        counter!(ENDS, "pool" => self.pool.clone(), "reason" => reason(Some(of))).increment(1);
    }
}

fn transition(
    pool: impl Into<SharedString>,
    from: Phase,
    to: Phase,
    why: Option<Reason>,
) -> Counter {
    counter!(
        TRANSITIONS,
        "pool" => pool.into(), "from" => phase(from), "to" => phase(to), "reason" => reason(why)
    )
}

/// What happened under the lock, until it is recorded.
#[derive(Default)]
pub(crate) struct Pending {
    /// A checkout or a checkin has one or two.
    moves: SmallVec<[Move; 2]>,
    /// How many more clients wait.
    queue: i32,
    start: Option<Duration>,
    drain: Option<Duration>,
}

struct Move {
    /// `None`: the worker is new.
    from: Option<Phase>,
    to: Phase,
    reason: Option<Reason>,
}

impl Pending {
    /// A worker exists from now on.
    pub(crate) fn opened(&mut self) {
        self.moves.push(Move {
            from: None,
            to: Phase::Initializing,
            reason: None,
        });
    }

    /// A worker made a transition to another phase. It was opened, and its drain began, at these
    /// times.
    pub(crate) fn moved(
        &mut self,
        transition: Transition,
        opened: Option<Instant>,
        drains: Option<Instant>,
    ) {
        let Transition {
            from,
            input,
            to,
            reason,
            ..
        } = transition;
        if input == Input::Started {
            self.start = opened.map(|at| at.elapsed());
        }
        if to == Phase::Stopping {
            self.drain = drains.map(|at| at.elapsed());
        }
        self.moves.push(Move {
            from: Some(from),
            to,
            reason,
        });
    }

    pub(crate) fn entered_queue(&mut self) {
        self.queue += 1;
    }

    pub(crate) fn left_queue(&mut self) {
        self.queue -= 1;
    }
}

/// When a call began.
#[derive(Clone, Copy)]
pub(crate) struct Timer(Instant);

impl Timer {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}
