//! A worker's process: it reads frames and answers them, with the faults of its plan and of each
//! request.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ostler_pool::rt::simulated::now;
use ostler_pool::{ExitStatus, WorkerId};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::select;

use crate::batches;
use crate::ledger::Cause;
use crate::lists::Fault;
use crate::pipe::{Reader, Writer};
use crate::plan::WorkerPlan;
use crate::scanner::{Frame, number};
use crate::sessions::Sessions;
use crate::world::{Ended, World, end, pause};

pub(crate) const CALL: u8 = 2;
const SHUTDOWN: u8 = 3;
const PING: u8 = 4;
pub(crate) const STREAM: u8 = 5;
const CANCEL: u8 = 6;
pub(crate) const BATCH: u8 = 7;
pub(crate) const DETAILS: u8 = 9;
const SESSION_ENDED: u8 = 10;
const READY: u8 = 128;
pub(crate) const REPLY: u8 = 129;
pub(crate) const ERROR: u8 = 130;
pub(crate) const PONG: u8 = 131;
pub(crate) const PART: u8 = 132;

pub(crate) struct Process {
    pub(crate) world: World,
    pub(crate) worker: WorkerId,
    pub(crate) plan: Arc<WorkerPlan>,
    pub(crate) takes_batches: bool,
    pub(crate) input: Option<Reader>,
    pub(crate) output: Option<Writer>,
    unread: Vec<u8>,
    /// The bytes that it moves before it crashes.
    crash_after: Option<u64>,
    /// The id of the previous request.
    pub(crate) previous: [u8; 4],
    /// The request that it answered before it had read all of it.
    pub(crate) early: Option<u64>,
    pub(crate) sessions: Sessions,
}

/// Why a process stops serving.
pub(crate) enum Stop {
    /// It was told to: its input ended, or a `SHUTDOWN` came.
    Told,
    Exits(ExitStatus),
}

/// How the work on a request went.
#[derive(PartialEq, Eq)]
pub(crate) enum Work {
    Done,
    Cancelled,
}

/// Runs a process until it exits by itself or is killed.
pub(crate) async fn run(
    world: World,
    worker: WorkerId,
    (plan, takes_batches): (Arc<WorkerPlan>, bool),
    (input, output): (Reader, Writer),
    ended: Ended,
) {
    world.process_count().fetch_add(1, Ordering::Relaxed);
    let mut killed = ended.subscribe();
    let crashes = plan.faults.contains(&Fault::Crash);
    let mut process = Process {
        world: world.clone(),
        worker,
        crash_after: crashes.then_some(plan.crash_after),
        plan,
        takes_batches,
        input: Some(input),
        output: Some(output),
        unread: Vec::new(),
        previous: [9; 4],
        early: None,
        sessions: Sessions::default(),
    };
    let exit = select! {
        biased;
        _ = killed.wait_for(Option::is_some) => None,
        exit = process.live() => Some(exit),
    };
    if let Some((status, cause)) = exit {
        // The end of the pipes and the exit are two events, in any order.
        if process.shows(Fault::LateExit) {
            let delay = process.plan.delay.min(Duration::from_millis(500));
            (process.input, process.output) = (None, None);
            world.delay(delay).await;
        }
        end(&world, worker, &ended, status, cause);
    }
    drop(process);
    world.process_count().fetch_sub(1, Ordering::Relaxed);
}

impl Process {
    async fn live(&mut self) -> (ExitStatus, Cause) {
        match self.serve().await {
            Stop::Exits(status) => (status, Cause::Own),
            Stop::Told if self.has(Fault::IgnoresAsk) || self.has(Fault::Unkillable) => {
                self.world.ledger().shows(self.worker, Fault::IgnoresAsk);
                pending().await
            }
            Stop::Told => (ExitStatus::Code(0), Cause::Told),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.plan.faults.contains(&fault) && !self.world.is_healed()
    }

    /// Whether the worker shows this fault now.
    fn shows(&self, fault: Fault) -> bool {
        let is_shown = self.has(fault);
        if is_shown {
            self.world.ledger().shows(self.worker, fault);
        }
        is_shown
    }

    async fn serve(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.next().await {
                return stop;
            }
        }
    }

    async fn next(&mut self) -> Result<(), Stop> {
        let frame = self.read().await?;
        match frame.kind {
            1 => self.start(&frame).await,
            CALL | STREAM => self.answer(frame).await,
            BATCH if self.takes_batches => self.answer(frame).await,
            DETAILS if self.takes_batches => {
                self.sessions.details(&frame.body);
                Ok(())
            }
            SESSION_ENDED if self.takes_batches => {
                self.sessions.ended(&frame.body);
                Ok(())
            }
            PING => self.pong(&frame).await,
            SHUTDOWN => Err(Stop::Told),
            // Its call had ended by then.
            CANCEL => Ok(()),
            kind => panic!("worker {}: a frame of kind {kind}", self.worker),
        }
    }

    async fn start(&mut self, hello: &Frame) -> Result<(), Stop> {
        let fails = |process: &Self, fault| {
            let shows = process.shows(fault);
            process.world.ledger().starts_failed |= shows;
            shows
        };
        if fails(self, Fault::ExitAtStart) {
            return Err(Stop::Exits(ExitStatus::Code(6)));
        }
        if fails(self, Fault::NoHandshake) {
            return Ok(());
        }
        if fails(self, Fault::SlowHandshake) {
            self.work(hello.id, Some(self.plan.delay)).await?;
        }
        if fails(self, Fault::HandshakeError) {
            return self.send(ERROR, hello.id, &error("RuntimeError")).await;
        }
        let version = if fails(self, Fault::WrongVersion) {
            2
        } else {
            1
        };
        // It takes batches and details, and has no functions to name.
        let ready = [0, 0, 0, version, 0, 0, 0, 10, 0, 0, 0, 0];
        let length = if self.takes_batches { 12 } else { 4 };
        // Before it is sent: the pool may have read all of it before this task runs again, or the
        // worker crashes with its last byte.
        self.world.ledger().readied.push(now());
        self.send(READY, hello.id, &ready[..length]).await?;
        if fails(self, Fault::EarlyFrame) {
            self.send(PONG, hello.id, b"").await?;
        }
        Ok(())
    }

    async fn pong(&mut self, ping: &Frame) -> Result<(), Stop> {
        if self.shows(Fault::PingMissed) {
            return Ok(());
        }
        if self.shows(Fault::PingLate)
            && self.work(ping.id, Some(self.plan.delay)).await? == Work::Cancelled
        {
            return Ok(());
        }
        if self.shows(Fault::PingError) {
            self.send(ERROR, ping.id, &error("RuntimeError")).await?;
            if self.shows(Fault::PingTwice) {
                self.send(PONG, ping.id, b"").await?;
            }
            return Ok(());
        }
        if self.shows(Fault::PingWrong) {
            return self.send(REPLY, ping.id, b"").await;
        }
        if self.shows(Fault::PingTwice) {
            self.send(PONG, ping.id, b"").await?;
        }
        self.send(PONG, ping.id, b"").await
    }

    /// Works for so long, or for ever, until the work is cancelled.
    pub(crate) async fn work(&mut self, id: [u8; 4], time: Option<Duration>) -> Result<Work, Stop> {
        let mut work = Box::pin(async {
            match time {
                Some(time) => pause(time).await,
                None => pending().await,
            }
        });
        let frame = select! {
            biased;
            frame = self.read() => frame?,
            () = &mut work => return Ok(Work::Done),
        };
        match frame.kind {
            CANCEL => {
                assert_eq!(frame.id, id, "another call is cancelled");
                Ok(Work::Cancelled)
            }
            SHUTDOWN => Err(Stop::Told),
            kind => panic!(
                "worker {}: a frame of kind {kind} during a call",
                self.worker
            ),
        }
    }

    /// The next frame. Cancel safe.
    async fn read(&mut self) -> Result<Frame, Stop> {
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return Ok(frame);
            }
            self.answer_early().await?;
            let mut bytes = [0; 256];
            let mut buffer = ReadBuf::new(&mut bytes);
            match &mut self.input {
                Some(input) => poll_fn(|cx| Pin::new(&mut *input).poll_read(cx, &mut buffer))
                    .await
                    .expect("a simulated pipe has no errors"),
                None => pending().await,
            }
            if buffer.filled().is_empty() {
                return Err(Stop::Told);
            }
            self.unread.extend(buffer.filled());
            let count = buffer.filled().len();
            self.moved(count)?;
        }
    }

    /// Answers a request of which only a part has come, if it asks for that. In a batch, only the
    /// first can.
    async fn answer_early(&mut self) -> Result<(), Stop> {
        let body = match self.unread.get(4..) {
            Some([CALL, _, _, _, _, body @ ..]) => body,
            Some([BATCH, _, _, _, _, body @ ..]) => batches::first(body),
            _ => return Ok(()),
        };
        let Some(number) = number(body) else {
            return Ok(());
        };
        let request = {
            let mut ledger = self.world.ledger();
            let known = ledger.requests.get_mut(&number);
            let known = known.filter(|entry| entry.request.fault == Some(Fault::Early));
            let Some(entry) = known.filter(|_| self.early != Some(number)) else {
                return Ok(());
            };
            entry.answered = Some(now());
            let request = entry.request;
            ledger.shows(self.worker, Fault::Early);
            request
        };
        self.early = Some(number);
        let id = [5, 6, 7, 8].map(|place| self.unread[place]);
        let reply = self.reply_body(number, request, false);
        self.send(REPLY, id, &reply).await
    }

    /// Counts bytes. The process crashes when the plan says so.
    fn moved(&mut self, bytes: usize) -> Result<(), Stop> {
        if let Some(left) = &mut self.crash_after {
            if *left <= bytes as u64 {
                let mut ledger = self.world.ledger();
                ledger.starts_failed = true;
                ledger.shows(self.worker, Fault::Crash);
                return Err(Stop::Exits(ExitStatus::Signal(11)));
            }
            *left -= bytes as u64;
        }
        Ok(())
    }

    pub(crate) async fn send(&mut self, kind: u8, id: [u8; 4], body: &[u8]) -> Result<(), Stop> {
        self.write(&Frame::encode(kind, id, body)).await
    }

    /// Not cancel safe.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() {
            let most = self.crash_after.map_or(bytes.len(), |left| {
                bytes
                    .len()
                    .min(usize::try_from(left).expect("a size fits"))
                    .max(1)
            });
            let Some(output) = &mut self.output else {
                return Ok(());
            };
            let written = poll_fn(|cx| Pin::new(&mut *output).poll_write(cx, &bytes[..most])).await;
            let Ok(count) = written else {
                return Err(Stop::Told);
            };
            bytes = &bytes[count..];
            self.moved(count)?;
        }
        Ok(())
    }
}

pub(crate) fn error(kind: &str) -> Vec<u8> {
    let string = |text: &str| {
        let length = u32::try_from(text.len()).expect("a text is short");
        [&length.to_be_bytes(), text.as_bytes()].concat()
    };
    [string(kind), string("scripted"), string("")].concat()
}
