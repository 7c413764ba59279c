//! What the workers of one pool share.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::release::Releaser;
use super::sentinel::{Sentinel, Watch};
use super::system;
use super::tree::{Cgroup, EnvTag};
use crate::port::{OpenError, Release, StderrSink};

/// How long the end of a pool waits for processes that it has killed.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// One pool's program, tag, control groups and sentinel. Each of the pool's processes holds it, so
/// the sentinel ends after the last of them.
#[derive(Debug)]
pub(super) struct Scope {
    /// The program, as it was found.
    pub(super) path: PathBuf,
    pub(super) tag: EnvTag,
    pub(super) releaser: Releaser,
    /// Where the lines of their stderr go.
    pub(super) stderr: StderrSink,
    /// The directory in which each worker gets a control group.
    cgroups: Option<PathBuf>,
    /// `None` if the pool has none, and after `close`.
    sentinel: Mutex<Option<Sentinel>>,
    /// The number of open ports.
    members: AtomicUsize,
}

/// Counts a port as open in its pool's scope.
#[derive(Debug)]
pub(super) struct Member(Arc<Scope>);

impl Member {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        scope.members.fetch_add(1, Ordering::Relaxed);
        Self(scope)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.members.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scope {
    pub(super) fn new(
        path: PathBuf,
        cgroups: Option<PathBuf>,
        sentinel: bool,
        subreaper: bool,
        stderr: StderrSink,
    ) -> Result<Self, OpenError> {
        let tag = EnvTag::of_pool();
        if let Some(parent) = &cgroups {
            let probe = format!("{}-probe", tag.file_name());
            Cgroup::check(parent, &probe).map_err(|error| OpenError::Cgroup {
                directory: parent.display().to_string(),
                source: Arc::new(error),
            })?;
        }
        if subreaper {
            system::become_subreaper().map_err(|error| OpenError::Subreaper {
                source: Arc::new(error),
            })?;
        }
        let releaser =
            Releaser::start(tag.clone(), subreaper).map_err(|error| OpenError::Thread {
                source: Arc::new(error),
            })?;
        let watch = sentinel.then(|| Watch::prepare(tag.clone(), cgroups.as_deref()));
        let watch = watch.transpose()?;
        Ok(Self {
            path,
            tag,
            releaser,
            stderr,
            cgroups,
            sentinel: Mutex::new(watch.map(Sentinel::new)),
            members: AtomicUsize::new(0),
        })
    }

    /// The error for a process of the program that the operating system refused to start.
    pub(super) fn refused(&self, error: io::Error) -> OpenError {
        OpenError::spawn(self.path.display().to_string(), error)
    }

    /// Creates the control group of the process that is to carry `tag`, if the pool uses them.
    pub(super) fn create_cgroup(&self, tag: &EnvTag) -> Result<Option<Cgroup>, OpenError> {
        let parent = self.cgroups.as_ref();
        let cgroup = parent.map(|parent| Cgroup::create(parent, &tag.file_name()));
        cgroup.transpose().map_err(|error| self.refused(error))
    }

    /// Starts the sentinel, if the pool has one and it is not running. Call this before each spawn.
    pub(super) fn keep_sentinel(&self) -> Result<(), OpenError> {
        self.sentinel().as_mut().map_or(Ok(()), Sentinel::keep)
    }

    /// Kills every process that carries the pool's tag.
    pub(super) async fn sweep(&self) {
        let mut sweep = self.releaser.sweep(self.tag.clone());
        match timeout(SWEEP_TIMEOUT, sweep.released()).await {
            Ok(Release { escaped: 0, .. }) => {}
            Ok(Release { escaped, .. }) => tracing::warn!(
                target: "ostler::pool", escaped,
                "killed processes that workers had left behind"
            ),
            Err(_) => tracing::error!(
                target: "ostler::pool", survivors = ?sweep.survivors(),
                "processes that workers have left behind survive SIGKILL"
            ),
        }
    }

    /// Ends the sentinel and the searches, unless ports are open that were abandoned: they then end
    /// with the last of those.
    pub(super) async fn close(&self) {
        if self.members.load(Ordering::Relaxed) > 0 {
            return;
        }
        let sentinel = self.sentinel().take();
        if let Some(sentinel) = sentinel {
            sentinel.dismiss().await;
        }
        self.releaser.close().await;
    }

    fn sentinel(&self) -> MutexGuard<'_, Option<Sentinel>> {
        self.sentinel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
