//! A pool whose workers run random programs, and what must hold at its end.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use ostler_pool::testing::Resources;
use ostler_pool::{CallError, Lease, Phase, Pool, Program, Python, WorkerId, WorkerStatus};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::judge::{self, Trial, VARIABLE, processes};
use super::program::Acts;
use crate::resources::modules;
use crate::rig::Random;

/// The limit of every wait. No passing run reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a worker ends, during or after its program. The delays are random.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The client waits for the reply, and the worker is recycled.
    Reply,
    /// The client drops the call.
    Drop(Duration),
    /// Some other code kills the worker's leader.
    Kill(Duration),
    /// The worker is recycled during the call.
    Recycle(Duration),
}

/// How the pool ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum PoolEnd {
    /// It is shut down after all programs.
    After,
    /// It is shut down during calls.
    Shutdown(Duration),
    /// Its last handle is dropped during calls.
    Drop(Duration),
    /// Its runtime is dropped during calls.
    DropRuntime(Duration),
}

/// How the workers are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Spawned,
    /// By a host that is a sub-reaper.
    OfSubreaper,
    /// A zygote forks them.
    Forked,
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) programs: Vec<(Acts, End)>,
    pub(super) end: PoolEnd,
    pub(super) size: usize,
    pub(super) sentinel: bool,
    pub(super) start: Start,
    pub(super) call_timeout: Duration,
    ask_grace: Duration,
    term_grace: Duration,
}

/// What the clients of a batch share.
struct Shared {
    batch: Batch,
    /// The number of the first program.
    first: u32,
    next: Mutex<usize>,
    trials: Mutex<Vec<Trial>>,
    faults: Mutex<Vec<String>>,
}

impl Batch {
    pub(super) fn random(random: &mut Random, programs: usize, start: Start) -> Self {
        let micros = |random: &mut Random, most| Duration::from_micros(random.below(most));
        let end = match random.below(8) {
            0 => PoolEnd::Shutdown(micros(random, 40_000)),
            1 => PoolEnd::Drop(micros(random, 40_000)),
            2 => PoolEnd::DropRuntime(micros(random, 40_000)),
            _ => PoolEnd::After,
        };
        let is_short = random.below(3) == 0;
        let program = |random: &mut Random| {
            let acts = Acts::random(random, start);
            let end = match random.below(5) {
                0 | 1 if is_short || acts.answers(start) => End::Reply,
                2 => End::Kill(micros(random, 10_000)),
                3 if is_short || acts.answers(start) => End::Recycle(micros(random, 10_000)),
                _ => End::Drop(micros(random, 10_000)),
            };
            (acts, end)
        };
        Self {
            programs: (0..programs).map(|_| program(random)).collect(),
            end,
            size: 6,
            sentinel: random.below(2) == 0,
            start,
            call_timeout: match is_short {
                true => Duration::from_millis(1 + random.below(30)),
                false => DEADLINE,
            },
            ask_grace: Duration::from_millis(random.below(30)),
            term_grace: Duration::from_millis(random.below(30)),
        }
    }

    /// This batch with other programs, one at a time.
    pub(super) fn with(&self, programs: Vec<(Acts, End)>) -> Self {
        let size = self.size.min(programs.len());
        Self {
            programs,
            size,
            ..self.clone()
        }
    }

    /// Runs the programs on workers at this path, and returns what is wrong, if anything is.
    pub(super) fn run(&self, worker: &Path, first: u32) -> Vec<String> {
        let before = Resources::snapshot();
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let shared = Arc::new(Shared {
            batch: self.clone(),
            first,
            next: Mutex::default(),
            trials: Mutex::default(),
            faults: Mutex::default(),
        });
        self.use_pool(runtime, worker, &shared);
        let mut faults = std::mem::take(&mut *shared.faults.lock().unwrap());
        let trials = std::mem::take(&mut *shared.trials.lock().unwrap());
        faults.extend(self.left_by(&trials));
        for left in processes() {
            left.kill();
        }
        let since = Instant::now();
        loop {
            let leaks = before.leaks(&[]);
            if leaks.is_empty() {
                break;
            }
            if since.elapsed() > DEADLINE {
                faults.push(format!("the host has leaked:\n{leaks}"));
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        faults.sort();
        faults.dedup();
        faults
    }

    fn use_pool(&self, runtime: Runtime, worker: &Path, shared: &Arc<Shared>) {
        let clients = async {
            let pool = self.pool(worker);
            let mut clients = JoinSet::new();
            for _ in 0..self.size {
                let (pool, shared) = (pool.clone(), Arc::clone(shared));
                clients.spawn(async move { shared.client(&pool).await });
            }
            (pool, clients)
        };
        let (pool, mut clients) = runtime.block_on(clients);
        match self.end {
            PoolEnd::After => runtime.block_on(async {
                while let Some(client) = clients.join_next().await {
                    client.unwrap();
                }
                shared.shut_down(&pool).await;
            }),
            PoolEnd::Shutdown(after) => runtime.block_on(async {
                sleep(after).await;
                shared.shut_down(&pool).await;
                while let Some(client) = clients.join_next().await {
                    client.unwrap();
                }
            }),
            PoolEnd::Drop(after) => {
                runtime.block_on(async { sleep(after).await });
                drop(pool);
                runtime.block_on(async {
                    clients.abort_all();
                    while let Some(client) = clients.join_next().await {
                        if client.is_err_and(|error| error.is_panic()) {
                            shared.add_fault("a client has panicked".to_owned());
                        }
                    }
                });
                // The pool ends in the background, and takes its sentinel along.
                let since = Instant::now();
                loop {
                    let children = Resources::snapshot().children;
                    if children.is_empty() {
                        break;
                    }
                    if since.elapsed() > DEADLINE {
                        shared.add_fault(format!("the pool has left {children:?}"));
                        break;
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }
            PoolEnd::DropRuntime(after) => {
                runtime.block_on(async { sleep(after).await });
                drop(runtime);
            }
        }
    }

    fn pool(&self, worker: &Path) -> Pool {
        let host = std::process::id().to_string();
        let of = |program: Program| program.env(VARIABLE, host).sentinel(self.sentinel);
        let builder = match self.start {
            Start::Spawned => Pool::builder(of(Program::new(worker))),
            Start::OfSubreaper => Pool::builder(of(Program::new(worker)).subreaper(true)),
            Start::Forked => {
                let python3 = of(Program::new("python3")).env("ACTS", worker);
                let python = Python::function("process_acts:run").path(modules());
                Pool::builder(python.interpreter(python3).zygote())
            }
        };
        let moment = Duration::from_millis(1);
        builder
            .size(self.size)
            .surge(self.size)
            .max_starting(self.size)
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            .checkout_timeout(DEADLINE)
            .start_timeout(DEADLINE)
            .call_timeout(self.call_timeout)
            .ask_grace(self.ask_grace)
            .term_grace(self.term_grace)
            .release_timeout(DEADLINE)
            .min_worker_life(Duration::ZERO)
            .build()
            .unwrap()
    }

    /// What the programs have left in the end. Polls: a dropped pool ends in the background.
    fn left_by(&self, trials: &[Trial]) -> Vec<String> {
        let is_patient = !matches!(self.end, PoolEnd::After | PoolEnd::Shutdown(_));
        let since = Instant::now();
        loop {
            let left = processes();
            let faults = |trial: &Trial| trial.faults(&left, self.start != Start::OfSubreaper);
            let mut faults: Vec<String> = trials.iter().flat_map(faults).collect();
            // Workers that have got no program.
            let of_no_program = left.iter().filter(|left| left.name.is_none());
            faults.extend(of_no_program.map(|left| format!("a worker is left: {}", left.process)));
            if faults.is_empty() || !is_patient || since.elapsed() > DEADLINE {
                return faults;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Waits until the pool has no such worker in such a phase.
async fn is_no_more(pool: &Pool, worker: WorkerId, described: impl Fn(Phase) -> bool) {
    let is = |other: &WorkerStatus| other.worker == worker && described(other.phase);
    while pool.status().workers.iter().any(is) {
        sleep(Duration::from_millis(1)).await;
    }
}

impl Shared {
    /// Runs programs until there are no more, or the pool has ended.
    async fn client(&self, pool: &Pool) {
        loop {
            let index = {
                let mut next = self.next.lock().unwrap();
                *next += 1;
                *next - 1
            };
            let Some((acts, end)) = self.batch.programs.get(index) else {
                return;
            };
            let Ok(lease) = pool.checkout().await else {
                return;
            };
            let number = self.first + index as u32;
            self.run(pool, lease, number, acts, *end).await;
        }
    }

    async fn run(&self, pool: &Pool, mut lease: Lease, number: u32, acts: &Acts, end: End) {
        let (worker, pid) = (lease.worker(), lease.pid().unwrap());
        let Some(trial) = self.trial(number, acts, pid) else {
            // It has just been killed with its pool.
            return;
        };
        self.trials.lock().unwrap().push(trial.clone());
        let leader = pidfd_open(
            Pid::from_raw(pid.cast_signed()).unwrap(),
            PidfdFlags::empty(),
        );
        let request = format!("{number}{acts}");
        let call = lease.call(&request);
        let call = async {
            match end {
                End::Reply => Some(call.await),
                End::Drop(after) => timeout(after, call).await.ok(),
                End::Kill(after) => {
                    let kill = async {
                        sleep(after).await;
                        // An error means that it has ended.
                        let _ = leader.map(|leader| pidfd_send_signal(leader, Signal::KILL));
                    };
                    // A reply may have come before.
                    Some(tokio::join!(call, kill).0)
                }
                End::Recycle(after) => {
                    let recycle = async {
                        sleep(after).await;
                        pool.recycle(worker);
                    };
                    Some(tokio::join!(call, recycle).0)
                }
            }
        };
        match timeout(DEADLINE, call).await {
            Ok(Some(outcome)) => self.judge(number, acts, end, outcome),
            Ok(None) => {}
            Err(_) => self.fault(number, acts, &"the call has not ended"),
        }
        let is_released = async {
            // Before the lease ends, so that no other program runs on this worker: it serves until
            // its replacement is ready.
            pool.recycle(worker);
            is_no_more(pool, worker, Phase::is_staffing).await;
            drop(lease);
            is_no_more(pool, worker, |_| true).await;
        };
        if timeout(DEADLINE, is_released).await.is_err() {
            self.fault(number, acts, &"the worker is not released");
        }
        // Without waiting: everything has ended before the worker counts as released. A sub-reaper
        // ends an orphan only once every worker that could have started it has ended.
        for fault in trial.faults(&processes(), true) {
            self.fault(number, acts, &fault);
        }
    }

    fn trial(&self, number: u32, acts: &Acts, worker: u32) -> Option<Trial> {
        let environ = fs::read(format!("/proc/{worker}/environ")).ok()?;
        Some(Trial {
            number,
            worker,
            tag: judge::variable(&environ, "OSTLER_TAG")?.to_vec(),
            survivors: acts.survivors(),
        })
    }

    /// Checks that the outcome of a call fits its program and its end.
    fn judge(&self, number: u32, acts: &Acts, end: End, outcome: Result<Vec<u8>, CallError>) {
        let is_alone = matches!(end, End::Reply | End::Recycle(_))
            && matches!(self.batch.end, PoolEnd::After)
            && self.batch.call_timeout == DEADLINE;
        match outcome {
            Ok(reply) if reply != number.to_string().as_bytes() => {
                self.fault(number, acts, &"the reply is another's");
            }
            Err(error) if is_alone && acts.answers(self.batch.start) => {
                self.fault(number, acts, &format!("the call failed: {error:?}"));
            }
            _ => {}
        }
    }

    fn fault(&self, number: u32, acts: &Acts, fault: &dyn fmt::Display) {
        self.add_fault(format!("{fault}\n  program{acts}\n  number {number}"));
    }

    fn add_fault(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }

    async fn shut_down(&self, pool: &Pool) {
        let Ok(report) = timeout(DEADLINE, pool.shutdown()).await else {
            self.add_fault("no shutdown".to_owned());
            return;
        };
        let counters = &report.counters;
        let is_released = counters.opened == counters.released && counters.abandoned == 0;
        if !report.is_clean() || !is_released {
            self.add_fault(format!("not everything is released: {report:?}"));
        }
    }
}
