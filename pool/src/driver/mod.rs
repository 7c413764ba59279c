//! The driver owns the supervisor behind one mutex and performs its effects.
//!
//! Every input takes the same path: lock, feed the supervisor, dispatch its effects, unlock,
//! perform the rest. Orders for one worker are queued while the lock is held, so they keep their
//! order no matter which thread performs them. Wakers, log calls, spawns and destructors of user
//! values run after the lock is released, because they may call back into the pool.
//!
//! | file | what |
//! |---|---|
//! | `state` | what the lock protects |
//! | `effects` | dispatching and performing effects |
//! | `timers` | all deadlines, and the task that waits for the next one |
//! | `worker/` | one task per worker, which owns the worker's port |
//! | `clients` | clients that ask for a lease, and what they are told |
//! | `grant`, `refused` | what a client is handed |
//! | `held` | leases that are held for long |
//! | `limits` | the limits of its calls |
//! | `readiness` | whether the pool serves |
//! | `waiters` | callers that wait for that, or for the end of a drain or of a rolling restart |
//! | `shutdown` | the shutdown and its report |
//! | `sessions`, `event_log` | session names; recent events for readers |
//! | `ends`, `log` | how workers ended; the lines of the log |

mod clients;
mod effects;
mod ends;
mod event_log;
mod grant;
mod held;
mod limits;
mod log;
mod readiness;
mod refused;
mod sessions;
mod shutdown;
mod state;
mod timers;
mod waiters;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ostler::supervisor::{DrainEnd, Input, Order, Timer};
use ostler::worker::{Phase, Rung};
use ostler::{Supervisor, WorkerId};
use tokio::sync::{Notify, oneshot, watch};

pub(crate) use self::clients::{Answer, Entered, Told};
use self::effects::Actions;
pub(crate) use self::event_log::Read;
pub(crate) use self::grant::Grant;
pub(crate) use self::held::Place;
pub(crate) use self::limits::Limits;
use self::log::Log;
pub(crate) use self::readiness::Readiness;
pub(crate) use self::refused::Refused;
pub(crate) use self::sessions::SessionTag;
use self::state::State;
use self::timers::Clock;
pub(crate) use self::timers::poll_timer;
use crate::error::{Occupancy, RollingError, StartError};
use crate::metrics::Metrics;
use crate::port::{Opener, Survivor};
use crate::recorder::Recorder;
use crate::rt::{self, Handle, Instant, Mutex, MutexGuard, Sleep};
use crate::status::PoolStatus;

pub(crate) struct Driver {
    state: Mutex<State>,
    /// `None` once the pool has ended: what the opener holds does not wait for the last handle.
    opener: Mutex<Option<Arc<dyn Opener>>>,
    pub(crate) limits: Limits,
    log: Log,
    metrics: Metrics,
    runtime: Handle,
    /// When every port was released or abandoned after a shutdown. Set once.
    closed: watch::Sender<Option<Instant>>,
    /// Notified when the earliest deadline changes, and when the pool ends.
    rearm: Notify,
}

impl Driver {
    pub(crate) fn open(
        supervisor: Supervisor,
        opener: Box<dyn Opener>,
        limits: Limits,
        name: Option<String>,
        runtime: Handle,
        recorder: Option<Recorder>,
    ) -> Arc<Self> {
        let driver = Arc::new(Self {
            state: Mutex::new(State::new(supervisor, recorder)),
            opener: Mutex::new(Some(Arc::from(opener))),
            limits,
            metrics: Metrics::new(name.as_deref()),
            log: Log::new(name),
            runtime,
            closed: watch::Sender::new(None),
            rearm: Notify::new(),
        });
        let mut actions = Actions::default();
        driver.dispatch(&mut driver.lock(), None, None, &mut actions);
        driver.perform(actions);
        driver.runtime.spawn(Clock(Arc::clone(&driver)).run());
        driver
    }

    /// Feeds one input to the core and performs its effects.
    pub(crate) fn feed(self: &Arc<Self>, input: Input) {
        let mut actions = Actions::default();
        self.feed_locked(&mut self.lock(), input, None, &mut actions);
        self.perform(actions);
    }

    /// As [`feed`](Self::feed), for an input that may end a start or report an exit, with what to
    /// record if it does.
    fn feed_with_cause(self: &Arc<Self>, input: Input, cause: StartError) {
        let mut actions = Actions::default();
        self.feed_locked(&mut self.lock(), input, Some(cause), &mut actions);
        self.perform(actions);
    }

    /// Makes the pool's runtime the current one of this thread.
    #[cfg(feature = "signals")]
    pub(crate) fn enter_runtime(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs a task of the pool's own. It is dropped with the runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// The pool's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.log.pool()
    }

    /// How many workers the pool keeps.
    pub(crate) fn size(&self) -> usize {
        self.lock().supervisor.policy().size
    }

    pub(crate) fn max_worker_requests(&self) -> Option<u64> {
        self.lock().supervisor.policy().max_worker_requests
    }

    /// Begins a rolling restart, or joins the current one. The receiver gets its outcome.
    pub(crate) fn recycle_all(self: &Arc<Self>) -> oneshot::Receiver<Result<usize, RollingError>> {
        let mut actions = Actions::default();
        let (receiver, gone, began) = {
            let mut state = self.lock();
            // Before the feed: a pool that serves nothing answers at once.
            let (receiver, gone) = state.rolling.add();
            let is_new = state.supervisor.rolling().is_none();
            self.feed_locked(&mut state, Input::RecycleAll, None, &mut actions);
            let began = state.supervisor.rolling().filter(|_| is_new);
            if began.is_some() {
                state.rolling_since = Some(Instant::now());
            }
            (receiver, gone, began)
        };
        drop(gone);
        if let Some(workers) = began {
            self.log.rolling_began(workers);
        }
        self.perform(actions);
        receiver
    }

    /// Begins to drain the pool. The receiver gets the end of the drain.
    pub(crate) fn drain(self: &Arc<Self>) -> oneshot::Receiver<DrainEnd> {
        let mut actions = Actions::default();
        let (receiver, gone) = {
            let mut state = self.lock();
            // Before the feed: a pool without clients answers at once.
            let (receiver, gone) = state.draining.add();
            self.feed_locked(&mut state, Input::Drain, None, &mut actions);
            (receiver, gone)
        };
        drop(gone);
        self.perform(actions);
        receiver
    }

    /// Whether the pool is shutting down or has shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().supervisor.is_closing()
    }

    /// The functions of the worker that started last.
    fn learned(&self, functions: &Arc<[String]>) {
        let functions = Some(Arc::clone(functions));
        let known = std::mem::replace(&mut self.lock().functions, functions);
        drop(known);
    }

    /// The functions that the workers run, as far as one has said so. Sorted, and empty if a
    /// request need not name one.
    pub(crate) fn functions(&self) -> Option<Arc<[String]>> {
        self.lock().functions.clone()
    }

    /// Whether new clients are served or wait, and are not refused.
    pub(crate) fn accepts_clients(&self) -> bool {
        let state = self.lock();
        !state.supervisor.is_draining() && !state.supervisor.is_closing()
    }

    /// The next order for the task of `worker`, and whether the worker drains.
    fn next_order(&self, worker: WorkerId) -> (Option<Order>, bool) {
        let mut state = self.lock();
        let entry = state.worker(worker);
        entry.map_or((None, false), |entry| {
            (entry.orders.pop_front(), entry.drains.is_some())
        })
    }

    fn opener(&self) -> Option<Arc<dyn Opener>> {
        let opener = self.opener.lock();
        opener.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_opener(&self) -> bool {
        let opener = self.opener.lock();
        opener.unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn drop_opener(&self) {
        let opener = self.opener.lock();
        let opener = opener.unwrap_or_else(PoisonError::into_inner).take();
        drop(opener);
    }

    fn opened(&self, worker: WorkerId, pid: Option<u32>) {
        if let Some(entry) = self.lock().worker(worker) {
            entry.pid = pid;
        }
    }

    /// Records when a worker last answered a health check, and how.
    fn was_probed(&self, worker: WorkerId, healthy: bool) {
        if let Some(entry) = self.lock().worker(worker) {
            entry.last_probe = Some((Instant::now(), healthy));
            if healthy {
                // An earlier check may have said what was wrong.
                entry.detail = None;
            }
        }
    }

    /// Records the rung of the stop ladder that was taken on a worker.
    fn took_rung(&self, worker: WorkerId, rung: Rung) {
        if let Some(entry) = self.lock().worker(worker) {
            entry.rung = Some(rung);
        }
    }

    /// Records what holds up the release of an abandoned port. Returns the worker's process id.
    fn was_abandoned(&self, worker: WorkerId, survivors: Vec<Survivor>) -> Option<u32> {
        let mut state = self.lock();
        let entry = state.worker(worker)?;
        entry.survivors = survivors;
        entry.pid
    }

    /// Whether the core waits for the handshake of a worker.
    fn is_starting(&self, worker: WorkerId) -> bool {
        self.lock().supervisor.phase(worker) == Some(Phase::Initializing)
    }

    /// A timer of the pool's runtime. Tasks of other runtimes poll it with [`poll_timer`].
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        rt::sleep(&self.runtime, duration)
    }

    pub(crate) fn pid(&self, worker: WorkerId) -> Option<u32> {
        self.lock().worker(worker)?.pid
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.lock().occupancy()
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let (mut status, ends) = {
            let state = self.lock();
            (state.status(), state.recent_ends.clone())
        };
        // Their stderr is copied without the lock.
        status.recent_ends = ends.show();
        status
    }

    /// A new reader of the event log, and the number of its first event.
    pub(crate) fn subscribe(&self) -> (u64, u64) {
        self.lock().log.subscribe()
    }

    pub(crate) fn unsubscribe(&self, reader: u64) {
        let waker = self.lock().log.unsubscribe(reader);
        drop(waker);
    }

    /// Wakes this task when there is a new event.
    pub(crate) fn wake_reader(&self, reader: u64, waker: &Waker) {
        // Cloned and dropped without the lock: both may run the user's code.
        let waker = waker.clone();
        let previous = self.lock().log.wait(reader, waker);
        drop(previous);
    }

    pub(crate) fn read_log(&self, next: u64) -> Read {
        let closed = self.closed.borrow().is_some();
        self.lock().log.read(next, closed)
    }

    /// The earliest timer whose deadline has passed.
    fn take_elapsed(&self) -> Option<Timer> {
        self.lock().timers.take_elapsed(Instant::now())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let state = self.lock();
        let all = [state.timers.next_deadline(), state.alarm, state.lease_alarm];
        all.into_iter().flatten().min()
    }

    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The core does not panic half-way, so another thread's panic is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
