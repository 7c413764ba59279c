//! Does each rung of the stop ladder wait for its own time?

use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Builder, Rung};
use tokio::time::{Instant, sleep};

use crate::rig::{end, pool};

/// Shuts down a pool of one worker, which ends only when it is killed. Returns the rungs that the
/// worker takes, each with the milliseconds after which it does.
async fn rungs(options: impl FnOnce(Builder) -> Builder) -> Vec<(Rung, u128)> {
    let sim = Sim::new([Script::IgnoresStop]);
    let pool = options(pool(&sim, 1)).build().unwrap();
    drop(pool.checkout().await.unwrap());
    let since = Instant::now();
    let shutdown = pool.shutdown();
    let mut rungs: Vec<(Rung, u128)> = Vec::new();
    while sim.stats().open > 0 {
        let status = pool.status();
        let rung = status.workers.first().and_then(|worker| worker.rung);
        if let Some(rung) = rung.filter(|&rung| rungs.last().is_none_or(|last| last.0 != rung)) {
            rungs.push((rung, since.elapsed().as_millis()));
        }
        // Half a millisecond, so that no deadline is missed by a whole one.
        sleep(Duration::from_micros(500)).await;
    }
    // It ends within its last rung.
    assert_eq!(sim.stats().killed, 1);
    rungs.push((Rung::Kill, since.elapsed().as_millis()));
    shutdown.await;
    end(&pool, &sim).await;
    rungs
}

/// P11, P39: `ask_grace` is the time of the first rung, and `term_grace` that of the second.
#[tokio::test(start_paused = true)]
async fn each_rung_has_its_own_grace() {
    let of = |ask, term| {
        rungs(move |builder| {
            let (ask, term) = (Duration::from_millis(ask), Duration::from_millis(term));
            builder.ask_grace(ask).term_grace(term)
        })
    };
    let expected = |ask, both| [(Rung::Ask, 0), (Rung::Term, ask), (Rung::Kill, both)];
    assert_eq!(about(of(300, 1_000).await), expected(300, 1_300));
    assert_eq!(about(of(1_000, 300).await), expected(1_000, 1_300));
}

/// P39: in a shutdown that is shorter than the ladder, both graces are cut in proportion.
#[tokio::test(start_paused = true)]
async fn both_graces_are_cut_in_proportion() {
    let second = Duration::from_secs(1);
    let cut = rungs(|builder| {
        let builder = builder.ask_grace(3 * second).term_grace(9 * second);
        builder.shutdown_timeout(8 * second)
    });
    let expected = [(Rung::Ask, 0), (Rung::Term, 1_000), (Rung::Kill, 4_000)];
    assert_eq!(about(cut.await), expected);
}

/// Times in tens of milliseconds: each deadline is noticed a moment later.
fn about(rungs: Vec<(Rung, u128)>) -> Vec<(Rung, u128)> {
    let about = |(rung, millis)| (rung, millis / 10 * 10);
    rungs.into_iter().map(about).collect()
}
