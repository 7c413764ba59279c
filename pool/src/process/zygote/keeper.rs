//! The task that keeps a zygote: starts it, asks it for workers, notices its death and starts another one.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::control::Control;
use super::{Forked, Request, State};
use crate::port::{ExitStatus, Port as _};
use crate::process::child::Child;
use crate::process::program::Program;
use crate::process::site::Site;

/// The pause before another zygote is started: after the first failure, and at most. Doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a zygote may take to exit when it is let go.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Keeper {
    program: Program,
    site: Arc<Site>,
    requests: mpsc::WeakUnboundedSender<Request>,
    state: watch::Sender<State>,
}

/// A zygote that is ready.
struct Running {
    child: Child,
    control: Control,
    /// What it has forked and not reaped.
    forked: HashSet<Pid>,
}

type Inbox = mpsc::UnboundedReceiver<Request>;

impl Keeper {
    pub(super) fn new(
        program: Program,
        site: Arc<Site>,
        requests: mpsc::WeakUnboundedSender<Request>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            program,
            site,
            requests,
            state,
        }
    }

    /// Runs until nobody can ask any more.
    pub(super) async fn run(self, mut inbox: Inbox) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(started) = declining(&mut inbox, self.start()).await else {
                return;
            };
            match started {
                Ok(running) => {
                    pause = FIRST_PAUSE;
                    self.state.send_replace(State::Ready);
                    if self.serve(running, &mut inbox).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(target: "ostler::zygote", %error, "did not start");
                }
            }
            self.state.send_replace(State::Down);
            if declining(&mut inbox, sleep(pause)).await.is_none() {
                return;
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn start(&self) -> io::Result<Running> {
        let (mut control, socket) = Control::new()?;
        let (mut child, preamble) =
            (self.program.spawn_zygote(&self.site, socket)).map_err(io::Error::other)?;
        let ready = async {
            control.preamble(&preamble).await?;
            control.receive().await
        };
        // Its end comes first, because it says why.
        let ready = select! {
            biased;
            exit = child.exited() => Err(io::Error::other(format!("{}; its stderr ends: {}", exit.status, exit.stderr))),
            ready = ready => ready,
        };
        match ready.as_deref() {
            Ok("ready") => Ok(Running {
                child,
                control,
                forked: HashSet::new(),
            }),
            _ => {
                end(child).await;
                Err(ready.map_or_else(|error| error, io::Error::other))
            }
        }
    }

    /// Serves requests as long as the zygote lives, and sees to its end: true if nobody can ask any more.
    async fn serve(&self, mut running: Running, inbox: &mut Inbox) -> bool {
        loop {
            let request = select! {
                biased;
                exit = running.child.exited() => {
                    tracing::warn!(target: "ostler::zygote", status = %exit.status, "exited");
                    break;
                }
                request = inbox.recv() => request,
            };
            let Some(request) = request else {
                drop(running.control);
                let _ = timeout(GRACE, running.child.exited()).await;
                end(running.child).await;
                return true;
            };
            if let Err(error) = self.answer(&mut running, request).await {
                tracing::warn!(target: "ostler::zygote", %error, "does not answer, and is replaced");
                break;
            }
        }
        self.state.send_replace(State::Down);
        end(running.child).await;
        false
    }

    async fn answer(&self, running: &mut Running, request: Request) -> io::Result<()> {
        let Running {
            control, forked, ..
        } = running;
        match request {
            Request::Fork { pipes, mark, reply } => {
                let answer = control
                    .ask(&format!("fork {}", mark.as_str()), &pipes)
                    .await?;
                let Some(pid) = number(&answer, "forked").and_then(Pid::from_raw) else {
                    // A client that is gone does not need to know.
                    let _ = reply.send(Err(io::Error::other(answer)));
                    return Ok(());
                };
                let Some(requests) = self.requests.upgrade() else {
                    return control.ask(&format!("reap {pid}"), &[]).await.map(drop);
                };
                forked.insert(pid);
                let reaped = false;
                // Not taken, it is dropped, and asks for its own end.
                let _ = reply.send(Ok(Forked {
                    pid,
                    requests,
                    reaped,
                }));
            }
            Request::Status { pid, reply } if forked.contains(&pid) => {
                let answer = control.ask(&format!("status {pid}"), &[]).await?;
                let code = number(&answer, "code").map(ExitStatus::Code);
                let status = code.or(number(&answer, "signal").map(ExitStatus::Signal));
                let _ = reply.send(status.unwrap_or(ExitStatus::Unknown));
            }
            Request::Reap { pid, reply } if forked.remove(&pid) => {
                control.ask(&format!("reap {pid}"), &[]).await?;
                let _ = reply.send(());
            }
            // Of an earlier zygote. To drop the request says so.
            Request::Status { .. } | Request::Reap { .. } => {}
        }
        Ok(())
    }
}

fn number(answer: &str, word: &str) -> Option<i32> {
    answer.strip_prefix(word)?.trim_start().parse().ok()
}

/// Kills a zygote, and waits until nothing of it is left. What it forked is in other groups.
async fn end(mut child: Child) {
    child.kill();
    child.exited().await;
    child.released().await;
}

/// Waits, and answers every request meanwhile that there is no zygote, by dropping it. `None` if nobody can ask any more.
async fn declining<T>(inbox: &mut Inbox, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = std::pin::pin!(wait);
    loop {
        select! {
            done = &mut wait => return Some(done),
            request = inbox.recv() => drop(request?),
        }
    }
}
