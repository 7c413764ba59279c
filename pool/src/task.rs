//! One task for each worker. It owns the worker's port, performs the orders about it, and reports its facts in the
//! order in which they happen.

use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use ostler::WorkerId;
use ostler::supervisor::{Input, Order, PortFact, Reason, Timer};
use ostler::worker::{self, Rung};
use tokio::select;
use tokio::sync::Notify;
use tokio::time::Sleep;

use crate::codec::{self, kind};
use crate::driver::Driver;
use crate::error::{RemoteError, StartError};
use crate::port::{BoxFuture, Exit, Port};
use crate::status::WorkerEnd;
use crate::wire::{Answer, Broken, End, Wire};

pub(crate) struct Task {
    driver: Arc<Driver>,
    worker: WorkerId,
    /// Rung when there are new orders.
    mail: Arc<Notify>,
    wire: Arc<Wire>,
    stage: Stage,
    /// `None` before it is opened, and if that failed.
    port: Option<Box<dyn Port>>,
    handshake: Option<BoxFuture<'static, Result<Answer, Broken>>>,
    timer: Option<(Timer, Pin<Box<Sleep>>)>,
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
    Answered(Result<Answer, Broken>),
    Exited(Exit),
    Released,
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
            port: None,
            handshake: None,
            timer: None,
            failed: false,
            rung: None,
            reason: None,
            exit: None,
        }
    }

    /// Lives as long as its worker.
    pub(crate) async fn run(mut self) {
        while self.stage != Stage::Released {
            while let Some(order) = self.driver.next_order(self.worker) {
                self.perform(order);
            }
            match self.next_event().await {
                Event::Mail => {}
                Event::Elapsed(timer) => self.elapsed(timer),
                Event::Answered(answer) => self.answered(answer),
                Event::Exited(exit) => self.exited(exit).await,
                Event::Released => self.released(),
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let stage = self.stage;
        let exited = async |port: &mut Option<Box<dyn Port>>| match (stage, port) {
            (Stage::Alive, Some(port)) => Event::Exited(port.exited().await),
            (Stage::Releasing, Some(port)) => {
                port.released().await;
                Event::Released
            }
            (Stage::Releasing, None) => Event::Released,
            _ => pending().await,
        };
        let answered = async |handshake: &mut Option<BoxFuture<'static, _>>| match handshake {
            Some(handshake) => Event::Answered(handshake.await),
            None => pending().await,
        };
        let elapsed = async |timer: &mut Option<(Timer, Pin<Box<Sleep>>)>| match timer {
            Some((timer, sleep)) => {
                sleep.await;
                Event::Elapsed(*timer)
            }
            None => pending().await,
        };
        // In this order, because an order that has been given comes before whatever happens next, and what a worker
        // answered comes before its end.
        select! {
            biased;
            () = self.mail.notified() => Event::Mail,
            event = answered(&mut self.handshake) => event,
            event = exited(&mut self.port) => event,
            event = elapsed(&mut self.timer) => event,
        }
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::Open => self.open(),
            Order::StartTimer { timer, after } => {
                self.timer = Some((timer, Box::pin(self.driver.sleep(after))));
            }
            Order::CancelTimer => self.timer = None,
            Order::Stop { rung, reason } => self.stop(rung, reason),
        }
    }

    fn open(&mut self) {
        match self.driver.opener.open(self.worker) {
            Ok(mut port) => {
                self.wire.connect(port.take_pipe());
                self.driver.opened(self.worker, port.pid());
                self.port = Some(port);
                let wire = Arc::clone(&self.wire);
                self.handshake = Some(Box::pin(async move { wire.handshake().await }));
            }
            Err(source) => {
                self.fail(StartError::Open {
                    worker: self.worker,
                    source,
                });
            }
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
                self.stage = Stage::Exited;
                self.report(PortFact::Exited);
            }
            (None, _) => {}
        }
    }

    fn answered(&mut self, answer: Result<Answer, Broken>) {
        self.handshake = None;
        let worker = self.worker;
        let problem = match answer {
            Ok(Answer {
                kind: kind::READY,
                body,
            }) if body == codec::VERSION.to_be_bytes() => {
                return self.report(PortFact::Started);
            }
            Ok(Answer {
                kind: kind::READY, ..
            }) => "it speaks another version of the protocol".into(),
            Ok(Answer {
                kind: kind::ERROR,
                body,
            }) => match RemoteError::parse(&body) {
                Some(source) => return self.fail(StartError::Refused { worker, source }),
                None => "it refused to start with an error that cannot be read".into(),
            },
            Ok(Answer { kind, .. }) => format!("it answered with a frame of kind {kind}"),
            Err(Broken::Protocol(problem)) => problem,
            // What became of it is known as soon as it exits, or when its start deadline passes.
            Err(Broken::EndOfOutput | Broken::Closed(_)) => return,
        };
        self.fail(StartError::Protocol { worker, problem });
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

    fn released(&mut self) {
        self.port = None;
        self.stage = Stage::Released;
        self.driver.ended(WorkerEnd {
            worker: self.worker,
            reason: self.reason,
            rung: self.rung,
            status: self.exit.as_ref().map(|exit| exit.status),
        });
        self.report(PortFact::Released);
    }

    fn elapsed(&mut self, timer: Timer) {
        self.timer = None;
        if let Timer::Worker {
            timer: worker::Timer::Start,
            ..
        } = timer
        {
            let (worker, after) = (self.worker, self.driver.start_timeout());
            self.failed(StartError::TimedOut { worker, after });
        }
        self.driver.handle(Input::Elapsed { timer });
    }

    fn fail(&mut self, error: StartError) {
        self.failed(error);
        self.report(PortFact::StartFailed);
    }

    /// Takes note of why the start failed, before the supervisor is told that it did.
    fn failed(&mut self, error: StartError) {
        tracing::warn!(target: "ostler::worker", %error, "start failed");
        self.failed = true;
        self.driver.remember(error);
    }

    fn report(&self, fact: PortFact) {
        self.driver.handle(Input::Port {
            worker: self.worker,
            fact,
        });
    }
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
