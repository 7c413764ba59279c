//! Simulated ports, as shuttle's tasks on in-memory pipes, and the books that they keep.

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

use crate::plan::{Plan, Start};

/// So small that many a frame takes several writes.
const PIPE: usize = 32;

/// What the ports did, counted by themselves.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// The workers whose port is open.
    pub(crate) open: BTreeSet<WorkerId>,
    pub(crate) opened: u64,
    pub(crate) most_open: usize,
    /// The workers that a client holds.
    pub(crate) held: BTreeSet<WorkerId>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    plan: Arc<Plan>,
    books: Arc<Mutex<Resources>>,
}

impl World {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            books: Arc::default(),
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Resources> {
        self.books.lock().expect("the books")
    }

    /// Says that a client holds a worker, until this is dropped.
    pub(crate) fn hold(&self, worker: WorkerId) -> Held {
        assert!(
            self.books().held.insert(worker),
            "worker {worker} is leased twice"
        );
        Held(self.clone(), worker)
    }
}

pub(crate) struct Held(World, WorkerId);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.books().held.remove(&self.1);
    }
}

impl Opener for World {
    fn prepare(&mut self) -> Result<(), OpenError> {
        Ok(())
    }

    fn open(&self, worker: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            turns().await;
            let start = {
                let mut books = self.books();
                books.opened += 1;
                let index = usize::try_from(books.opened - 1).expect("an index");
                let start = self.plan.starts.get(index).copied().unwrap_or(Start::Good);
                if start == Start::Unopenable {
                    return Err(OpenError::Spawn {
                        program: "simulated".into(),
                        reason: "scripted".into(),
                    });
                }
                assert!(books.open.insert(worker), "worker {worker} is open twice");
                books.most_open = books.most_open.max(books.open.len());
                start
            };
            let (host, pipe) = tokio::io::duplex(PIPE);
            let exit = watch::Sender::new(None);
            drop(spawn(live(pipe, start, exit.clone())));
            let (world, host) = (self.clone(), Some(host));
            Ok(Box::new(SimPort {
                world,
                worker,
                start,
                host,
                exit,
                stage: Stage::Alive,
            }) as Box<dyn Port>)
        })
    }
}

/// How far a port has come, which never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alive,
    Terminated,
    Killed,
    Releasing,
}

struct SimPort {
    world: World,
    worker: WorkerId,
    start: Start,
    host: Option<DuplexStream>,
    exit: watch::Sender<Option<ExitStatus>>,
    stage: Stage,
}

impl SimPort {
    fn come_to(&mut self, stage: Stage) {
        let Self { worker, .. } = self;
        assert!(
            self.stage <= stage,
            "worker {worker} is to be {stage:?} after it was {:?}",
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
        let (reader, writer) = tokio::io::split(self.host.take().expect("taken once"));
        Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
        }
    }

    fn terminate(&mut self) {
        self.come_to(Stage::Terminated);
        if self.start != Start::Stubborn {
            exit(&self.exit, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        self.come_to(Stage::Killed);
        exit(&self.exit, ExitStatus::Signal(9));
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        assert!(self.stage < Stage::Releasing);
        let mut exit = self.exit.subscribe();
        Box::pin(async move {
            let status = *exit.wait_for(Option::is_some).await.expect("it is held");
            Exit {
                status: status.expect("waited for"),
                stderr: String::new(),
            }
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        self.come_to(Stage::Releasing);
        assert!(self.exit.borrow().is_some(), "released before it exited");
        Box::pin(async {
            turns().await;
            Release::default()
        })
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.exit, ExitStatus::Signal(9));
        self.world.books().open.remove(&self.worker);
    }
}

/// The first exit counts.
fn exit(exit: &watch::Sender<Option<ExitStatus>>, status: ExitStatus) {
    exit.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(status);
        first
    });
}

/// Lets others come first for a while.
pub(crate) async fn turns() {
    for _ in 0..thread_rng().gen_range(0..8) {
        yield_now().await;
    }
}

/// The life of a simulated worker, until it exits by itself or is made to.
async fn live(mut pipe: DuplexStream, start: Start, exits: watch::Sender<Option<ExitStatus>>) {
    let mut ended = exits.subscribe();
    let status = select! {
        biased;
        _ = ended.wait_for(Option::is_some) => return,
        status = serve(&mut pipe, start) => status,
    };
    if status.is_none() && start == Start::Stubborn {
        let _ = ended.wait_for(Option::is_some).await;
    }
    let status = status.unwrap_or(ExitStatus::Code(0));
    // Before its pipe is closed, as the end of the output and the exit are one to who is quick.
    exit(&exits, status);
}

/// Serves until the input ends (`None`), or as long as the worker wants to.
async fn serve(pipe: &mut DuplexStream, start: Start) -> Option<ExitStatus> {
    if start == Start::ExitsAtOnce {
        return Some(ExitStatus::Code(1));
    }
    let mut unread = Vec::new();
    loop {
        let (kind, id, body) = frame(pipe, &mut unread).await?;
        let verb = body.split(|byte| *byte == b' ').next().unwrap_or_default();
        match kind {
            1 => {
                turns().await;
                match start {
                    Start::Refuses => answer(pipe, 130, id, &error("RuntimeError")).await?,
                    _ => answer(pipe, 128, id, &[0, 0, 0, 1]).await?,
                }
                continue;
            }
            2 => {}
            4 => {
                turns().await;
                answer(pipe, 131, id, b"").await?;
                continue;
            }
            // A cancel that came too late.
            6 => continue,
            _ => return None,
        }
        let done = async || match verb {
            b"Hang" => pending().await,
            _ => turns().await,
        };
        let interrupted = select! {
            biased;
            next = frame(pipe, &mut unread) => Some(next?),
            () = done() => None,
        };
        if let Some(next) = interrupted {
            assert_eq!(
                (next.0, next.1),
                (6, id),
                "a worker is to serve two at once"
            );
            answer(pipe, 130, id, &error("Cancelled")).await?;
            continue;
        }
        match verb {
            b"Raise" => answer(pipe, 130, id, &error("ValueError")).await?,
            b"Exit" => return Some(ExitStatus::Code(3)),
            b"Garbage" => pipe.write_all(&[0xff; 16]).await.ok()?,
            _ => answer(pipe, 129, id, &body).await?,
        }
        if verb == b"Last" {
            turns().await;
            return Some(ExitStatus::Code(4));
        }
    }
}

/// The next frame, as its kind, its id and its body. Cancel safe. `None` at the end of the input.
async fn frame(pipe: &mut DuplexStream, unread: &mut Vec<u8>) -> Option<(u8, u32, Vec<u8>)> {
    loop {
        if let Some((length, rest)) = unread.split_first_chunk() {
            let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length");
            if rest.len() >= length {
                let (kind, rest) = rest.split_first().expect("a kind");
                let (id, rest) = rest.split_first_chunk().expect("an id");
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

async fn answer(pipe: &mut DuplexStream, kind: u8, id: u32, body: &[u8]) -> Option<()> {
    let length = u32::try_from(5 + body.len()).expect("a short body");
    let head = [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes()].concat();
    pipe.write_all(&[&head, body].concat()).await.ok()
}

fn error(kind: &str) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    [string(kind), string("scripted"), string("")].concat()
}
