//! The simulated world: what the tasks of a history share, and the opener of the pool's workers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler_pool::port::{Batching, BoxFuture, Opener, Port, Start};
use ostler_pool::rt::simulated::{self, wait};
use ostler_pool::{ExitStatus, OpenError, Pool, WorkerId};
use shuttle::future::{spawn, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use tokio::select;
use tokio::sync::watch;

use crate::ledger::{Cause, Ledger, Stamp, Tenure};
use crate::lists::{Fault, Operation};
use crate::pipe::{self, Ends};
use crate::plan::{Plan, Time};
use crate::port::SimPort;
use crate::process;
use crate::scanner::HostWriter;
use crate::scheduler;

/// One in so many moments at which nothing can run is audited.
const AUDITED: u32 = 4;

/// Clones share one world.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    plan: Arc<Plan>,
    ledger: Mutex<Ledger>,
    /// Whether the faults are over: what was stuck goes on, and all later workers are good.
    healed: watch::Sender<bool>,
    /// Counts audits.
    quiet: watch::Sender<u64>,
    ends: Ends,
    /// Running processes, and how to kill each.
    processes: AtomicUsize,
    kills: Mutex<BTreeMap<WorkerId, Ended>>,
}

/// How a process ended, once it has.
pub(crate) type Ended = watch::Sender<Option<ExitStatus>>;

impl World {
    pub(crate) fn new(plan: &Arc<Plan>, has_log: bool) -> Self {
        let mut ledger = Ledger::default();
        ledger.log = has_log.then(Vec::new);
        Self(Arc::new(Shared {
            plan: Arc::clone(plan),
            ledger: Mutex::new(ledger),
            healed: watch::Sender::new(false),
            quiet: watch::Sender::new(0),
            ends: Arc::default(),
            processes: AtomicUsize::new(0),
            kills: Mutex::default(),
        }))
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Never held across a step of the scheduler.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        self.ledger().note(line);
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.note(format_args!("all faults are over"));
        scheduler::calm();
        self.0.healed.send_replace(true);
    }

    pub(crate) fn is_healed(&self) -> bool {
        *self.0.healed.borrow()
    }

    pub(crate) async fn healed(&self) {
        let mut healed = self.0.healed.subscribe();
        // The world holds the sender.
        let _ = healed.wait_for(|healed| *healed).await;
    }

    /// Changes at each moment that is to be audited. Nothing can run then until time passes.
    pub(crate) fn quiet(&self) -> watch::Receiver<u64> {
        self.0.quiet.subscribe()
    }

    /// Lets time pass.
    pub(crate) async fn clock(self) {
        scheduler::begin_clock().await;
        loop {
            // Threads that pause, or that others overtake, are not idle. An audit takes many steps.
            if self.plan().time == Time::Punctual && thread_rng().gen_ratio(1, AUDITED) {
                self.0.quiet.send_modify(|count| *count += 1);
                // The scheduler comes back once nothing can run again.
                yield_now().await;
            }
            simulated::advance().await;
            yield_now().await;
        }
    }

    /// Kills a worker's process, as another process may.
    pub(crate) fn kill(&self, worker: WorkerId) {
        let kills = self.0.kills.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = kills.get(&worker).cloned();
        drop(kills);
        if let Some(ended) = ended.filter(|ended| ended.borrow().is_none()) {
            self.ledger().shows(worker, Fault::Killed);
            end(self, worker, &ended, ExitStatus::Signal(9), Cause::Outside);
        }
    }

    /// What of the world is open: pipe ends, and running processes.
    pub(crate) fn open(&self) -> (usize, usize) {
        let Shared {
            ends, processes, ..
        } = &*self.0;
        (
            ends.load(Ordering::Relaxed),
            processes.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn process_count(&self) -> &AtomicUsize {
        &self.0.processes
    }

    /// A delay by a fault. It ends with the faults.
    pub(crate) async fn delay(&self, duration: Duration) {
        select! {
            biased;
            () = self.healed() => {}
            () = pause(duration) => {}
        }
    }

    /// Resumes the pool.
    pub(crate) fn resume(&self, pool: &Pool) {
        {
            let mut ledger = self.ledger();
            ledger.resumes += 1;
            ledger.resuming += 1;
        }
        pool.resume();
        self.ledger().resuming -= 1;
    }

    /// Registers that a client holds a lease on the worker, until the result is dropped.
    ///
    /// `asked`: when its checkout began, and when it was in the queue.
    pub(crate) fn hold(&self, worker: WorkerId, asked: Option<(Stamp, Option<Stamp>)>) -> Held {
        let mut ledger = self.ledger();
        let stamp = ledger.stamp();
        if let Some(asked) = asked {
            ledger.waited(worker, asked, stamp);
        }
        let tenures = &mut ledger.worker(worker).tenures;
        for earlier in tenures.iter_mut().filter(|tenure| tenure.ended.is_none()) {
            earlier.is_over = true;
        }
        tenures.push(Tenure {
            ended: None,
            is_over: false,
        });
        let tenure = tenures.len() - 1;
        ledger.granted += 1;
        Held {
            world: self.clone(),
            worker,
            tenure,
        }
    }

    /// Registers an operation, until the result is dropped.
    pub(crate) fn begin(&self, operation: Operation) -> UnderWay {
        self.ledger().begins(operation);
        UnderWay(self.clone(), operation)
    }
}

/// The bytes of a request or of a reply.
pub(crate) fn body(id: u64, worker: &str, size: usize) -> Vec<u8> {
    format!("[{id},\"{worker}\",\"{}\"]", "x".repeat(size)).into_bytes()
}

pub(crate) struct UnderWay(World, Operation);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ledger().ends(self.1);
    }
}

/// Dropped before the lease: the next client may get the worker at once.
pub(crate) struct Held {
    world: World,
    worker: WorkerId,
    tenure: usize,
}

impl Held {
    /// Checks that no other client has the worker.
    pub(crate) fn check(&self) {
        let Self { worker, tenure, .. } = *self;
        let is_over = self.world.ledger().worker(worker).tenures[tenure].is_over;
        assert!(!is_over, "worker {worker} is leased twice");
    }

    /// The lease is over, and its client still has it.
    pub(crate) fn is_lost(&self) {
        self.world.ledger().worker(self.worker).tenures[self.tenure].is_over = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.world.ledger();
        let stamp = ledger.stamp();
        ledger.worker(self.worker).tenures[self.tenure].ended = Some(stamp);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// The opener. Its drop is noted: the pool drops it when it has ended.
#[derive(Debug)]
pub(crate) struct Starter(pub(crate) World);

impl Drop for Starter {
    fn drop(&mut self) {
        self.0.ledger().opener_dropped = true;
    }
}

impl Opener for Starter {
    fn batching(&self) -> Option<Batching> {
        self.0.plan().batching
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let world = self.0.clone();
        Box::pin(async move { world.start(start.worker).await })
    }
}

impl World {
    async fn start(self, worker: WorkerId) -> Result<Box<dyn Port>, OpenError> {
        let (plan, takes_batches) = {
            let mut ledger = self.ledger();
            let index = usize::try_from(ledger.attempts).expect("an index fits");
            ledger.attempts += 1;
            let planned = self.plan().workers.get(index).cloned();
            let turns = &self.plan().takes_batches;
            let takes_batches = turns[index % turns.len()];
            let planned = planned.filter(|_| !self.is_healed());
            (planned.unwrap_or_default(), takes_batches)
        };
        let shows = |fault| {
            let is_shown = plan.faults.contains(&fault);
            if is_shown {
                self.ledger().shows(worker, fault);
            }
            is_shown
        };
        if shows(Fault::SlowOpen) {
            self.ledger().starts_failed = true;
            self.delay(plan.delay).await;
        }
        if shows(Fault::OpenHang) {
            self.ledger().starts_failed = true;
            self.healed().await;
        }
        if shows(Fault::OpenPanic) {
            self.ledger().starts_failed = true;
            std::panic::resume_unwind(Box::new(SCRIPTED));
        }
        if shows(Fault::OpenError) {
            self.ledger().starts_failed = true;
            let error = std::io::Error::other(SCRIPTED);
            return Err(OpenError::spawn("simulated", error));
        }
        let ends = &self.0.ends;
        let (input, to_worker) = pipe::pipe(self.plan().pipe, ends);
        let (from_worker, output) = pipe::pipe(self.plan().pipe, ends);
        let held_pipe = shows(Fault::PipeHeld).then(|| (input.clone(), output.clone()));
        {
            let mut ledger = self.ledger();
            ledger.note(format_args!("worker {worker}: opened, {:?}", plan.faults));
            let entry = ledger.worker(worker);
            assert!(!entry.is_open, "worker {worker} is opened twice");
            entry.is_open = true;
            ledger.peak_open = ledger.peak_open.max(ledger.open());
        }
        let ended = watch::Sender::new(None);
        let mut kills = self.0.kills.lock().unwrap_or_else(PoisonError::into_inner);
        kills.insert(worker, ended.clone());
        drop(kills);
        let plan = Arc::new(plan);
        drop(spawn(process::run(
            self.clone(),
            worker,
            (Arc::clone(&plan), takes_batches),
            (input, output),
            ended.clone(),
        )));
        let host_pipe = (
            from_worker,
            HostWriter::new(to_worker, self.clone(), worker),
        );
        let port = SimPort::new(self, worker, plan, host_pipe, held_pipe, ended);
        Ok(Box::new(port))
    }
}

/// The message of a panic that a plan asks for.
pub(crate) const SCRIPTED: &str = "scripted";

/// Reports the end of a process. Only the first one counts.
pub(crate) fn end(
    world: &World,
    worker: WorkerId,
    ended: &Ended,
    status: ExitStatus,
    cause: Cause,
) {
    let first = ended.send_if_modified(|ended| {
        let first = ended.is_none();
        ended.get_or_insert(status);
        first
    });
    if first {
        world.ledger().exits(worker, status, cause);
    }
}

/// A delay that a plan may leave out.
pub(crate) async fn pause(duration: Duration) {
    if duration > Duration::ZERO {
        wait(duration).await;
    }
}
