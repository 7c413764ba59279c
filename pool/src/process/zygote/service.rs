//! What a zygote that is ready does for the host: it forks workers, and tells how they end.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::control::Control;
use super::forked::{Forked, ForkedId, Request};
use crate::port::ExitStatus;

/// How long a killed process has to end before its reap is requested again.
const REAP_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Service {
    control: Control,
    /// Which zygote of its keeper it is.
    number: u64,
    /// The children that it has not reaped.
    forked: HashSet<ForkedId>,
    /// To the keeper. Does not keep it from ending.
    requests: mpsc::WeakUnboundedSender<Request>,
}

impl Service {
    pub(super) fn new(
        control: Control,
        number: u64,
        requests: mpsc::WeakUnboundedSender<Request>,
    ) -> Self {
        Self {
            control,
            number,
            forked: HashSet::new(),
            requests,
        }
    }

    /// An error means that the zygote does not answer.
    pub(super) async fn perform(&mut self, request: Request) -> io::Result<()> {
        match request {
            // The launch was cancelled.
            Request::Fork { reply, .. } if reply.is_closed() => {}
            Request::Fork { pipes, line, reply } => {
                let answer = self.control.ask(&line, &pipes).await?;
                let Some(pid) = number(&answer, "forked").and_then(Pid::from_raw) else {
                    // An error means that the launch was cancelled meanwhile.
                    let _ = reply.send(Err(io::Error::other(answer)));
                    return Ok(());
                };
                let Some(requests) = self.requests.upgrade() else {
                    return self.reap(pid).await.map(drop);
                };
                let child = ForkedId {
                    zygote: self.number,
                    pid,
                };
                self.forked.insert(child);
                let worker = Forked::new(child, requests);
                if reply.is_closed() {
                    // The launch was cancelled meanwhile, and its slot may be free: the process
                    // ends before another one is forked. If that takes longer, the drop of
                    // `worker` has its reap requested again.
                    if self.reap(pid).await? {
                        self.forked.remove(&child);
                    }
                    return Ok(());
                }
                // An error drops the process, which then requests its reap.
                let _ = reply.send(Ok(worker));
            }
            Request::Status { child, reply } if self.forked.contains(&child) => {
                let answer = (self.control)
                    .ask(&format!("status {}", child.pid), &[])
                    .await?;
                let code = number(&answer, "code").map(ExitStatus::Code);
                let status = code.or(number(&answer, "signal").map(ExitStatus::Signal));
                let _ = reply.send(status.unwrap_or(ExitStatus::Unknown));
            }
            Request::Reap { child, reply } if self.forked.contains(&child) => {
                if self.reap(child.pid).await? {
                    self.forked.remove(&child);
                    let _ = reply.send(());
                } else {
                    self.ask_again(Request::Reap { child, reply });
                }
            }
            // About a child of an earlier zygote. The dropped reply tells the sender.
            Request::Status { .. } | Request::Reap { .. } => {}
        }
        Ok(())
    }

    /// Has a child killed and reaped. False if it has not ended yet. True also if the zygote's code
    /// has reaped it.
    async fn reap(&mut self, child: Pid) -> io::Result<bool> {
        let answer = self.control.ask(&format!("reap {child}"), &[]).await?;
        Ok(answer != "alive")
    }

    /// Requests the reap of a process again, after a pause.
    fn ask_again(&self, reap: Request) {
        let requests = self.requests.clone();
        tokio::spawn(async move {
            sleep(REAP_PAUSE).await;
            if let Some(requests) = requests.upgrade() {
                let _ = requests.send(reap);
            }
        });
    }
}

fn number(answer: &str, word: &str) -> Option<i32> {
    answer.strip_prefix(word)?.trim_start().parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    /// The second zygote of a keeper, played by the test, and its one child.
    struct Played {
        service: Service,
        zygote: UnixStream,
        inbox: mpsc::UnboundedReceiver<Request>,
        /// `None` once everything that could send a request is gone.
        requests: Option<mpsc::UnboundedSender<Request>>,
    }

    const CHILD: ForkedId = ForkedId {
        zygote: 1,
        pid: Pid::INIT,
    };

    impl Played {
        fn new() -> Self {
            let (control, zygote) = Control::new().unwrap();
            let zygote = UnixStream::from(zygote);
            zygote.set_nonblocking(true).unwrap();
            let (requests, inbox) = mpsc::unbounded_channel();
            let service = Service::new(control, CHILD.zygote, requests.downgrade());
            Self {
                service,
                zygote,
                inbox,
                requests: Some(requests),
            }
        }

        /// Has these lines as its next answers.
        fn answers(&mut self, lines: &str) {
            self.zygote.write_all(lines.as_bytes()).unwrap();
        }

        /// What it has been asked since the last time.
        fn heard(&mut self) -> String {
            let mut heard = Vec::new();
            // Ends with the error that there is no more.
            let _ = self.zygote.read_to_end(&mut heard);
            String::from_utf8(heard).unwrap()
        }

        /// Has a worker forked whose launch is cancelled meanwhile.
        async fn fork_in_vain(&mut self, answers: &str) -> String {
            let pipe = || OwnedFd::from(io::pipe().unwrap().0);
            let (reply, forked) = oneshot::channel();
            let fork = Request::Fork {
                pipes: [pipe(), pipe(), pipe()],
                line: "fork tag".to_owned(),
                reply,
            };
            let mut performed = Box::pin(self.service.perform(fork));
            assert!(performed.as_mut().now_or_never().is_none());
            drop(forked);
            self.zygote.write_all(answers.as_bytes()).unwrap();
            performed.await.unwrap();
            self.heard()
        }
    }

    fn reap(child: ForkedId) -> (Request, oneshot::Receiver<()>) {
        let (reply, reaped) = oneshot::channel();
        (Request::Reap { child, reply }, reaped)
    }

    /// R27: a zygote is not asked about a child of an earlier one, whose id may be that of its own.
    #[tokio::test]
    async fn a_zygote_is_asked_about_its_own_children_only() {
        let mut it = Played::new();
        it.service.forked.insert(CHILD);
        let earlier = ForkedId { zygote: 0, ..CHILD };
        let (reply, status) = oneshot::channel();
        let child = earlier;
        (it.service.perform(Request::Status { child, reply }).await).unwrap();
        let (request, reaped) = reap(earlier);
        it.service.perform(request).await.unwrap();
        assert_eq!(it.heard(), "");
        assert!(status.await.is_err() && reaped.await.is_err());
        assert!(it.service.forked.contains(&CHILD));
    }

    /// P5: the reap of a killed child is requested until the child has ended.
    #[tokio::test]
    async fn a_child_is_reaped_once_it_has_ended() {
        let mut it = Played::new();
        it.service.forked.insert(CHILD);
        let (request, mut reaped) = reap(CHILD);
        it.answers("alive\n");
        it.service.perform(request).await.unwrap();
        assert!(reaped.try_recv().is_err() && it.service.forked.contains(&CHILD));
        let again = it.inbox.recv().await.unwrap();
        it.answers("reaped\n");
        it.service.perform(again).await.unwrap();
        assert_eq!(reaped.await, Ok(()));
        assert_eq!(it.heard(), "reap 1\nreap 1\n");
        assert!(it.service.forked.is_empty());
    }

    /// R27: a worker whose launch was cancelled is reaped: at once if it has ended, and otherwise
    /// later.
    #[tokio::test]
    async fn a_worker_that_is_forked_in_vain_is_reaped() {
        for (answer, is_left) in [("reaped", false), ("alive", true)] {
            let mut it = Played::new();
            let heard = it.fork_in_vain(&format!("forked 1\n{answer}\n")).await;
            assert_eq!(heard, "fork tag\nreap 1\n");
            assert_eq!(it.service.forked.contains(&CHILD), is_left);
            let again = it.inbox.recv().await.unwrap();
            it.answers("reaped\n");
            it.service.perform(again).await.unwrap();
            assert_eq!(it.heard(), if is_left { "reap 1\n" } else { "" });
        }
        // Also if nothing could request it later.
        let mut it = Played::new();
        drop(it.requests.take());
        let heard = it.fork_in_vain("forked 1\nreaped\n").await;
        assert_eq!(heard, "fork tag\nreap 1\n");
    }
}
