//! How a worker's process answers calls and streams.

use std::time::Duration;

use ostler_pool::ExitStatus;
use shuttle::rand::{Rng as _, thread_rng};

use crate::ledger::Answer;
use crate::plan::{Fault, Request};
use crate::process::{ERROR, PART, PONG, Process, REPLY, STREAM, Stop, Work, error};
use crate::scanner::Frame;
use crate::world::{body, pause};

impl Process {
    pub(crate) async fn answer(&mut self, frame: Frame) -> Result<(), Stop> {
        let number = frame.request().expect("a request");
        let request = self.received(number);
        if self.early.take() == Some(number) {
            return Ok(());
        }
        let is_stream = frame.kind == STREAM;
        let shows = |fault| {
            let is_shown = request.fault == Some(fault);
            if is_shown {
                self.world.ledger().shows(self.worker, fault);
            }
            is_shown
        };
        shows(Fault::Slow);
        let hangs = shows(Fault::Hang);
        for _ in 0..request.parts {
            if self.work(frame.id, Some(request.work)).await? == Work::Cancelled {
                return self.cancelled(&frame, number, request, None).await;
            }
            let part = body(number, &self.worker.to_string(), request.size);
            self.send(PART, frame.id, &part).await?;
        }
        let work = (!hangs).then_some(request.work);
        if self.work(frame.id, work).await? == Work::Cancelled {
            return self.cancelled(&frame, number, request, work).await;
        }
        let id = frame.id;
        let previous = std::mem::replace(&mut self.previous, id);
        if let Some(fault) = request.fault.filter(|fault| *fault != Fault::Slow) {
            self.world.ledger().shows(self.worker, fault);
        }
        match request.fault {
            Some(Fault::Exit) => Err(Stop::Exits(ExitStatus::Code(3))),
            Some(Fault::ReplyAndExit) => {
                self.reply(id, number, request, is_stream).await?;
                Err(Stop::Exits(ExitStatus::Code(4)))
            }
            Some(Fault::PartialReply) => {
                let reply = Frame::encode(REPLY, id, &self.reply_body(number, request, is_stream));
                let some = thread_rng().gen_range(1..reply.len());
                self.write(&reply[..some]).await?;
                Err(Stop::Exits(ExitStatus::Code(5)))
            }
            Some(Fault::Garbage) => self.write(&[0xff; 16]).await,
            Some(Fault::ShortFrame) => self.write(&[0, 0, 0, 4, REPLY, 0, 0, 0]).await,
            Some(Fault::Twice) => {
                self.reply(id, number, request, is_stream).await?;
                self.reply(id, number, request, is_stream).await
            }
            Some(Fault::OldId) => self.send(REPLY, previous, b"").await,
            Some(Fault::WrongKind) => self.send(PONG, id, b"").await,
            Some(Fault::Unsolicited) => {
                self.reply(id, number, request, is_stream).await?;
                pause(request.work).await;
                self.send(PART, id, b"").await
            }
            Some(Fault::CloseOutput) => {
                self.output = None;
                Ok(())
            }
            Some(Fault::CloseInput) => {
                self.input = None;
                self.reply(id, number, request, is_stream).await
            }
            Some(Fault::Raise) => self.raise(id, number, "ValueError").await,
            Some(Fault::RaiseGarbage) => self.send(ERROR, id, &[0xff; 4]).await,
            Some(Fault::NotJson) => {
                self.answers(number, Answer::NotJson);
                self.send(REPLY, id, b"?").await
            }
            _ => self.reply(id, number, request, is_stream).await,
        }
    }

    /// What the worker does once the call is cancelled.
    async fn cancelled(
        &mut self,
        frame: &Frame,
        number: u64,
        request: Request,
        work: Option<Duration>,
    ) -> Result<(), Stop> {
        let id = frame.id;
        if let Some(fault) = request.on_cancel {
            self.world.ledger().shows(self.worker, fault);
        }
        match request.on_cancel {
            Some(Fault::CancelIgnored) => {
                self.work(id, work).await?;
                self.reply(id, number, request, frame.kind == STREAM).await
            }
            Some(Fault::CancelFinish) => {
                self.reply(id, number, request, frame.kind == STREAM).await
            }
            Some(Fault::CancelStray) => self.send(REPLY, self.previous, b"").await,
            Some(Fault::CancelExit) => Err(Stop::Exits(ExitStatus::Code(7))),
            Some(Fault::CancelTwice) => {
                self.raise(id, number, "Cancelled").await?;
                self.raise(id, number, "Cancelled").await
            }
            _ => self.raise(id, number, "Cancelled").await,
        }
    }

    /// Notes that a request was read in full, and checks that it is the first time.
    fn received(&self, number: u64) -> Request {
        let mut ledger = self.world.ledger();
        let (stamp, worker) = (ledger.stamp(), self.worker);
        ledger.note(format_args!("worker {worker}: reads request {number}"));
        let entry = ledger
            .requests
            .get_mut(&number)
            .expect("the request is known");
        assert_eq!(
            entry.read, None,
            "request {number} is seen twice, now by {worker}"
        );
        let written = entry.written.expect("it was written").0;
        assert_eq!(written, worker, "request {number} reached another worker");
        entry.read = Some((worker, stamp));
        entry.request
    }

    fn answers(&self, number: u64, answer: Answer) {
        let mut ledger = self.world.ledger();
        let entry = ledger
            .requests
            .get_mut(&number)
            .expect("the request is known");
        entry.answer.get_or_insert(answer);
    }

    pub(crate) fn reply_body(&self, number: u64, request: Request, is_stream: bool) -> Vec<u8> {
        if is_stream {
            Vec::new()
        } else {
            body(number, &self.worker.to_string(), request.size)
        }
    }

    async fn reply(
        &mut self,
        id: [u8; 4],
        number: u64,
        request: Request,
        is_stream: bool,
    ) -> Result<(), Stop> {
        self.answers(number, Answer::Reply);
        self.send(REPLY, id, &self.reply_body(number, request, is_stream))
            .await
    }

    async fn raise(&mut self, id: [u8; 4], number: u64, kind: &'static str) -> Result<(), Stop> {
        self.answers(number, Answer::Raised(kind));
        self.send(ERROR, id, &error(kind)).await
    }
}
