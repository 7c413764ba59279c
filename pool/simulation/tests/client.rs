//! Clients and operators: each runs its script and judges every outcome.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ostler_pool::rt::simulated::{now, wait};
use ostler_pool::{
    CallError, CheckoutError, DrainEnd, Lease, PhaseSummary, Pool, PoolStatus, Reason, RecvError,
    WorkerId, WorkerStatus,
};
use serde_json::Value;
use tokio::select;

use crate::ledger::{Answer, Stamp};
use crate::lists::Operation;
use crate::oracle::Call;
use crate::patience::patient;
use crate::plan::{Act, Plan, Request, Step};
use crate::reports::Phases;
use crate::world::{Held, World, pause};

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) pool: Pool,
    pub(crate) world: World,
    pub(crate) plan: Arc<Plan>,
}

impl Client {
    pub(crate) async fn run(self, name: usize) {
        for step in &self.plan.scripts[name] {
            pause(step.after).await;
            self.step(name, step).await;
        }
    }

    async fn step(&self, name: usize, step: &Step) {
        self.world.note(format_args!(
            "client {name}: {:?}, {:?}",
            step.act, step.patience
        ));
        let under_way = (self.plan)
            .operation(&step.act)
            .map(|operation| self.world.begin(operation));
        let dropped = step.patience.map(|_| self.world.begin(Operation::Dropped));
        let outcome = patient(step.patience, self.act(&step.act)).await;
        if outcome.is_none() {
            self.world.note(format_args!("client {name}: dropped"));
        }
        drop((under_way, dropped));
    }

    async fn act(&self, act: &Act) {
        match act {
            Act::Call(request) => self.call(*request).await,
            Act::CallJson(request) => self.call_json(*request).await,
            Act::Lease(requests, hold) => {
                if let Some((lease, held)) = self.checkout().await {
                    self.use_lease(lease, held, requests, *hold).await;
                }
            }
            Act::TryLease(requests) => match self.pool.try_checkout() {
                Ok(lease) => {
                    let held = self.world.hold(lease.worker(), None);
                    self.use_lease(lease, held, requests, Duration::ZERO).await;
                }
                Err(CheckoutError::NoneIdle { .. }) => {}
                Err(refusal) => self.world.judge_refusal(&refusal, now()),
            },
            Act::Many(requests, at_once) => self.many(requests, *at_once).await,
            Act::Map(mapping) => self.map(mapping).await,
            Act::Stream { request, take } => self.stream(*request, *take).await,
            Act::Session {
                name,
                requests,
                ends,
            } => self.session(*name, requests, *ends).await,
            Act::Status => self.status(),
            Act::Resize(size) => self.pool.resize(*size).expect("the size is valid"),
            Act::Recycle(index) => {
                let status = self.pool.status();
                if let Some(worker) = status.workers.get(index % status.workers.len().max(1)) {
                    self.pool.recycle(worker.worker);
                }
            }
            Act::RecycleAll => self.recycle_all().await,
            Act::Drain => self.drain().await,
            Act::Resume => self.world.resume(&self.pool),
            Act::Shutdown => {
                self.world.ledger().is_closing = true;
                let asked = now();
                let shutdown = match self.plan.without_grace {
                    true => self.pool.shutdown_now(),
                    false => self.pool.shutdown(),
                };
                self.world.ledger().is_closed = true;
                let report = shutdown.await;
                self.world.judge_report(asked, report, &self.pool.status());
            }
            Act::Follow(count, pause) => self.follow(*count, *pause).await,
            Act::Kill(index) => self.kill(*index),
        }
    }

    async fn call(&self, request: Request) {
        self.call_by(request, async |bytes| self.pool.call(&bytes).await)
            .await;
    }

    async fn call_json(&self, request: Request) {
        self.call_by(request, async |bytes| {
            self.pool.call_json(&json(&bytes)).await.map(bytes_of)
        })
        .await;
    }

    /// Waits for a lease, and notes when it was in the queue.
    ///
    /// The lease comes first, so that a drop of both drops [`Held`] first.
    pub(crate) async fn checkout(&self) -> Option<(Lease, Held)> {
        let begun = now();
        let (outcome, asked) = self.timed(self.pool.checkout()).await;
        match outcome {
            Ok(lease) => {
                let held = self.world.hold(lease.worker(), Some(asked));
                Some((lease, held))
            }
            Err(refusal) => {
                self.world.judge_refusal(&refusal, begun);
                None
            }
        }
    }

    /// When the future was first polled, and when it had to wait.
    pub(crate) async fn timed<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> (T, (Stamp, Option<Stamp>)) {
        let asked = self.world.ledger().stamp();
        let mut future = pin!(future);
        let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        match first {
            Poll::Ready(outcome) => (outcome, (asked, None)),
            Poll::Pending => {
                let waited = self.world.ledger().stamp();
                (future.await, (asked, Some(waited)))
            }
        }
    }

    async fn use_lease(&self, mut lease: Lease, held: Held, requests: &[Request], hold: Duration) {
        let mut is_over = false;
        for request in requests {
            let (call, bytes, _waits) = self.world.request(*request, Some(lease.worker()));
            let outcome = lease.call(&bytes).await;
            if is_over {
                assert!(
                    matches!(outcome, Err(CallError::LeaseOver { .. })),
                    "{outcome:?}"
                );
                continue;
            }
            is_over = self.world.judge(call, &outcome);
            if is_over {
                held.is_lost();
            } else {
                held.check();
            }
        }
        pause(hold).await;
        if !is_over {
            held.check();
        }
    }

    async fn stream(&self, request: Request, take: usize) {
        let Some((mut lease, held)) = self.checkout().await else {
            return;
        };
        let (call, bytes, _waits) = self.world.request(request, Some(lease.worker()));
        let number = call.number;
        let mut reply = match lease.stream(&bytes) {
            Ok(reply) => reply,
            Err(error) => {
                self.world.judge(call, &Err(error));
                return;
            }
        };
        let mut parts = 0;
        while parts < take {
            let begun = now();
            match reply.next_json::<(u64, String, String)>().await {
                Some(Ok((of, ..))) => {
                    parts += 1;
                    held.check();
                    assert_eq!(of, number, "part {parts}");
                }
                Some(Err(error)) => {
                    self.world.judge(Call { begun, ..call }, &Err(error));
                    return;
                }
                None => {
                    let mut ledger = self.world.ledger();
                    let answer = ledger.requests[&number].answer;
                    assert_eq!(answer, Some(Answer::Reply), "request {number}");
                    assert_eq!(parts, request.parts, "request {number}");
                    ledger.answered += 1;
                    return;
                }
            }
        }
    }

    async fn session(&self, name: u64, requests: &[Request], ends: bool) {
        let session = match self.pool.session(&format!("session {name}")) {
            Ok(session) => session,
            Err(refusal) => return self.world.judge_session_refusal(&refusal, now()),
        };
        let mut home = None;
        for request in requests {
            let (call, bytes, _waits) = self.world.request(*request, None);
            self.world.ledger().sessions.insert(call.number, name);
            // The pool serves open sessions while it drains and while it shuts down.
            let call = Call {
                drained: None,
                is_closed: false,
                ..call
            };
            let outcome = if call.number.is_multiple_of(2) {
                session.call(&bytes).await
            } else {
                session.call_json(&json(&bytes)).await.map(bytes_of)
            };
            self.world.judge(call, &outcome);
            self.world.count(&outcome);
            // It is forgotten with its worker.
            let told = session.worker();
            assert!(
                home.is_none() || told.is_none() || told == home,
                "a session has moved"
            );
            let written = self.world.ledger().requests[&call.number].written;
            if let Some((worker, _)) = written {
                let home = *home.get_or_insert(worker);
                assert_eq!(home, worker, "a session has moved");
                self.judge_home(name, worker);
            }
        }
        if ends {
            self.world.ledger().sessions_ended = true;
            session.end();
        }
    }

    /// Another client may be in the session of this name, too. Both have the same worker.
    fn judge_home(&self, name: u64, worker: WorkerId) {
        let (before, ended) = {
            let mut ledger = self.world.ledger();
            let before = ledger.homes.insert(name, worker);
            (before, ledger.sessions_ended)
        };
        if ended || self.plan.config.session_idle_timeout.is_some() {
            return;
        }
        if let Some(before) = before.filter(|before| *before != worker) {
            let status = self.pool.status();
            let serves_on = serving(&status).any(|worker| worker.worker == before);
            assert!(
                !serves_on,
                "session {name} moves from {before} to {worker}: {status}"
            );
        }
    }

    async fn recycle_all(&self) {
        self.world.ledger().rolling += 1;
        let before = unmarked(&self.pool.status());
        let restart = self.pool.recycle_all();
        // One that joins another replaces the workers that served when that began.
        let is_first = self.world.ledger().rolling == 1;
        let outcome = restart.await;
        self.world.judge_rolling(&outcome);
        if outcome.is_ok() && is_first {
            let mut still = unmarked(&self.pool.status());
            still.retain(|worker| before.contains(worker));
            assert!(still.is_empty(), "recycled workers serve on: {still:?}");
        }
    }

    async fn drain(&self) {
        self.world.ledger().has_drained = true;
        let resumes = Resumes(self);
        let before = {
            let ledger = self.world.ledger();
            (ledger.resuming == 0).then_some(ledger.resumes)
        };
        let drain = self.pool.drain();
        self.world.ledger().drained = before;
        let end = drain.await;
        let status = self.pool.status();
        // Sessions are served on, and so is the pool once it is resumed.
        if end == DrainEnd::Drained && self.plan.drains_alone() {
            assert_eq!(status.waiting, 0, "{status}");
            assert_eq!(status.occupancy().busy, 0, "{status}");
        }
        drop(resumes);
    }

    fn status(&self) {
        assert!(!self.pool.is_closed() || self.world.ledger().is_closing);
        let status = self.pool.status();
        let counters = status.counters;
        let open = counters.opened - counters.released;
        let shown = status.workers.len() + status.abandoned.len();
        assert_eq!(open, shown as u64, "{status}");
        let most = self.plan.max_size() + self.plan.config.surge;
        let leaving = status
            .workers
            .iter()
            .filter(|worker| worker.reason == Some(Reason::Surplus));
        assert!(status.workers.len() <= most + leaving.count(), "{status}");
        assert!(status.abandoned.len() <= self.plan.max_size(), "{status}");
    }

    /// Reads events slowly, and checks that the transitions of each worker follow each other.
    async fn follow(&self, count: usize, every: Duration) {
        let mut events = self.pool.events();
        let mut phases = Phases::default();
        for _ in 0..count {
            let event = select! {
                biased;
                event = events.recv() => event,
                // Nothing may happen any more.
                () = wait(every) => continue,
            };
            match event {
                Ok(event) => phases.note(event),
                Err(RecvError::Closed) => {
                    assert!(self.world.ledger().is_closing, "the events ended");
                    break;
                }
                Err(RecvError::Lagged(_)) => phases.forget(),
                Err(error) => panic!("{error}"),
            }
            pause(every).await;
        }
    }

    fn kill(&self, index: usize) {
        let status = self.pool.status();
        let serving: Vec<WorkerId> = serving(&status).map(|worker| worker.worker).collect();
        if let Some(worker) = serving.get(index % serving.len().max(1)) {
            self.world.kill(*worker);
        }
    }
}

/// The value of a request.
pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a request is JSON")
}

/// The bytes of a reply.
pub(crate) fn bytes_of(reply: Value) -> Vec<u8> {
    serde_json::to_vec(&reply).expect("JSON is written")
}

/// The workers that serve.
pub(crate) fn serving(status: &PoolStatus) -> impl Iterator<Item = &WorkerStatus> {
    status.workers.iter().filter(|worker| {
        let phase = worker.phase.summary();
        matches!(phase, PhaseSummary::Ready | PhaseSummary::Busy)
    })
}

/// The workers that serve and are not to be replaced: those that a rolling restart chooses.
fn unmarked(status: &PoolStatus) -> Vec<WorkerId> {
    let unmarked = serving(status).filter(|worker| worker.replacing.is_none());
    unmarked.map(|worker| worker.worker).collect()
}

/// Resumes the pool when it is dropped.
struct Resumes<'a>(&'a Client);

impl Drop for Resumes<'_> {
    fn drop(&mut self) {
        self.0.world.resume(&self.0.pool);
    }
}
