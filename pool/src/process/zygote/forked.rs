//! A process that a zygote forked, and what the host asks the zygote to do for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Pid;
use tokio::sync::{mpsc, oneshot};

use crate::port::{BoxFuture, ExitStatus};
use crate::process::leader::Reaper;
use crate::process::tree::EnvTag;

/// To the keeper. Unbounded, because each port has at most a few requests in it.
pub(super) type Requests = mpsc::UnboundedSender<Request>;

/// A request to the keeper. The reply is dropped if no zygote runs, or another one than the
/// process's.
#[derive(Debug)]
pub(super) enum Request {
    Fork {
        /// The worker's stdin, stdout and stderr.
        pipes: [OwnedFd; 3],
        tag: EnvTag,
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

/// A child of the zygote, which reaps it. If it is dropped before that, it is killed and reaped.
#[derive(Debug)]
pub(in crate::process) struct Forked {
    pid: Pid,
    requests: Requests,
    reaped: bool,
}

impl Forked {
    pub(super) fn new(pid: Pid, requests: Requests) -> Self {
        Self {
            pid,
            requests,
            reaped: false,
        }
    }
}

impl Reaper for Forked {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn status(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            let (reply, status) = oneshot::channel();
            let pid = self.pid;
            let _ = self.requests.send(Request::Status { pid, reply });
            status.await.unwrap_or(ExitStatus::Unknown)
        })
    }

    fn kill_and_reap(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let (reply, reaped) = oneshot::channel();
            let pid = self.pid;
            let _ = self.requests.send(Request::Reap { pid, reply });
            let by_zygote = reaped.await.is_ok();
            self.reaped = true;
            by_zygote
        })
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            let (reply, pid) = (oneshot::channel().0, self.pid);
            // An error means that the keeper is gone, and the zygote with it: init reaps the
            // process.
            let _ = self.requests.send(Request::Reap { pid, reply });
        }
    }
}
