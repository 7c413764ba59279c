//! What the workers of one pool have in common.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mark::Mark;
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
    pub(super) fn new(path: PathBuf, sentinel: bool) -> Result<Self, OpenError> {
        let mark = Mark::of_pool();
        let watch = sentinel.then(|| Watch::prepare(mark.clone())).transpose()?;
        Ok(Self {
            path,
            mark,
            sentinel: Mutex::new(watch.map(Sentinel::new)),
        })
    }

    /// Sees to it that there is a sentinel, if there is to be one, before there is anything to watch over.
    pub(super) fn keep_sentinel(&self) -> Result<(), OpenError> {
        self.sentinel().as_mut().map_or(Ok(()), Sentinel::keep)
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
