//! A client: it runs its script and checks each outcome.

use std::sync::{Arc, Mutex};

use ostler_pool::{
    CallError, CheckoutError, ExitStatus, Lease, Pool, ProtocolError, RollingError, SessionError,
    WorkerId,
};
use shuttle::future::{spawn, yield_now};
use tokio::select;
use tokio::sync::oneshot;

use crate::plan::{Plan, Step, Verb};
use crate::world::World;

/// One client. Clones share the pool and what the clients have observed.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) pool: Pool,
    pub(crate) world: World,
    pub(crate) plan: Arc<Plan>,
    observed: Arc<Mutex<Observed>>,
}

/// What all clients together did and observed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    requests: u64,
    /// Calls that the worker answered with a reply or an error.
    pub(crate) calls: u64,
    /// Whether a client has begun a drain.
    has_drained: bool,
    /// Whether a client has shut the pool down.
    pub(crate) is_closing: bool,
}

type Outcome = Result<Vec<u8>, CallError>;

impl Client {
    pub(crate) fn new(pool: Pool, world: World, plan: Arc<Plan>) -> Self {
        Self {
            pool,
            world,
            plan,
            observed: Arc::default(),
        }
    }

    pub(crate) fn observed(&self) -> Observed {
        *self.observed.lock().expect("no client panicked")
    }

    fn observe(&self, update: impl FnOnce(&mut Observed)) {
        update(&mut self.observed.lock().expect("no client panicked"));
    }

    pub(crate) async fn run(self, script: usize) {
        for step in &self.plan.clients[script] {
            self.step(step).await;
        }
    }

    async fn step(&self, step: &Step) {
        match step {
            Step::Call(verb) => {
                let request = self.request(*verb);
                let was_closing = self.observed().is_closing;
                let outcome = self.pool.call(&request).await;
                assert!(!was_closing || closed(&outcome), "{outcome:?}");
                self.check_outcome(*verb, &request, outcome);
            }
            Step::Lease(verbs) => match self.pool.checkout().await {
                Ok(lease) => self.use_lease(lease, verbs).await,
                Err(refusal) => self.check_refusal(&refusal),
            },
            Step::TryCheckout(verb) => match self.pool.try_checkout() {
                Ok(lease) => self.use_lease(lease, &[*verb]).await,
                Err(CheckoutError::NoneIdle { .. }) => {}
                Err(refusal) => self.check_refusal(&refusal),
            },
            Step::DropCall(verb, turns) => {
                let request = self.request(*verb);
                if let Some(outcome) = drop_after(*turns, self.pool.call(&request)).await {
                    self.check_outcome(*verb, &request, outcome);
                }
            }
            Step::DropCheckout(turns) => match drop_after(*turns, self.pool.checkout()).await {
                None => {}
                Some(Ok(lease)) => self.use_lease(lease, &[Verb::Echo]).await,
                Some(Err(refusal)) => self.check_refusal(&refusal),
            },
            Step::Session(name, verbs) => self.session(name, verbs).await,
            Step::Status => self.check_status(),
            Step::Resize(size) => self.pool.resize(*size).expect("the size is valid"),
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
                self.observe(|observed| observed.has_drained = true);
                let drained = self.pool.drain();
                if *waits {
                    drained.await;
                }
                self.pool.resume();
            }
            Step::Shutdown => {
                self.pool.shutdown();
                // After the shutdown, so that a client that sees the flag must be refused.
                self.observe(|observed| observed.is_closing = true);
            }
        }
    }

    /// A request that differs from every other one.
    fn request(&self, verb: Verb) -> Vec<u8> {
        self.observe(|observed| observed.requests += 1);
        format!("{verb:?} {}", self.observed().requests).into_bytes()
    }

    async fn use_lease(&self, mut lease: Lease, verbs: &[Verb]) {
        // Dropped before the lease: the next client may get the worker at once.
        let held = self.world.hold(lease.worker());
        let mut is_over = false;
        for verb in verbs {
            let request = self.request(*verb);
            let outcome = lease.call(&request).await;
            if is_over {
                assert!(
                    matches!(outcome, Err(CallError::LeaseOver { .. })),
                    "{outcome:?}"
                );
                continue;
            }
            is_over = !matches!(outcome, Ok(_) | Err(CallError::Raised { .. }));
            self.check_outcome(*verb, &request, outcome);
        }
        drop(held);
    }

    async fn session(&self, name: &str, verbs: &[Verb]) {
        let session = match self.pool.session(name) {
            Ok(session) => session,
            Err(refusal) => return self.check_session_refusal(&refusal),
        };
        for verb in verbs {
            let request = self.request(*verb);
            match session.call(&request).await {
                // The worker was lost, or another client has ended this session.
                Err(CallError::Session(SessionError::Lost { .. } | SessionError::Ended)) => break,
                outcome => self.check_outcome(*verb, &request, outcome),
            }
        }
        session.end();
    }

    /// Checks that the outcome of a call fits its request.
    fn check_outcome(&self, verb: Verb, request: &[u8], outcome: Outcome) {
        let was_answered = match (verb, outcome) {
            (Verb::Echo | Verb::ReplyAndExit, Ok(reply)) => {
                assert_eq!(reply, request, "the reply to another request");
                true
            }
            (Verb::Raise, Err(CallError::Raised { source, .. })) => {
                assert_eq!(source.kind, "ValueError");
                true
            }
            (
                Verb::Garbage,
                Err(CallError::Protocol {
                    source: ProtocolError::FrameTooLong { .. },
                    ..
                }),
            ) => false,
            (_, Err(CallError::Checkout(refusal))) => {
                self.check_refusal(&refusal);
                false
            }
            (_, Err(CallError::Session(refusal))) => {
                self.check_session_refusal(&refusal);
                false
            }
            (_, Err(error)) => {
                let is_expected_exit = match error {
                    CallError::WorkerExited { ref exit, .. } => match exit.status {
                        ExitStatus::Code(3) => verb == Verb::Exit,
                        ExitStatus::Code(4) => self.plan.has(Verb::ReplyAndExit),
                        _ => false,
                    },
                    // The driver waits 1 s for the exit after the end of the output. In some
                    // schedules, that time passes before it sees the exit.
                    CallError::Protocol {
                        source: ProtocolError::OutputClosed,
                        ..
                    } => verb == Verb::Exit || self.plan.has(Verb::ReplyAndExit),
                    _ => false,
                };
                assert!(is_expected_exit, "{verb:?}: {error:?}");
                false
            }
            (verb, Ok(reply)) => panic!("{verb:?} got an unexpected reply: {reply:?}"),
        };
        if was_answered {
            self.observe(|observed| observed.calls += 1);
        }
    }

    fn check_refusal(&self, refusal: &CheckoutError) {
        let is_expected = match refusal {
            CheckoutError::Closed => self.plan.may_close(),
            CheckoutError::Draining { .. } => self.observed().has_drained,
            _ => false,
        };
        assert!(is_expected, "{refusal}");
    }

    fn check_session_refusal(&self, refusal: &SessionError) {
        let is_expected = match refusal {
            SessionError::Closed => self.plan.may_close(),
            SessionError::Draining { .. } => self.observed().has_drained,
            _ => false,
        };
        assert!(is_expected, "{refusal}");
    }

    /// Checks that the counters and the workers of a status agree.
    fn check_status(&self) {
        let status = self.pool.status();
        let counters = status.counters;
        let open = usize::try_from(counters.opened - counters.released).expect("the count fits");
        let shown = status.workers.len() + status.abandoned.len();
        assert_eq!(open, shown, "{status}");
        assert!(open <= self.plan.max_open(), "{status}");
    }

    fn first_worker(&self) -> Option<WorkerId> {
        let status = self.pool.status();
        Some(status.workers.first()?.worker)
    }
}

fn closed(outcome: &Outcome) -> bool {
    matches!(outcome, Err(CallError::Checkout(CheckoutError::Closed)))
}

/// Drops the future if it is still pending after this number of turns. A separate task counts them,
/// so that the future is polled only when it is woken.
async fn drop_after<T>(turns: u64, future: impl Future<Output = T>) -> Option<T> {
    let (elapsed_sender, elapsed) = oneshot::channel();
    drop(spawn(async move {
        for _ in 0..turns {
            yield_now().await;
        }
        let _ = elapsed_sender.send(());
    }));
    select! {
        biased;
        // Polled first: in the other order, a lease granted at the last moment would never be
        // dropped.
        _ = elapsed => None,
        outcome = future => Some(outcome),
    }
}
