//! Judges what a pool reports of itself.

use std::collections::HashMap;
use std::time::Duration;

use ostler_pool::rt::simulated::now;
use ostler_pool::{
    Counters, Event, Events, Phase, PoolStatus, RecvError, ShutdownReport, Transition,
};

use crate::plan::{NEVER, Time};
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
        // One that is asked for later says when the pool had ended, which may be later.
        if self.plan().time == Time::Punctual {
            let most = config.shutdown_timeout + REPORT_GRACE;
            assert!(now().saturating_sub(asked) <= most, "{report:?}");
        }
        let mut ledger = self.ledger();
        assert!(counters.opened >= ledger.attempts, "{counters:?}");
        for end in &report.workers {
            let exit = ledger.worker(end.worker).exit.map(|(status, _)| status);
            assert_eq!(end.status, exit, "worker {}", end.worker);
        }
        if !report.unreleased.is_empty() {
            return;
        }
        let open = ledger.workers.values().filter(|worker| worker.is_open);
        assert!(
            open.count() <= report.abandoned.len(),
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
                let workers = |report: &ShutdownReport| {
                    report
                        .workers
                        .iter()
                        .map(|end| end.worker)
                        .collect::<Vec<_>>()
                };
                // Released after it was abandoned, a worker is in the later of the two, which may
                // be judged first.
                let (known, found) = (workers(first), workers(&report));
                let same = found.starts_with(&known) || known.starts_with(&found);
                assert!(same, "{report:?}");
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
        let cancels = plan.config.cancel_grace.is_some() && plan.config.call_timeout < NEVER;
        if plan.has_drops() || cancels {
            return;
        }
        // A worker that broke the protocol while it was idle is granted and returned unseen, and so
        // is one that is granted while its client's patience ends.
        let waits = plan.config.checkout_timeout == NEVER && !plan.tries();
        if !plan.has_violations() && waits {
            assert_eq!(counters.granted, ledger.granted, "leases: {counters:?}");
        }
        // The calls of a lease that the pool has ended are not counted.
        if counters.stale == 0 {
            assert_eq!(counters.calls, ledger.answered, "calls: {counters:?}");
        }
    }
}

/// Reads events until the pool has ended, and checks that each worker's transitions follow each
/// other up to its end.
pub(crate) async fn follow(mut events: Events) {
    let mut phases = HashMap::new();
    loop {
        match events.recv().await {
            Ok(Event::Moved(Transition {
                worker, from, to, ..
            })) => {
                // The first workers may have moved before the reader subscribed.
                let before = phases.insert(worker, to).unwrap_or(from);
                assert_eq!(before, from, "worker {worker}");
            }
            Ok(_) => {}
            Err(RecvError::Closed) => break,
            Err(RecvError::Lagged(_)) => phases.clear(),
            Err(error) => panic!("{error}"),
        }
    }
    let unfinished = phases
        .iter()
        .filter(|(_, phase)| **phase != Phase::Terminated);
    assert_eq!(unfinished.count(), 0, "{phases:?}");
}
