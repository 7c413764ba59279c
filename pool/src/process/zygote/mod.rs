//! A process that loads the worker's code once, and then forks a ready worker for each request.
//!
//! Its children are not children of this host, so the host asks the zygote for what only a parent
//! can do: tell how a child ended, and reap it. Until then the zygote keeps an exited child as a
//! zombie, as the host does with its own children, so the id of the child's group is not reused.
//! All else is as for a spawned worker: the host owns the pipes and has handed over their other
//! ends, it sees the exit through a pidfd, and the group is killed before the reap.
//!
//! One task, the keeper, owns the zygote. While no zygote runs, because it could not start or has
//! died, workers are spawned. Those that a dead zygote forked keep serving; init reaps them, so
//! how they end stays unknown.

mod control;
mod forked;
mod keeper;
mod service;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::forked::{Forked, Request, Requests};
use self::keeper::{Keeper, State};
use super::spawn::Spawner;
use super::tree::EnvTag;

/// A program's zygote. The first fork starts its keeper, which ends when this and everything that
/// was forked are gone.
#[derive(Debug)]
pub(super) struct Zygote {
    spawner: Arc<Spawner>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    requests: Requests,
    state: watch::Receiver<State>,
    keeper: JoinHandle<()>,
}

impl Zygote {
    /// `spawner` spawns the zygote itself.
    pub(super) fn new(spawner: Spawner) -> Self {
        Self {
            spawner: Arc::new(spawner),
            kept: Mutex::default(),
        }
    }

    /// Has a worker forked. `None` if no zygote runs: the caller spawns the worker then. Waits for
    /// the first zygote to be ready, but not for a later one.
    ///
    /// Cancel safe: a worker that is forked too late is ended at once.
    pub(super) async fn fork(
        &self,
        pipes: [OwnedFd; 3],
        tag: EnvTag,
        env: &[(OsString, OsString)],
    ) -> Option<io::Result<Forked>> {
        let (requests, mut state) = self.kept();
        let settled = state.wait_for(|&state| state != State::Starting).await;
        if *settled.ok()? == State::Down {
            return None;
        }
        let (reply, forked) = oneshot::channel();
        let line = match control::fork(&tag, env) {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        requests.send(Request::Fork { pipes, line, reply }).ok()?;
        forked.await.ok()
    }

    fn kept(&self) -> (Requests, watch::Receiver<State>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_with(|| {
            let (requests, inbox) = mpsc::unbounded_channel();
            let (state, watched) = watch::channel(State::Starting);
            // A weak sender: the keeper ends when the last strong one is dropped.
            let weak = requests.downgrade();
            let keeper = Keeper::new(Arc::clone(&self.spawner), weak, state);
            Kept {
                requests,
                state: watched,
                keeper: tokio::spawn(keeper.run(inbox)),
            }
        });
        (kept.requests.clone(), kept.state.clone())
    }

    /// Ends the zygote. Call this when everything that it forked is gone.
    pub(super) async fn close(&self) {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Kept {
            requests, keeper, ..
        }) = kept
        {
            // The last sender: the keeper ends.
            drop(requests);
            let _ = keeper.await;
        }
    }
}
