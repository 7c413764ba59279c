//! Runs plans under many schedules, and prints how to reproduce a failure.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ostler_pool::{Event, Events, Phase, Pool, RecvError, Transition};
use shuttle::future::{block_on, spawn, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::client::Client;
use crate::plan::{Plan, Random, Verb};
use crate::world::World;

/// A timeout that never fires here. See `pool/src/rt/simulated.rs`.
const NEVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The number of schedules for each plan and each scheduler.
const SCHEDULES: usize = 40;

/// The number of plans in each test.
const PLANS: u64 = 100;

/// The number of preemptions in a schedule of the PCT scheduler.
const PREEMPTIONS: usize = 4;

/// Runs the plans that `plan` generates from consecutive seeds. `OSTLER_TEST_SEED` sets the first
/// seed.
pub(crate) fn explore(plan: fn(&mut Random) -> Plan) {
    let given = std::env::var("OSTLER_TEST_SEED").ok();
    let first = given.map_or_else(fresh_seed, |seed| {
        seed.parse().expect("OSTLER_TEST_SEED is a number")
    });
    let started = Arc::new(AtomicUsize::new(0));
    let since = Instant::now();
    for seed in (first..).take(usize::try_from(PLANS).expect("a count")) {
        let plan = Arc::new(plan(&mut Random(seed)));
        let random = RandomScheduler::new_from_seed(seed, SCHEDULES);
        let pct = PctScheduler::new_from_seed(seed, PREEMPTIONS, SCHEDULES);
        for outcome in [run(random, &plan, &started), run(pct, &plan, &started)] {
            let Err(failure) = outcome else { continue };
            let started = started.load(Ordering::Relaxed);
            eprintln!(
                "{plan:#?}\n\
                 found after {started} schedules; reproduce with OSTLER_TEST_SEED={seed}"
            );
            resume_unwind(failure);
        }
    }
    let (started, took) = (started.load(Ordering::Relaxed), since.elapsed());
    println!("{started} schedules in {took:.1?}, from OSTLER_TEST_SEED={first}");
}

fn fresh_seed() -> u64 {
    // Half of the range, so that the consecutive seeds do not overflow.
    RandomState::new().build_hasher().finish() >> 1
}

/// Runs one plan under the schedules of one scheduler.
fn run(
    scheduler: impl Scheduler + 'static,
    plan: &Arc<Plan>,
    started: &Arc<AtomicUsize>,
) -> thread::Result<()> {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(100_000);
    // The seed is a shorter way to reproduce a failure.
    config.failure_persistence = FailurePersistence::None;
    let (plan, started) = (Arc::clone(plan), Arc::clone(started));
    let run_schedule = move || {
        started.fetch_add(1, Ordering::Relaxed);
        block_on(schedule(&plan));
    };
    catch_unwind(AssertUnwindSafe(|| {
        Runner::new(scheduler, config).run(run_schedule)
    }))
    .map(drop)
}

/// Runs one schedule, from the build of the pool to the end of its last worker.
async fn schedule(plan: &Arc<Plan>) {
    let world = World::new(plan);
    let pool = Pool::builder(world.clone())
        .size(plan.size)
        .surge(plan.surge)
        .cancel_grace(plan.cancel_grace())
        .ask_grace(plan.ask_grace())
        .release_timeout(plan.release_timeout())
        .enable_health_monitoring(plan.has_health_checks)
        // Disabled: no client is refused however many starts fail.
        .crash_loop(u32::MAX)
        .max_worker_age(None)
        .error_threshold(None)
        .session_idle_timeout(None)
        // These timeouts would hide a lost wake-up.
        .checkout_timeout(NEVER)
        .call_timeout(NEVER)
        .start_timeout(NEVER)
        .shutdown_timeout(NEVER)
        .build()
        .expect("a pool");
    let reader = plan.has_reader.then(|| spawn(follow(pool.events())));
    let client = Client::new(pool, world, Arc::clone(plan));
    let clients: Vec<_> = (0..plan.clients.len())
        .map(|script| spawn(client.clone().run(script)))
        .collect();
    for task in clients {
        task.await.expect("the client is not aborted");
    }
    check_end(&client).await;
    if let Some(reader) = reader {
        reader.await.expect("the reader is not aborted");
    }
}

/// Reads events until the pool has ended, and checks that each worker's transitions follow each
/// other up to its end.
async fn follow(mut events: Events) {
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
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        phases.values().all(|phase| *phase == Phase::Terminated),
        "{phases:?}"
    );
}

/// Checks that every worker can still be leased and that the shutdown leaves nothing open.
async fn check_end(client: &Client) {
    let Client {
        pool, world, plan, ..
    } = client;
    if !client.observed().is_closing {
        let mut leases = Vec::new();
        for _ in 0..pool.status().size {
            let lease = pool.checkout().await.expect("a worker is free");
            leases.push((world.hold(lease.worker()), lease));
        }
    }
    let report = pool.shutdown().await;
    // The pool ends without the abandoned ports. They are released in the background.
    while !pool.status().abandoned.is_empty() {
        yield_now().await;
    }
    let status = pool.status();
    let (counters, stats) = (status.counters, world.stats());
    assert_eq!(report.unreleased, []);
    assert_eq!(counters.opened, counters.released);
    assert_eq!(
        (status.workers.len(), status.waiting, status.sessions),
        (0, 0, 0)
    );
    assert_eq!((stats.open.len(), stats.held.len()), (0, 0));
    assert!(stats.opened <= counters.opened, "{stats:?}, {status}");
    assert!(stats.peak_open <= plan.max_open(), "{stats:?}");
    let (counted, answered) = (counters.calls, client.observed().calls);
    // During the cancel grace, a worker may answer a call that its client has dropped.
    assert!(counted <= answered || plan.has_grace, "{counters:?}");
    // The pool ends the lease of a worker that exited. The client's return comes late, and its
    // calls are not counted.
    let exits = plan.has(Verb::Exit) || plan.has(Verb::ReplyAndExit);
    assert!(
        counted >= answered || exits,
        "{answered} calls were answered: {counters:?}"
    );
}
