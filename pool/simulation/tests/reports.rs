//! Judges what a pool reports of itself.

use std::collections::HashMap;
use std::time::Duration;

use ostler_pool::rt::simulated::now;
use ostler_pool::{
    AbandonedCalls, Counters, Event, Events, Phase, PoolStatus, RecvError, ShutdownReport, WorkerId,
};
use tokio::sync::watch;

use crate::audit::recv;
use crate::plan::{End, NEVER, Time};
use crate::world::World;

/// How long after the shutdown's deadline its report may come.
const REPORT_GRACE: Duration = Duration::from_millis(100);

impl World {
    /// A report is the truth about the end of the pool.
    ///
    /// `asked`: when it was asked for.
    pub(crate) fn judge_report(
        &self,
        asked: Duration,
        report: ShutdownReport,
        status: &PoolStatus,
    ) {
        self.note(format_args!("shutdown reported: {report:?}"));
        let config = &self.plan().config;
        assert!(report.drained_in <= report.took, "{report:?}");
        let counters = report.counters;
        let open = counters.opened - counters.released;
        let shown = report.unreleased.len() + report.abandoned.len();
        assert_eq!(open, shown as u64, "{report:?}");
        // A joined shutdown may have begun long before.
        if self.plan().time == Time::Punctual {
            let most = config.shutdown_timeout + REPORT_GRACE;
            assert!(now().saturating_sub(asked) <= most, "{report:?}");
        }
        let mut ledger = self.ledger();
        assert!(counters.opened >= ledger.attempts, "{counters:?}");
        for end in &report.workers {
            let exit = ledger.worker(end.worker).exit.map(|(status, _)| status);
            // A task that its runtime drops does not see the exit.
            let is_unseen = end.status.is_none() && matches!(self.plan().end, End::Runtime(_));
            assert!(is_unseen || end.status == exit, "{end:?}: {exit:?}");
        }
        if !report.unreleased.is_empty() {
            return;
        }
        assert!(
            ledger.open() <= report.abandoned.len(),
            "an open port: {report:?}"
        );
        let left = (status.workers.len(), status.waiting, status.sessions);
        assert_eq!(left, (0, 0, 0), "{status}");
        // At the deadline, it does not wait for the opener's end.
        if report.took >= config.shutdown_timeout {
            return;
        }
        match &ledger.report {
            // Whenever it is asked for again, it says the same.
            Some(first) => {
                assert_eq!(first.took, report.took, "the second report");
                assert_eq!(first.drained_in, report.drained_in, "the second report");
                // A port that is released after it was abandoned is only in the later report, and
                // either report may be judged first.
                let mut both = first.workers.iter().zip(&report.workers);
                assert!(
                    both.all(|(one, other)| one.worker == other.worker),
                    "{report:?}"
                );
            }
            None => ledger.report = Some(report),
        }
    }

    /// The pool's counters add up with what the clients saw.
    pub(crate) fn judge_counters(&self, counters: &Counters) {
        let (plan, ledger) = (self.plan(), self.ledger());
        assert!(
            counters.granted >= ledger.granted,
            "{counters:?}, {} leases",
            ledger.granted
        );
        assert!(
            counters.refused >= ledger.refused,
            "{counters:?}, {} refused",
            ledger.refused
        );
        // A call that is cancelled may be counted although its caller got no answer.
        let cancels =
            plan.config.abandoned_calls != AbandonedCalls::Stop && plan.config.call_timeout < NEVER;
        if plan.has_drops() || cancels {
            return;
        }
        // A worker that broke the protocol while idle is granted and returned without its client.
        // So is a worker that is granted just as its client stops waiting.
        let waits = plan.config.checkout_timeout == NEVER && !plan.tries();
        if !plan.has_violations() && waits && !ledger.has_lost_others {
            // Each lease takes a request. A caller may be granted one just as another's takes its.
            let shared = 2 * ledger.collected + ledger.mapped;
            let known = ledger.granted..=ledger.granted + shared;
            assert!(
                known.contains(&counters.granted),
                "leases: {counters:?}, {known:?}"
            );
        }
        // The calls of a lease that the pool has ended are not counted.
        if counters.stale == 0 {
            assert_eq!(counters.calls, ledger.answered, "calls: {counters:?}");
        }
    }
}

/// The phases of workers, as a reader of events knows them.
#[derive(Debug, Default)]
pub(crate) struct Phases(HashMap<WorkerId, Phase>);

impl Phases {
    /// Checks that each worker's transitions follow each other.
    pub(crate) fn note(&mut self, event: Event) {
        if let Event::Moved(moved) = event {
            // It may have moved before the reader subscribed.
            let before = self.0.insert(moved.worker, moved.to).unwrap_or(moved.from);
            assert_eq!(before, moved.from, "worker {}", moved.worker);
        }
    }

    /// Events are missing.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Reads events until the pool has ended, and checks that every worker has ended by then.
pub(crate) async fn follow(mut events: Events, mut quiet: watch::Receiver<u64>) {
    let mut phases = Phases::default();
    loop {
        match recv(&mut events, &mut quiet).await {
            Ok(event) => phases.note(event),
            Err(RecvError::Closed) => break,
            Err(RecvError::Lagged(_)) => phases.forget(),
            Err(error) => panic!("{error}"),
        }
    }
    let mut last = phases.0.values();
    assert!(last.all(|phase| *phase == Phase::Terminated), "{phases:?}");
}
