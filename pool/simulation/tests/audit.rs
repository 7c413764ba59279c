//! What must hold whenever nothing can run until time passes. A lost wake-up shows here at once,
//! also if a later one would make up for it.

use ostler_pool::rt::simulated::now;
use ostler_pool::{
    AbandonedCalls, Event, Events, Phase, Pool, PoolStatus, RecvError, TryRecvError, WorkerStatus,
};
use tokio::select;
use tokio::sync::watch;

use crate::client::serving;
use crate::ledger::{Company, Ledger};
use crate::lists::{Fault, Operation};
use crate::plan::Plan;
use crate::world::World;

/// After these, a worker does not read its next request at once.
const DEAF: [Fault; 3] = [Fault::CloseInput, Fault::Unsolicited, Fault::LateExit];

/// Audits a pool until the task is aborted.
pub(crate) async fn audit(pool: Pool, world: World) {
    let mut quiet = world.quiet();
    // The world holds the sender.
    while quiet.changed().await.is_ok() {
        judge(&pool.status(), &world.ledger(), world.plan());
    }
}

/// Nothing waits for what has already happened.
fn judge(status: &PoolStatus, ledger: &Ledger, plan: &Plan) {
    let config = &plan.config;
    let are = |phases: &[Phase]| {
        let mut workers = status.workers.iter();
        workers.any(|worker| phases.contains(&worker.phase))
    };
    // A session waits for its own worker.
    let waits = status.waiting > 0 && !ledger.is_under_way(Operation::Session);
    if waits && !status.draining {
        let free = are(&[Phase::Ready]);
        assert!(!free, "a client waits beside a free worker: {status}");
    }
    // A cancelled call counts until its grace passes, also if its worker has exited.
    if status.draining
        && ledger.is_under_way(Operation::Drain)
        && config.abandoned_calls == AbandonedCalls::Stop
    {
        // A client may hold its lease although the worker is being stopped.
        let mut tenures = ledger.workers.values().flat_map(|known| &known.tenures);
        let is_held = tenures.any(|tenure| tenure.ended.is_none());
        let works = is_held || status.waiting > 0 || are(&[Phase::Busy, Phase::Finishing]);
        assert!(works, "a drain waits for nothing: {status}");
    }
    // A lease may wait for calls that share it, until the first of them is old enough.
    let gathers = plan.batching.is_some_and(|batching| {
        let last = ledger.last_collected;
        last.is_some_and(|last| now() <= last + batching.wait)
    });
    let phase_of = |worker| {
        let mut workers = status.workers.iter();
        Some(workers.find(|known| known.worker == worker)?.phase)
    };
    let is_leased = |phase| matches!(phase, Some(Phase::Busy | Phase::Finishing));
    for number in &ledger.waiting {
        let entry = &ledger.requests[number];
        let Some((worker, _)) = entry.written else {
            continue;
        };
        let phase = phase_of(worker);
        assert!(
            is_leased(phase),
            "request {number} waits on {worker}: {phase:?}"
        );
        // Its caller learns how it exited.
        let shown = &ledger.workers[&worker].shown;
        let is_answered = entry.answer.is_some() && !shown.contains(&Fault::LateExit);
        assert!(
            !is_answered,
            "request {number} waits although {worker} has answered"
        );
    }
    let mut leased = status.workers.iter().filter(|it| is_leased(Some(it.phase)));
    let is_held = |worker| {
        let known = ledger.workers.get(worker);
        known.is_some_and(|known| known.tenures.iter().any(|tenure| tenure.ended.is_none()))
    };
    // The caller of a single call or of `call_many` is in the queue or holds a worker. The other
    // requests are served by tasks of the pool.
    let has_place = |company| matches!(company, Company::Alone | Company::Many(_));
    if status.waiting == 0 && leased.all(|leased| is_held(&leased.worker)) && are(&[Phase::Ready]) {
        let mut waiting = ledger.waiting.iter().map(|number| &ledger.requests[number]);
        let unserved = waiting.find(|it| !has_place(it.company) && it.written.is_none());
        assert!(
            unserved.is_none() || gathers,
            "nothing serves {unserved:?}: {status}"
        );
    }
    for WorkerStatus { worker, phase, .. } in &status.workers {
        let Some(known) = ledger.workers.get(worker) else {
            continue;
        };
        let is_held = is_held(worker);
        // The next request may not reach a worker that has closed its input, or does not read.
        let reads = !DEAF.iter().any(|fault| known.shown.contains(fault));
        if *phase == Phase::Busy && !config.enable_health_monitoring && !is_held && reads {
            let last = ledger.last_read(*worker);
            let is_over = last.is_some_and(|entry| entry.answer.is_some());
            assert!(
                !is_over || gathers,
                "no client has {worker}, which is leased: {status}"
            );
            let mut unanswered = ledger.unanswered(*worker).peekable();
            let is_abandoned = config.abandoned_calls == AbandonedCalls::Stop
                && unanswered.peek().is_some()
                && unanswered.all(|entry| !entry.is_wanted);
            assert!(
                !is_abandoned || gathers,
                "no client wants what {worker} does: {status}"
            );
        }
    }
    for worker in serving(status) {
        let known = ledger.workers.get(&worker.worker);
        let has_exited = known.is_some_and(|known| known.exit.is_some());
        assert!(!has_exited, "a worker that has exited serves on: {status}");
    }
}

/// As [`Events::recv`]. Panics if the reader is not woken for an event.
pub(crate) async fn recv(
    events: &mut Events,
    quiet: &mut watch::Receiver<u64>,
) -> Result<Event, RecvError> {
    loop {
        select! {
            biased;
            _ = quiet.changed() => {
                let event = events.try_recv();
                assert_eq!(event, Err(TryRecvError::Empty), "a reader was not woken");
            }
            event = events.recv() => return event,
        }
    }
}
