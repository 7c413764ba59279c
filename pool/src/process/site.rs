//! What the workers of one pool have in common.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

use super::cgroup::Cgroup;
use super::mark::{Mark, Swept};
use super::sentinel::{Sentinel, Watch};
use crate::port::OpenError;

/// A program that was found, and those who look after its processes. Each of them keeps it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) path: PathBuf,
    pub(super) mark: Mark,
    /// `None` where there is to be none, and once it was dismissed.
    sentinel: Mutex<Option<Sentinel>>,
}

impl Site {
    /// `cgroups` is where the workers' control groups are to be, if they are to have any.
    pub(super) fn new(
        path: PathBuf,
        cgroups: Option<&Path>,
        sentinel: bool,
    ) -> Result<Self, OpenError> {
        let mark = Mark::of_pool();
        if let Some(parent) = cgroups {
            Cgroup::check(parent, &mark)?;
        }
        let watch = sentinel.then(|| Watch::prepare(mark.clone(), cgroups));
        let watch = watch.transpose()?;
        Ok(Self {
            path,
            mark,
            sentinel: Mutex::new(watch.map(Sentinel::new)),
        })
    }

    /// The operating system refused to start a process of the program.
    pub(super) fn refused(&self, error: io::Error) -> OpenError {
        OpenError::Spawn {
            program: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }

    /// Sees to it that there is a sentinel, if there is to be one, before there is anything to watch over.
    pub(super) fn keep_sentinel(&self) -> Result<(), OpenError> {
        self.sentinel().as_mut().map_or(Ok(()), Sentinel::keep)
    }

    /// Kills whatever bears the mark of the pool.
    pub(super) async fn sweep(&self) {
        let mark = self.mark.clone();
        let swept = spawn_blocking(move || mark.sweep()).await;
        if let Ok(Swept { killed, .. }) = swept
            && killed > 0
        {
            tracing::warn!(target: "ostler::pool", killed, "workers had left processes behind, which were killed");
        }
    }

    /// Lets the sentinel go. Nothing of the pool is alive any more.
    pub(super) async fn close(&self) {
        let sentinel = self.sentinel().take();
        if let Some(sentinel) = sentinel {
            sentinel.dismiss().await;
        }
    }

    fn sentinel(&self) -> MutexGuard<'_, Option<Sentinel>> {
        self.sentinel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
