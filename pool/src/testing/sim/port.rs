//! The port of a simulated worker.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::io::DuplexStream;
use tokio::sync::watch;

use super::{Script, SimStats, lock};
use crate::port::{BoxFuture, Exit, ExitStatus, Pipe, Port, Release, SurvivalReason, Survivor};

/// The process id that the simulated survivor of an abandoned port has.
const SURVIVOR: u32 = 4711;

/// Where a worker's exit is reported, by whatever ends it first.
pub(super) type ExitSender = Arc<watch::Sender<Option<Exit>>>;

pub(super) struct SimPort {
    pub(super) host: Option<DuplexStream>,
    pub(super) script: Script,
    pub(super) exit_sender: ExitSender,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    pub(super) killed: bool,
    pub(super) stats: Arc<Mutex<SimStats>>,
    pub(super) let_go: watch::Receiver<bool>,
}

impl fmt::Debug for SimPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPort")
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

impl Port for SimPort {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn memory(&self) -> Option<u64> {
        let size = if self.script == Script::LargeMemory {
            1 << 30
        } else {
            1 << 20
        };
        self.exit.borrow().is_none().then_some(size)
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("the pipe is taken once"));
        Pipe::new(reader, writer)
    }

    fn terminate(&mut self) {
        lock(&self.stats).terminated += 1;
        if !self.script.ignores_stop() {
            exit(&self.exit_sender, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        lock(&self.stats).killed += 1;
        self.killed = true;
        if self.script != Script::Unkillable {
            exit(&self.exit_sender, ExitStatus::Signal(9));
        }
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if self.killed && self.script == Script::Unkillable {
                // The simulation holds the sender. If it is gone, nothing can let go any more.
                let _ = self.let_go.wait_for(|let_go| *let_go).await;
                exit(&self.exit_sender, ExitStatus::Signal(9));
            }
            let exit = self.exit.wait_for(Option::is_some).await;
            let exit = exit.expect("the port holds the sender").clone();
            exit.expect("the exit is set")
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async {
            if self.script == Script::NeverReleased
                && self.let_go.wait_for(|let_go| *let_go).await.is_err()
            {
                // Nothing can let go any more.
                std::future::pending::<()>().await;
            }
            Release::default()
        })
    }

    fn survivors(&self) -> Vec<Survivor> {
        let is_stuck = matches!(self.script, Script::NeverReleased | Script::Unkillable);
        let survivor = Survivor::new(SURVIVOR, SurvivalReason::Uninterruptible);
        Vec::from_iter((is_stuck && !*self.let_go.borrow()).then_some(survivor))
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.exit_sender, ExitStatus::Signal(9));
        lock(&self.stats).open -= 1;
    }
}

/// Reports an exit without a last word on stderr.
pub(super) fn exit(sender: &ExitSender, status: ExitStatus) {
    report(sender, Exit::new(status, ""));
}

/// Reports an exit. Only the first one counts: a worker that has exited cannot be killed any more.
pub(super) fn report(sender: &ExitSender, exit: Exit) {
    sender.send_if_modified(|first| {
        let is_first = first.is_none();
        first.get_or_insert(exit);
        is_first
    });
}
