//! What happens to a pool whose processes cannot be killed or released?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{
    AbandonedPort, Event, Phase, Pool, ShutdownReport, SurvivalReason, WorkerId, WorkerInput,
};
use tokio::time::{Instant, sleep};

use crate::puppets::Puppets;
use crate::rig::{end, pool, until};

const STUCK: [Script; 2] = [Script::NeverReleased, Script::Unkillable];

/// Longer than every deadline of a pool together.
const HOUR: Duration = Duration::from_secs(3600);

fn worker(slot: usize, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

/// A pool of one worker and one more slot, whose first workers are stuck once they are stopped.
fn stuck(script: Script, workers: usize) -> (Sim, Pool) {
    let sim = Sim::new(vec![script; workers]);
    let pool = pool(&sim, 1)
        .call_timeout(Duration::from_secs(1))
        .checkout_timeout(HOUR)
        .build()
        .unwrap();
    (sim, pool)
}

/// Makes a call time out, so that the pool stops the serving worker.
async fn lose_a_worker(pool: &Pool) {
    pool.call(b"hang").await.unwrap_err();
}

/// P16: a worker that cannot be killed or released keeps its slot for `release_timeout`. Then its
/// port is abandoned: reported, counted, and its slot serves again. Once it is released, nothing is
/// left.
#[tokio::test(start_paused = true)]
async fn a_port_that_is_not_released_frees_its_slot() {
    for script in STUCK {
        let (sim, pool) = stuck(script, 2);
        let mut events = pool.events();
        lose_a_worker(&pool).await;
        lose_a_worker(&pool).await;
        // Both slots are taken by workers that are stuck.
        assert_eq!(pool.status().workers.len(), 2, "{script:?}");
        assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
        let status = pool.status();
        let [abandoned] = &status.abandoned[..] else {
            panic!("{script:?}: {status}");
        };
        assert_eq!(abandoned.worker, worker(0, 1));
        let [survivor] = abandoned.survivors[..] else {
            panic!("{script:?}: {status}");
        };
        assert_eq!(survivor.reason, SurvivalReason::Uninterruptible);
        let text = status.to_string();
        let said = format!("process {}: in an uninterruptible sleep", survivor.pid);
        assert!(text.contains(&said), "{text}");
        let counters = status.counters;
        assert_eq!((counters.abandoned, counters.released), (1, 0));
        let ends = async {
            loop {
                if let Event::Moved(moved) = events.recv().await.unwrap()
                    && moved.to == Phase::Terminated
                {
                    return moved;
                }
            }
        };
        let moved = ends.await;
        assert_eq!(
            (moved.worker, moved.input),
            (worker(0, 1), WorkerInput::Abandoned)
        );
        sim.let_go();
        until(&pool, |status| status.abandoned.is_empty()).await;
        until(&pool, |status| status.workers.len() == 1).await;
        assert_eq!(pool.status().counters.released, 2);
        assert_eq!(sim.stats().open, 1, "{script:?}");
        end(&pool, &sim).await;
    }
}

/// P16: at most `size` ports are abandoned at a time. The next worker keeps its slot until one of
/// them is released.
#[tokio::test(start_paused = true)]
async fn the_number_of_abandoned_ports_is_bounded() {
    for script in STUCK {
        let (sim, pool) = stuck(script, 3);
        for _ in 0..3 {
            lose_a_worker(&pool).await;
        }
        sleep(HOUR).await;
        let status = pool.status();
        assert_eq!(status.abandoned.len(), 1, "{script:?}: {status}");
        assert_eq!(status.workers.len(), 2, "{script:?}: {status}");
        assert_eq!((status.serving(), status.counters.abandoned), (0, 1));
        sim.let_go();
        until(&pool, |status| status.serving() == 1).await;
        until(&pool, |status| status.abandoned.is_empty()).await;
        end(&pool, &sim).await;
    }
}

/// P16: abandoned ports are listed by age, each with its own worker, process id and time. A
/// released port leaves the list, wherever it stands.
#[tokio::test(start_paused = true)]
async fn abandoned_ports_are_told_apart() {
    let puppets = Puppets::default();
    puppets.keep_ports();
    let pool = Pool::builder(puppets.clone()).size(3).build().unwrap();
    until(&pool, |status| status.serving() == 3).await;
    let abandoned = || -> Vec<_> {
        let ports = pool.status().abandoned;
        let shown = |port: &AbandonedPort| (port.worker, port.pid, port.ago.as_secs());
        ports.iter().map(shown).collect()
    };
    // Each is abandoned 5 s after its exit.
    for (number, index) in (1..).zip([1, 2, 0]) {
        puppets.exit(index, 1);
        until(&pool, |status| status.abandoned.len() == number).await;
        sleep(Duration::from_secs(10)).await;
    }
    until(&pool, |status| status.serving() == 3).await;
    let port = |index: usize, ago| (worker(index, 1), Some(1000 + index as u32), ago);
    assert_eq!(abandoned(), [port(1, 40), port(2, 25), port(0, 10)]);
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    puppets.release(1);
    until(&pool, |status| status.abandoned.len() == 2).await;
    assert_eq!(abandoned(), [port(2, 25), port(0, 10)]);
    puppets.release(2);
    until(&pool, |status| status.abandoned.len() == 1).await;
    assert_eq!(abandoned(), [port(0, 10)]);
    let workers = pool.status().workers;
    assert_eq!(workers.len(), 3);
    assert!(workers.iter().all(|worker| worker.pid >= Some(1003)));
    for index in [0, 3, 4, 5] {
        puppets.release(index);
    }
    until(&pool, |status| status.abandoned.is_empty()).await;
    assert_eq!(pool.status().counters.released, 3);
    assert!(pool.shutdown().await.is_clean());
}

/// P16: a shutdown ends although ports are abandoned, and its report lists them. The release goes
/// on after the pool has ended.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_without_abandoned_ports() {
    // A port is abandoned 5 s after the last rung. The ladder takes 4 s if nothing ends the worker.
    for (script, seconds) in [(Script::NeverReleased, 5), (Script::Unkillable, 9)] {
        let (sim, pool) = stuck(script, 1);
        let lease = pool.checkout().await.unwrap();
        let id = lease.worker();
        drop(lease);
        let since = Instant::now();
        let report: ShutdownReport = pool.shutdown().await;
        assert_eq!(since.elapsed(), Duration::from_secs(seconds), "{report}");
        assert_eq!(report.unreleased, []);
        let abandoned: Vec<_> = report.abandoned.iter().map(|port| port.worker).collect();
        assert_eq!(abandoned, [id]);
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.contains("1 abandoned"), "{text}");
        assert!(text.contains("abandoned 0 s ago: process"), "{text}");
        assert_eq!(sim.stats().open, 1);
        sim.let_go();
        until(&pool, |status| status.abandoned.is_empty()).await;
        assert_eq!(sim.stats().open, 0);
        let report = pool.shutdown().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.counters.released, 1);
        assert_eq!(report.workers.len(), 1);
    }
}

/// P16: a port that is abandoned exactly at the shutdown's deadline is reported as abandoned, not
/// as unreleased.
#[tokio::test(start_paused = true)]
async fn the_report_waits_for_the_last_stage() {
    let ms = Duration::from_millis;
    let sim = Sim::new([Script::Unkillable]);
    // 500 ms to drain, twice 200 ms to stop, and 100 ms after the kill.
    let pool = pool(&sim, 1)
        .shutdown_timeout(ms(1000))
        .ask_grace(ms(200))
        .term_grace(ms(200))
        .release_timeout(ms(100))
        .build()
        .unwrap();
    let held = pool.checkout().await.unwrap();
    let report = pool.shutdown().await;
    assert_eq!(report.took.as_millis(), 1000, "{report}");
    assert_eq!((report.unreleased.len(), report.abandoned.len()), (0, 1));
    drop(held);
    sim.let_go();
    until(&pool, |status| status.abandoned.is_empty()).await;
}

/// P16: a lease on an abandoned worker can still be returned, and changes nothing.
#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_abandoned_worker() {
    let (sim, pool) = stuck(Script::NeverReleased, 1);
    let mut lease = pool.checkout().await.unwrap();
    lease.call(b"answer and exit").await.unwrap();
    until(&pool, |status| status.abandoned.len() == 1).await;
    assert_eq!(pool.call(b"hello").await.unwrap(), b"hello");
    lease.call(b"hello").await.unwrap_err();
    let stale = pool.status().counters.stale;
    drop(lease);
    assert_eq!(pool.status().counters.stale, stale);
    sim.let_go();
    until(&pool, |status| status.abandoned.is_empty()).await;
    end(&pool, &sim).await;
}

/// P16, P6: the end of the runtime drops ports that are stuck, before and after they are abandoned.
#[test]
fn stuck_ports_end_with_their_runtime() {
    let waits = [0, 1]
        .into_iter()
        .flat_map(|abandoned| STUCK.map(|script| (script, abandoned)));
    for (script, abandoned) in waits {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (sim, pool) = runtime.block_on(async {
            let (sim, pool) = stuck(script, 1);
            lose_a_worker(&pool).await;
            until(&pool, |status| status.serving() == 1).await;
            until(&pool, |status| status.abandoned.len() == abandoned).await;
            (sim, pool)
        });
        drop(runtime);
        let status = pool.status();
        assert_eq!((sim.stats().open, status.abandoned.len()), (0, 0));
        assert_eq!(status.counters.opened, status.counters.released);
    }
}
