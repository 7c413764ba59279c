//! What the driver keeps under its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ostler::supervisor::{Order, Refusal, SessionEnd, Timer};
use ostler::{LeaseId, SessionId, Supervisor, WaiterId, WorkerId};
use tokio::sync::{Notify, oneshot};

use super::log::Log;
use super::perform::Deferred;
use super::{Answer, Driver, Shutdown};
use crate::error::{CheckoutError, Occupancy, RollingError, StartError};
use crate::lease::Lease;
use crate::recorder::Recorder;
use crate::rt::{AbortHandle, Instant};
use crate::status::{PoolStatus, Probe, WorkerStatus};
use crate::wire::Wire;

pub(super) struct Inner {
    pub(super) supervisor: Supervisor,
    clients: HashMap<WaiterId, oneshot::Sender<Answer>>,
    last_waiter: u64,
    pub(super) sessions: Sessions,
    /// By slot, as in the supervisor.
    ports: Vec<Option<Record>>,
    /// The pool's own timers: the task that sleeps, once it has been spawned.
    pub(super) timers: HashMap<Timer, Option<AbortHandle>>,
    pub(super) last_failure: Option<Arc<StartError>>,
    /// Who waits for the rolling restart, and who for the pool to be drained.
    pub(super) rolling: Vec<oneshot::Sender<Result<usize, RollingError>>>,
    pub(super) draining: Vec<oneshot::Sender<()>>,
    pub(super) shutdown: Option<Shutdown>,
    pub(super) log: Log,
    pub(super) recorder: Option<Recorder>,
}

/// What the driver knows of a worker.
pub(super) struct Record {
    worker: WorkerId,
    pub(super) pid: Option<u32>,
    opened: Instant,
    /// When it came into its phase.
    pub(super) since: Instant,
    pub(super) last_probe: Option<(Instant, bool)>,
    /// Orders that the worker's task has not taken yet: at most the handful that one life has at a time.
    pub(super) orders: VecDeque<Order>,
    mail: Arc<Notify>,
    wire: Arc<Wire>,
}

/// The sessions by the names that clients gave them. At most `max_sessions`.
#[derive(Default)]
pub(super) struct Sessions {
    by_name: HashMap<Arc<str>, SessionId>,
    names: HashMap<SessionId, Arc<str>>,
    last: u64,
    /// Why the session that is being opened was refused.
    pub(super) refusal: Option<Refusal>,
}

impl Sessions {
    pub(super) fn named(&self, name: &str) -> Option<SessionId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn add(&mut self, name: &str) -> SessionId {
        self.last += 1;
        let (session, name) = (SessionId(self.last), Arc::<str>::from(name));
        self.by_name.insert(Arc::clone(&name), session);
        self.names.insert(session, name);
        session
    }

    pub(super) fn over(&mut self, session: SessionId, end: SessionEnd) {
        if let Some(name) = self.names.remove(&session) {
            self.by_name.remove(&name);
        }
        if let SessionEnd::Refused(refusal) = end {
            self.refusal = Some(refusal);
        }
    }
}

impl Inner {
    pub(super) fn new(supervisor: Supervisor, recorder: Option<Recorder>) -> Self {
        Self {
            supervisor,
            clients: HashMap::new(),
            last_waiter: 0,
            sessions: Sessions::default(),
            ports: Vec::new(),
            timers: HashMap::new(),
            last_failure: None,
            rolling: Vec::new(),
            draining: Vec::new(),
            shutdown: None,
            log: Log::default(),
            recorder,
        }
    }

    pub(super) fn new_client(&mut self, sender: oneshot::Sender<Answer>) -> WaiterId {
        self.last_waiter += 1;
        let waiter = WaiterId(self.last_waiter);
        self.clients.insert(waiter, sender);
        waiter
    }

    pub(super) fn forget_client(&mut self, waiter: WaiterId) -> Option<oneshot::Sender<Answer>> {
        self.clients.remove(&waiter)
    }

    pub(super) fn record(&mut self, worker: WorkerId) -> Option<&mut Record> {
        let record = self.ports.get_mut(worker.slot)?.as_mut()?;
        (record.worker == worker).then_some(record)
    }

    pub(super) fn take_record(&mut self, worker: WorkerId) -> Option<Record> {
        self.record(worker)?;
        self.ports[worker.slot].take()
    }

    /// Queues an order. With the first one, the order to open, a worker begins to exist here.
    pub(super) fn queue(&mut self, worker: WorkerId, order: Order, driver: &Driver) -> Deferred {
        if let Some(record) = self.record(worker) {
            record.orders.push_back(order);
            return Deferred::Wake(Arc::clone(&record.mail));
        }
        debug_assert_eq!(order, Order::Open, "the first order of worker {worker}");
        let mail = Arc::new(Notify::new());
        let wire = Arc::new(Wire::new(driver.limits.max_frame));
        if self.ports.len() <= worker.slot {
            self.ports.resize_with(worker.slot + 1, || None);
        }
        let now = Instant::now();
        self.ports[worker.slot] = Some(Record {
            worker,
            pid: None,
            opened: now,
            since: now,
            last_probe: None,
            orders: VecDeque::from([order]),
            mail: Arc::clone(&mail),
            wire: Arc::clone(&wire),
        });
        Deferred::Spawn { worker, mail, wire }
    }

    pub(super) fn lease(&mut self, driver: &Arc<Driver>, lease: LeaseId) -> Lease {
        let record = self
            .record(lease.worker)
            .expect("a worker that is granted has started");
        Lease::new(Arc::clone(driver), Arc::clone(&record.wire), lease)
    }

    pub(super) fn answer(&mut self, waiter: WaiterId, answer: Answer) -> Deferred {
        Deferred::Answer(self.clients.remove(&waiter), answer)
    }

    pub(super) fn refused(&self, refusal: Refusal) -> CheckoutError {
        let policy = self.supervisor.policy();
        match (refusal, &self.last_failure) {
            (Refusal::CrashLoop, Some(last)) => CheckoutError::CrashLoop {
                last: Arc::clone(last),
            },
            (Refusal::QueueFull, _) => CheckoutError::QueueFull {
                max_waiting: policy.max_waiting,
                pool: self.occupancy(),
            },
            (Refusal::TooManySessions, _) => CheckoutError::TooManySessions {
                max_sessions: policy.max_sessions,
            },
            (Refusal::SessionLost(reason), _) => CheckoutError::SessionLost { reason },
            (Refusal::SessionEnded, _) => CheckoutError::SessionEnded,
            (Refusal::Draining, _) => CheckoutError::Draining {
                pool: self.occupancy(),
            },
            (Refusal::Closed | Refusal::CrashLoop, _) => CheckoutError::Closed,
        }
    }

    /// What every error shows of the pool. A pool that refuses has no time to say more.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy::of(self.supervisor.phases(), self.supervisor.waiting())
    }

    pub(super) fn status(&self) -> PoolStatus {
        let workers = self.supervisor.workers().map(|view| {
            let record = self.ports.get(view.worker.slot).and_then(Option::as_ref);
            let record = record.filter(|record| record.worker == view.worker);
            let elapsed = |at: fn(&Record) -> Instant| {
                record.map_or_else(Default::default, |record| at(record).elapsed())
            };
            let last_probe = record.and_then(|record| record.last_probe);
            WorkerStatus {
                worker: view.worker,
                pid: record.and_then(|record| record.pid),
                phase: view.phase,
                in_phase: elapsed(|record| record.since),
                age: elapsed(|record| record.opened),
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
            last_failure: self.last_failure.clone(),
        }
    }
}
