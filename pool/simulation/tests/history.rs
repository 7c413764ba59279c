//! One history: from the build of a pool to the last trace of it.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ostler_pool::rt::simulated::{self, now, wait};
use ostler_pool::{Pool, WorkerStatus};
use shuttle::future::{block_on, spawn};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use tokio::select;

use crate::audit::audit;
use crate::client::Client;
use crate::ledger::Ledger;
use crate::lists::Fault;
use crate::plan::{Act, End, Plan, Step, Time};
use crate::reports::follow;
use crate::scheduler::HistoryScheduler;
use crate::world::{Starter, World};

/// When all faults end, at the latest.
const FAULTS_END: Duration = Duration::from_secs(60);

/// How long a pool without faults may take to serve with all its workers, and to serve each client.
const RECOVERY: Duration = Duration::from_secs(120);

/// What a history left.
#[derive(Debug)]
pub(crate) struct History {
    /// The message of the first panic, if it failed.
    pub(crate) failure: Option<String>,
    pub(crate) ledger: Ledger,
    pub(crate) took: Duration,
    /// The record of the pool.
    pub(crate) trace: Vec<u8>,
}

/// Runs a history, and logs what happens if `has_log`.
pub(crate) fn run(plan: &Arc<Plan>, has_log: bool) -> History {
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    // The scheduler judges whether a history goes on.
    config.max_steps = MaxSteps::None;
    // The seed is a shorter way to reproduce a failure.
    config.failure_persistence = FailurePersistence::None;
    simulated::reset();
    let world = World::new(plan, has_log);
    let trace = Trace::default();
    let (of_history, of_trace) = (world.clone(), trace.clone());
    let scheduler = HistoryScheduler::new(plan);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        Runner::new(scheduler, config).run(move || {
            block_on(history(of_history.clone(), of_trace.clone()));
        })
    }));
    let failure = outcome.err().map(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        text.unwrap_or("a panic without a message").to_owned()
    });
    let ledger = std::mem::take(&mut *world.ledger());
    let trace = std::mem::take(&mut *trace.lock());
    History {
        failure,
        ledger,
        took: now(),
        trace,
    }
}

/// Where the pool writes its record.
#[derive(Clone, Debug, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl Trace {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn history(world: World, trace: Trace) {
    drop(spawn(world.clone().clock()));
    let plan = Arc::new(world.plan().clone());
    if let Time::Pauses(of, at_most) = plan.time {
        simulated::set_pauses(Some((of, at_most)));
    }
    let pool = Pool::builder(Starter(world.clone()))
        .config(plan.config.clone())
        .record(trace)
        .build()
        .expect("the plan's options are valid");
    let reader = plan
        .has_reader
        .then(|| spawn(follow(pool.events(), world.quiet())));
    let auditor = spawn(audit(pool.clone(), world.clone()));
    drop(spawn({
        let world = world.clone();
        async move {
            wait(FAULTS_END).await;
            world.heal();
        }
    }));
    if let End::Runtime(after) = plan.end {
        let world = world.clone();
        drop(spawn(async move {
            wait(after).await;
            {
                let mut ledger = world.ledger();
                ledger.is_closing = true;
                ledger.note(format_args!("the runtime ends"));
                ledger.meets(Fault::RuntimeEnd);
            }
            simulated::end_runtime();
        }));
    }
    let client = Client {
        pool,
        world,
        plan: Arc::clone(&plan),
    };
    let clients: Vec<_> = (0..plan.scripts.len())
        .map(|name| spawn(client.clone().run(name)))
        .collect();
    for task in clients {
        task.await.expect("the client is not aborted");
    }
    client.world.heal();
    recovers(&client).await;
    // It holds a handle of the pool.
    auditor.abort();
    ends(client).await;
    if let Some(reader) = reader {
        reader.await.expect("the reader is not aborted");
    }
}

/// After the last fault, the pool serves again with all its workers, and serves every client.
async fn recovers(client: &Client) {
    let Client { pool, world, plan } = client;
    world.resume(pool);
    let is_over = || world.ledger().is_closing || matches!(plan.end, End::Runtime(_));
    let deadline = Deadline::new();
    while !is_over() {
        let status = pool.status();
        // A draining worker serves its sessions as long as they last.
        let drains = |worker: &&WorkerStatus| worker.sessions > 0 && worker.reason.is_some();
        let drain = status.workers.iter().filter(drains).count();
        if status.serving() == status.size && status.workers.len() == status.size + drain {
            break;
        }
        deadline.check(|| format!("the pool does not recover: {status}"));
        wait(Duration::from_millis(100)).await;
    }
    let mut leases = Vec::new();
    while !is_over() && leases.len() < pool.status().size {
        let lease = select! {
            biased;
            lease = pool.checkout() => lease,
            () = deadline.passes() => panic!("a client is not served: {}", pool.status()),
        };
        match lease {
            Ok(lease) => leases.push((world.hold(lease.worker(), None), lease)),
            // A health check may hold the last worker.
            Err(error) => deadline.check(|| format!("a client is refused: {error}")),
        }
        wait(Duration::from_millis(10)).await;
    }
}

/// The end of [`RECOVERY`].
struct Deadline(Duration);

impl Deadline {
    fn new() -> Self {
        Self(now() + RECOVERY)
    }

    fn check(&self, problem: impl FnOnce() -> String) {
        assert!(now() <= self.0, "{}", problem());
    }

    async fn passes(&self) {
        wait(self.0.saturating_sub(now())).await;
    }
}

/// The pool ends, and leaves nothing.
async fn ends(client: Client) {
    let Client { pool, world, plan } = client;
    world.ledger().is_closing = true;
    match plan.end {
        End::Drop => drop(pool),
        End::Shutdown => {
            let asked = now();
            let shutdown = pool.shutdown();
            let shutdown = match plan.without_grace {
                true => pool.shutdown_now(),
                false => shutdown,
            };
            let report = shutdown.await;
            let status = pool.status();
            if plan.time == Time::Punctual {
                assert!(report.unreleased.is_empty(), "{report}");
            }
            world.judge_report(asked, report, &status);
            world.judge_counters(&status.counters);
            drop(pool);
        }
        End::Runtime(after) => {
            wait(after + Duration::from_millis(1)).await;
            drop(pool);
        }
    }
    let deadline = Deadline::new();
    loop {
        let (ends, processes) = world.open();
        let is_dropped = world.ledger().opener_dropped;
        let (tasks, mutexes) = (simulated::tasks(), simulated::mutexes());
        if (ends, processes, tasks, mutexes) == (0, 0, 0, 0) && is_dropped {
            break;
        }
        deadline.check(|| {
            format!(
                "left over: {ends} pipe ends, {processes} processes, {tasks} tasks, {mutexes} mutexes, \
                 opener dropped: {is_dropped}"
            )
        });
        wait(Duration::from_millis(100)).await;
    }
    let ledger = world.ledger();
    assert_eq!(ledger.open(), 0, "open ports");
    // As many ports as workers may be abandoned.
    let most = plan.max_size() + plan.config.surge + plan.max_size();
    assert!(ledger.peak_open <= most, "{} open ports", ledger.peak_open);
    if !plan.has_violations() {
        ledger.judge_order();
    }
    if ledger.found_ended {
        let closes = |step: &Step| matches!(step.act, Act::Shutdown);
        let is_explained = ledger.sessions_ended
            || plan.config.session_idle_timeout.is_some()
            || plan.has_drops()
            || plan.scripts.iter().flatten().any(closes)
            || matches!(plan.end, End::Runtime(_));
        assert!(is_explained, "a session has ended");
    }
}
