//! Does the process port keep the contract of `Port`, and does `check_port` detect a port that
//! breaks it?

use std::future::ready;
use std::mem;

use ostler_pool::port::{BoxFuture, Opener, Pipe, Port, Release, SurvivalReason, Survivor};
use ostler_pool::testing::{Script, Sim, check_port};
use ostler_pool::{Exit, ExitStatus, OpenError, Program, Python, WorkerId};

use crate::resources::{isolated, leaks_nothing, modules};
use crate::rig::interpreter;

/// The process port keeps its contract as a program that speaks frames itself, as a spawned Python
/// worker and as a forked one, and leaks nothing.
#[test]
fn the_process_port_keeps_its_contract() {
    if !isolated("contract::the_process_port_keeps_its_contract") {
        return;
    }
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
    leaks_nothing(async || {
        check_port(Program::new(interpreter()).arg(echo))
            .await
            .unwrap()
    });
    let python = || Python::function("hostile:echo").path(modules());
    leaks_nothing(async || check_port(python()).await.unwrap());
    leaks_nothing(async || check_port(python().zygote()).await.unwrap());
}

/// The simulated port keeps the contract.
#[tokio::test(start_paused = true)]
async fn the_simulated_port_keeps_its_contract() {
    let sim = Sim::default();
    check_port(sim.clone()).await.unwrap();
    assert_eq!(sim.stats().open, 0);
}

/// A way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    AnswersNothing,
    ExitsTooSoon,
    ChangesItsExit,
    IgnoresKill,
    HasMemoryAfterExit,
    HasSurvivors,
    LeaksWhenDropped,
    LeavesAZombie,
}

/// An opener whose ports have a flaw.
#[derive(Debug)]
struct Flawed<O>(O, Flaw);

impl<O: Opener> Opener for Flawed<O> {
    fn prepare(&mut self) -> Result<(), OpenError> {
        self.0.prepare()
    }

    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            let port = Some(self.0.open(worker).await?);
            let (flaw, exits) = (self.1, 0);
            Ok(Box::new(FlawedPort { port, flaw, exits }) as Box<dyn Port>)
        })
    }
}

#[derive(Debug)]
struct FlawedPort {
    /// `None` once it was dropped.
    port: Option<Box<dyn Port>>,
    flaw: Flaw,
    exits: usize,
}

impl FlawedPort {
    fn port(&mut self) -> &mut dyn Port {
        &mut **self.port.as_mut().expect("it is not dropped")
    }
}

impl Port for FlawedPort {
    fn pid(&self) -> Option<u32> {
        self.port.as_ref().and_then(|port| port.pid())
    }

    fn memory(&self) -> Option<u64> {
        (self.flaw == Flaw::HasMemoryAfterExit).then_some(1)
    }

    fn survivors(&self) -> Vec<Survivor> {
        let survivor = Survivor::new(1, SurvivalReason::Killed);
        Vec::from_iter((self.flaw == Flaw::HasSurvivors).then_some(survivor))
    }

    fn take_pipe(&mut self) -> Pipe {
        let mut pipe = self.port().take_pipe();
        if self.flaw == Flaw::AnswersNothing {
            pipe.reader = Box::new(tokio::io::empty());
        }
        pipe
    }

    fn terminate(&mut self) {
        self.port().terminate();
    }

    fn kill(&mut self) {
        if self.flaw != Flaw::IgnoresKill {
            self.port().kill();
        }
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        self.exits += 1;
        let invented = match (self.flaw, self.exits) {
            (Flaw::ExitsTooSoon, _) => Some(0),
            (Flaw::ChangesItsExit, exits) if exits > 3 => i32::try_from(exits).ok(),
            _ => None,
        };
        match invented.map(ExitStatus::Code) {
            Some(status) => Box::pin(ready(Exit::new(status, ""))),
            None => self.port().exited(),
        }
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        match self.flaw {
            Flaw::LeavesAZombie => Box::pin(ready(Release::default())),
            _ => self.port().released(),
        }
    }
}

impl Drop for FlawedPort {
    fn drop(&mut self) {
        if self.flaw == Flaw::LeaksWhenDropped {
            mem::forget(self.port.take());
        }
    }
}

/// `check_port` detects each flaw, and names the requirement that it breaks.
#[tokio::test(start_paused = true)]
async fn every_flaw_of_a_port_is_detected() {
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
        (Flaw::IgnoresKill, "`kill` makes the worker exit"),
        (
            Flaw::HasMemoryAfterExit,
            "`memory` is `None` after the exit",
        ),
        (Flaw::HasSurvivors, "`survivors` is empty after the release"),
        (
            Flaw::LeaksWhenDropped,
            "a dropped port leaves no process alive",
        ),
    ];
    for (flaw, promise) in flaws {
        let violation = check_port(Flawed(Sim::default(), flaw)).await.unwrap_err();
        assert_eq!(violation.requirement, promise, "{flaw:?}: {violation}");
    }
    let never = [Script::Good, Script::NeverReleased];
    let violation = check_port(Sim::new(never)).await.unwrap_err();
    assert_eq!(
        violation.requirement,
        "`released` is cancel safe and completes"
    );
    let violation = check_port(Sim::new([Script::OpenFails])).await.unwrap_err();
    assert_eq!(violation.requirement, "`open` returns a port");
}

/// `check_port` detects a port of a real process that leaves a zombie.
#[tokio::test]
async fn a_zombie_is_detected() {
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
    let program = Program::new(interpreter()).arg(echo);
    let violation = check_port(Flawed(program, Flaw::LeavesAZombie))
        .await
        .unwrap_err();
    assert_eq!(
        violation.requirement,
        "`released` leaves neither the process nor a zombie"
    );
}
