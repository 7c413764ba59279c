//! Clients and operators: each runs its script and judges every outcome.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ostler_pool::rt::simulated::{now, wait};
use ostler_pool::{
    CallError, CheckoutError, DrainEnd, Lease, Phase, PhaseSummary, Pool, PoolStatus, RecvError,
    WorkerId, WorkerStatus,
};
use tokio::select;

use crate::ledger::Answer;
use crate::oracle::Call;
use crate::patience::patient;
use crate::plan::{Act, Operation, Plan, Request, Step};
use crate::scanner::number;
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
        let under_way = step
            .act
            .operation()
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
                if let Some((held, lease)) = self.checkout().await {
                    self.use_lease(held, lease, requests, *hold).await;
                }
            }
            Act::TryLease(requests) => match self.pool.try_checkout() {
                Ok(lease) => {
                    let held = self.world.hold(lease.worker(), None);
                    self.use_lease(held, lease, requests, Duration::ZERO).await;
                }
                Err(CheckoutError::NoneIdle { .. }) => {}
                Err(refusal) => self.world.judge_refusal(&refusal, now()),
            },
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
            Act::Resume => self.pool.resume(),
            Act::Shutdown => {
                self.world.ledger().is_closing = true;
                let asked = now();
                let report = self.pool.shutdown().await;
                self.world.judge_report(asked, report, &self.pool.status());
            }
            Act::Follow(count, pause) => self.follow(*count, *pause).await,
            Act::Kill(index) => self.kill(*index),
        }
    }

    async fn call(&self, request: Request) {
        let (number, bytes) = self.world.request(request);
        let (worker, begun) = (None, now());
        let outcome = self.pool.call(&bytes).await;
        let call = Call {
            number,
            worker,
            begun,
        };
        self.world.judge(call, &outcome);
        self.world.count(&outcome);
    }

    async fn call_json(&self, request: Request) {
        let (number, bytes) = self.world.request(request);
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("a request is JSON");
        let (worker, begun) = (None, now());
        let outcome = self.pool.call_json::<_, serde_json::Value>(&value).await;
        let outcome = outcome.map(|reply| serde_json::to_vec(&reply).expect("JSON is written"));
        let call = Call {
            number,
            worker,
            begun,
        };
        self.world.judge(call, &outcome);
        self.world.count(&outcome);
    }

    /// Waits for a lease, and notes when it was in the queue.
    async fn checkout(&self) -> Option<(Held, Lease)> {
        let begun = now();
        let asked = self.world.ledger().stamp();
        let mut checkout = pin!(self.pool.checkout());
        let first = poll_fn(|cx| Poll::Ready(checkout.as_mut().poll(cx))).await;
        let (outcome, waited) = match first {
            Poll::Ready(outcome) => (outcome, None),
            Poll::Pending => {
                let waited = self.world.ledger().stamp();
                (checkout.await, Some(waited))
            }
        };
        match outcome {
            Ok(lease) => Some((
                self.world.hold(lease.worker(), Some((asked, waited))),
                lease,
            )),
            Err(refusal) => {
                self.world.judge_refusal(&refusal, begun);
                None
            }
        }
    }

    async fn use_lease(&self, held: Held, lease: Lease, requests: &[Request], hold: Duration) {
        let (held, mut lease) = (held, lease);
        let worker = lease.worker();
        let mut is_over = false;
        for request in requests {
            let (number, bytes) = self.world.request(*request);
            let begun = now();
            let outcome = lease.call(&bytes).await;
            if is_over {
                assert!(
                    matches!(outcome, Err(CallError::LeaseOver { .. })),
                    "{outcome:?}"
                );
                continue;
            }
            let worker = Some(worker);
            let call = Call {
                number,
                worker,
                begun,
            };
            is_over = self.world.judge(call, &outcome);
            if !is_over {
                held.check();
            }
        }
        pause(hold).await;
        if !is_over {
            held.check();
        }
        drop(held);
        drop(lease);
    }

    async fn stream(&self, request: Request, take: usize) {
        let Some((held, mut lease)) = self.checkout().await else {
            return;
        };
        let worker = lease.worker();
        let (number, bytes) = self.world.request(request);
        let call = |begun| Call {
            number,
            worker: Some(worker),
            begun,
        };
        let mut parts = 0;
        match lease.stream(&bytes) {
            Err(error) => {
                self.world.judge(call(now()), &Err(error));
            }
            Ok(mut reply) => {
                while parts < take {
                    let begun = now();
                    match reply.next().await {
                        Some(Ok(part)) => {
                            parts += 1;
                            held.check();
                            assert_eq!(part_of(&part), Some(number), "{number}: part {parts}");
                        }
                        Some(Err(error)) => {
                            self.world.judge(call(begun), &Err(error));
                            break;
                        }
                        None => {
                            let ledger = self.world.ledger();
                            let entry = &ledger.requests[&number];
                            assert_eq!(entry.answer, Some(Answer::Reply), "request {number}");
                            assert_eq!(parts, request.parts, "request {number}");
                            drop(ledger);
                            self.world.ledger().answered += 1;
                            break;
                        }
                    }
                }
            }
        }
        drop(held);
        drop(lease);
    }

    async fn session(&self, name: u64, requests: &[Request], ends: bool) {
        let session = match self.pool.session(&format!("session {name}")) {
            Ok(session) => session,
            Err(refusal) => {
                self.world.judge_session_refusal(&refusal, now());
                // It did not ask for a worker.
                self.world.ledger().refused -= 1;
                return;
            }
        };
        let mut home = None;
        for request in requests {
            let (number, bytes) = self.world.request(*request);
            let (worker, begun) = (None, now());
            let outcome = session.call(&bytes).await;
            let call = Call {
                number,
                worker,
                begun,
            };
            self.world.judge(call, &outcome);
            self.world.count(&outcome);
            if let Some((worker, _)) = self.world.ledger().requests[&number].written {
                let home = *home.get_or_insert(worker);
                assert_eq!(home, worker, "a session has moved");
            }
        }
        if ends {
            self.world.ledger().sessions_ended = true;
            session.end();
        }
    }

    async fn recycle_all(&self) {
        // One that joins another replaces the workers that served when that began.
        let is_first = {
            let mut ledger = self.world.ledger();
            ledger.rolling += 1;
            ledger.rolling == 1
        };
        let status = self.pool.status();
        let marked = |worker: &&WorkerStatus| worker.replacing.is_some();
        let marked: Vec<_> = status
            .workers
            .iter()
            .filter(marked)
            .map(|w| w.worker)
            .collect();
        // Those to be replaced for another reason are no part of it.
        let mut before = serving(&status);
        before.retain(|worker| !marked.contains(worker));
        let outcome = self.pool.recycle_all().await;
        self.world.judge_rolling(&outcome);
        if outcome.is_ok() && is_first {
            let status = self.pool.status();
            let mut still = serving(&status);
            // Marked just before the restart began.
            let is_marked = |worker: &WorkerId| {
                let mut shown = status.workers.iter();
                shown.any(|shown| shown.worker == *worker && shown.replacing.is_some())
            };
            still.retain(|worker| before.contains(worker) && !is_marked(worker));
            assert!(still.is_empty(), "recycled workers serve on: {still:?}");
        }
    }

    async fn drain(&self) {
        self.world.ledger().has_drained = true;
        let resumes = Resumes(&self.pool);
        let end = self.pool.drain().await;
        let status = self.pool.status();
        // Sessions are served on, and so is the pool once it is resumed.
        if end == DrainEnd::Drained && self.plan.drains_alone() {
            assert_eq!(status.waiting, 0, "{status}");
            assert_eq!(status.occupancy().busy, 0, "{status}");
        }
        drop(resumes);
    }

    fn status(&self) {
        let status = self.pool.status();
        let counters = status.counters;
        let open = counters.opened - counters.released;
        let shown = status.workers.len() + status.abandoned.len();
        assert_eq!(open, shown as u64, "{status}");
        let most = self.plan.max_size() + self.plan.max_surge();
        let leaving = status
            .workers
            .iter()
            .filter(|worker| worker.reason == Some(ostler_pool::Reason::Surplus));
        assert!(status.workers.len() <= most + leaving.count(), "{status}");
        assert!(status.abandoned.len() <= self.plan.max_size(), "{status}");
    }

    /// Reads events slowly, and checks that the transitions of each worker follow each other.
    async fn follow(&self, count: usize, every: Duration) {
        let mut events = self.pool.events();
        let mut phases = std::collections::HashMap::<WorkerId, Phase>::new();
        for _ in 0..count {
            let event = select! {
                biased;
                event = events.recv() => event,
                // Nothing may happen any more.
                () = wait(every) => continue,
            };
            match event {
                Ok(ostler_pool::Event::Moved(moved)) => {
                    let before = phases.insert(moved.worker, moved.to).unwrap_or(moved.from);
                    assert_eq!(before, moved.from, "worker {}", moved.worker);
                }
                Ok(_) => {}
                Err(RecvError::Closed) => {
                    assert!(self.world.ledger().is_closing, "the events ended");
                    break;
                }
                Err(RecvError::Lagged(_)) => phases.clear(),
                Err(error) => panic!("{error}"),
            }
            pause(every).await;
        }
    }

    fn kill(&self, index: usize) {
        let status = self.pool.status();
        let serving = serving(&status);
        if let Some(worker) = serving.get(index % serving.len().max(1)) {
            self.world.kill(*worker);
        }
    }
}

/// The workers that serve.
fn serving(status: &PoolStatus) -> Vec<WorkerId> {
    let serves = |worker: &&WorkerStatus| {
        matches!(
            worker.phase.summary(),
            PhaseSummary::Ready | PhaseSummary::Busy
        )
    };
    status
        .workers
        .iter()
        .filter(serves)
        .map(|worker| worker.worker)
        .collect()
}

/// Resumes the pool when it is dropped.
struct Resumes<'a>(&'a Pool);

impl Drop for Resumes<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

fn part_of(body: &[u8]) -> Option<u64> {
    number(body)
}
