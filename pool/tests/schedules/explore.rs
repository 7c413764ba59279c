//! Plays plans in many orders, and says of a failure how to see it again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ostler_pool::Pool;
use shuttle::future::{block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::client::Stage;
use crate::plan::{Plan, Random, Verb};
use crate::world::World;

/// A deadline that never passes here. See `pool/src/rt/simulated.rs`.
const NEVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many orders each plan is played in, with each of the schedulers.
const ORDERS: usize = 40;

/// How many plans each test plays.
const PLANS: u64 = 100;

/// How often a running task is interrupted in favour of another one, in an order of PCT's.
const PREEMPTIONS: usize = 4;

/// Plays what `plan` makes of a row of seeds. `OSTLER_TEST_SEED` says which is the first.
pub(crate) fn explore(plan: fn(&mut Random) -> Plan) {
    let given = std::env::var("OSTLER_TEST_SEED").ok();
    let first = given.map_or_else(fresh_seed, |seed| seed.parse().expect("a seed is a number"));
    let played = Arc::new(AtomicUsize::new(0));
    let since = Instant::now();
    for seed in (first..).take(usize::try_from(PLANS).expect("a count")) {
        let plan = Arc::new(plan(&mut Random(seed)));
        let random = RandomScheduler::new_from_seed(seed, ORDERS);
        let pct = PctScheduler::new_from_seed(seed, PREEMPTIONS, ORDERS);
        for outcome in [run(random, &plan, &played), run(pct, &plan, &played)] {
            let Err(failure) = outcome else { continue };
            let played = played.load(Ordering::Relaxed);
            eprintln!(
                "{plan:#?}\nfound after {played} schedules: OSTLER_TEST_SEED={seed} plays this one first"
            );
            resume_unwind(failure);
        }
    }
    let (played, took) = (played.load(Ordering::Relaxed), since.elapsed());
    println!("{played} schedules in {took:.1?}, from OSTLER_TEST_SEED={first}");
}

fn fresh_seed() -> u64 {
    // Half of the numbers, so that a row of them does not end.
    RandomState::new().build_hasher().finish() >> 1
}

/// Plays one plan in the orders that a scheduler chooses.
fn run(
    scheduler: impl Scheduler + 'static,
    plan: &Arc<Plan>,
    played: &Arc<AtomicUsize>,
) -> thread::Result<()> {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(100_000);
    // The seed says it in fewer digits.
    config.failure_persistence = FailurePersistence::None;
    let (plan, played) = (Arc::clone(plan), Arc::clone(played));
    let play = move || {
        played.fetch_add(1, Ordering::Relaxed);
        block_on(schedule(&plan));
    };
    catch_unwind(AssertUnwindSafe(|| {
        Runner::new(scheduler, config).run(play)
    }))
    .map(drop)
}

/// One schedule, from the first worker to the last.
async fn schedule(plan: &Arc<Plan>) {
    let world = World::new(plan);
    let pool = Pool::builder(world.clone())
        .size(plan.size)
        .surge(plan.surge)
        .cancel_grace(plan.grace.then_some(Duration::from_secs(1)))
        .enable_health_monitoring(plan.health)
        // Nobody is refused for these, however often chance has workers fail.
        .crash_loop(u32::MAX)
        .max_worker_age(None)
        .error_threshold(None)
        .session_idle_timeout(None)
        // What would rescue those who are forgotten.
        .checkout_timeout(NEVER)
        .call_timeout(NEVER)
        .start_timeout(NEVER)
        .shutdown_timeout(NEVER)
        .build()
        .expect("a pool");
    let stage = Stage::new(pool, world, Arc::clone(plan));
    let clients: Vec<_> = (0..plan.clients.len())
        .map(|script| spawn(stage.clone().play(script)))
        .collect();
    for client in clients {
        client.await.expect("it is not aborted");
    }
    end(&stage).await;
}

/// Every worker can still be had, and nothing is left when the pool has ended.
async fn end(stage: &Stage) {
    let Stage {
        pool, world, plan, ..
    } = stage;
    if !stage.seen().closing {
        let mut leases = Vec::new();
        for _ in 0..pool.status().size {
            let lease = pool.checkout().await.expect("a worker that nobody holds");
            leases.push((world.hold(lease.worker()), lease));
        }
    }
    let report = pool.shutdown().await;
    let status = pool.status();
    let (counters, books) = (status.counters, world.books());
    assert_eq!(report.unreleased, []);
    assert_eq!(counters.opened, counters.released);
    assert_eq!(
        (status.workers.len(), status.waiting, status.sessions),
        (0, 0, 0)
    );
    assert_eq!((books.open.len(), books.held.len()), (0, 0));
    assert!(books.opened <= counters.opened, "{books:?}, {status}");
    assert!(books.most_open <= plan.most(), "{books:?}");
    let (counted, answered) = (counters.calls, stage.seen().calls);
    // What a client gave up may have been ended by its worker in the grace.
    assert!(counted <= answered || plan.grace, "{counters:?}");
    // The lease of a worker that is gone has ended already when its client lets go of it, and is counted as late.
    let exits = plan.has(Verb::Exit) || plan.has(Verb::Last);
    assert!(
        counted >= answered || exits,
        "{answered} answers: {counters:?}"
    );
}
