//! A client: it does what its script says, and knows of each outcome whether it fits.

use std::sync::{Arc, Mutex};

use ostler_pool::{CallError, CheckoutError, ExitStatus, Lease, Pool, RollingError, WorkerId};
use shuttle::future::{spawn, yield_now};
use tokio::select;
use tokio::sync::oneshot;

use crate::plan::{Plan, Step, Verb};
use crate::world::World;

/// What the clients of a pool share.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) pool: Pool,
    pub(crate) world: World,
    pub(crate) plan: Arc<Plan>,
    seen: Arc<Mutex<Seen>>,
}

/// What the clients did and were told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    requests: u64,
    /// Exchanges that were answered, well or with an error.
    pub(crate) calls: u64,
    paused: bool,
    pub(crate) closing: bool,
}

type Outcome = Result<Vec<u8>, CallError>;

impl Stage {
    pub(crate) fn new(pool: Pool, world: World, plan: Arc<Plan>) -> Self {
        Self {
            pool,
            world,
            plan,
            seen: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().expect("what was seen")
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().expect("what was seen"));
    }

    pub(crate) async fn play(self, script: usize) {
        for step in &self.plan.clients[script] {
            self.step(step).await;
        }
    }

    async fn step(&self, step: &Step) {
        match step {
            Step::Call(verb) => {
                let request = self.request(*verb);
                let was_closing = self.seen().closing;
                let outcome = self.pool.call(&request).await;
                assert!(!was_closing || closed(&outcome), "{outcome:?}");
                self.judge(*verb, &request, outcome);
            }
            Step::Lease(verbs) => match self.pool.checkout().await {
                Ok(lease) => self.use_lease(lease, verbs).await,
                Err(refusal) => self.judge_refusal(&refusal),
            },
            Step::Try(verb) => match self.pool.try_checkout() {
                Ok(lease) => self.use_lease(lease, &[*verb]).await,
                Err(CheckoutError::NoneIdle { .. }) => {}
                Err(refusal) => self.judge_refusal(&refusal),
            },
            Step::Cancel(verb, turns) => {
                let request = self.request(*verb);
                if let Some(outcome) = within(*turns, self.pool.call(&request)).await {
                    self.judge(*verb, &request, outcome);
                }
            }
            Step::GiveUp(turns) => match within(*turns, self.pool.checkout()).await {
                None => {}
                Some(Ok(lease)) => self.use_lease(lease, &[Verb::Echo]).await,
                Some(Err(refusal)) => self.judge_refusal(&refusal),
            },
            Step::Session(name, verbs) => self.session(name, verbs).await,
            Step::Status => self.look(),
            Step::Resize(size) => self.pool.resize(*size).expect("a size"),
            Step::Recycle => {
                if let Some(worker) = self.first_worker() {
                    self.pool.recycle(worker);
                }
            }
            Step::RecycleAll => match self.pool.recycle_all().await {
                Ok(_) => {}
                Err(RollingError::Closed { .. }) => assert!(self.plan.may_close()),
                Err(error) => assert!(self.plan.starts_fail(), "{error}"),
            },
            Step::Drain { waits } => {
                self.note(|seen| seen.paused = true);
                let drained = self.pool.drain();
                if *waits {
                    drained.await;
                }
                self.pool.resume();
            }
            Step::Shutdown => {
                drop(self.pool.shutdown());
                // After the fact, so that whoever finds this note is sure to be refused.
                self.note(|seen| seen.closing = true);
            }
        }
    }

    /// A request that no other is equal to.
    fn request(&self, verb: Verb) -> Vec<u8> {
        self.note(|seen| seen.requests += 1);
        format!("{verb:?} {}", self.seen().requests).into_bytes()
    }

    async fn use_lease(&self, mut lease: Lease, verbs: &[Verb]) {
        // Let go before the lease, whose next client may come at once.
        let held = self.world.hold(lease.worker());
        let mut over = false;
        for verb in verbs {
            let request = self.request(*verb);
            let outcome = lease.call(&request).await;
            if over {
                assert!(
                    matches!(outcome, Err(CallError::LeaseOver { .. })),
                    "{outcome:?}"
                );
                continue;
            }
            over = !matches!(outcome, Ok(_) | Err(CallError::Raised { .. }));
            self.judge(*verb, &request, outcome);
        }
        drop(held);
    }

    async fn session(&self, name: &str, verbs: &[Verb]) {
        let session = match self.pool.session(name) {
            Ok(session) => session,
            Err(refusal) => return self.judge_refusal(&refusal),
        };
        for verb in verbs {
            let request = self.request(*verb);
            match session.call(&request).await {
                // Its worker was lost, or another client of the same session has ended it.
                Err(CallError::Checkout(SessionError::Lost { .. } | SessionError::Ended)) => break,
                outcome => self.judge(*verb, &request, outcome),
            }
        }
        session.end();
    }

    /// Each request has one outcome, and it is one that fits.
    fn judge(&self, verb: Verb, request: &[u8], outcome: Outcome) {
        let whole = match (verb, outcome) {
            (Verb::Echo | Verb::Last, Ok(reply)) => {
                assert_eq!(reply, request, "the reply to somebody else");
                true
            }
            (Verb::Raise, Err(CallError::Raised { source, .. })) => {
                assert_eq!(source.kind, "ValueError");
                true
            }
            (Verb::Garbage, Err(CallError::Protocol { source, .. }))
                if problem.starts_with("it sent ") =>
            {
                false
            }
            (_, Err(CallError::Checkout(refusal))) => {
                self.judge_refusal(&refusal);
                false
            }
            (_, Err(error)) => {
                let exits = match error {
                    CallError::WorkerExited { ref exit, .. } => match exit.status {
                        ExitStatus::Code(3) => verb == Verb::Exit,
                        ExitStatus::Code(4) => self.plan.has(Verb::Last),
                        _ => false,
                    },
                    // The second that its exit is given may pass before that is seen.
                    CallError::Protocol { ref problem, .. } => {
                        problem.contains("closed its output")
                            && (verb == Verb::Exit || self.plan.has(Verb::Last))
                    }
                    _ => false,
                };
                assert!(exits, "{verb:?}: {error}");
                false
            }
            (verb, Ok(reply)) => panic!("{verb:?} was answered: {reply:?}"),
        };
        if whole {
            self.note(|seen| seen.calls += 1);
        }
    }

    fn judge_refusal(&self, refusal: &CheckoutError) {
        let fits = match refusal {
            CheckoutError::Closed => self.plan.may_close(),
            CheckoutError::Draining { .. } => self.seen().paused,
            _ => false,
        };
        assert!(fits, "{refusal}");
    }

    /// The status adds up, whenever it is asked for.
    fn look(&self) {
        let status = self.pool.status();
        let counters = status.counters;
        let open = usize::try_from(counters.opened - counters.released).expect("a count");
        assert_eq!(open, status.workers.len(), "{status}");
        assert!(open <= self.plan.most(), "{status}");
    }

    fn first_worker(&self) -> Option<WorkerId> {
        let status = self.pool.status();
        Some(status.workers.first()?.worker)
    }
}

fn closed(outcome: &Outcome) -> bool {
    matches!(outcome, Err(CallError::Checkout(CheckoutError::Closed)))
}

/// Drops what takes longer than so many turns. What is to tell that is a task of its own, so that the future is polled
/// only when it was woken.
async fn within<T>(turns: u64, future: impl Future<Output = T>) -> Option<T> {
    let (enough, told) = oneshot::channel();
    drop(spawn(async move {
        for _ in 0..turns {
            yield_now().await;
        }
        let _ = enough.send(());
    }));
    select! {
        biased;
        // First: the other way round, what is granted at the last moment would never be dropped.
        _ = told => None,
        outcome = future => Some(outcome),
    }
}
