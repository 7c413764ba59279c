//! Does each worker know its position, and does its replacement have the same?

use std::collections::BTreeMap;
use std::time::Duration;

use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Pool, PoolStatus, Program, Python};
use rustix::process::Signal;

use crate::rig::{self, end, pool, until};

/// The positions of the workers that serve, in order.
fn positions(status: &PoolStatus) -> Vec<usize> {
    let serving = status
        .workers
        .iter()
        .filter(|worker| worker.reason.is_none());
    let mut positions: Vec<usize> = serving.map(|worker| worker.position).collect();
    positions.sort_unstable();
    positions
}

/// R30: spawned and forked workers have their position in their environment, and the variables that
/// depend on it, whatever else is set and whatever the host has under the same name. A worker that
/// was killed leaves its position to its replacement.
#[tokio::test]
async fn each_worker_has_its_position_in_its_environment() {
    let python3 = || {
        Program::new("python3")
            .env("OSTLER_POSITION", "of the host")
            .env("GPU", "none")
            .env_for_position(|position| [("GPU", format!("gpu\n{position}"))])
            .env_for_position(|position| (position > 0).then_some(("LATER", "yes")))
    };
    let getenv = || Python::function("os:getenv").json().interpreter(python3());
    for python in [getenv(), getenv().zygote()] {
        let python = python.env_for_position(|position| [("CUDA", position.to_string())]);
        let pool = Pool::builder(python)
            .size(3)
            .checkout_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        // Checks all workers, and returns them and their process ids by position.
        let check_all = async || {
            until(&pool, |status| status.serving() == 3).await;
            let mut leases = Vec::new();
            for _ in 0..3 {
                leases.push(pool.checkout().await.unwrap());
            }
            let shown = pool.status();
            let mut workers = BTreeMap::new();
            for lease in &mut leases {
                let mut said = Vec::new();
                for name in ["OSTLER_POSITION", "GPU", "CUDA", "LATER"] {
                    let value: Option<String> = lease.call_json(name).await.unwrap();
                    said.push(value.unwrap_or_default());
                }
                let of = |it: &&ostler_pool::WorkerStatus| it.worker == lease.worker();
                let position = shown.workers.iter().find(of).unwrap().position;
                let later = if position > 0 { "yes" } else { "" };
                let number = position.to_string();
                assert_eq!(said, [&number, &format!("gpu\n{number}"), &number, later]);
                workers.insert(position, (lease.worker(), lease.pid().unwrap()));
            }
            assert_eq!(workers.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
            workers
        };
        let before = check_all().await;
        let (killed, pid) = before[&1];
        rig::signal(pid, Signal::KILL);
        rig::is_released(&pool, killed).await;
        for (position, (worker, _)) in check_all().await {
            let is_another = worker != before[&position].0;
            assert_eq!(is_another, position == 1, "position {position}");
        }
        pool.shutdown().await;
    }
}

/// R30: while its replacement starts, a worker and its replacement have the same position, and the
/// worker that retires is the one whose replacement serves, also if another one is idle.
#[tokio::test(start_paused = true)]
async fn a_replacement_starts_at_the_position_of_the_worker() {
    let sim = Sim::new([Script::Good, Script::Good, Script::SlowStart]);
    let pool = pool(&sim, 2).build().unwrap();
    until(&pool, |status| status.serving() == 2).await;
    let idle = pool.status().workers[0].worker;
    let both = [
        pool.checkout().await.unwrap(),
        pool.checkout().await.unwrap(),
    ];
    let [first, second] = both;
    assert_eq!(first.worker(), idle);
    drop(first);
    pool.recycle(second.worker());
    pool.recycle(idle);
    until(&pool, |status| status.workers.len() == 3).await;
    assert_eq!(positions(&pool.status()), [0, 1, 1]);
    until(&pool, |status| status.counters.recycled == 1).await;
    let left = pool.status();
    let leaving: Vec<_> = left
        .workers
        .iter()
        .filter(|it| it.reason.is_some())
        .collect();
    assert_eq!(leaving.len(), 1);
    assert_eq!(leaving[0].worker, second.worker());
    drop(second);
    until(&pool, |status| {
        status.counters.recycled == 2 && status.workers.len() == 2
    })
    .await;
    assert_eq!(positions(&pool.status()), [0, 1]);
    end(&pool, &sim).await;
}

/// R30: a shrinking pool keeps the workers with the lowest positions, idle or busy; a growing pool
/// fills the lowest free positions.
#[tokio::test(start_paused = true)]
async fn a_pool_that_shrinks_keeps_the_lowest_positions() {
    let sim = Sim::default();
    let pool = pool(&sim, 4).build().unwrap();
    until(&pool, |status| status.serving() == 4).await;
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.checkout().await.unwrap());
    }
    // The two with the lowest positions are idle now.
    let busy = leases.split_off(2);
    drop(leases);
    pool.resize(2).unwrap();
    assert_eq!(positions(&pool.status()), [0, 1]);
    let status = pool.status();
    assert_eq!((status.serving(), status.workers.len()), (2, 4));
    drop(busy);
    until(&pool, |status| status.workers.len() == 2).await;
    assert_eq!(pool.status().counters.recycled, 0);
    pool.resize(3).unwrap();
    until(&pool, |status| status.serving() == 3).await;
    assert_eq!(positions(&pool.status()), [0, 1, 2]);
    end(&pool, &sim).await;
}
