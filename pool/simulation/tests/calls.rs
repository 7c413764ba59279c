//! How a worker's process answers calls and streams.

use std::time::Duration;

use ostler_pool::ExitStatus;
use ostler_pool::rt::simulated::now;
use shuttle::rand::{Rng as _, thread_rng};

use crate::ledger::Answer;
use crate::lists::Fault;
use crate::plan::Request;
use crate::process::{ERROR, PART, PONG, Process, REPLY, STREAM, Stop, Work, error};
use crate::scanner::Frame;
use crate::world::{body, pause};

impl Process {
    /// Answers the requests of a message, one after another.
    pub(crate) async fn answer(&mut self, frame: Frame) -> Result<(), Stop> {
        let numbers = frame.requests();
        // All are read before the first is answered.
        let session = self.sessions.take();
        for number in &numbers {
            self.judge_session(*number, session.as_deref());
        }
        let requests: Vec<_> = (numbers.iter())
            .map(|number| (*number, self.received(*number)))
            .collect();
        let early = self.early.take();
        let (mut stray, last) = (None, requests.len() - 1);
        for (place, (number, mut request)) in requests.into_iter().enumerate() {
            if early == Some(number) {
                continue;
            }
            if place < last && request.fault == Some(Fault::Twice) {
                // An answer too many would be the next request's.
                request.fault = None;
                stray = Some((number, request));
            }
            match self.answer_one(&frame, number, request).await? {
                Next::Request => {}
                Next::Message => return Ok(()),
                Next::Cancelled => return self.cancel_rest(&frame, &numbers[place + 1..]).await,
            }
        }
        if let Some((number, request)) = stray {
            self.world.ledger().shows(self.worker, Fault::Twice);
            self.reply(frame.id, number, request, false).await?;
        }
        self.previous = frame.id;
        Ok(())
    }

    async fn answer_one(
        &mut self,
        frame: &Frame,
        number: u64,
        request: Request,
    ) -> Result<Next, Stop> {
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
                self.cancelled(frame, number, request, None).await?;
                return Ok(Next::Cancelled);
            }
            let part = body(number, &self.worker.to_string(), request.size);
            self.send(PART, frame.id, &part).await?;
        }
        let work = (!hangs).then_some(request.work);
        if self.work(frame.id, work).await? == Work::Cancelled {
            self.cancelled(frame, number, request, work).await?;
            return Ok(match request.on_cancel {
                Some(Fault::CancelIgnored) => Next::Request,
                _ => Next::Cancelled,
            });
        }
        let id = frame.id;
        if let Some(fault) = request.fault.filter(|fault| *fault != Fault::Slow) {
            self.world.ledger().shows(self.worker, fault);
        }
        let sent = match request.fault {
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
            Some(Fault::OldId) => self.send(REPLY, self.previous, b"").await,
            Some(Fault::WrongKind) => self.send(PONG, id, b"").await,
            Some(Fault::Unsolicited) => {
                self.reply(id, number, request, is_stream).await?;
                pause(request.work).await;
                self.send(PART, id, b"").await
            }
            Some(Fault::CloseOutput) => {
                self.output = None;
                self.previous = id;
                return Ok(Next::Message);
            }
            Some(Fault::CloseInput) => {
                self.input = None;
                self.reply(id, number, request, is_stream).await
            }
            Some(Fault::Raise) => self.raise(id, number, "ValueError").await,
            Some(Fault::RaiseGarbage) => self.send(ERROR, id, &[0xff; 4]).await,
            Some(Fault::NotJson) => {
                self.answers(number, Answer::NotJson);
                self.send(REPLY, id, b"?").await?;
                self.wrote_answer(number);
                Ok(())
            }
            _ => self.reply(id, number, request, is_stream).await,
        };
        sent.map(|()| Next::Request)
    }

    /// Confirms the cancellation of the rest of a batch.
    async fn cancel_rest(&mut self, frame: &Frame, rest: &[u64]) -> Result<(), Stop> {
        for number in rest {
            self.raise(frame.id, *number, "Cancelled").await?;
        }
        Ok(())
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
        let entry = ledger.entry(number);
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
        let entry = ledger.entry(number);
        entry.answer.get_or_insert(answer);
        entry.answered.get_or_insert(now());
    }

    /// Notes that an answer was written in full, unless the worker has closed its output or was
    /// killed. A real process writes nothing after that; a simulated one may, until its task
    /// notices.
    fn wrote_answer(&self, number: u64) {
        let mut ledger = self.world.ledger();
        let is_alive = ledger.worker(self.worker).exit.is_none();
        ledger.entry(number).is_out = is_alive && self.output.is_some();
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
            .await?;
        self.wrote_answer(number);
        Ok(())
    }

    async fn raise(&mut self, id: [u8; 4], number: u64, kind: &'static str) -> Result<(), Stop> {
        self.answers(number, Answer::Raised(kind));
        self.send(ERROR, id, &error(kind)).await?;
        self.wrote_answer(number);
        Ok(())
    }
}

/// What a worker goes on with.
enum Next {
    Request,
    Message,
    /// The message was cancelled.
    Cancelled,
}
