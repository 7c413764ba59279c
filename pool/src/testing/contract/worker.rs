//! A worker whose port is checked, and what is checked at each call of a method.

use std::fs;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::member::Member;
use super::watch::{
    DROP, EXITED, KILL, MEMORY, PID, READER, RELEASED, SURVIVORS, TAKE_PIPE, TERMINATE, WRITER,
};
use super::{ContractViolation, PortCheck, expect, noisy, violation, within};
use crate::port::{Exit, ExitStatus, Pipe, Port, Release};
use crate::testing::{Process, Resources};
use crate::transport::frame::{self, kind};

pub(super) const PID_IS_OWN: &str =
    "`pid` is the id of a live process, and of no other worker and not the host's";
const PID_IS_THERE: &str = "`pid` is `None` only if the worker is no process of this machine";
const CONFIRMED: &str = "`Release::confirmed` is not `None` only if the worker has a control group \
                         of its own";
pub(super) const RELEASED_ENDS_GROUP: &str =
    "`released` leaves no process of the worker's group alive";

/// A worker that has completed its handshake.
pub(super) struct Worker {
    /// `None` once it was dropped.
    port: Option<Box<dyn Port>>,
    pipe: Pipe,
    /// The worker's process, as it was after the start.
    pub(super) process: Option<Process>,
    /// A process in its group.
    pub(super) member: Option<Member>,
    /// Whether the worker has a control group that the host is not in. `None`: not known.
    has_cgroup: Option<bool>,
}

impl Worker {
    /// Does the handshake, and checks the process id. `before` was taken before `open`.
    pub(super) async fn start(
        mut port: Box<dyn Port>,
        before: Option<&Resources>,
    ) -> Result<Self, ContractViolation> {
        let pipe = TAKE_PIPE.call(|| port.take_pipe())?;
        let mut worker = Self {
            port: Some(port),
            pipe,
            process: None,
            member: None,
            has_cgroup: None,
        };
        let mut hello = mem::take(&mut worker.pipe.preamble);
        let body = [frame::VERSION, 1 << 16, 0].map(u32::to_be_bytes).concat();
        frame::encode(kind::HELLO, 0, &body, &mut hello);
        worker.write(&hello).await?;
        let ready = worker.read_frame().await?;
        expect(
            "the pipe carries the handshake to the worker and its answer back",
            ready,
            (kind::READY, frame::VERSION.to_be_bytes().to_vec()),
        )?;
        let pid = worker.pid()?;
        if let Some(before) = before {
            worker.identify(pid, before)?;
        }
        Ok(worker)
    }

    fn identify(&mut self, pid: Option<u32>, before: &Resources) -> Result<(), ContractViolation> {
        let Some(pid) = pid else {
            return match before.leaks(&[]).children.first() {
                Some(child) => Err(noisy(PID_IS_THERE, format!("`None`, and the {child}"))),
                None => Ok(()),
            };
        };
        let process = Process::read(pid).filter(Process::is_alive);
        let Some(process) = process.filter(|_| pid != std::process::id()) else {
            return Err(violation(PID_IS_OWN, pid));
        };
        self.process = Some(process);
        let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
        let (own, host) = (cgroup(&pid.to_string()), cgroup("self"));
        self.has_cgroup = own.zip(host).map(|(own, host)| own != host);
        Ok(())
    }

    fn port(&mut self) -> &mut Box<dyn Port> {
        self.port.as_mut().expect("the port is dropped last")
    }

    pub(super) fn pid(&mut self) -> Result<Option<u32>, ContractViolation> {
        PID.call(|| self.port().pid())
    }

    pub(super) fn terminate(&mut self) -> Result<(), ContractViolation> {
        TERMINATE.call(|| self.port().terminate())
    }

    pub(super) fn kill(&mut self) -> Result<(), ContractViolation> {
        KILL.call(|| self.port().kill())
    }

    pub(super) fn drop_port(&mut self) -> Result<(), ContractViolation> {
        let port = self.port.take();
        DROP.call(|| drop(port))
    }

    /// Lets the worker read the end of its input.
    pub(super) fn drop_pipe(&mut self) {
        self.pipe = Pipe::new(tokio::io::empty(), tokio::io::sink());
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ContractViolation> {
        let requirement = "the pipe accepts what the host writes";
        let written = WRITER.polled(self.pipe.writer.write_all(bytes));
        let written = within(requirement, written).await??;
        written.map_err(|error| violation(requirement, error))
    }

    /// The kind and the body of the next frame.
    async fn read_frame(&mut self) -> Result<(u8, Vec<u8>), ContractViolation> {
        let requirement = "the pipe delivers what the worker writes";
        let reader = &mut self.pipe.reader;
        let read = async {
            let length = reader.read_u32().await?;
            let mut frame = vec![0; length as usize];
            reader.read_exact(&mut frame).await?;
            Ok::<_, std::io::Error>(frame)
        };
        let frame = within(requirement, READER.polled(read))
            .await??
            .map_err(|error| violation(requirement, error))?;
        match frame.split_at_checked(5) {
            Some((head, body)) => Ok((head[0], body.to_vec())),
            None => Err(violation(requirement, format!("the frame {frame:?}"))),
        }
    }

    /// Reads until the end of the output or an error: either shows that no process holds it open.
    pub(super) async fn read_to_end(
        &mut self,
        requirement: &'static str,
    ) -> Result<(), ContractViolation> {
        let mut rest = Vec::new();
        let end = READER.polled(self.pipe.reader.read_to_end(&mut rest));
        within(requirement, end).await?.map(drop)
    }

    /// Checks that the worker answers pings and that `exited` is pending, twice, so that the second
    /// round runs after an `exited` future was dropped.
    pub(super) async fn check_alive(&mut self) -> Result<(), ContractViolation> {
        for _ in 0..2 {
            let exited = EXITED.call(|| self.port().exited())?;
            expect(
                "`exited` is pending while the worker runs, and is cancel safe",
                EXITED.polled_at_most(1, exited).await?,
                None,
            )?;
            MEMORY.call(|| self.port().memory())?;
            let mut ping = Vec::new();
            frame::encode(kind::PING, 1, b"", &mut ping);
            self.write(&ping).await?;
            let answer = self.read_frame().await?;
            expect(
                "a worker that was not stopped answers a ping",
                answer,
                (kind::PONG, Vec::new()),
            )?;
        }
        Ok(())
    }

    pub(super) async fn exited(
        &mut self,
        requirement: &'static str,
    ) -> Result<Exit, ContractViolation> {
        let exited = EXITED.call(|| self.port().exited())?;
        within(requirement, EXITED.polled(exited)).await?
    }

    pub(super) async fn wait_for_exit(
        &mut self,
        requirement: &'static str,
    ) -> Result<Exit, ContractViolation> {
        let exit = self.exited(requirement).await?;
        let again = self.exited("`exited` can be called again").await?;
        expect("`exited` returns the same exit each time", &again, &exit)?;
        let memory = MEMORY.call(|| self.port().memory())?;
        expect("`memory` is `None` after the exit", memory, None)?;
        Ok(exit)
    }

    /// Kills the worker and waits for its exit, which must not look like a clean exit.
    pub(super) async fn wait_for_kill(&mut self) -> Result<(), ContractViolation> {
        self.kill()?;
        let exit = self.wait_for_exit("`kill` makes the worker exit").await?;
        if exit.status == ExitStatus::Code(0) {
            let requirement = "`exited` does not report a killed worker as exit code 0";
            return Err(violation(requirement, exit.status));
        }
        // Both must do nothing now: after the release, the kernel may give the id to another
        // process.
        self.terminate()?;
        self.kill()
    }

    pub(super) async fn kill_and_release(
        mut self,
        checked: &mut PortCheck,
    ) -> Result<(), ContractViolation> {
        self.wait_for_kill().await?;
        self.release(checked).await
    }

    pub(super) async fn release(
        mut self,
        checked: &mut PortCheck,
    ) -> Result<(), ContractViolation> {
        let mut member = self.member.take();
        let release = self.released();
        let release = match &mut member {
            Some(member) => member.reaped_during(release).await?,
            None => release.await?,
        };
        self.check_release(release, checked)?;
        let survivors = SURVIVORS.call(|| self.port().survivors())?;
        let requirement = "`survivors` is empty after the release";
        expect(requirement, survivors, Vec::new())?;
        if let Some(process) = &self.process {
            let group = process.group;
            let is_left = |other: &Process| other.group == group && other.is_alive();
            // The group is not the worker's if the host is in it.
            if member.is_some()
                && let Some(left) = Process::all().into_iter().find(is_left)
            {
                return Err(violation(RELEASED_ENDS_GROUP, format!("the {left}")));
            }
            let same = |other: &Process| other.start_time == process.start_time;
            expect(
                "`released` leaves neither the process nor a zombie",
                Process::read(process.pid)
                    .filter(same)
                    .map(|left| left.to_string()),
                None,
            )?;
        }
        self.drop_port()
    }

    async fn released(&mut self) -> Result<Release, ContractViolation> {
        let releasing = RELEASED.call(|| self.port().released())?;
        if let Some(release) = RELEASED.polled_at_most(1, releasing).await? {
            return Ok(release);
        }
        let releasing = RELEASED.call(|| self.port().released())?;
        let requirement = "`released` is cancel safe and completes";
        within(requirement, RELEASED.polled(releasing)).await?
    }

    /// Nothing leaves the group of a worker of the check.
    fn check_release(
        &self,
        release: Release,
        checked: &mut PortCheck,
    ) -> Result<(), ContractViolation> {
        let requirement = "`Release::escaped` counts only processes that left the worker's group";
        expect(requirement, release.escaped, 0)?;
        if release.confirmed.is_some() {
            match self.has_cgroup {
                Some(true) => {}
                Some(false) => return Err(violation(CONFIRMED, format!("{release:?}"))),
                None => checked.add(CONFIRMED, "the worker's control group is not known"),
            }
        }
        Ok(())
    }

    /// Waits until the process is gone that a dropped port has left to the background.
    pub(super) async fn is_gone(&self, requirement: &'static str) -> Result<(), ContractViolation> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let same = |other: &Process| other.start_time == process.start_time;
        let gone = async {
            while Process::read(process.pid).is_some_and(|other| same(&other)) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        within(requirement, gone).await
    }

    /// Waits until the other process of the group has died, if there is one.
    pub(super) async fn member_dies(
        &mut self,
        requirement: &'static str,
    ) -> Result<(), ContractViolation> {
        match &mut self.member {
            Some(member) => member.dies(requirement).await,
            None => Ok(()),
        }
    }

    /// Asks the worker to exit, as the pool does first.
    pub(super) async fn shut_down(&mut self) -> Result<(), ContractViolation> {
        let mut shutdown = Vec::new();
        frame::encode(kind::SHUTDOWN, 0, b"", &mut shutdown);
        self.write(&shutdown).await?;
        self.drop_pipe();
        Ok(())
    }
}

impl Drop for Worker {
    /// After another violation. A panic of the drop must not replace it.
    fn drop(&mut self) {
        let port = self.port.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(port)));
    }
}
