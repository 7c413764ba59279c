//! The steps of the check: each ends a worker in another way.

use std::future::Future;
use std::time::{Duration, Instant};

use ostler::WorkerId;
use tokio::time::sleep;

use super::member::Member;
use super::watch::{DROP, OPEN};
use super::worker::{PID_IS_OWN, RELEASED_ENDS_GROUP, Worker};
use super::{ContractViolation, PortCheck, noisy, violation, within};
use crate::port::{ExitStatus, OpenError, Opener, Port, Start};
use crate::testing::{Process, Resources};

/// How long the traces of a port may take to vanish that it removes in the background.
const LEAK_TIMEOUT: Duration = Duration::from_secs(5);

const OPEN_COMPLETES: &str = "`open` completes";
const OPEN_WORKS: &str = "`open` returns a port";
const TERMINATE_WORKS: &str = "`terminate` makes the worker exit";
const TERMINATE_REACHES: &str = "`terminate` reaches every process of the worker's group";
const KILL_REACHES: &str = "`kill` reaches every process of the worker's group";
const END_OF_INPUT: &str = "a worker exits at the end of its input, while another worker runs";
const DROP_ENDS_GROUP: &str = "a dropped port leaves no process of the worker's group alive";
const LEAVES_NOTHING: &str = "a port leaves no process and no descriptor behind";
const OPEN_LEAVES_NOTHING: &str = "a dropped `open` leaves no process and no descriptor behind";

/// What needs another process in the worker's group.
const GROUP: [&str; 4] = [
    TERMINATE_REACHES,
    KILL_REACHES,
    RELEASED_ENDS_GROUP,
    DROP_ENDS_GROUP,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A worker exits when it is asked to.
    Ask,
    Terminate,
    Kill,
    /// Its port is dropped while it runs.
    Drop,
    /// Its port is dropped when its exit was reported.
    DropAfterExit,
    DropOpen,
    /// One of two workers is ended. The other must not notice, not even by an inherited descriptor.
    Two,
}

/// All steps. The first one opens what the ports of the opener share, and is not checked for leaks.
pub(super) const STEPS: [Step; 7] = [
    Step::Ask,
    Step::Terminate,
    Step::Kill,
    Step::Drop,
    Step::DropAfterExit,
    Step::DropOpen,
    Step::Two,
];

/// A check under way.
pub(super) struct Check<'a, O> {
    opener: &'a O,
    /// The pool never opens two workers with the same id, so each port here has its own generation.
    generation: u64,
    has_proc: bool,
    checked: PortCheck,
}

impl<'a, O: Opener> Check<'a, O> {
    pub(super) fn new(opener: &'a O) -> Self {
        let has_proc = Process::read(std::process::id()).is_some();
        let mut checked = PortCheck::default();
        if !has_proc {
            let reason = "there is no /proc";
            for requirement in [LEAVES_NOTHING, OPEN_LEAVES_NOTHING, PID_IS_OWN] {
                checked.add(requirement, reason);
            }
        }
        Self {
            opener,
            generation: 0,
            has_proc,
            checked,
        }
    }

    pub(super) fn into_checked(self) -> PortCheck {
        self.checked
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<(), ContractViolation> {
        let before = self.has_proc.then(Resources::snapshot);
        match step {
            Step::Ask => self.ask().await?,
            Step::Terminate => self.terminate().await?,
            Step::Kill => self.kill().await?,
            Step::Drop => self.drop_port(false).await?,
            Step::DropAfterExit => self.drop_port(true).await?,
            Step::DropOpen => self.drop_open().await?,
            Step::Two => self.two().await?,
        }
        match (step, before) {
            (Step::Ask, _) | (_, None) => Ok(()),
            (Step::DropOpen, Some(before)) => leaves_nothing(OPEN_LEAVES_NOTHING, &before).await,
            (_, Some(before)) => leaves_nothing(LEAVES_NOTHING, &before).await,
        }
    }

    fn opening(
        &mut self,
    ) -> Result<impl Future<Output = Result<Box<dyn Port>, OpenError>>, ContractViolation> {
        self.generation += 1;
        let worker = WorkerId {
            slot: 0,
            generation: self.generation,
        };
        let opener = self.opener;
        OPEN.call(move || opener.open(Start::new(worker, 0)))
    }

    async fn open(&mut self) -> Result<Worker, ContractViolation> {
        let before = self.has_proc.then(Resources::snapshot);
        let opening = self.opening()?;
        let opened = within(OPEN_COMPLETES, OPEN.polled(opening)).await??;
        let port = opened.map_err(|error| violation(OPEN_WORKS, error))?;
        Worker::start(port, before.as_ref()).await
    }

    /// Opens a worker, and lets another process join its group.
    async fn open_with_member(&mut self) -> Result<Worker, ContractViolation> {
        let mut worker = self.open().await?;
        let joined = match &worker.process {
            Some(process) => Member::join(process),
            None if self.has_proc => Err("the port names no process id".to_owned()),
            None => Err("there is no /proc".to_owned()),
        };
        match joined {
            Ok(member) => worker.member = Some(member),
            Err(reason) => {
                for requirement in GROUP {
                    self.checked.add(requirement, &reason);
                }
            }
        }
        Ok(worker)
    }

    async fn ask(&mut self) -> Result<(), ContractViolation> {
        let mut worker = self.open_with_member().await?;
        worker.check_alive().await?;
        // Dropping the pipe must close the worker's input.
        worker.shut_down().await?;
        let requirement = "a worker exits after a shutdown frame and the end of its input";
        let exit = worker.wait_for_exit(requirement).await?;
        if !matches!(exit.status, ExitStatus::Code(0) | ExitStatus::Unknown) {
            let requirement = "the exit after a shutdown frame is reported as exit code 0";
            return Err(violation(requirement, exit.status));
        }
        worker.release(&mut self.checked).await
    }

    async fn terminate(&mut self) -> Result<(), ContractViolation> {
        let mut worker = self.open_with_member().await?;
        worker.terminate()?;
        worker.wait_for_exit(TERMINATE_WORKS).await?;
        worker.member_dies(TERMINATE_REACHES).await?;
        worker.release(&mut self.checked).await
    }

    async fn kill(&mut self) -> Result<(), ContractViolation> {
        let mut worker = self.open_with_member().await?;
        worker.wait_for_kill().await?;
        worker.member_dies(KILL_REACHES).await?;
        let requirement = "the output of a killed worker ends";
        worker.read_to_end(requirement).await?;
        worker.release(&mut self.checked).await
    }

    async fn drop_port(&mut self, after_exit: bool) -> Result<(), ContractViolation> {
        let mut worker = self.open_with_member().await?;
        if after_exit {
            worker.shut_down().await?;
            let requirement = "a worker exits after a shutdown frame and the end of its input";
            worker.wait_for_exit(requirement).await?;
        }
        worker.drop_port()?;
        if !after_exit {
            let requirement = "a dropped port leaves no process alive";
            worker.read_to_end(requirement).await?;
        }
        worker.member_dies(DROP_ENDS_GROUP).await?;
        let requirement = "a dropped port leaves neither the process nor a zombie";
        worker.is_gone(requirement).await
    }

    /// Drops an `open` future at each of its first waits. The next port must work.
    async fn drop_open(&mut self) -> Result<(), ContractViolation> {
        for polls in 1..=4 {
            let opening = self.opening()?;
            let opened = OPEN.polled_at_most(polls, opening);
            let Some(opened) = within(OPEN_COMPLETES, opened).await?? else {
                continue;
            };
            let port = opened.map_err(|error| violation(OPEN_WORKS, error))?;
            DROP.call(|| drop(port))?;
            break;
        }
        let mut worker = self.open().await?;
        worker.check_alive().await?;
        worker.kill_and_release(&mut self.checked).await
    }

    async fn two(&mut self) -> Result<(), ContractViolation> {
        let mut one = self.open().await?;
        let mut other = self.open().await?;
        let pids = (one.pid()?, other.pid()?);
        if let (Some(pid), Some(same)) = pids
            && pid == same
        {
            return Err(violation(PID_IS_OWN, format!("{pid} of two workers")));
        }
        // If the other one holds this pipe open too, its end never arrives.
        one.drop_pipe();
        one.wait_for_exit(END_OF_INPUT).await?;
        one.release(&mut self.checked).await?;
        other.check_alive().await?;
        other.kill_and_release(&mut self.checked).await
    }
}

/// Waits until this process has no other children and descriptors than before.
async fn leaves_nothing(
    requirement: &'static str,
    before: &Resources,
) -> Result<(), ContractViolation> {
    let since = Instant::now();
    loop {
        let leaks = before.leaks(&[]);
        if leaks.is_empty() {
            return Ok(());
        }
        if since.elapsed() > LEAK_TIMEOUT {
            let found = leaks.to_string();
            let found = found.trim().replace("\n  ", ", ");
            return Err(noisy(requirement, found));
        }
        sleep(Duration::from_millis(5)).await;
    }
}
