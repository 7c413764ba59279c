//! How a worker starts, and how that fails.

use std::sync::Arc;

use ostler::supervisor::{Input, PortFact};
use tracing::Span;

use super::Task;
use super::stage::Stage;
use crate::config::AbandonedCalls;
use crate::driver::Limits;
use crate::error::{ProtocolError, StartError};
use crate::port::{OpenError, Port, Start};
use crate::transport::{Answer, TransportError, frame};

const WRONG_VERSION: ProtocolError = ProtocolError::WrongVersion {
    expected: frame::VERSION,
};

impl Task {
    pub(super) fn open(&self, position: usize) -> Stage {
        let start = Start::new(self.worker, position);
        match self.driver.opener() {
            Some(opener) => Stage::Opening {
                opening: Box::pin(async move { opener.open(start).await }),
            },
            // The pool has ended with its runtime, and this task ends, too.
            None => Stage::Unopened,
        }
    }

    pub(super) fn opened(&self, opened: Result<Box<dyn Port>, OpenError>) -> Stage {
        let worker = self.worker;
        match opened {
            Ok(mut port) => {
                self.transport.connect(port.take_pipe());
                self.driver.opened(worker, port.pid());
                Span::current().record("pid", port.pid());
                let transport = Arc::clone(&self.transport);
                let Limits {
                    abandoned_calls,
                    call_timeout,
                    ..
                } = self.driver.limits;
                let may_cancel = matches!(abandoned_calls, AbandonedCalls::Cancel(_));
                Stage::Handshaking {
                    port,
                    handshake: Box::pin(async move {
                        transport.handshake(may_cancel, call_timeout).await
                    }),
                }
            }
            Err(source) => {
                self.start_failed(StartError::Open { worker, source });
                Stage::Unopened
            }
        }
    }

    pub(super) fn answered(&self, answer: Result<Answer, TransportError>) {
        let worker = self.worker;
        let source = match answer {
            Ok(Answer::Done(body)) => match frame::ready(&body) {
                Some(ready) if self.transport.is_clean() => {
                    let functions = Arc::from(ready.functions);
                    self.driver.learned(&functions);
                    self.transport.agreed(ready.flags, functions);
                    return self.report(PortFact::Started);
                }
                Some(_) => ProtocolError::Unsolicited,
                None => WRONG_VERSION,
            },
            Ok(Answer::Part(_) | Answer::Item(_)) => WRONG_VERSION,
            Ok(Answer::Error(source)) => {
                return self.start_failed(StartError::Refused { worker, source });
            }
            Err(TransportError::Protocol(source)) => source,
            // Its exit or its start deadline will say what became of it.
            Err(TransportError::PipeClosed(_) | TransportError::Closed(_)) => return,
        };
        self.start_failed(StartError::Protocol { worker, source });
    }

    fn start_failed(&self, cause: StartError) {
        let is_final = cause.is_final();
        let (worker, fact) = (self.worker, PortFact::StartFailed { is_final });
        self.driver
            .feed_with_cause(Input::Port { worker, fact }, cause);
    }
}
