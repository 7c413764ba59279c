//! A process of the check in a worker's process group: what becomes of a worker's children?

use std::future::Future;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{ContractViolation, violation};
use crate::testing::Process;

/// How long a process may take to die of a signal.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Member(Child);

impl Member {
    /// Joins the group of a worker. The error says why that is impossible.
    pub(super) fn join(worker: &Process) -> Result<Self, String> {
        let own = Process::read(std::process::id());
        if own.is_some_and(|own| own.group == worker.group) {
            return Err("the worker has no process group of its own".to_owned());
        }
        let mut command = Command::new("sleep");
        command
            .arg("3600")
            .process_group(worker.group.cast_signed())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) => Err(format!(
                "no process of `sleep` could join the worker's process group: {error}"
            )),
        }
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits until it has died of a signal.
    pub(super) async fn dies(
        &mut self,
        requirement: &'static str,
    ) -> Result<(), ContractViolation> {
        let dies = async {
            while self.is_alive() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let died = timeout(SIGNAL_TIMEOUT, dies).await;
        died.map_err(|_| {
            let found = format!("that another process of the group lived for {SIGNAL_TIMEOUT:?}");
            violation(requirement, found)
        })
    }

    /// Completes a future and reaps the process meanwhile. As a zombie, it would hold up a port
    /// that waits until its group has no member.
    pub(super) async fn reaped_during<T>(&mut self, future: impl Future<Output = T>) -> T {
        let reaping = async {
            loop {
                self.is_alive();
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            value = future => value,
            () = reaping => unreachable!("it goes on for ever"),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Neither does anything if it was reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
