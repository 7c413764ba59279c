//! Ends workers: kills, searches and reaps until nothing is left.
//!
//! One thread per pool does this for all workers of the pool that are ending. One search of `/proc`
//! serves all of them, so the end of many workers costs little more than the end of one. It is a
//! thread of the pool's own, and not one of the runtime's: reading an environment takes a lock of
//! that process, and the runtime's threads may all be taken by the application. It is started with
//! the pool, when the host still has a thread and the descriptors to give.

mod ending;
mod remains;
mod search;
mod survivor;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::io;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::ending::{Ending, Survivors};
pub(super) use self::remains::{Parent, Reaper, Remains};
pub(super) use self::survivor::survivor;
use super::proc::table::Table;
use super::system::IS_LINUX;
use super::tree::EnvTag;
use crate::port::{Release, Survivor};

/// The most that the thread rests between two searches, beside the pause that its releases ask for.
const MAX_REST: Duration = Duration::from_millis(100);

/// How often a host that is a sub-reaper reaps what workers have left to it.
const ZOMBIES: Duration = Duration::from_secs(10);

/// Gives work to the thread, which ends with the last of these and the last release.
#[derive(Clone, Debug)]
pub(super) struct Releaser(Sender<Job>);

enum Job {
    End(Box<Ending>),
    /// Nothing more is to be searched for.
    Close(oneshot::Sender<()>),
}

/// A release that is under way.
#[derive(Debug)]
pub(super) struct Releasing {
    released: oneshot::Receiver<Release>,
    survivors: Survivors,
}

impl Releaser {
    /// Starts the thread for the pool with this tag.
    ///
    /// With `adopts`, it also ends the children of this process that no pool has started.
    pub(super) fn start(pool: EnvTag, adopts: bool) -> io::Result<Self> {
        let table = Table::open()?;
        if table.is_none() && IS_LINUX {
            tracing::warn!(
                target: "ostler::pool",
                "there is no `/proc`: processes that leave their worker's group are not found"
            );
        }
        let (sender, jobs) = channel();
        let thread = thread::Builder::new().name("ostler-release".to_owned());
        let run = move || Thread::new(pool, table, jobs, adopts).run();
        thread.spawn(run)?;
        Ok(Self(sender))
    }

    /// Ends a worker.
    pub(super) fn release(&self, remains: Remains) -> Releasing {
        self.submit(Ending::of_worker(remains))
    }

    /// Ends every process that carries the tag of this pool.
    pub(super) fn sweep(&self, pool: EnvTag) -> Releasing {
        self.submit(Ending::of_pool(pool))
    }

    /// Closes the descriptors that are kept for searches. Call this at the end of the pool.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let _ = self.0.send(Job::Close(done));
        // An error means that the thread is gone, and its descriptors with it.
        let _ = closed.await;
    }

    fn submit(&self, mut ending: Ending) -> Releasing {
        let (released, survivors) = ending.reports();
        // The thread outlives every sender. If it panicked, the release is never reported.
        let _ = self.0.send(Job::End(Box::new(ending)));
        Releasing {
            released,
            survivors,
        }
    }
}

impl Releasing {
    /// The processes that hold it up, as the last round found them.
    pub(super) fn survivors(&self) -> Vec<Survivor> {
        let survivors = self.survivors.lock();
        survivors.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end. Cancel safe.
    pub(super) async fn released(&mut self) -> Release {
        match (&mut self.released).await {
            Ok(release) => release,
            // That there is no report does not mean that nothing is left.
            Err(_) => std::future::pending().await,
        }
    }
}

struct Thread {
    pool: EnvTag,
    /// Without it, a group is killed and awaited, and nothing is searched for.
    table: Option<Table>,
    jobs: Receiver<Job>,
    open: Vec<Ending>,
    adopts: bool,
    /// Whether the last round failed, so that a failure that lasts is logged once.
    has_failed: bool,
}

impl Thread {
    fn new(pool: EnvTag, table: Option<Table>, jobs: Receiver<Job>, adopts: bool) -> Self {
        Self {
            pool,
            table,
            jobs,
            adopts,
            open: Vec::new(),
            has_failed: false,
        }
    }

    fn run(mut self) {
        let mut rest = Duration::ZERO;
        while self.wait(rest) {
            let (begun, ended) = (Instant::now(), self.round());
            rest = rest_after(begun.elapsed(), ended);
        }
    }

    /// Waits until a round is due, at least for `rest`. False once there is nothing more to do.
    fn wait(&mut self, rest: Duration) -> bool {
        let earliest = Instant::now() + rest;
        loop {
            let Some(due) = self.open.iter().map(|ending| ending.due).min() else {
                let first = match self.adopts {
                    true => self.jobs.recv_timeout(ZOMBIES),
                    false => self.jobs.recv().map_err(RecvTimeoutError::from),
                };
                match first {
                    Ok(job) => self.take(job),
                    Err(RecvTimeoutError::Timeout) => return true,
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
                continue;
            };
            let pause = due.max(earliest).saturating_duration_since(Instant::now());
            match self.jobs.recv_timeout(pause) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(pause);
                    return true;
                }
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::End(ending) => self.open.push(*ending),
            Job::Close(done) => {
                // Otherwise a port was abandoned, or dropped, and still needs them.
                if self.open.is_empty() {
                    self.table = None;
                }
                let _ = done.send(());
            }
        }
    }

    /// One round of every release. Returns how many have ended.
    fn round(&mut self) -> usize {
        let mut table = self.table.as_mut();
        let mut begin = |ending: &mut Ending| ending.begin_round(table.as_deref_mut());
        let begun: Vec<_> = self.open.iter_mut().map(&mut begin).collect();
        let searched = match &mut self.table {
            Some(table) => search::search(table, &self.pool, &mut self.open).and_then(|()| {
                let adopted = self.adopts.then(|| search::adopt(table, &mut self.open));
                adopted.unwrap_or(Ok(()))
            }),
            None => Ok(()),
        };
        let is_complete = searched.is_ok();
        self.report(
            begun
                .iter()
                .chain([&searched])
                .find_map(|done| done.as_ref().err()),
        );
        let mut ended = 0;
        for (mut ending, begun) in std::mem::take(&mut self.open).into_iter().zip(begun) {
            if ending.end_round(is_complete && begun.is_ok(), self.table.as_mut()) {
                ending.finish();
                ended += 1;
            } else {
                self.open.push(ending);
            }
        }
        ended
    }

    fn report(&mut self, error: Option<&io::Error>) {
        if let Some(error) = error.filter(|_| !self.has_failed) {
            tracing::warn!(
                target: "ostler::pool", %error,
                "a search for processes that workers left behind failed and is repeated"
            );
        }
        self.has_failed = error.is_some();
    }
}

/// How long the thread rests after a round that took so long, and ended so many releases.
///
/// While releases end one after the other, half of the time goes into searches, and meanwhile
/// others may arrive that the next search can serve too.
fn rest_after(took: Duration, ended: usize) -> Duration {
    match ended {
        0 => Duration::ZERO,
        _ => took.min(MAX_REST),
    }
}
