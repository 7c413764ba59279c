//! The shutdown of a pool, and its report.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ostler::supervisor::Input;
use tokio::select;

use super::effects::Actions;
use super::ends::Ended;
use super::state::ShutdownProgress;
use super::{Driver, poll_timer};
use crate::rt::Instant;
use crate::status::ShutdownReport;

/// How long after the shutdown's deadline its report may come, if something could not be released
/// by then. Without it, the report would race the core's own last stage.
const REPORT_GRACE: Duration = Duration::from_millis(100);

impl Driver {
    /// Begins the shutdown, unless it has begun.
    pub(crate) fn shutdown(self: &Arc<Self>) {
        self.shut_down(Input::Shutdown);
    }

    /// As [`shutdown`](Self::shutdown), and kills every worker.
    pub(crate) fn shutdown_now(self: &Arc<Self>) {
        self.shut_down(Input::ShutdownNow);
    }

    fn shut_down(self: &Arc<Self>, how: Input) {
        let begin = ShutdownProgress::begin();
        let mut actions = Actions::default();
        let began = {
            let mut state = self.lock();
            let began = state.shutdown.is_none().then(|| state.occupancy());
            let sessions = state.supervisor.sessions();
            state.shutdown.get_or_insert(begin);
            self.feed_locked(&mut state, how, None, &mut actions);
            began.map(|pool| (pool, sessions))
        };
        if let Some((pool, sessions)) = began {
            self.log.shutdown_began(&pool, sessions);
        }
        self.perform(actions);
    }

    pub(super) fn log_shutdown_end(&self) {
        let (shutdown, abandoned) = {
            let state = self.lock();
            (state.shutdown.clone(), state.abandoned_ports())
        };
        if let Some(shutdown) = shutdown {
            let took = shutdown.since.elapsed();
            self.log
                .shutdown_ended(took, shutdown.ended.len(), abandoned);
        }
    }

    /// Waits for the end of the shutdown, at most until its deadline, and reports.
    pub(crate) async fn report(&self) -> ShutdownReport {
        let begun = self.shutdown_progress().since;
        let timeout = self.lock().supervisor.policy().shutdown_timeout + REPORT_GRACE;
        let mut deadline = pin!(self.sleep(timeout.saturating_sub(begun.elapsed())));
        select! {
            biased;
            () = self.closed() => {}
            () = poll_fn(|cx| poll_timer(deadline.as_mut(), cx)) => {}
        }
        let (status, shutdown) = (self.status(), self.shutdown_progress());
        let unclosed_opener = self.has_ended() && self.has_opener();
        // Not the time until now: a report may be asked for long after the end.
        let ended = self.closed.borrow().unwrap_or_else(Instant::now);
        let took = ended.duration_since(begun);
        let drained_in = shutdown.drained.map(|at| at.duration_since(begun));
        ShutdownReport {
            workers: shutdown.ended.iter().map(Ended::show).collect(),
            unreleased: status.workers.iter().map(|worker| worker.worker).collect(),
            took,
            drained_in: drained_in.unwrap_or(took),
            abandoned: status.abandoned,
            unclosed_opener,
            counters: status.counters,
        }
    }

    fn shutdown_progress(&self) -> ShutdownProgress {
        let begun = self.lock().shutdown.clone();
        begun.unwrap_or_else(ShutdownProgress::begin)
    }

    /// Resolves when every port is released or abandoned after a shutdown.
    pub(crate) async fn closed(&self) {
        // The sender is this driver's own, so it cannot be gone.
        let _ = self.closed.subscribe().wait_for(Option::is_some).await;
    }
}
