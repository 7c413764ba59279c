//! Does `check_port` accept the ports of this crate, and detect a port that breaks the contract?
//!
//! Each test runs in a process of its own, because `check_port` counts children and descriptors.
//! Flaws that concern processes are in `contract_processes.rs`.

use std::fs::File;
use std::future::ready;
use std::mem;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ostler_pool::port::{BoxFuture, Opener, Pipe, Port, Release, Start, SurvivalReason, Survivor};
use ostler_pool::testing::{ContractViolation, PortCheck, Script, Sim, check_port};
use ostler_pool::{Exit, ExitStatus, OpenError, Program, Python};
use tokio::runtime;

use crate::resources::{isolated, leaks_nothing, modules};
use crate::rig::interpreter;

/// The process port keeps its contract as a program that speaks frames itself, as a spawned Python
/// worker and as a forked one. Everything is checked, and nothing leaks.
#[test]
fn the_process_port_keeps_its_contract() {
    if !isolated("contract::the_process_port_keeps_its_contract") {
        return;
    }
    let checks = async |opener: Result<Program, Python>| {
        let checked = match opener {
            Ok(program) => check_port(program).await,
            Err(python) => check_port(python).await,
        };
        assert_eq!(checked.unwrap().unchecked, []);
    };
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
    leaks_nothing(async || checks(Ok(Program::new(interpreter()).arg(echo))).await);
    let python = || Python::function("hostile:echo").path(modules());
    leaks_nothing(async || checks(Err(python())).await);
    leaks_nothing(async || checks(Err(python().zygote())).await);
}

/// Runs a check on a paused clock, where timeouts pass at once.
fn check(opener: impl Opener) -> Result<Vec<&'static str>, ContractViolation> {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    Ok(requirements(runtime.block_on(check_port(opener))?))
}

/// The requirements that were not checked.
pub(crate) fn requirements(checked: PortCheck) -> Vec<&'static str> {
    let unchecked = checked.unchecked.iter();
    unchecked.map(|one| one.requirement).collect()
}

/// The simulated port keeps the contract, and what it does with processes is reported as unchecked.
#[test]
fn the_simulated_port_keeps_its_contract() {
    if !isolated("contract::the_simulated_port_keeps_its_contract") {
        return;
    }
    let sim = Sim::default();
    assert_eq!(
        check(sim.clone()).unwrap(),
        [
            "`terminate` reaches every process of the worker's group",
            "`kill` reaches every process of the worker's group",
            "`released` leaves no process of the worker's group alive",
            "a dropped port leaves no process of the worker's group alive",
        ]
    );
    assert_eq!(sim.stats().open, 0);
}

/// A way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    AnswersNothing,
    ExitsTooSoon,
    ChangesItsExit,
    ReportsFailure,
    ReportsKillAsSuccess,
    IgnoresTerminate,
    IgnoresKill,
    HasMemoryAfterExit,
    HasSurvivors,
    InventsEscapes,
    LeaksWhenDropped,
    LeaksADescriptor,
    HasTheHostsPid,
    HasADeadPid,
    Blocks(Method),
    Panics(Method),
}

/// Where a port blocks or panics: in the call, or in a poll of what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Open,
    Close,
    TakePipe,
    Pid,
    Memory,
    Terminate,
    Kill,
    Exited,
    Released,
    Survivors,
    Drop,
}

impl Flaw {
    /// Called in each method.
    fn strike(self, method: Method) {
        if self == Self::Blocks(method) {
            let limit = if method == Method::Open { 500 } else { 100 };
            thread::sleep(Duration::from_millis(limit + 20));
        }
        assert_ne!(self, Self::Panics(method), "a flaw");
    }
}

/// An opener whose ports have a flaw.
#[derive(Debug)]
struct Flawed<O>(O, Flaw);

impl<O: Opener> Opener for Flawed<O> {
    fn prepare(&mut self) -> Result<(), OpenError> {
        self.0.prepare()
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            self.1.strike(Method::Open);
            if self.1 == Flaw::LeaksADescriptor {
                mem::forget(File::open("/dev/null").unwrap());
            }
            let port = Some(self.0.open(start).await?);
            let (flaw, exits, killed) = (self.1, 0, false);
            Ok(Box::new(FlawedPort {
                port,
                flaw,
                exits,
                killed,
            }) as Box<dyn Port>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.1.strike(Method::Close) })
    }
}

#[derive(Debug)]
struct FlawedPort {
    /// `None` once it was dropped.
    port: Option<Box<dyn Port>>,
    flaw: Flaw,
    exits: usize,
    killed: bool,
}

impl FlawedPort {
    fn port(&mut self) -> &mut dyn Port {
        &mut **self.port.as_mut().expect("it is not dropped")
    }
}

impl Port for FlawedPort {
    fn pid(&self) -> Option<u32> {
        self.flaw.strike(Method::Pid);
        match self.flaw {
            Flaw::HasTheHostsPid => Some(std::process::id()),
            Flaw::HasADeadPid => {
                let mut child = Command::new("true").spawn().unwrap();
                child.wait().unwrap();
                Some(child.id())
            }
            _ => self.port.as_ref().and_then(|port| port.pid()),
        }
    }

    fn memory(&self) -> Option<u64> {
        self.flaw.strike(Method::Memory);
        (self.flaw == Flaw::HasMemoryAfterExit).then_some(1)
    }

    fn survivors(&self) -> Vec<Survivor> {
        self.flaw.strike(Method::Survivors);
        let survivor = Survivor::new(1, SurvivalReason::Killed);
        Vec::from_iter((self.flaw == Flaw::HasSurvivors).then_some(survivor))
    }

    fn take_pipe(&mut self) -> Pipe {
        self.flaw.strike(Method::TakePipe);
        let mut pipe = self.port().take_pipe();
        if self.flaw == Flaw::AnswersNothing {
            pipe.reader = Box::new(tokio::io::empty());
        }
        pipe
    }

    fn terminate(&mut self) {
        self.flaw.strike(Method::Terminate);
        if self.flaw != Flaw::IgnoresTerminate {
            self.port().terminate();
        }
    }

    fn kill(&mut self) {
        self.flaw.strike(Method::Kill);
        self.killed = true;
        if self.flaw != Flaw::IgnoresKill {
            self.port().kill();
        }
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        self.exits += 1;
        let invented = match (self.flaw, self.exits) {
            (Flaw::ExitsTooSoon, _) => Some(0),
            (Flaw::ChangesItsExit, exits) if exits > 3 => i32::try_from(exits).ok(),
            (Flaw::ReportsFailure, exits) if exits > 2 => Some(1),
            (Flaw::ReportsKillAsSuccess, _) if self.killed => Some(0),
            _ => None,
        };
        if let Some(status) = invented.map(ExitStatus::Code) {
            return Box::pin(ready(Exit::new(status, "")));
        }
        Box::pin(async {
            self.flaw.strike(Method::Exited);
            self.port().exited().await
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        if self.flaw == Flaw::InventsEscapes {
            return Box::pin(ready(Release::new(1, None)));
        }
        Box::pin(async {
            self.flaw.strike(Method::Released);
            self.port().released().await
        })
    }
}

impl Drop for FlawedPort {
    fn drop(&mut self) {
        if self.flaw == Flaw::LeaksWhenDropped {
            mem::forget(self.port.take());
        }
        self.flaw.strike(Method::Drop);
    }
}

/// `check_port` detects each flaw, and names the requirement that it breaks.
#[test]
fn every_flaw_of_a_port_is_detected() {
    if !isolated("contract::every_flaw_of_a_port_is_detected") {
        return;
    }
    let pid = "`pid` is the id of a live process, and of no other worker and not the host's";
    let flaws = [
        (
            Flaw::AnswersNothing,
            "the pipe delivers what the worker writes",
        ),
        (
            Flaw::ExitsTooSoon,
            "`exited` is pending while the worker runs, and is cancel safe",
        ),
        (
            Flaw::ChangesItsExit,
            "`exited` returns the same exit each time",
        ),
        (
            Flaw::ReportsFailure,
            "the exit after a shutdown frame is reported as exit code 0",
        ),
        (
            Flaw::ReportsKillAsSuccess,
            "`exited` does not report a killed worker as exit code 0",
        ),
        (Flaw::IgnoresTerminate, "`terminate` makes the worker exit"),
        (Flaw::IgnoresKill, "`kill` makes the worker exit"),
        (
            Flaw::HasMemoryAfterExit,
            "`memory` is `None` after the exit",
        ),
        (Flaw::HasSurvivors, "`survivors` is empty after the release"),
        (
            Flaw::InventsEscapes,
            "`Release::escaped` counts only processes that left the worker's group",
        ),
        (
            Flaw::LeaksWhenDropped,
            "a dropped port leaves no process alive",
        ),
        (
            Flaw::LeaksADescriptor,
            "a port leaves no process and no descriptor behind",
        ),
        (Flaw::HasTheHostsPid, pid),
        (Flaw::HasADeadPid, pid),
    ];
    for (flaw, promise) in flaws {
        let violation = check(Flawed(Sim::default(), flaw)).unwrap_err();
        assert_eq!(violation.requirement, promise, "{flaw:?}: {violation}");
    }
    let never = [Script::Good, Script::NeverReleased];
    let violation = check(Sim::new(never)).unwrap_err();
    assert_eq!(
        violation.requirement,
        "`released` is cancel safe and completes"
    );
    let violation = check(Sim::new([Script::OpenFails])).unwrap_err();
    assert_eq!(violation.requirement, "`open` returns a port");
}

/// `check_port` detects a method that blocks its thread and one that panics, in the call and in a
/// poll, and names it.
#[test]
fn every_method_that_blocks_or_panics_is_detected() {
    if !isolated("contract::every_method_that_blocks_or_panics_is_detected") {
        return;
    }
    let methods = [
        (Method::Open, "`open`"),
        (Method::Close, "`close`"),
        (Method::TakePipe, "`take_pipe`"),
        (Method::Pid, "`pid`"),
        (Method::Memory, "`memory`"),
        (Method::Terminate, "`terminate`"),
        (Method::Kill, "`kill`"),
        (Method::Exited, "`exited`"),
        (Method::Released, "`released`"),
        (Method::Survivors, "`survivors`"),
        (Method::Drop, "`drop`"),
    ];
    for (method, name) in methods {
        let violation = check(Flawed(Sim::default(), Flaw::Blocks(method))).unwrap_err();
        assert_eq!(violation.requirement, format!("{name} does not block"));
        let violation = check(Flawed(Sim::default(), Flaw::Panics(method))).unwrap_err();
        assert_eq!(violation.requirement, format!("{name} does not panic"));
        assert!(violation.found.contains("a flaw"), "{violation}");
    }
}
