//! What must hold whenever nothing can run until time passes. A lost wake-up shows here at once,
//! also if a later one would make up for it.

use ostler_pool::{Event, Events, Phase, Pool, PoolStatus, RecvError, TryRecvError};
use tokio::select;
use tokio::sync::watch;

use crate::client::serving;
use crate::ledger::Ledger;
use crate::plan::Operation;
use crate::world::World;

/// Audits a pool until the task is aborted.
pub(crate) async fn audit(pool: Pool, world: World) {
    let mut quiet = world.quiet();
    // The world holds the sender.
    while quiet.changed().await.is_ok() {
        judge(&pool.status(), &world.ledger());
    }
}

/// Nothing waits for what has already happened.
fn judge(status: &PoolStatus, ledger: &Ledger) {
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
    if status.draining && ledger.is_under_way(Operation::Drain) {
        let works = status.waiting > 0 || are(&[Phase::Busy, Phase::Finishing]);
        assert!(works, "a drain waits for nothing: {status}");
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
