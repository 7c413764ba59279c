//! The task that owns the zygote: it starts the zygote, passes requests to it, and replaces it when
//! it dies.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::control::Control;
use super::forked::Request;
use super::service::Service;
use crate::port::Port as _;
use crate::process::child::Child;
use crate::process::spawn::Spawner;

/// The backoff before another zygote is started: after the first failure, and at most. It doubles
/// with each failure.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How long a zygote may take to exit after its socket was closed.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// How long the end of a zygote is waited for once it was killed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a zygote runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The first one is starting: a fork waits for it.
    Starting,
    Ready,
    /// It died or could not start. Another one may be starting.
    Down,
}

pub(super) struct Keeper {
    spawner: Arc<Spawner>,
    requests: mpsc::WeakUnboundedSender<Request>,
    state: watch::Sender<State>,
}

/// A zygote that is ready.
struct Running {
    child: Child,
    service: Service,
}

type Inbox = mpsc::UnboundedReceiver<Request>;

impl Keeper {
    pub(super) fn new(
        spawner: Arc<Spawner>,
        requests: mpsc::WeakUnboundedSender<Request>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            spawner,
            requests,
            state,
        }
    }

    /// Runs until the last sender of requests is dropped.
    pub(super) async fn run(self, mut inbox: Inbox) {
        let mut backoff = BACKOFF;
        for number in 0.. {
            let Some(started) = declining(&mut inbox, self.start(number)).await else {
                return;
            };
            match started {
                Ok(running) => {
                    backoff = BACKOFF;
                    self.state.send_replace(State::Ready);
                    if self.serve(running, &mut inbox).await {
                        return;
                    }
                }
                Err(error) => {
                    let error: &(dyn Error + 'static) = &error;
                    tracing::warn!(target: "ostler::zygote", error, "zygote failed to start");
                }
            }
            self.state.send_replace(State::Down);
            if declining(&mut inbox, sleep(backoff)).await.is_none() {
                return;
            }
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }

    async fn start(&self, number: u64) -> io::Result<Running> {
        let (mut control, socket) = Control::new()?;
        let child = self.spawner.spawn_zygote(socket);
        let mut child = child.map_err(io::Error::other)?;
        let ready = async {
            control.preamble(self.spawner.preamble()).await?;
            control.receive().await
        };
        // Other processes may hold its socket when it has exited.
        let said = select! {
            _ = child.exited() => Err(io::ErrorKind::UnexpectedEof.into()),
            said = ready => said,
        };
        let error = match said {
            Ok(said) if said == "ready" => {
                let service = Service::new(control, number, self.requests.clone());
                return Ok(Running { child, service });
            }
            Ok(said) => io::Error::other(said),
            // The exit tells the cause, where the socket only tells that it is closed.
            Err(error) => match timeout(EXIT_GRACE, child.exited()).await {
                Ok(exit) => {
                    let (status, tail) = (exit.status, exit.stderr.trim_end());
                    io::Error::other(format!("it exited with {status}; its stderr ends: {tail}"))
                }
                Err(_) => error,
            },
        };
        end(child).await;
        Err(error)
    }

    /// Serves requests while the zygote lives, then ends it. True if the last sender of requests
    /// was dropped.
    async fn serve(&self, mut running: Running, inbox: &mut Inbox) -> bool {
        loop {
            let request = select! {
                biased;
                exit = running.child.exited() => {
                    tracing::warn!(
                        target: "ostler::zygote", status = %exit.status,
                        "zygote exited and is replaced"
                    );
                    break;
                }
                request = inbox.recv() => request,
            };
            let Some(request) = request else {
                drop(running.service);
                let _ = timeout(EXIT_GRACE, running.child.exited()).await;
                end(running.child).await;
                return true;
            };
            if let Err(error) = running.service.perform(request).await {
                let error: &(dyn Error + 'static) = &error;
                tracing::warn!(
                    target: "ostler::zygote", error,
                    "zygote does not answer and is replaced"
                );
                break;
            }
        }
        self.state.send_replace(State::Down);
        end(running.child).await;
        false
    }
}

/// Kills a zygote, and waits until its group is empty. The processes that it forked are in other
/// groups.
async fn end(mut child: Child) {
    child.kill();
    let ended = async {
        child.exited().await;
        child.released().await
    };
    if timeout(RELEASE_TIMEOUT, ended).await.is_err() {
        // The drop of `child` goes on with its release.
        tracing::error!(
            target: "ostler::zygote", survivors = ?child.survivors(), "zygote survives SIGKILL"
        );
    }
}

/// Waits, and meanwhile declines every request by dropping it. `None` if the last sender of
/// requests was dropped.
async fn declining<T>(inbox: &mut Inbox, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = std::pin::pin!(wait);
    loop {
        select! {
            done = &mut wait => return Some(done),
            request = inbox.recv() => drop(request?),
        }
    }
}
