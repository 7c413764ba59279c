//! Simulated ports: shuttle tasks on in-memory pipes, and the ports' own counters.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use ostler_pool::port::{BoxFuture, Opener, Pipe, Port, Release};
use ostler_pool::{Exit, ExitStatus, OpenError, WorkerId};
use shuttle::future::{spawn, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::select;
use tokio::sync::watch;

use crate::plan::{Plan, WorkerScript};

/// The capacity of a pipe in bytes. Small, so that many frames take several writes.
const PIPE_CAPACITY: usize = 32;

/// What the ports counted themselves, independently of the pool.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// The workers whose port is open.
    pub(crate) open: BTreeSet<WorkerId>,
    pub(crate) opened: u64,
    pub(crate) peak_open: usize,
    /// The workers that a client has leased.
    pub(crate) held: BTreeSet<WorkerId>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    plan: Arc<Plan>,
    stats: Arc<Mutex<Stats>>,
}

impl World {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            stats: Arc::default(),
        }
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().expect("no port panicked")
    }

    /// Registers that a client has leased a worker, until the result is dropped.
    pub(crate) fn hold(&self, worker: WorkerId) -> Held {
        assert!(
            self.stats().held.insert(worker),
            "worker {worker} is leased twice"
        );
        Held(self.clone(), worker)
    }
}

pub(crate) struct Held(World, WorkerId);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.stats().held.remove(&self.1);
    }
}

impl Opener for World {
    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            yield_randomly().await;
            let script = {
                let mut stats = self.stats();
                stats.opened += 1;
                let index = usize::try_from(stats.opened - 1).expect("an index fits");
                let script = self
                    .plan
                    .workers
                    .get(index)
                    .copied()
                    .unwrap_or(WorkerScript::Good);
                if script == WorkerScript::OpenFails {
                    let error = std::io::Error::other("scripted");
                    return Err(OpenError::spawn("simulated", error));
                }
                assert!(stats.open.insert(worker), "worker {worker} is open twice");
                stats.peak_open = stats.peak_open.max(stats.open.len());
                script
            };
            let (host, pipe) = tokio::io::duplex(PIPE_CAPACITY);
            let exit = watch::Sender::new(None);
            drop(spawn(run(pipe, script, exit.clone())));
            let (world, host) = (self.clone(), Some(host));
            Ok(Box::new(SimPort {
                world,
                worker,
                script,
                host,
                exit,
                stage: PortStage::Alive,
            }) as Box<dyn Port>)
        })
    }
}

/// The stages of a port. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PortStage {
    Alive,
    Terminated,
    Killed,
    Releasing,
}

struct SimPort {
    world: World,
    worker: WorkerId,
    script: WorkerScript,
    host: Option<DuplexStream>,
    exit: watch::Sender<Option<ExitStatus>>,
    stage: PortStage,
}

impl SimPort {
    fn advance(&mut self, stage: PortStage) {
        let Self { worker, .. } = self;
        assert!(
            self.stage <= stage,
            "worker {worker}: {stage:?} ordered after {:?}",
            self.stage
        );
        self.stage = stage;
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
        None
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("the pipe is taken once"));
        Pipe::new(reader, writer)
    }

    fn terminate(&mut self) {
        self.advance(PortStage::Terminated);
        if self.script != WorkerScript::IgnoresStop {
            exit(&self.exit, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        self.advance(PortStage::Killed);
        exit(&self.exit, ExitStatus::Signal(9));
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        assert!(self.stage < PortStage::Releasing);
        let mut exit = self.exit.subscribe();
        Box::pin(async move {
            let status = *exit
                .wait_for(Option::is_some)
                .await
                .expect("the port holds the sender");
            Exit::new(status.expect("the status is set"), "")
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        self.advance(PortStage::Releasing);
        assert!(self.exit.borrow().is_some(), "released before the exit");
        Box::pin(async {
            yield_randomly().await;
            Release::default()
        })
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.exit, ExitStatus::Signal(9));
        self.world.stats().open.remove(&self.worker);
    }
}

/// Reports an exit. Only the first one counts.
fn exit(exit: &watch::Sender<Option<ExitStatus>>, status: ExitStatus) {
    exit.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(status);
        first
    });
}

/// Yields to other tasks a random number of times, at most seven.
pub(crate) async fn yield_randomly() {
    for _ in 0..thread_rng().gen_range(0..8) {
        yield_now().await;
    }
}

/// Runs a simulated worker until it exits by itself or its port reports an exit.
async fn run(
    mut pipe: DuplexStream,
    script: WorkerScript,
    exits: watch::Sender<Option<ExitStatus>>,
) {
    let mut ended = exits.subscribe();
    let status = select! {
        biased;
        _ = ended.wait_for(Option::is_some) => return,
        status = serve(&mut pipe, script) => status,
    };
    if status.is_none() && script == WorkerScript::IgnoresStop {
        let _ = ended.wait_for(Option::is_some).await;
    }
    let status = status.unwrap_or(ExitStatus::Code(0));
    // Before the pipe closes: a driver that reads the end of the output must also find the exit.
    exit(&exits, status);
}

/// Serves until the input ends (`None`) or the worker exits by itself.
async fn serve(pipe: &mut DuplexStream, script: WorkerScript) -> Option<ExitStatus> {
    if script == WorkerScript::ExitsAtStart {
        return Some(ExitStatus::Code(1));
    }
    let mut unread = Vec::new();
    loop {
        let (kind, id, body) = read_frame(pipe, &mut unread).await?;
        let verb = body.split(|byte| *byte == b' ').next().unwrap_or_default();
        match kind {
            1 => {
                yield_randomly().await;
                match script {
                    WorkerScript::StartFails => send(pipe, 130, id, &error("RuntimeError")).await?,
                    _ => send(pipe, 128, id, &[0, 0, 0, 1]).await?,
                }
                continue;
            }
            2 => {}
            4 => {
                yield_randomly().await;
                send(pipe, 131, id, b"").await?;
                continue;
            }
            // A cancel after the reply.
            6 => continue,
            _ => return None,
        }
        let work = async || match verb {
            b"Hang" => pending().await,
            _ => yield_randomly().await,
        };
        let interrupted = select! {
            biased;
            next = read_frame(pipe, &mut unread) => Some(next?),
            () = work() => None,
        };
        if let Some(next) = interrupted {
            assert_eq!(
                (next.0, next.1),
                (6, id),
                "a worker received two requests at once"
            );
            send(pipe, 130, id, &error("Cancelled")).await?;
            continue;
        }
        match verb {
            b"Raise" => send(pipe, 130, id, &error("ValueError")).await?,
            b"Exit" => return Some(ExitStatus::Code(3)),
            b"Garbage" => pipe.write_all(&[0xff; 16]).await.ok()?,
            _ => send(pipe, 129, id, &body).await?,
        }
        if verb == b"ReplyAndExit" {
            yield_randomly().await;
            return Some(ExitStatus::Code(4));
        }
    }
}

/// The kind, id and body of the next frame. `None` at the end of the input. Cancel safe.
async fn read_frame(pipe: &mut DuplexStream, unread: &mut Vec<u8>) -> Option<(u8, u32, Vec<u8>)> {
    loop {
        if let Some((length, rest)) = unread.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length fits");
            if rest.len() >= length {
                let (kind, rest) = rest.split_first().expect("a frame has a kind");
                let (id, rest) = rest.split_first_chunk().expect("a frame has an id");
                let frame = (*kind, u32::from_be_bytes(*id), rest[..length - 5].to_vec());
                unread.drain(..4 + length);
                return Some(frame);
            }
        }
        if pipe.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}

async fn send(pipe: &mut DuplexStream, kind: u8, id: u32, body: &[u8]) -> Option<()> {
    let length = u32::try_from(5 + body.len()).expect("the body is short");
    let head = [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes()].concat();
    pipe.write_all(&[&head, body].concat()).await.ok()
}

fn error(kind: &str) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    [string(kind), string("scripted"), string("")].concat()
}
