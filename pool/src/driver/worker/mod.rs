//! One task per worker. It owns the worker's port, performs the orders for it, and reports its
//! facts in the order in which they happen.

mod handshake;
mod stage;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::thread;

use ostler::supervisor::{Fault, Input, LeaseEnd, Order, PortFact, Reason};
use ostler::worker::Rung;
use ostler::{LeaseId, WorkerId};
use tokio::select;
use tokio::sync::Notify;
use tracing::{Instrument as _, Span, field};

use self::stage::{Happened, Held, Stage};
use super::Driver;
use crate::config::AbandonedCalls;
use crate::error::{ProtocolError, StartError};
use crate::port::{Exit, Port, Release};
use crate::transport::{Answer, Closed, EXIT_GRACE, Transport, TransportError};

pub(super) struct Task {
    driver: Arc<Driver>,
    worker: WorkerId,
    /// Notified when there are new orders.
    wakeup: Arc<Notify>,
    transport: Arc<Transport>,
    stage: Stage,
    /// The lease under which the worker is told to cancel a call, until the end is reported.
    cancelling: Option<LeaseId>,
    /// Whether the core has abandoned the port. Then no order follows, and the task goes on by
    /// itself until the port is released.
    abandoned: bool,
    /// The start, the drain or the end of the worker, while it is under way.
    span: Span,
    /// Whether its drain has a span, or had one.
    drains: bool,
    /// Whether its end has a span.
    stops: bool,
}

/// What a task does next.
enum Next {
    Order(Order),
    Happened(Happened),
}

impl Task {
    pub(super) fn new(
        driver: Arc<Driver>,
        worker: WorkerId,
        wakeup: Arc<Notify>,
        transport: Arc<Transport>,
    ) -> Self {
        Self {
            driver,
            worker,
            wakeup,
            transport,
            stage: Stage::New,
            cancelling: None,
            abandoned: false,
            span: Span::none(),
            drains: false,
            stops: false,
        }
    }

    /// Runs as long as the worker lives, in a span that names it.
    ///
    /// The span is a root. What opens a worker may be a client's request, or the end of the worker
    /// that it replaces, and their spans must not stay open for as long as this worker lives.
    pub(super) fn run(self) -> impl Future<Output = ()> {
        let worker = self.worker;
        let WorkerId { slot, generation } = worker;
        let span = tracing::info_span!(
            target: "ostler::worker", parent: None, "worker",
            pool = self.driver.log.pool(), %worker, slot, generation, pid = field::Empty
        );
        self.work().instrument(span)
    }

    async fn work(mut self) {
        while !matches!(self.stage, Stage::Released) {
            let next = self.next().await;
            // The one place where the stage changes. A panic or a drop in the middle of a step
            // leaves `Stepping`.
            let stage = std::mem::replace(&mut self.stage, Stage::Stepping);
            self.stage = self.step(stage, next).await;
        }
    }

    async fn next(&mut self) -> Next {
        loop {
            let (order, drains) = self.driver.next_order(self.worker);
            if drains && !self.drains {
                self.drains = true;
                self.span = tracing::info_span!(target: "ostler::worker", "drain");
            }
            if let Some(order) = order {
                return Next::Order(order);
            }
            // Orders first: an order that was given comes before whatever happens next.
            select! {
                biased;
                () = self.wakeup.notified() => {}
                happened = self.stage.happens() => return Next::Happened(happened),
            }
        }
    }

    async fn step(&mut self, stage: Stage, next: Next) -> Stage {
        match (stage, next) {
            (Stage::New, Next::Order(Order::Open { position })) => {
                self.span = tracing::info_span!(target: "ostler::worker", "start");
                self.open(position)
            }
            (Stage::Open { port, .. }, Next::Order(Order::Probe { lease })) => {
                let transport = Arc::clone(&self.transport);
                let probe = async move { Held::Probed(lease, transport.ping().await) };
                let span = tracing::debug_span!(target: "ostler::worker", "probe");
                let work = Box::pin(probe.instrument(span));
                Stage::Held { port, work }
            }
            (Stage::Open { port, .. }, Next::Order(Order::Cancel { lease })) => {
                self.cancelling = Some(lease);
                let (driver, transport) = (Arc::clone(&self.driver), Arc::clone(&self.transport));
                let may_cancel = matches!(driver.limits.abandoned_calls, AbandonedCalls::Cancel(_));
                let work = Box::pin(async move {
                    let clean = match may_cancel {
                        true => transport.cancel().await,
                        false => transport.finish().await,
                    };
                    if clean.is_none() {
                        // Its exit may follow, and says more.
                        driver.sleep(EXIT_GRACE).await;
                    }
                    Held::Cancelled(clean.unwrap_or(false))
                });
                Stage::Held { port, work }
            }
            (mut stage, Next::Order(Order::Measure)) => {
                if let Some(port) = stage.open_port() {
                    self.measure(&**port);
                }
                stage
            }
            (stage, Next::Order(Order::Stop { rung, reason })) => self.stop(stage, rung, reason),
            (stage, Next::Order(Order::Abandon)) => self.abandon(stage),
            // The worker has exited. The order to reap it follows.
            (stage, Next::Order(Order::Cancel { lease })) => {
                self.cancelling = Some(lease);
                stage
            }
            // The worker has exited or is being stopped, and the core expects no answer.
            (stage, Next::Order(Order::Open { .. } | Order::Probe { .. })) => stage,

            (Stage::Opening { .. }, Next::Happened(Happened::Opened(opened))) => {
                self.opened(opened)
            }
            (Stage::Handshaking { port, .. }, Next::Happened(Happened::Answered(answer))) => {
                self.answered(answer);
                self.span = Span::none();
                self.watch(port)
            }
            (Stage::Held { port, .. }, Next::Happened(Happened::Done(held))) => {
                self.held_ended(held);
                self.watch(port)
            }
            (Stage::Open { port, .. }, Next::Happened(Happened::Broke(problem))) => {
                self.broke(problem);
                Stage::Open { port, watch: None }
            }
            (Stage::Handshaking { port, handshake }, Next::Happened(Happened::Exited(exit))) => {
                // It may have said why before it exited. With the transport closed, its answer is
                // there or will never be.
                self.transport.close(Closed::Exited(exit.clone()), false);
                let answer = handshake.await;
                self.answered(answer);
                self.exited(port, exit)
            }
            (
                Stage::Open { port, .. } | Stage::Held { port, .. },
                Next::Happened(Happened::Exited(exit)),
            ) => self.exited(port, exit),
            (Stage::Releasing { port, exit }, Next::Happened(Happened::Released(release))) => {
                // Before the report: when the pool reports its end, no port is left.
                drop(port);
                self.released(Some(exit), release)
            }
            // No other stage produces these.
            (stage, Next::Happened(_)) => stage,
        }
    }

    /// Watches a worker between its calls. A client's call needs no watch: it reads itself.
    fn watch(&self, port: Box<dyn Port>) -> Stage {
        let (driver, transport) = (Arc::clone(&self.driver), Arc::clone(&self.transport));
        let watch = async move {
            let problem = transport.unsolicited().await;
            if problem == ProtocolError::OutputClosed {
                // Its exit may follow, and says more.
                driver.sleep(EXIT_GRACE).await;
            }
            problem
        };
        Stage::Open {
            port,
            watch: Some(Box::pin(watch)),
        }
    }

    /// The worker broke the protocol between two calls.
    fn broke(&self, problem: ProtocolError) {
        let worker = self.worker;
        tracing::warn!(target: "ostler::worker", %worker, %problem, "broke the protocol between two calls");
        let reason = Reason::Fault(Fault::ProtocolBroken);
        self.driver.explain(worker, reason, problem.to_string());
        self.report(PortFact::Broke);
    }

    /// Takes a rung of the stop ladder.
    fn stop(&mut self, stage: Stage, rung: Rung, reason: Reason) -> Stage {
        if !self.stops {
            self.stops = true;
            self.span = tracing::info_span!(target: "ostler::worker", "stop", %reason);
        }
        self.transport
            .close(Closed::Stopped(reason), rung == Rung::Ask);
        // While the pool holds the lease, a drain waits. If the worker is stopped for its call, the
        // lease is over, and the core counts this as late.
        self.cancel_ended(false);
        match (stage, rung) {
            // There never was a process, so there is no exit to wait for, and nothing to release.
            (Stage::Opening { .. } | Stage::Unopened, _) => {
                self.report(PortFact::Exited);
                Stage::Absent
            }
            (Stage::Absent, Rung::Reap) => self.released(None, Release::new(0, None)),
            (Stage::Exited { port, exit }, Rung::Reap) => Stage::Releasing { port, exit },
            (mut stage, rung) => {
                if let Some(port) = stage.open_port() {
                    // Not the rungs that were ordered after its exit: nothing was done then.
                    self.driver.took_rung(self.worker, rung);
                    match rung {
                        Rung::Term => port.terminate(),
                        Rung::Kill => port.kill(),
                        Rung::Ask | Rung::Reap => {}
                    }
                }
                stage
            }
        }
    }

    /// The port was not released in time, and the pool no longer waits for it.
    fn abandon(&mut self, stage: Stage) -> Stage {
        self.abandoned = true;
        let survivors = stage.port().map_or_else(Vec::new, |port| port.survivors());
        let named: Vec<String> = survivors.iter().map(ToString::to_string).collect();
        let pid = self.driver.was_abandoned(self.worker, survivors);
        tracing::error!(
            target: "ostler::worker", worker = %self.worker, pid, survivors = named.join("; "),
            "not released within `release_timeout`; abandoned, and released in the background"
        );
        match stage {
            Stage::Absent => self.released(None, Release::new(0, None)),
            // It exited just before this order, which comes instead of the order to reap.
            Stage::Exited { port, exit } => Stage::Releasing { port, exit },
            stage => stage,
        }
    }

    fn measure(&self, port: &dyn Port) {
        let worker = self.worker;
        if let Some(bytes) = port.memory() {
            self.driver.feed(Input::Measured { worker, bytes });
        }
    }

    /// A health check or a cancellation ended.
    fn held_ended(&mut self, held: Held) {
        let worker = self.worker;
        match held {
            Held::Cancelled(clean) => self.cancel_ended(clean),
            Held::Probed(lease, Ok(Answer::Done(_))) if self.transport.is_clean() => {
                self.driver.was_probed(worker, true);
                let healthy = true;
                self.driver.feed(Input::Probed { lease, healthy });
            }
            Held::Probed(lease, Ok(Answer::Error(error))) if self.transport.is_clean() => {
                tracing::warn!(target: "ostler::worker", %worker, %error, "reports itself unhealthy");
                self.driver.was_probed(worker, false);
                (self.driver).explain(worker, Reason::Unhealthy, error.to_string());
                let healthy = false;
                self.driver.feed(Input::Probed { lease, healthy });
            }
            // It exits, is being stopped, or will miss its deadline.
            Held::Probed(_, Err(TransportError::PipeClosed(_) | TransportError::Closed(_))) => {}
            Held::Probed(lease, answer) => {
                let problem = match answer {
                    Err(TransportError::Protocol(problem)) => problem,
                    _ => ProtocolError::Unsolicited,
                };
                tracing::warn!(target: "ostler::worker", %worker, %problem, "broke the protocol in a health check");
                let reason = Reason::Fault(Fault::ProtocolBroken);
                self.driver.explain(worker, reason, problem.to_string());
                self.driver.feed(Input::LeaseEnded {
                    lease,
                    calls: 0,
                    errors: 0,
                    unbroken: true,
                    end: LeaseEnd::Fault(Fault::ProtocolBroken),
                });
            }
        }
    }

    /// A cancelled call ended, at the latest when its worker is stopped or reaped.
    fn cancel_ended(&mut self, clean: bool) {
        if let Some(lease) = self.cancelling.take() {
            self.driver.feed(Input::CancelEnded { lease, clean });
        }
    }

    fn exited(&self, port: Box<dyn Port>, exit: Exit) -> Stage {
        let (worker, fact) = (self.worker, PortFact::Exited);
        let cause = StartError::Exited {
            worker,
            exit: exit.clone(),
        };
        self.driver
            .feed_with_cause(Input::Port { worker, fact }, cause);
        // After the feed, so that a client that learns of the exit finds a pool that knows of it.
        self.transport.close(Closed::Exited(exit.clone()), false);
        match self.abandoned {
            true => Stage::Releasing { port, exit },
            false => Stage::Exited { port, exit },
        }
    }

    fn released(&self, exit: Option<Exit>, release: Release) -> Stage {
        let (worker, escaped) = (self.worker, release.escaped);
        if escaped > 0 {
            tracing::warn!(
                target: "ostler::worker", %worker, escaped,
                "left processes outside its process group; they were killed"
            );
        }
        if self.abandoned {
            tracing::info!(target: "ostler::worker", %worker, "released after it was abandoned");
        }
        self.driver.ended(worker, exit, release);
        self.report(PortFact::Released);
        Stage::Released
    }

    fn report(&self, fact: PortFact) {
        let worker = self.worker;
        self.driver.feed(Input::Port { worker, fact });
    }
}

impl Drop for Task {
    /// However a task ends, the core learns that its port is gone.
    fn drop(&mut self) {
        let (has_exited, exit) = match std::mem::replace(&mut self.stage, Stage::Released) {
            Stage::Released => return,
            Stage::Absent => (true, None),
            Stage::Exited { exit, .. } | Stage::Releasing { exit, .. } => (true, Some(exit)),
            // A port that is dropped kills and reaps its processes.
            _ => (false, None),
        };
        let worker = self.worker;
        if thread::panicking() {
            self.transport.close(Closed::Stopped(Reason::Exited), false);
        } else {
            // Only the end of its runtime drops a task unfinished, and the pool ends with its
            // runtime.
            self.transport
                .close(Closed::Stopped(Reason::Shutdown), false);
            self.driver.shutdown();
        }
        if self.driver.is_starting(worker) {
            let fact = PortFact::StartFailed { is_final: false };
            let cause = StartError::Panicked { worker };
            self.driver
                .feed_with_cause(Input::Port { worker, fact }, cause);
        }
        if !has_exited {
            self.report(PortFact::Exited);
        }
        self.driver.ended(worker, exit, Release::new(0, None));
        self.report(PortFact::Released);
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}
