//! A process that a zygote forked, and what the host asks the zygote to do for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Pid;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use crate::port::{BoxFuture, ExitStatus};
use crate::process::release::Reaper;

/// To the keeper. Unbounded, because each port has at most a few requests in it.
pub(super) type Requests = mpsc::UnboundedSender<Request>;

/// A request to the keeper. The reply is dropped if no zygote runs, or another one than the
/// process's, or if the zygote's code has reaped the process.
#[derive(Debug)]
pub(super) enum Request {
    Fork {
        /// The worker's stdin, stdout and stderr.
        pipes: [OwnedFd; 3],
        /// What the zygote is sent with them.
        line: String,
        reply: oneshot::Sender<io::Result<Forked>>,
    },
    Status {
        child: ForkedId,
        reply: oneshot::Sender<ExitStatus>,
    },
    Reap {
        child: ForkedId,
        reply: oneshot::Sender<()>,
    },
}

/// A child of one zygote. A later zygote may have a child with the same process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ForkedId {
    /// Counts the zygotes of a keeper.
    pub(super) zygote: u64,
    pub(super) pid: Pid,
}

/// A child of the zygote, which reaps it. If it is dropped before that, it is killed and reaped.
#[derive(Debug)]
pub(in crate::process) struct Forked {
    id: ForkedId,
    requests: Requests,
    /// The zygote's answer, once it was told to reap.
    reaping: Option<oneshot::Receiver<()>>,
}

impl Forked {
    pub(super) fn new(id: ForkedId, requests: Requests) -> Self {
        Self {
            id,
            requests,
            reaping: None,
        }
    }

    fn request_reap(&self) -> oneshot::Receiver<()> {
        let (reply, reaped) = oneshot::channel();
        // An error means that the keeper is gone, and the zygote with it: init reaps the process.
        let _ = self.requests.send(Request::Reap {
            child: self.id,
            reply,
        });
        reaped
    }
}

impl Reaper for Forked {
    fn pid(&self) -> Pid {
        self.id.pid
    }

    fn status(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            let (reply, status) = oneshot::channel();
            let _ = self.requests.send(Request::Status {
                child: self.id,
                reply,
            });
            status.await.unwrap_or(ExitStatus::Unknown)
        })
    }

    fn reap(&mut self) -> bool {
        if self.reaping.is_none() {
            self.reaping = Some(self.request_reap());
        }
        // A dropped reply means that its zygote is gone: init reaps it.
        (self.reaping.as_mut())
            .is_none_or(|reaped| !matches!(reaped.try_recv(), Err(TryRecvError::Empty)))
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if self.reaping.is_none() {
            self.request_reap();
        }
    }
}
