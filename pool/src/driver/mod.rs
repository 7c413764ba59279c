//! The driver: keeps the core behind one short lock, and performs what it orders.
//!
//! Everything goes the same way: lock, handle one input, sort its effects, unlock, perform them. Orders about one
//! worker are put into that worker's own queue while the lock is held, so that they keep their order whichever thread
//! performs them. Under the lock no waker, no log, no spawn and no drop of a client's value runs.

mod inner;
mod log;
mod perform;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ostler::supervisor::{Input, Order};
use ostler::{SessionId, Supervisor, WaiterId, WorkerId};
use tokio::sync::{Notify, oneshot, watch};

use self::inner::Inner;
pub(crate) use self::log::Read;
use crate::error::{CheckoutError, Occupancy, RollingError, StartError};
use crate::lease::Lease;
use crate::port::Opener;
use crate::recorder::Recorder;
use crate::rt::{self, Handle, Instant, Mutex, MutexGuard, Sleep};
use crate::status::{PoolStatus, WorkerEnd};

/// The limits that concern the driver and not the core.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) checkout_timeout: Duration,
    pub(crate) call_timeout: Duration,
    /// `None`: workers get no chance to end what was given up.
    pub(crate) cancel_grace: Option<Duration>,
    pub(crate) max_frame: u32,
}

pub(crate) struct Driver {
    inner: Mutex<Inner>,
    pub(crate) opener: Box<dyn Opener>,
    pub(crate) limits: Limits,
    runtime: Handle,
    /// Turns true once, when every port is released after a shutdown.
    closed: watch::Sender<bool>,
    /// Rung when there is something new in the log.
    news: Notify,
}

/// What a client is told.
pub(crate) type Answer = Result<Lease, CheckoutError>;

/// What is remembered for the report.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    pub(crate) since: Instant,
    /// When no worker was draining any more.
    pub(crate) drained: Option<Instant>,
    /// At most one for each slot.
    pub(crate) ended: Vec<WorkerEnd>,
}

impl Shutdown {
    fn begun_now() -> Self {
        Self {
            since: Instant::now(),
            drained: None,
            ended: Vec::new(),
        }
    }
}

impl Driver {
    pub(crate) fn open(
        supervisor: Supervisor,
        opener: Box<dyn Opener>,
        limits: Limits,
        runtime: Handle,
        recorder: Option<Recorder>,
    ) -> Arc<Self> {
        let driver = Arc::new(Self {
            inner: Mutex::new(Inner::new(supervisor, recorder)),
            opener,
            limits,
            runtime,
            closed: watch::Sender::new(false),
            news: Notify::new(),
        });
        let opening = driver.sort(&mut driver.lock(), None);
        driver.perform(opening);
        driver
    }

    /// Feeds one fact to the core and performs what it orders.
    pub(crate) fn feed(self: &Arc<Self>, input: Input) {
        let deferred = self.decide(&mut self.lock(), input);
        self.perform(deferred);
    }

    /// Puts a client into the queue. Its answer may be there at once.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        session: Option<SessionId>,
    ) -> (WaiterId, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let (waiter, deferred) = {
            let mut inner = self.lock();
            let waiter = inner.new_client(sender);
            let input = Input::Checkout { waiter, session };
            (waiter, self.decide(&mut inner, input))
        };
        self.perform(deferred);
        (waiter, receiver)
    }

    /// Takes a client out of the queue, unless it has been answered.
    pub(crate) fn give_up(self: &Arc<Self>, waiter: WaiterId) {
        let (sender, deferred) = {
            let mut inner = self.lock();
            let Some(sender) = inner.forget_client(waiter) else {
                return;
            };
            (sender, self.decide(&mut inner, Input::GaveUp { waiter }))
        };
        // Without the lock, because it wakes the other end.
        drop(sender);
        self.perform(deferred);
    }

    /// The session of this name. Opens one if there is none.
    pub(crate) fn session(self: &Arc<Self>, name: &str) -> Result<SessionId, CheckoutError> {
        let (opened, deferred) = {
            let mut inner = self.lock();
            if let Some(session) = inner.sessions.named(name) {
                return Ok(session);
            }
            let session = inner.sessions.add(name);
            let deferred = self.decide(&mut inner, Input::OpenSession { session });
            let refusal = inner.sessions.refusal.take();
            let opened = refusal.map_or(Ok(session), |refusal| Err(inner.refused(refusal)));
            (opened, deferred)
        };
        self.perform(deferred);
        opened
    }

    /// Begins a rolling restart, or joins the one that is under way. Its outcome will be sent.
    pub(crate) fn recycle_all(self: &Arc<Self>) -> oneshot::Receiver<Result<usize, RollingError>> {
        let (sender, receiver) = oneshot::channel();
        let deferred = {
            let mut inner = self.lock();
            if inner.supervisor.is_closing() {
                return receiver;
            }
            inner.rolling.push(sender);
            self.decide(&mut inner, Input::RecycleAll)
        };
        self.perform(deferred);
        receiver
    }

    /// Pauses the intake. It will be said when no client is left.
    pub(crate) fn pause(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let deferred = {
            let mut inner = self.lock();
            inner.draining.push(sender);
            self.decide(&mut inner, Input::Drain)
        };
        self.perform(deferred);
        receiver
    }

    pub(crate) fn resume(self: &Arc<Self>) {
        let (draining, deferred) = {
            let mut inner = self.lock();
            let draining = std::mem::take(&mut inner.draining);
            (draining, self.decide(&mut inner, Input::Resume))
        };
        // Without the lock, because it wakes the other ends: they were not drained.
        drop(draining);
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

    /// Remembers when a worker was last probed, and whether it said that it is well.
    pub(crate) fn was_probed(&self, worker: WorkerId, healthy: bool) {
        if let Some(record) = self.lock().record(worker) {
            record.last_probe = Some((Instant::now(), healthy));
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
        let begun = Shutdown::begun_now();
        self.lock().shutdown.get_or_insert(begun);
        self.feed(Input::Shutdown);
    }

    /// What has become of the shutdown so far.
    pub(crate) fn shutdown_so_far(&self) -> Shutdown {
        let begun = self.lock().shutdown.clone();
        begun.unwrap_or_else(Shutdown::begun_now)
    }

    /// Resolves when every port is released after a shutdown.
    pub(crate) async fn closed(&self) {
        // The sender is this driver's own, so that it cannot be gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Runs a task on the pool's runtime, whoever asks for it and from wherever. Where that runtime is gone, the task is
    /// dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// A timer of the pool's runtime, which a client may poll from any other.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        rt::sleep(&self.runtime, duration)
    }

    pub(crate) fn pid(&self, worker: WorkerId) -> Option<u32> {
        self.lock().record(worker)?.pid
    }

    /// The worker that the session is bound to.
    pub(crate) fn home(&self, session: SessionId) -> Option<WorkerId> {
        self.lock().supervisor.session_worker(session)
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        self.lock().supervisor.policy().start_timeout
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        self.lock().supervisor.policy().shutdown_timeout
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.lock().occupancy()
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.lock().status()
    }

    /// A new reader of the log: where it begins.
    pub(crate) fn subscribe(&self) -> u64 {
        self.lock().log.subscribe()
    }

    pub(crate) fn unsubscribe(&self) {
        self.lock().log.unsubscribe();
    }

    pub(crate) fn read_log(&self, next: u64) -> Read {
        let closed = *self.closed.borrow();
        self.lock().log.read(next, closed)
    }

    /// Rung when there may be something new in the log.
    pub(crate) fn news(&self) -> &Notify {
        &self.news
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The core does not panic half-way; a poisoned lock would only spread somebody else's panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
