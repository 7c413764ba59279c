//! One task for each worker. It owns the worker's port, performs the orders about it, and reports its facts in the
//! order in which they happen.

mod start;

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use ostler::supervisor::{Fault, Input, LeaseEnd, Order, PortFact, Reason, Timer};
use ostler::worker::{self, Rung};
use ostler::{LeaseId, WorkerId};
use tokio::select;
use tokio::sync::Notify;
use tracing::{Instrument as _, field};

use crate::codec::{self, kind};
use crate::driver::Driver;
use crate::error::{RemoteError, StartError};
use crate::port::{BoxFuture, Exit, OpenError, Port, Release};
use crate::rt::Sleep;
use crate::status::WorkerEnd;
use crate::wire::{Answer, Broken, End, Wire};

pub(crate) struct Task {
    driver: Arc<Driver>,
    worker: WorkerId,
    /// Rung when there are new orders.
    mail: Arc<Notify>,
    wire: Arc<Wire>,
    stage: Stage,
    opening: Option<BoxFuture<'static, Result<Box<dyn Port>, OpenError>>>,
    /// `None` before it is opened, and if that failed.
    port: Option<Box<dyn Port>>,
    handshake: Option<BoxFuture<'static, Result<Answer, Broken>>>,
    probe: Option<(LeaseId, BoxFuture<'static, Result<Answer, Broken>>)>,
    /// One for its machine, and a handful for its health.
    timers: Vec<(Timer, Pin<Box<Sleep>>)>,
    /// Whether its start has failed in a way that is already known.
    failed: bool,
    /// The last rung that was ordered before the leader exited, and why.
    rung: Option<Rung>,
    reason: Option<Reason>,
    exit: Option<Exit>,
}

/// How far the port is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alive,
    Exited,
    Releasing,
    Released,
}

/// What a task waits for.
enum Event {
    Mail,
    Elapsed(Timer),
    Opened(Result<Box<dyn Port>, OpenError>),
    Answered(Result<Answer, Broken>),
    Probed(LeaseId, Result<Answer, Broken>),
    Exited(Exit),
    Released(Release),
}

impl Task {
    pub(crate) fn new(
        driver: Arc<Driver>,
        worker: WorkerId,
        mail: Arc<Notify>,
        wire: Arc<Wire>,
    ) -> Self {
        Self {
            driver,
            worker,
            mail,
            wire,
            stage: Stage::Alive,
            opening: None,
            port: None,
            handshake: None,
            probe: None,
            timers: Vec::new(),
            failed: false,
            rung: None,
            reason: None,
            exit: None,
        }
    }

    /// Lives as long as its worker, in a span that names it.
    pub(crate) fn run(self) -> impl Future<Output = ()> {
        let worker = self.worker;
        let WorkerId { slot, generation } = worker;
        let span = tracing::info_span!(
            target: "ostler::worker", "worker", %worker, slot, generation, pid = field::Empty
        );
        self.work().instrument(span)
    }

    async fn work(mut self) {
        while self.stage != Stage::Released {
            while let Some(order) = self.driver.next_order(self.worker) {
                self.perform(order);
            }
            match self.next_event().await {
                Event::Mail => {}
                Event::Elapsed(timer) => self.elapsed(timer),
                Event::Opened(opened) => self.opened(opened),
                Event::Answered(answer) => self.answered(answer),
                Event::Probed(lease, answer) => self.probed(lease, answer),
                Event::Exited(exit) => self.exited(exit).await,
                Event::Released(release) => self.released(release),
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let stage = self.stage;
        let exited = async |port: &mut Option<Box<dyn Port>>| match (stage, port) {
            (Stage::Alive, Some(port)) => Event::Exited(port.exited().await),
            (Stage::Releasing, Some(port)) => Event::Released(port.released().await),
            // There never was a process.
            (Stage::Releasing, None) => Event::Released(Release {
                escaped: 0,
                confirmed: true,
            }),
            _ => pending().await,
        };
        let opened = async |opening: &mut Option<BoxFuture<'static, _>>| match opening {
            Some(opening) => Event::Opened(opening.await),
            None => pending().await,
        };
        let answered = async |handshake: &mut Option<BoxFuture<'static, _>>| match handshake {
            Some(handshake) => Event::Answered(handshake.await),
            None => pending().await,
        };
        let probed = async |probe: &mut Option<(LeaseId, BoxFuture<'static, _>)>| match probe {
            Some((lease, answer)) => Event::Probed(*lease, answer.await),
            None => pending().await,
        };
        // In this order, because an order that has been given comes before whatever happens next, and what a worker
        // answered comes before its end.
        select! {
            biased;
            () = self.mail.notified() => Event::Mail,
            event = opened(&mut self.opening) => event,
            event = answered(&mut self.handshake) => event,
            event = probed(&mut self.probe) => event,
            event = exited(&mut self.port) => event,
            timer = first_elapsed(&mut self.timers) => Event::Elapsed(timer),
        }
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::Open => self.open(),
            Order::Cancel { .. } => {}
            Order::Probe { lease } => {
                let wire = Arc::clone(&self.wire);
                self.probe = Some((lease, Box::pin(async move { wire.ping().await })));
            }
            Order::Measure => self.measure(),
            Order::Stop { rung, reason } => self.stop(rung, reason),
        }
    }

    fn stop(&mut self, rung: Rung, reason: Reason) {
        self.wire.close(End::Stopped(reason), rung == Rung::Ask);
        self.reason = Some(reason);
        if rung == Rung::Reap {
            self.stage = Stage::Releasing;
            return;
        }
        self.rung = Some(rung);
        match (&mut self.port, rung) {
            (Some(port), Rung::Term) => port.terminate(),
            (Some(port), Rung::Kill) => port.kill(),
            (Some(_), _) => {}
            // There never was a process, so that there is nothing to wait for.
            (None, _) if self.stage == Stage::Alive => {
                self.opening = None;
                self.stage = Stage::Exited;
                self.report(PortFact::Exited);
            }
            (None, _) => {}
        }
    }

    fn probed(&mut self, lease: LeaseId, answer: Result<Answer, Broken>) {
        self.probe = None;
        let worker = self.worker;
        let healthy = match answer {
            Ok(Answer {
                kind: kind::PONG, ..
            }) if self.wire.is_clean() => true,
            Ok(Answer {
                kind: kind::ERROR,
                body,
            }) if self.wire.is_clean() => {
                let error = RemoteError::parse(&body).map(|error| error.to_string());
                tracing::warn!(target: "ostler::worker", %worker, error, "says that it is not well");
                false
            }
            // It exits, or is being stopped, or will miss its deadline.
            Err(Broken::EndOfOutput | Broken::EndOfInput | Broken::Closed(_)) => return,
            Ok(_) | Err(Broken::Protocol(_)) => {
                tracing::warn!(target: "ostler::worker", %worker, "broke the protocol in a probe");
                return self.driver.feed(Input::LeaseEnded {
                    lease,
                    calls: 0,
                    errors: 0,
                    end: LeaseEnd::Fault(Fault::ProtocolBroken),
                });
            }
        };
        self.driver.was_probed(worker, healthy);
        self.driver.feed(Input::Probed { lease, healthy });
    }

    fn measure(&self) {
        let worker = self.worker;
        if let Some(bytes) = self.port.as_ref().and_then(|port| port.memory()) {
            self.driver.feed(Input::Measured { worker, bytes });
        }
    }

    async fn exited(&mut self, exit: Exit) {
        self.stage = Stage::Exited;
        self.exit = Some(exit.clone());
        if let Some(handshake) = self.handshake.take() {
            // It may have said why before it exited. With the wire closed, the answer is there or will never be.
            self.wire.close(End::Exited(exit.clone()), false);
            self.answered(handshake.await);
        }
        if self.rung.is_none() && !self.failed {
            let (worker, status) = (self.worker, exit.status);
            tracing::warn!(target: "ostler::worker", %worker, %status, "exited");
            self.driver.remember(StartError::Exited {
                worker,
                exit: exit.clone(),
            });
        }
        self.report(PortFact::Exited);
        // After the report, so that a client which learns of it finds a pool that knows.
        self.wire.close(End::Exited(exit), false);
    }

    fn released(&mut self, release: Release) {
        self.port = None;
        self.stage = Stage::Released;
        let (worker, Release { escaped, confirmed }) = (self.worker, release);
        if escaped > 0 {
            tracing::warn!(
                target: "ostler::worker", %worker, escaped,
                "left processes outside its group, which were killed"
            );
        }
        self.driver.ended(WorkerEnd {
            worker,
            reason: self.reason,
            rung: self.rung,
            status: self.exit.as_ref().map(|exit| exit.status),
            escaped,
            confirmed,
        });
        self.report(PortFact::Released);
    }

    fn elapsed(&mut self, timer: Timer) {
        self.timers.retain(|(running, _)| *running != timer);
        if let Timer::Worker {
            timer: worker::Timer::Start,
            ..
        } = timer
        {
            let (worker, after) = (self.worker, self.driver.start_timeout());
            self.failed(StartError::TimedOut { worker, after });
        }
        self.driver.feed(Input::Elapsed { timer });
    }

    fn report(&self, fact: PortFact) {
        self.driver.feed(Input::Port {
            worker: self.worker,
            fact,
        });
    }
}

/// Resolves with the first of the timers that elapses.
async fn first_elapsed(timers: &mut [(Timer, Pin<Box<Sleep>>)]) -> Timer {
    poll_fn(|cx| {
        let elapsed = |(timer, sleep): &mut (Timer, Pin<Box<Sleep>>)| {
            sleep.as_mut().poll(cx).is_ready().then_some(*timer)
        };
        timers
            .iter_mut()
            .find_map(elapsed)
            .map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

impl Drop for Task {
    /// However a task ends, the supervisor learns that its port is gone.
    fn drop(&mut self) {
        if self.stage == Stage::Released {
            return;
        }
        // A port that is dropped kills and reaps what it held.
        self.port = None;
        self.wire.close(End::Stopped(Reason::Exited), false);
        if thread::panicking() {
            self.driver.remember(StartError::Panicked {
                worker: self.worker,
            });
        } else {
            // Nothing else drops a task but the end of its runtime, and with it that of the pool.
            self.driver.shutdown();
        }
        if self.stage == Stage::Alive {
            self.report(PortFact::Exited);
        }
        self.report(PortFact::Released);
    }
}

impl RemoteError {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let [kind, message, traceback] = codec::strings(body)?;
        Some(Self {
            kind,
            message,
            traceback,
        })
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("worker", &self.worker)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
