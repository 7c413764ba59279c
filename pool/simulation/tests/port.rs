//! The port of a simulated worker.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use ostler_pool::port::{BoxFuture, Pipe, Port, Release};
use ostler_pool::{Exit, ExitStatus, SurvivalReason, Survivor, WorkerId};

use crate::ledger::Cause;
use crate::lists::Fault;
use crate::pipe::{Reader, Writer};
use crate::plan::WorkerPlan;
use crate::scanner::HostWriter;
use crate::world::{Ended, World, end};

/// The stages of a port. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alive,
    Terminated,
    Killed,
    Releasing,
}

pub(crate) struct SimPort {
    world: World,
    worker: WorkerId,
    plan: Arc<WorkerPlan>,
    host_pipe: Option<(Reader, HostWriter)>,
    /// The worker's ends in a descendant that outlives it.
    _held_pipe: Option<(Reader, Writer)>,
    ended: Ended,
    stage: Stage,
    /// The release under way.
    release: Option<BoxFuture<'static, Release>>,
}

impl SimPort {
    pub(crate) fn new(
        world: World,
        worker: WorkerId,
        plan: Arc<WorkerPlan>,
        host_pipe: (Reader, HostWriter),
        held_pipe: Option<(Reader, Writer)>,
        ended: Ended,
    ) -> Self {
        Self {
            world,
            worker,
            plan,
            host_pipe: Some(host_pipe),
            _held_pipe: held_pipe,
            ended,
            stage: Stage::Alive,
            release: None,
        }
    }

    fn advance(&mut self, stage: Stage) {
        let Self { worker, world, .. } = self;
        world.note(format_args!("worker {worker}: port {stage:?}"));
        assert!(
            self.stage <= stage,
            "worker {worker}: {stage:?} ordered after {:?}",
            self.stage
        );
        self.stage = stage;
    }

    fn has(&self, fault: Fault) -> bool {
        self.plan.faults.contains(&fault) && !self.world.is_healed()
    }

    fn end(&self, signal: i32) {
        end(
            &self.world,
            self.worker,
            &self.ended,
            ExitStatus::Signal(signal),
            Cause::Told,
        );
    }

    fn is_stuck(&self) -> bool {
        self.has(Fault::StuckRelease) || self.has(Fault::Unkillable)
    }
}

impl fmt::Debug for SimPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPort")
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

impl Port for SimPort {
    fn pid(&self) -> Option<u32> {
        Some(pid(self.worker))
    }

    fn memory(&self) -> Option<u64> {
        let mib = if self.has(Fault::LargeMemory) {
            self.world.ledger().shows(self.worker, Fault::LargeMemory);
            self.plan.memory
        } else {
            10
        };
        Some(mib << 20)
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = self.host_pipe.take().expect("the pipe is taken once");
        Pipe::new(reader, writer)
    }

    fn terminate(&mut self) {
        self.advance(Stage::Terminated);
        if self.has(Fault::IgnoresTerm) || self.has(Fault::Unkillable) {
            self.world.ledger().shows(self.worker, Fault::IgnoresTerm);
        } else {
            self.end(15);
        }
    }

    fn kill(&mut self) {
        self.advance(Stage::Killed);
        if self.has(Fault::Unkillable) {
            self.world.ledger().shows(self.worker, Fault::Unkillable);
        } else {
            self.end(9);
        }
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        assert!(self.stage < Stage::Releasing, "`exited` after `released`");
        let mut ended = self.ended.subscribe();
        Box::pin(async move {
            if self.stage == Stage::Killed && self.plan.faults.contains(&Fault::Unkillable) {
                self.world.healed().await;
                self.end(9);
            }
            let status = ended
                .wait_for(Option::is_some)
                .await
                .expect("the port holds the sender");
            Exit::new(status.expect("the status is set"), "")
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        if self.stage != Stage::Releasing {
            self.advance(Stage::Releasing);
        }
        assert!(self.ended.borrow().is_some(), "released before the exit");
        if self.release.is_none() {
            let (world, worker, plan) = (self.world.clone(), self.worker, Arc::clone(&self.plan));
            let is_slow = self.has(Fault::SlowRelease);
            let (is_stuck, escapes) = (self.has(Fault::StuckRelease), self.has(Fault::Escapes));
            self.release = Some(Box::pin(async move {
                if is_slow {
                    world.ledger().shows(worker, Fault::SlowRelease);
                    world.delay(plan.delay).await;
                }
                if is_stuck {
                    world.ledger().shows(worker, Fault::StuckRelease);
                    world.healed().await;
                }
                if escapes {
                    world.ledger().shows(worker, Fault::Escapes);
                }
                Release::new(usize::from(escapes), None)
            }));
        }
        Box::pin(async {
            match &mut self.release {
                Some(release) => release.await,
                None => pending().await,
            }
        })
    }

    fn survivors(&self) -> Vec<Survivor> {
        let survivor = Survivor::new(pid(self.worker), SurvivalReason::Uninterruptible);
        Vec::from_iter(self.is_stuck().then_some(survivor))
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        self.end(9);
        self.world
            .note(format_args!("worker {}: port dropped", self.worker));
        self.world.ledger().worker(self.worker).is_open = false;
    }
}

fn pid(worker: WorkerId) -> u32 {
    1_000 + u32::try_from(worker.slot).expect("a slot fits")
}
