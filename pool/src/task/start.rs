//! How a worker starts, and how that fails.

use std::sync::Arc;

use ostler::supervisor::PortFact;
use tracing::Span;

use super::Task;
use crate::codec::{self, kind};
use crate::error::{RemoteError, StartError};
use crate::port::{OpenError, Port};
use crate::wire::{Answer, Broken};

impl Task {
    pub(super) fn open(&mut self) {
        let (driver, worker) = (Arc::clone(&self.driver), self.worker);
        self.opening = Some(Box::pin(async move { driver.opener.open(worker).await }));
    }

    pub(super) fn opened(&mut self, opened: Result<Box<dyn Port>, OpenError>) {
        self.opening = None;
        match opened {
            Ok(mut port) => {
                self.wire.connect(port.take_pipe());
                self.driver.opened(self.worker, port.pid());
                Span::current().record("pid", port.pid());
                self.port = Some(port);
                let wire = Arc::clone(&self.wire);
                let may_cancel = self.driver.limits.cancel_grace.is_some();
                self.handshake = Some(Box::pin(async move { wire.handshake(may_cancel).await }));
            }
            Err(source) => {
                let worker = self.worker;
                self.fail(StartError::Open { worker, source });
            }
        }
    }

    pub(super) fn answered(&mut self, answer: Result<Answer, Broken>) {
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
            Err(Broken::EndOfOutput | Broken::EndOfInput | Broken::Closed(_)) => return,
        };
        self.fail(StartError::Protocol { worker, problem });
    }

    fn fail(&mut self, error: StartError) {
        self.failed(error);
        self.report(PortFact::StartFailed);
    }

    /// Takes note of why the start failed, before the supervisor is told that it did.
    pub(super) fn failed(&mut self, error: StartError) {
        tracing::warn!(target: "ostler::worker", %error, "start failed");
        self.failed = true;
        self.driver.remember(error);
    }
}
