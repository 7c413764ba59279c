//! What the driver keeps under its lock.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use ostler::supervisor::{DrainEnd, Effect, Order, Reason, Refusal};
use ostler::worker::{Phase, Rung};
use ostler::{Clients, LeaseId, Supervisor, WorkerId};
use tokio::sync::Notify;

use super::clients::Waiting;
use super::ends::{Ended, RecentEnds};
use super::event_log::EventLog;
use super::grant::Grant;
use super::held::Place;
use super::sessions::Sessions;
use super::timers::Timers;
use super::waiters::Waiters;
use super::{Driver, Readiness, Refused};
use crate::error::{Occupancy, RollingError, StartError};
use crate::port::Survivor;
use crate::recorder::Recorder;
use crate::rt::Instant;
use crate::status::{AbandonedPort, PoolStatus, Probe, WorkerStatus};
use crate::transport::Transport;

pub(super) struct State {
    pub(super) supervisor: Supervisor,
    /// The clients that wait.
    pub(super) clients: Clients<Waiting>,
    pub(super) last_waiter: u64,
    /// When the clock looks at the deadlines of the clients: at the first of them, or earlier.
    pub(super) alarm: Option<Instant>,
    /// When the clock looks for leases that are held for long. `None`: none is held.
    pub(super) lease_alarm: Option<Instant>,
    /// When the clients give up that came before the pool had first served. `None` until then.
    pub(super) first_deadline: Option<Instant>,
    /// Taken from the supervisor, while they are dispatched. Its memory is reused.
    pub(super) effects: Vec<Effect>,
    pub(super) sessions: Sessions,
    /// Those of the worker that started last.
    pub(super) functions: Option<Arc<[String]>>,
    /// By slot, as in the supervisor.
    workers: Vec<Option<WorkerEntry>>,
    /// Workers whose ports are abandoned, until they are released. As many as in the supervisor.
    abandoned: Vec<WorkerEntry>,
    pub(super) timers: Timers,
    pub(super) last_failure: Option<Arc<StartError>>,
    /// Callers that wait for the rolling restart, or for the pool to be drained.
    pub(super) rolling: Waiters<Result<usize, RollingError>>,
    /// When the rolling restart began.
    pub(super) rolling_since: Option<Instant>,
    pub(super) draining: Waiters<DrainEnd>,
    /// Callers that wait for the pool to serve.
    pub(super) readying: Waiters<Readiness>,
    pub(super) shutdown: Option<ShutdownProgress>,
    /// Whether the core has closed the pool.
    pub(super) ended: bool,
    pub(super) log: EventLog,
    pub(super) recorder: Option<Recorder>,
    pub(super) recent_ends: RecentEnds,
}

/// What the driver knows of a worker.
pub(super) struct WorkerEntry {
    pub(super) worker: WorkerId,
    pub(super) pid: Option<u32>,
    pub(super) opened: Instant,
    /// When it entered its phase, or when its port was abandoned.
    pub(super) since: Instant,
    pub(super) last_probe: Option<(Instant, bool)>,
    /// Orders that its task has not taken yet: at most the handful that are open at a time.
    pub(super) orders: VecDeque<Order>,
    /// Notified when there are new orders, and for the span of its drain.
    pub(super) wakeup: Arc<Notify>,
    transport: Arc<Transport>,
    /// The last rung of the stop ladder that its task took before it exited.
    pub(super) rung: Option<Rung>,
    /// What held up the release when its port was abandoned.
    pub(super) survivors: Vec<Survivor>,
    /// The phase that it left for good, and why.
    pub(super) left: Option<(Phase, Reason)>,
    /// What is known about the reason for which it leaves, if it leaves for that one.
    pub(super) detail: Option<(Reason, String)>,
    /// Where and when its lease was taken, as long as a client holds it and that was not logged.
    pub(super) taken: Option<(Place, Instant)>,
    /// When it began to drain, if it did.
    pub(super) drains: Option<Instant>,
    /// The calls that it had answered when it left.
    pub(super) calls: u64,
}

/// How far a shutdown is.
#[derive(Clone, Debug)]
pub(super) struct ShutdownProgress {
    pub(super) since: Instant,
    pub(super) drained: Option<Instant>,
    /// At most one per slot, and one per abandoned port.
    pub(super) ended: Vec<Ended>,
}

impl ShutdownProgress {
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            drained: None,
            ended: Vec::new(),
        }
    }
}

/// The task that a new worker needs.
pub(super) struct NewTask {
    pub(super) worker: WorkerId,
    pub(super) wakeup: Arc<Notify>,
    pub(super) transport: Arc<Transport>,
}

impl State {
    pub(super) fn new(supervisor: Supervisor, recorder: Option<Recorder>) -> Self {
        Self {
            supervisor,
            clients: Clients::new(),
            last_waiter: 0,
            alarm: None,
            lease_alarm: None,
            first_deadline: None,
            effects: Vec::new(),
            sessions: Sessions::default(),
            functions: None,
            workers: Vec::new(),
            abandoned: Vec::new(),
            timers: Timers::default(),
            last_failure: None,
            rolling: Waiters::default(),
            rolling_since: None,
            draining: Waiters::default(),
            readying: Waiters::default(),
            shutdown: None,
            ended: false,
            log: EventLog::default(),
            recorder,
            recent_ends: RecentEnds::default(),
        }
    }

    pub(super) fn worker(&mut self, worker: WorkerId) -> Option<&mut WorkerEntry> {
        match self.workers.get_mut(worker.slot) {
            Some(Some(entry)) if entry.worker == worker => Some(entry),
            _ => (self.abandoned.iter_mut()).find(|entry| entry.worker == worker),
        }
    }

    /// Every worker that has a slot.
    pub(super) fn entries(&mut self) -> impl Iterator<Item = &mut WorkerEntry> {
        self.workers.iter_mut().flatten()
    }

    /// Removes a worker from its slot.
    pub(super) fn take_worker(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let slot = self.workers.get_mut(worker.slot)?;
        slot.take_if(|entry| entry.worker == worker)
    }

    /// Keeps a worker whose slot is free, because its port is abandoned.
    pub(super) fn abandon(&mut self, worker: WorkerId) {
        if let Some(mut entry) = self.take_worker(worker) {
            entry.since = Instant::now();
            self.abandoned.push(entry);
        }
    }

    /// Forgets a worker whose abandoned port is released.
    pub(super) fn take_abandoned(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let is_it = |entry: &WorkerEntry| entry.worker == worker;
        let index = self.abandoned.iter().position(is_it)?;
        Some(self.abandoned.swap_remove(index))
    }

    /// Queues an order for a worker's task, and returns what wakes it. `None`: the worker has no
    /// task yet.
    pub(super) fn queue(&mut self, worker: WorkerId, order: Order) -> Option<Arc<Notify>> {
        let entry = self.worker(worker)?;
        entry.orders.push_back(order);
        Some(Arc::clone(&entry.wakeup))
    }

    /// Adds a worker with its first order, the order to open it.
    pub(super) fn add_worker(&mut self, worker: WorkerId, order: Order, max_frame: u32) -> NewTask {
        let opens = matches!(order, Order::Open { .. });
        debug_assert!(opens, "the first order of worker {worker}: {order:?}");
        let wakeup = Arc::new(Notify::new());
        let transport = Arc::new(Transport::new(max_frame));
        if self.workers.len() <= worker.slot {
            self.workers.resize_with(worker.slot + 1, || None);
        }
        let now = Instant::now();
        self.workers[worker.slot] = Some(WorkerEntry {
            worker,
            pid: None,
            opened: now,
            since: now,
            last_probe: None,
            orders: VecDeque::from([order]),
            wakeup: Arc::clone(&wakeup),
            transport: Arc::clone(&transport),
            rung: None,
            survivors: Vec::new(),
            left: None,
            detail: None,
            taken: None,
            drains: None,
            calls: 0,
        });
        NewTask {
            worker,
            wakeup,
            transport,
        }
    }

    /// The lease of a client that asked for it at a place, and takes it now.
    pub(super) fn grant(
        &mut self,
        driver: &Arc<Driver>,
        lease: LeaseId,
        taken: Option<(Place, Instant)>,
    ) -> Grant {
        let entry = self
            .worker(lease.worker)
            .expect("a granted worker has a task");
        entry.taken = taken;
        Grant::new(Arc::clone(driver), Arc::clone(&entry.transport), lease)
    }

    pub(super) fn refused(&self, refusal: Refusal) -> Refused {
        Refused {
            refusal,
            last_failure: self.last_failure.as_deref().cloned(),
            max_waiting: self.supervisor.policy().max_waiting,
            max_sessions: self.supervisor.policy().max_sessions,
            pool: self.occupancy(),
        }
    }

    /// What errors show of the pool: phases only, because a pool that refuses is busy.
    pub(super) fn occupancy(&self) -> Occupancy {
        let phases = Phase::ALL.iter();
        let phases = phases.map(|phase| (*phase, self.supervisor.workers_in(*phase)));
        Occupancy::of(phases, self.supervisor.waiting())
    }

    /// Without the recent ends.
    pub(super) fn status(&self) -> PoolStatus {
        let workers = self.supervisor.workers().map(|view| {
            let entry = self.workers.get(view.worker.slot).and_then(Option::as_ref);
            let entry = entry.filter(|entry| entry.worker == view.worker);
            let elapsed = |at: fn(&WorkerEntry) -> Instant| {
                entry.map_or_else(Default::default, |entry| at(entry).elapsed())
            };
            let last_probe = entry.and_then(|entry| entry.last_probe);
            WorkerStatus {
                worker: view.worker,
                position: view.position,
                pid: entry.and_then(|entry| entry.pid),
                phase: view.phase,
                in_phase: elapsed(|entry| entry.since),
                age: elapsed(|entry| entry.opened),
                rung: view.rung,
                calls: view.calls,
                errors: view.errors,
                sessions: view.sessions,
                memory: view.memory,
                last_probe: last_probe.map(|(at, healthy)| Probe {
                    ago: at.elapsed(),
                    healthy,
                }),
                misses: view.misses,
                replacing: view.replacing,
                reason: view.reason,
                replaces: view.replaces,
            }
        });
        PoolStatus {
            size: self.supervisor.policy().size,
            waiting: self.supervisor.waiting(),
            sessions: self.supervisor.sessions(),
            draining: self.supervisor.is_draining(),
            workers: workers.collect(),
            counters: self.supervisor.counters(),
            last_failure: self.last_failure.as_deref().cloned(),
            abandoned: self.abandoned(),
            recent_ends: Vec::new(),
        }
    }

    pub(super) fn abandoned_ports(&self) -> usize {
        self.abandoned.len()
    }

    /// The ports that are abandoned, the longest-abandoned first.
    fn abandoned(&self) -> Vec<AbandonedPort> {
        let shown = |entry: &WorkerEntry| AbandonedPort {
            worker: entry.worker,
            pid: entry.pid,
            ago: entry.since.elapsed(),
            survivors: entry.survivors.clone(),
        };
        let mut abandoned: Vec<AbandonedPort> = self.abandoned.iter().map(shown).collect();
        abandoned.sort_by_key(|port| Reverse(port.ago));
        abandoned
    }
}
