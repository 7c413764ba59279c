//! The driver: keeps the core behind one short lock, and performs what it orders.
//!
//! Everything goes the same way: lock, handle one input, sort its effects, unlock, perform them. Orders about one
//! worker are put into that worker's own queue while the lock is held, so that they keep their order whichever thread
//! performs them. Under the lock no waker, no log, no spawn and no drop of a client's value runs.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler::supervisor::{Effect, Illegal, Input, Order, Refusal, Timer};
use ostler::trace::Transition;
use ostler::worker::Phase;
use ostler::{LeaseId, Supervisor, WaiterId, WorkerId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use crate::error::{CheckoutError, StartError};
use crate::lease::Lease;
use crate::port::Opener;
use crate::status::{PoolStatus, WorkerEnd, WorkerStatus};
use crate::task;
use crate::wire::Wire;

/// The limits that concern the driver and not the core.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) checkout_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_frame: u32,
}

pub(crate) struct Driver {
    inner: Mutex<Inner>,
    pub(crate) opener: Box<dyn Opener>,
    pub(crate) limits: Limits,
    runtime: Handle,
    /// Turns true once, when every port is released after a shutdown.
    closed: watch::Sender<bool>,
}

struct Inner {
    supervisor: Supervisor,
    clients: HashMap<WaiterId, oneshot::Sender<Answer>>,
    last_waiter: u64,
    /// By slot, as in the supervisor.
    ports: Vec<Option<Record>>,
    /// The task that sleeps through the pause after a failed start.
    pause: Option<AbortHandle>,
    last_failure: Option<Arc<StartError>>,
    shutdown: Option<Shutdown>,
}

/// What a client is told.
pub(crate) type Answer = Result<Lease, CheckoutError>;

/// What the driver knows of a worker.
struct Record {
    worker: WorkerId,
    pid: Option<u32>,
    /// Orders that the worker's task has not taken yet: at most the handful that one life has.
    orders: VecDeque<Order>,
    mail: Arc<Notify>,
    wire: Arc<Wire>,
}

/// What is remembered for the report.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    pub(crate) since: Instant,
    /// At most one for each slot.
    pub(crate) ended: Vec<WorkerEnd>,
}

/// What is to be done after the lock has been released.
enum Deferred {
    Spawn {
        worker: WorkerId,
        mail: Arc<Notify>,
        wire: Arc<Wire>,
    },
    Wake(Arc<Notify>),
    Answer(Option<oneshot::Sender<Answer>>, Answer),
    Pause(Timer, Duration),
    CancelPause(AbortHandle),
    Log(Transition),
    /// Dropped without the lock, because a client's waker may go with it.
    Forget(Record),
    Close,
    Complain(Illegal),
}

impl Driver {
    pub(crate) fn open(
        supervisor: Supervisor,
        opener: Box<dyn Opener>,
        limits: Limits,
        runtime: Handle,
    ) -> Arc<Self> {
        let slots = supervisor.policy().size + supervisor.policy().surge;
        let driver = Arc::new(Self {
            inner: Mutex::new(Inner {
                supervisor,
                clients: HashMap::new(),
                last_waiter: 0,
                ports: std::iter::repeat_with(|| None).take(slots).collect(),
                pause: None,
                last_failure: None,
                shutdown: None,
            }),
            opener,
            limits,
            runtime,
            closed: watch::Sender::new(false),
        });
        let opening = driver.sort(&mut driver.lock());
        driver.perform(opening);
        driver
    }

    /// Feeds one fact to the core and performs what it orders.
    pub(crate) fn handle(self: &Arc<Self>, input: Input) {
        let deferred = self.decide(&mut self.lock(), input);
        self.perform(deferred);
    }

    /// Puts a client into the queue. Its answer may be there at once.
    pub(crate) fn enqueue(self: &Arc<Self>) -> (WaiterId, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let (waiter, deferred) = {
            let mut inner = self.lock();
            inner.last_waiter += 1;
            let waiter = WaiterId(inner.last_waiter);
            inner.clients.insert(waiter, sender);
            (waiter, self.decide(&mut inner, Input::Checkout { waiter }))
        };
        self.perform(deferred);
        (waiter, receiver)
    }

    /// Takes a client out of the queue, unless it has been answered.
    pub(crate) fn give_up(self: &Arc<Self>, waiter: WaiterId) {
        let (sender, deferred) = {
            let mut inner = self.lock();
            let Some(sender) = inner.clients.remove(&waiter) else {
                return;
            };
            (sender, self.decide(&mut inner, Input::GaveUp { waiter }))
        };
        // Without the lock, because it wakes the other end.
        drop(sender);
        self.perform(deferred);
    }

    /// The next order for the task of `worker`.
    pub(crate) fn next_order(&self, worker: WorkerId) -> Option<Order> {
        self.lock().record(worker)?.orders.pop_front()
    }

    pub(crate) fn opened(&self, worker: WorkerId, pid: Option<u32>) {
        if let Some(record) = self.lock().record(worker) {
            record.pid = pid;
        }
    }

    /// Remembers why the latest worker failed that never served, for those who are refused because of it.
    pub(crate) fn remember(&self, failure: StartError) {
        self.lock().last_failure = Some(Arc::new(failure));
    }

    /// Remembers how a worker ended, if the pool is shutting down.
    pub(crate) fn ended(&self, end: WorkerEnd) {
        if let Some(shutdown) = &mut self.lock().shutdown {
            shutdown.ended.push(end);
        }
    }

    /// Begins the shutdown, unless it has begun.
    pub(crate) fn shutdown(self: &Arc<Self>) {
        let begun = Shutdown {
            since: Instant::now(),
            ended: Vec::new(),
        };
        self.lock().shutdown.get_or_insert(begun);
        self.handle(Input::Shutdown);
    }

    /// What has become of the shutdown so far.
    pub(crate) fn shutdown_so_far(&self) -> Shutdown {
        let nothing = || Shutdown {
            since: Instant::now(),
            ended: Vec::new(),
        };
        self.lock().shutdown.clone().unwrap_or_else(nothing)
    }

    /// Resolves when every port is released after a shutdown.
    pub(crate) async fn closed(&self) {
        // The sender is this driver's own, so that it cannot be gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// A timer of the pool's runtime, which a client may poll from any other.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        let _inside = self.runtime.enter();
        tokio::time::sleep(duration)
    }

    pub(crate) fn pid(&self, worker: WorkerId) -> Option<u32> {
        self.lock().record(worker)?.pid
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        self.lock().supervisor.policy().start_timeout
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.lock().supervisor.policy().shutdown_timeout
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.lock().status()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The core does not panic half-way; a poisoned lock would only spread somebody else's panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(self: &Arc<Self>, inner: &mut Inner, input: Input) -> Vec<Deferred> {
        let handled = inner.supervisor.handle(input);
        let mut deferred = self.sort(inner);
        if let Err(illegal) = handled {
            deferred.push(Deferred::Complain(illegal));
        }
        deferred
    }

    /// Takes the effects, puts each worker's orders into its queue, and gives back what is to be done without the lock.
    fn sort(self: &Arc<Self>, inner: &mut Inner) -> Vec<Deferred> {
        let mut deferred = Vec::new();
        let effects: Vec<Effect> = inner.supervisor.take_effects().collect();
        for effect in effects {
            match effect {
                Effect::Worker { worker, order } => deferred.push(inner.queue(worker, order, self)),
                Effect::Grant { waiter, lease } => {
                    let granted = inner.lease(self, lease);
                    deferred.push(inner.answer(waiter, Ok(granted)));
                }
                Effect::Refuse { waiter, refusal } => {
                    let error = inner.refused(refusal);
                    deferred.push(inner.answer(waiter, Err(error)));
                }
                Effect::StartTimer { timer, after } => deferred.push(Deferred::Pause(timer, after)),
                Effect::CancelTimer { .. } => {
                    deferred.extend(inner.pause.take().map(Deferred::CancelPause));
                }
                Effect::Trace(transition) => {
                    if transition.to == Phase::Terminated {
                        let record = inner.ports[transition.worker.slot].take();
                        deferred.extend(record.map(Deferred::Forget));
                    }
                    deferred.push(Deferred::Log(transition));
                }
                Effect::Closed => deferred.push(Deferred::Close),
            }
        }
        deferred
    }

    fn perform(self: &Arc<Self>, deferred: Vec<Deferred>) {
        for action in deferred {
            match action {
                Deferred::Spawn { worker, mail, wire } => {
                    let task = task::Task::new(Arc::clone(self), worker, mail, wire);
                    self.runtime.spawn(task.run());
                }
                Deferred::Wake(mail) => mail.notify_one(),
                // What a client that is gone by now does not take is a lease like any other: dropped, it checks in.
                Deferred::Answer(Some(sender), answer) => drop(sender.send(answer)),
                Deferred::Answer(None, answer) => drop(answer),
                Deferred::Pause(timer, after) => self.pause(timer, after),
                Deferred::CancelPause(pause) => pause.abort(),
                Deferred::Log(Transition {
                    worker,
                    from,
                    input,
                    to,
                }) => tracing::debug!(
                    target: "ostler::worker",
                    %worker, from = from.name(), input = input.name(), to = to.name(),
                    "transition"
                ),
                Deferred::Forget(record) => drop(record),
                Deferred::Close => drop(self.closed.send_replace(true)),
                Deferred::Complain(illegal) => {
                    tracing::error!(target: "ostler::pool", %illegal, "a defect in the driver");
                    debug_assert!(false, "{illegal}");
                }
            }
        }
    }

    fn pause(self: &Arc<Self>, timer: Timer, after: Duration) {
        let driver = Arc::clone(self);
        let pause = self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            driver.handle(Input::Elapsed { timer });
        });
        self.lock().pause = Some(pause.abort_handle());
    }
}

impl Inner {
    fn record(&mut self, worker: WorkerId) -> Option<&mut Record> {
        let record = self.ports.get_mut(worker.slot)?.as_mut()?;
        (record.worker == worker).then_some(record)
    }

    /// Queues an order. With the first one, the order to open, a worker begins to exist here.
    fn queue(&mut self, worker: WorkerId, order: Order, driver: &Driver) -> Deferred {
        if let Some(record) = self.record(worker) {
            record.orders.push_back(order);
            return Deferred::Wake(Arc::clone(&record.mail));
        }
        debug_assert_eq!(order, Order::Open, "the first order of worker {worker}");
        let mail = Arc::new(Notify::new());
        let wire = Arc::new(Wire::new(driver.limits.max_frame));
        self.ports[worker.slot] = Some(Record {
            worker,
            pid: None,
            orders: VecDeque::from([order]),
            mail: Arc::clone(&mail),
            wire: Arc::clone(&wire),
        });
        Deferred::Spawn { worker, mail, wire }
    }

    fn lease(&mut self, driver: &Arc<Driver>, lease: LeaseId) -> Lease {
        let record = self
            .record(lease.worker)
            .expect("a worker that is granted has started");
        Lease::new(Arc::clone(driver), Arc::clone(&record.wire), lease)
    }

    fn answer(&mut self, waiter: WaiterId, answer: Answer) -> Deferred {
        Deferred::Answer(self.clients.remove(&waiter), answer)
    }

    fn refused(&self, refusal: Refusal) -> CheckoutError {
        match (refusal, &self.last_failure) {
            (Refusal::CrashLoop, Some(last)) => CheckoutError::CrashLoop {
                last: Arc::clone(last),
            },
            (Refusal::QueueFull, _) => CheckoutError::QueueFull {
                max_waiting: self.supervisor.policy().max_waiting,
                pool: self.status().occupancy(),
            },
            (Refusal::Closed | Refusal::CrashLoop, _) => CheckoutError::Closed,
        }
    }

    fn status(&self) -> PoolStatus {
        let pid = |worker: WorkerId| {
            let record = self.ports[worker.slot].as_ref()?;
            record.pid.filter(|_| record.worker == worker)
        };
        let workers = self.supervisor.workers().map(|view| WorkerStatus {
            worker: view.worker,
            pid: pid(view.worker),
            phase: view.phase,
            rung: view.rung,
            recycling: view.recycling,
            calls: view.exchanges,
            reason: view.reason,
        });
        PoolStatus {
            size: self.supervisor.policy().size,
            waiting: self.supervisor.waiting(),
            workers: workers.collect(),
            counters: self.supervisor.counters(),
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
