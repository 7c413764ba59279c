//! Answers requests as a test has planned.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler::WorkerId;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::sleep;

use super::answer::{Answer, Fault, Request};
use super::lock;
use super::worker::{error, read, send};
use crate::port::{Exit, ExitStatus};
use crate::transport::frame::kind;

type Closure = Box<dyn FnMut(WorkerId, &Request) -> Answer + Send>;

/// What the workers of a simulation answer. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Answers {
    /// `None`: requests are commands.
    closure: Option<Arc<Mutex<Closure>>>,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
}

impl Answers {
    pub(super) fn of(answer: impl FnMut(WorkerId, &Request) -> Answer + Send + 'static) -> Self {
        Self {
            closure: Some(Arc::new(Mutex::new(Box::new(answer)))),
            faults: Arc::default(),
        }
    }

    /// Whether requests are answered by a closure, and are no commands.
    pub(super) fn has_closure(&self) -> bool {
        self.closure.is_some()
    }

    pub(super) fn set_faults(&self, faults: VecDeque<Option<Fault>>) {
        *lock(&self.faults) = faults;
    }

    /// The answer to the next request. `None`: it is a command.
    pub(super) fn next(&self, worker: WorkerId, request: &Request) -> Option<Planned> {
        let fault = lock(&self.faults).pop_front().flatten();
        let crash = Exit::new(ExitStatus::Signal(9), "");
        match fault {
            None => self.planned(worker, request),
            Some(Fault::Crash) => Some(Planned::Exit(crash)),
            Some(Fault::CrashAfterwards) => {
                let _ = self.planned(worker, request);
                Some(Planned::Exit(crash))
            }
            Some(Fault::Raise) => {
                let raised = Answer::raise("RuntimeError", "a fault of the test");
                Some(Planned::Answer(raised))
            }
            Some(Fault::Hang) => Some(Planned::Answer(Answer::Hang)),
            Some(Fault::Delay(delay)) => match self.planned(worker, request) {
                // A command is not delayed but echoed: its worker would have to play it later.
                None => Some(Planned::Answer(Answer::reply(request.body()).after(delay))),
                Some(Planned::Answer(answer)) => Some(Planned::Answer(answer.after(delay))),
                exit => exit,
            },
        }
    }

    fn planned(&self, worker: WorkerId, request: &Request) -> Option<Planned> {
        let mut closure = lock(self.closure.as_ref()?);
        // A panic must not end the task: the pool would see neither an exit nor an answer.
        let answer = catch_unwind(AssertUnwindSafe(|| closure(worker, request)));
        Some(match answer {
            Ok(answer) => Planned::Answer(answer),
            Err(panic) => Planned::Exit(Exit::new(ExitStatus::Signal(6), message(&*panic))),
        })
    }
}

/// What becomes of a request.
pub(super) enum Planned {
    Answer(Answer),
    Exit(Exit),
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "the simulation's closure panicked: {}\n",
        text.unwrap_or("no message")
    )
}

/// How a request ended.
pub(super) enum Played {
    Answered,
    Cancelled,
    /// The worker exits by itself.
    Exited(Exit),
    /// The worker received a shutdown frame or the end of its input.
    Dismissed,
}

/// Does what was planned.
pub(super) async fn play(
    pipe: &mut DuplexStream,
    id: &[u8],
    request: &Request,
    planned: Planned,
) -> std::io::Result<Played> {
    let mut left = match planned {
        Planned::Answer(answer) => VecDeque::from([answer]),
        Planned::Exit(exit) => return Ok(Played::Exited(exit)),
    };
    while let Some(answer) = left.pop_front() {
        match answer {
            Answer::Reply(part) if request.is_stream() => {
                send(pipe, kind::PART, id, &part).await?;
            }
            Answer::Reply(body) => {
                send(pipe, kind::REPLY, id, &body).await?;
                return Ok(Played::Answered);
            }
            Answer::After(delay, then) => match wait(pipe, delay).await? {
                None => left.push_front(*then),
                Some(kind::CANCEL) => {
                    let cancelled = error("Cancelled", "the host cancelled the request");
                    send(pipe, kind::ERROR, id, &cancelled).await?;
                    return Ok(Played::Cancelled);
                }
                Some(_) => return Ok(Played::Dismissed),
            },
            Answer::Raise { kind, message } => {
                return fail(pipe, id, &kind, &message).await;
            }
            Answer::Crash(status) => return Ok(Played::Exited(Exit::new(status, ""))),
            Answer::Hang => {
                while read(pipe).await?[0] == kind::CANCEL {}
                return Ok(Played::Dismissed);
            }
            Answer::Stream(parts) if request.is_stream() => {
                for part in parts.into_iter().rev() {
                    left.push_front(part);
                }
            }
            Answer::Stream(_) => {
                let message = "a stream answers a call: ask for it with `stream`";
                return fail(pipe, id, "TypeError", message).await;
            }
        }
    }
    send(pipe, kind::REPLY, id, b"").await?;
    Ok(Played::Answered)
}

async fn fail(
    pipe: &mut DuplexStream,
    id: &[u8],
    kind: &str,
    message: &str,
) -> std::io::Result<Played> {
    send(pipe, kind::ERROR, id, &error(kind, message)).await?;
    Ok(Played::Answered)
}

/// Waits, or until the host sends a frame: its kind.
async fn wait(pipe: &mut DuplexStream, delay: Duration) -> std::io::Result<Option<u8>> {
    let first = tokio::select! {
        biased;
        // One byte is cancel safe, a whole frame is not.
        first = pipe.read_u8() => first?,
        () = sleep(delay) => return Ok(None),
    };
    let mut rest = [0; 3];
    pipe.read_exact(&mut rest).await?;
    let [a, b, c] = rest;
    let mut frame = vec![0; u32::from_be_bytes([first, a, b, c]) as usize];
    pipe.read_exact(&mut frame).await?;
    Ok(Some(frame[0]))
}
