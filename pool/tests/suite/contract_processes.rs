//! Does `check_port` detect a port that does something wrong with processes?
//!
//! The port here is what a user would write: a child, its pipes, and signals to its process group.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ostler_pool::port::{BoxFuture, Opener, Pipe, Port, Release, Start};
use ostler_pool::testing::{Process, check_port};
use ostler_pool::{Exit, ExitStatus, OpenError};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::net::unix::pipe;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::contract::requirements;
use crate::resources::isolated;
use crate::rig::interpreter;

/// A way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    ReleasesTheLeader,
    TerminatesTheLeader,
    KillsTheLeader,
    DropsTheLeader,
    LeavesAZombie,
    ConfirmsWithoutACgroup,
    HasNoPid,
    HasThePidOfAnother,
    LeavesAProcessOfOpen,
    SharesTheInput,
}

/// Opens ports with this flaw. The number is the pid of the last one.
#[derive(Debug)]
struct Processes(Flaw, Arc<AtomicU32>);

impl Opener for Processes {
    fn open(&self, _: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async {
            let mut child = Command::new(interpreter())
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()
                .map_err(|error| OpenError::spawn("python3", error))?;
            let stdin: OwnedFd = child.stdin.take().unwrap().into();
            let stdout = child.stdout.take().unwrap().into();
            if self.0 == Flaw::SharesTheInput {
                fcntl_setfd(&stdin, FdFlags::empty()).unwrap();
            }
            if self.0 == Flaw::LeavesAProcessOfOpen {
                tokio::task::yield_now().await;
            }
            self.1.store(child.id(), Ordering::Relaxed);
            let reader = pipe::Receiver::from_owned_fd(stdout).unwrap();
            let writer = pipe::Sender::from_owned_fd(stdin).unwrap();
            Ok(Box::new(ProcessPort {
                child,
                pipe: Some(Pipe::new(reader, writer)),
                exit: None,
                flaw: self.0,
                last: Arc::clone(&self.1),
            }) as Box<dyn Port>)
        })
    }
}

#[derive(Debug)]
struct ProcessPort {
    child: Child,
    pipe: Option<Pipe>,
    exit: Option<Exit>,
    flaw: Flaw,
    last: Arc<AtomicU32>,
}

impl ProcessPort {
    fn leader(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal, only_the_leader: Flaw) {
        if self.exit.is_some() {
            return;
        }
        let _ = match self.flaw == only_the_leader {
            true => kill_process(self.leader(), signal),
            false => kill_process_group(self.leader(), signal),
        };
    }
}

impl Port for ProcessPort {
    fn pid(&self) -> Option<u32> {
        match self.flaw {
            Flaw::HasNoPid => None,
            Flaw::HasThePidOfAnother => Some(self.last.load(Ordering::Relaxed)),
            _ => Some(self.child.id()),
        }
    }

    fn take_pipe(&mut self) -> Pipe {
        self.pipe.take().unwrap()
    }

    fn terminate(&mut self) {
        self.signal(Signal::TERM, Flaw::TerminatesTheLeader);
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL, Flaw::KillsTheLeader);
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if self.flaw == Flaw::LeavesAZombie {
                let id = self.child.id();
                let runs = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
                while !runs().contains(") Z ") {
                    sleep(Duration::from_millis(1)).await;
                }
                return Exit::new(ExitStatus::Unknown, "");
            }
            while self.exit.is_none() {
                use std::os::unix::process::ExitStatusExt as _;
                self.exit = self.child.try_wait().unwrap().map(|status| {
                    let code = status.code().map(ExitStatus::Code);
                    let signal = || ExitStatus::Signal(status.signal().unwrap());
                    Exit::new(code.unwrap_or_else(signal), "")
                });
                sleep(Duration::from_millis(1)).await;
            }
            self.exit.clone().unwrap()
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        let (leader, flaw) = (self.leader(), self.flaw);
        Box::pin(async move {
            // A zombie is a member, but not alive.
            let lives = || match flaw {
                Flaw::LeavesAZombie => {
                    let group = leader.as_raw_pid().cast_unsigned();
                    let is_left = |other: &Process| other.group == group && other.is_alive();
                    Process::all().iter().any(is_left)
                }
                Flaw::ReleasesTheLeader => false,
                _ => test_kill_process_group(leader) != Err(Errno::SRCH),
            };
            while lives() {
                let _ = kill_process_group(leader, Signal::KILL);
                sleep(Duration::from_millis(1)).await;
            }
            let confirmed = (flaw == Flaw::ConfirmsWithoutACgroup).then_some(true);
            Release::new(0, confirmed)
        })
    }
}

impl Drop for ProcessPort {
    fn drop(&mut self) {
        let _ = match self.flaw {
            Flaw::DropsTheLeader => kill_process(self.leader(), Signal::KILL),
            _ => kill_process_group(self.leader(), Signal::KILL),
        };
        self.child.wait().unwrap();
    }
}

/// Checks a port with this flaw. Returns the violated requirement, or what was not checked.
fn check(flaw: Flaw) -> Result<Vec<&'static str>, String> {
    let opener = Processes(flaw, Arc::default());
    let checked = Runtime::new().unwrap().block_on(check_port(opener));
    checked
        .map(requirements)
        .map_err(|violation| violation.requirement.to_owned())
}

/// `check_port` rejects a port that leaves the group alive after the release, confirms a release
/// without a control group, names no process or another worker's, leaves a zombie, or lets workers
/// inherit each other's pipes. It checks everything of a port that keeps the contract.
#[test]
fn a_port_of_processes_is_checked() {
    if !isolated("contract_processes::a_port_of_processes_is_checked") {
        return;
    }
    assert_eq!(check(Flaw::None), Ok(Vec::new()));
    let violated = [
        (
            Flaw::ReleasesTheLeader,
            "`released` leaves no process of the worker's group alive",
        ),
        (
            Flaw::LeavesAZombie,
            "`released` leaves neither the process nor a zombie",
        ),
        (
            Flaw::ConfirmsWithoutACgroup,
            "`Release::confirmed` is not `None` only if the worker has a control group of its own",
        ),
        (
            Flaw::HasNoPid,
            "`pid` is `None` only if the worker is no process of this machine",
        ),
        (
            Flaw::HasThePidOfAnother,
            "`pid` is the id of a live process, and of no other worker and not the host's",
        ),
        (
            Flaw::SharesTheInput,
            "a worker exits at the end of its input, while another worker runs",
        ),
    ];
    for (flaw, requirement) in violated {
        assert_eq!(check(flaw), Err(requirement.to_owned()), "{flaw:?}");
    }
}

/// A `terminate` that signals only the group leader is detected.
#[test]
fn terminate_must_reach_the_group() {
    if !isolated("contract_processes::terminate_must_reach_the_group") {
        return;
    }
    let requirement = "`terminate` reaches every process of the worker's group";
    assert_eq!(
        check(Flaw::TerminatesTheLeader),
        Err(requirement.to_owned())
    );
}

/// A `kill` that signals only the group leader is detected.
#[test]
fn kill_must_reach_the_group() {
    if !isolated("contract_processes::kill_must_reach_the_group") {
        return;
    }
    let requirement = "`kill` reaches every process of the worker's group";
    assert_eq!(check(Flaw::KillsTheLeader), Err(requirement.to_owned()));
}

/// A drop that kills only the group leader is detected.
#[test]
fn a_drop_must_end_the_group() {
    if !isolated("contract_processes::a_drop_must_end_the_group") {
        return;
    }
    let requirement = "a dropped port leaves no process of the worker's group alive";
    assert_eq!(check(Flaw::DropsTheLeader), Err(requirement.to_owned()));
}

/// An `open` that leaves its process behind when it is dropped is detected.
#[test]
fn a_dropped_open_must_leave_nothing() {
    if !isolated("contract_processes::a_dropped_open_must_leave_nothing") {
        return;
    }
    let requirement = "a dropped `open` leaves no process and no descriptor behind";
    assert_eq!(
        check(Flaw::LeavesAProcessOfOpen),
        Err(requirement.to_owned())
    );
}
