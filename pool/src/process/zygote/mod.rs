//! A process that has made itself ready once, and forks a ready worker whenever one is wanted.
//!
//! Its children are not this host's, so that what a parent does for them is asked of it: how one ended, and to reap it. It keeps a
//! child that has exited a zombie until then, as this host does with its own, so that the id of the child's group stays its own.
//! All else goes as for any worker: the pipes are this host's and were handed over, the exit is seen through a pidfd, the group
//! is killed before the reap.
//!
//! One task keeps the zygote. While there is none, because it could not start or has died, workers are spawned as without
//! one, and those that it forked serve on: they are the system's to reap then, and how they end is not known.

mod control;
mod keeper;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::keeper::Keeper;
use super::mark::Mark;
use super::program::Program;
use super::site::Site;
use crate::port::ExitStatus;

/// A program's zygote. Its keeper is started with the first fork that is asked for, and ends when this and all that was
/// forked are gone.
#[derive(Debug, Default)]
pub(super) struct Zygote(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    requests: Requests,
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

/// Whether there is a zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first one is making itself ready: worth waiting for.
    Starting,
    Ready,
    /// There was one, or it could not start. Another one may be starting.
    Down,
}

/// At most a few of them for each port: without a bound of its own.
type Requests = mpsc::UnboundedSender<Request>;

/// What the keeper is asked for. Where there is no zygote, or another one than was meant, there is no reply.
#[derive(Debug)]
enum Request {
    Fork {
        /// What the worker is to have as its stdin, stdout and stderr.
        pipes: [OwnedFd; 3],
        mark: Mark,
        reply: oneshot::Sender<io::Result<Forked>>,
    },
    Status {
        pid: Pid,
        reply: oneshot::Sender<ExitStatus>,
    },
    Reap {
        pid: Pid,
        reply: oneshot::Sender<()>,
    },
}

impl Zygote {
    /// Has a worker forked. `None` where there is no zygote now: then the worker is to be spawned. Waits for the first zygote to
    /// be ready, and not for any later one.
    ///
    /// Cancel safe: a worker that is forked too late ends at once.
    pub(super) async fn fork(
        &self,
        program: &Program,
        site: &Arc<Site>,
        pipes: [OwnedFd; 3],
        mark: Mark,
    ) -> Option<io::Result<Forked>> {
        let (requests, mut state) = self.kept(program, site);
        let settled = state.wait_for(|&state| state != State::Starting).await;
        if *settled.ok()? == State::Down {
            return None;
        }
        let (reply, forked) = oneshot::channel();
        requests.send(Request::Fork { pipes, mark, reply }).ok()?;
        forked.await.ok()
    }

    fn kept(&self, program: &Program, site: &Arc<Site>) -> (Requests, watch::Receiver<State>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_with(|| {
            let (requests, inbox) = mpsc::unbounded_channel();
            let (state, watched) = watch::channel(State::Starting);
            // It must not keep itself alive.
            let keeper = Keeper::new(
                program.of_zygote(),
                Arc::clone(site),
                requests.downgrade(),
                state,
            );
            Kept {
                requests,
                state: watched,
                keeper: tokio::spawn(keeper.run(inbox)),
            }
        });
        (kept.requests.clone(), kept.state.clone())
    }

    /// Ends the zygote. All that it forked is gone.
    pub(super) async fn close(&self) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Kept {
            requests, keeper, ..
        }) = kept
        {
            // With the last of these, the keeper ends.
            drop(requests);
            let _ = keeper.await;
        }
    }
}

/// A process that a zygote has forked, and reaps. Dropped before that, it is killed and reaped.
#[derive(Debug)]
pub(super) struct Forked {
    pid: Pid,
    requests: Requests,
    reaped: bool,
}

impl Forked {
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended: once it has.
    pub(super) async fn status(&self) -> ExitStatus {
        let (reply, status) = oneshot::channel();
        let pid = self.pid;
        let _ = self.requests.send(Request::Status { pid, reply });
        status.await.unwrap_or(ExitStatus::Unknown)
    }

    /// Has its group killed, and it reaped. False if the zygote is gone, and nobody is left who could do so safely. Cancel
    /// safe, and callable again.
    pub(super) async fn kill_and_reap(&mut self) -> bool {
        let (reply, reaped) = oneshot::channel();
        let pid = self.pid;
        let _ = self.requests.send(Request::Reap { pid, reply });
        let by_zygote = reaped.await.is_ok();
        self.reaped = true;
        by_zygote
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            let (reply, pid) = (oneshot::channel().0, self.pid);
            // Where the keeper is gone, so is the zygote, and with it the need to.
            let _ = self.requests.send(Request::Reap { pid, reply });
        }
    }
}
