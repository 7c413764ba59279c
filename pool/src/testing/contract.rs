//! The contract of a port, as a test.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ostler::WorkerId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Process;
use crate::port::{Exit, Opener, Pipe, Port};
use crate::transport::frame::{self, kind};

/// How long anything may take here. None of it waits for more than a process that starts or dies.
const PATIENCE: Duration = Duration::from_secs(30);

/// A promise of [`Opener`] or [`Port`] that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the contract of a port is broken: {promise}; found {found}")]
#[non_exhaustive]
pub struct Breach {
    /// What was promised.
    pub promise: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Checks that the ports of an opener keep the contract that a pool relies on: see [`Port`].
///
/// Opens a handful of ports, whose workers must speak the frame protocol, with real time; it takes as long as so many starts.
/// What only the operating system can tell is looked up where there is a `/proc`; to count everything, do this between two looks
/// into the [`Resources`](super::Resources).
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use ostler_pool::Python;
/// use ostler_pool::testing::check_port;
///
/// check_port(Python::function("builtins:bytes")).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first promise that is not kept.
pub async fn check_port(mut opener: impl Opener) -> Result<(), Breach> {
    let prepared = opener.prepare();
    prepared.map_err(|error| breach("`prepare` succeeds with what can be opened", error))?;
    ends_when_it_is_asked_to(&opener).await?;
    ends_when_it_is_killed(&opener).await?;
    ends_when_it_is_dropped(&opener).await?;
    is_not_left_where_the_opening_is_dropped(&opener).await?;
    has_nothing_to_do_with_others(&opener).await?;
    within("`close` ends", opener.close()).await
}

/// A worker whose handshake was answered.
struct Worker {
    port: Box<dyn Port>,
    pipe: Pipe,
}

impl Worker {
    async fn open(opener: &impl Opener, generation: u64) -> Result<Self, Breach> {
        let opening = opener.open(worker(generation));
        let opened = within("`open` ends", opening).await?;
        let mut port = opened.map_err(|error| breach("`open` opens a port", error))?;
        let mut pipe = port.take_pipe();
        let mut hello = mem::take(&mut pipe.preamble);
        let body = [frame::VERSION, 1 << 16, 0].map(u32::to_be_bytes).concat();
        frame::encode(kind::HELLO, 0, &body, &mut hello);
        let mut worker = Self { port, pipe };
        worker.write(&hello).await?;
        let ready = worker.answer().await?;
        let promise = "what is written to the pipe reaches the worker, and its answer comes back";
        expect(
            promise,
            ready,
            (kind::READY, frame::VERSION.to_be_bytes().to_vec()),
        )?;
        Ok(worker)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Breach> {
        let promise = "the pipe takes what is written";
        let written = within(promise, self.pipe.writer.write_all(bytes)).await?;
        written.map_err(|error| breach(promise, error))
    }

    /// The kind and the body of the next frame.
    async fn answer(&mut self) -> Result<(u8, Vec<u8>), Breach> {
        let promise = "the pipe gives what the worker writes";
        let reader = &mut self.pipe.reader;
        let read = async {
            let length = reader.read_u32().await?;
            let mut frame = vec![0; length as usize];
            reader.read_exact(&mut frame).await?;
            Ok::<_, std::io::Error>(frame)
        };
        let frame = within(promise, read)
            .await?
            .map_err(|error| breach(promise, error))?;
        Ok((frame[0], frame[5..].to_vec()))
    }

    /// Asks whether it is well, between two looks for an exit.
    async fn is_alive(&mut self) -> Result<(), Breach> {
        for _ in 0..2 {
            let exited = once(self.port.exited()).await;
            expect(
                "`exited` waits as long as the worker lives, and may be dropped",
                exited,
                None,
            )?;
            let mut ping = Vec::new();
            frame::encode(kind::PING, 1, b"", &mut ping);
            self.write(&ping).await?;
            let answer = self.answer().await?;
            expect(
                "a worker that is not stopped serves",
                answer,
                (kind::PONG, Vec::new()),
            )?;
        }
        Ok(())
    }

    async fn exit(&mut self, promise: &'static str) -> Result<Exit, Breach> {
        let exit = within(promise, self.port.exited()).await?;
        let again = within("`exited` can be called again", self.port.exited()).await?;
        expect("`exited` says the same each time", &again, &exit)?;
        expect(
            "`memory` is unknown after the exit",
            self.port.memory(),
            None,
        )?;
        // The id may be another's before long.
        self.port.terminate();
        self.port.kill();
        Ok(exit)
    }

    async fn release(mut self) -> Result<(), Breach> {
        let promise = "`released` may be dropped and called again, and ends";
        once(self.port.released()).await;
        within(promise, self.port.released()).await?;
        let left = self
            .port
            .pid()
            .and_then(Process::read)
            .map(|process| process.to_string());
        expect(
            "`released` leaves neither the process nor a zombie",
            left,
            None,
        )
    }
}

async fn ends_when_it_is_asked_to(opener: &impl Opener) -> Result<(), Breach> {
    let mut worker = Worker::open(opener, 1).await?;
    worker.is_alive().await?;
    let mut shutdown = Vec::new();
    frame::encode(kind::SHUTDOWN, 0, b"", &mut shutdown);
    worker.write(&shutdown).await?;
    // Not replaced by anything, but dropped: the worker reads the end of its input.
    let Worker { port, pipe } = worker;
    drop(pipe);
    let mut worker = Worker {
        port,
        pipe: closed(),
    };
    worker
        .exit("a worker that is told to end, and whose input ends, exits")
        .await?;
    worker.release().await
}

async fn ends_when_it_is_killed(opener: &impl Opener) -> Result<(), Breach> {
    let mut worker = Worker::open(opener, 2).await?;
    worker.port.kill();
    worker.exit("`kill` ends the worker").await?;
    ends(
        &mut worker.pipe,
        "the output of a worker that was killed ends",
    )
    .await?;
    worker.release().await
}

async fn ends_when_it_is_dropped(opener: &impl Opener) -> Result<(), Breach> {
    // Alive, and with its exit seen.
    for is_seen in [false, true] {
        let mut worker = Worker::open(opener, 3 + u64::from(is_seen)).await?;
        if is_seen {
            worker.port.kill();
            worker.exit("`kill` ends the worker").await?;
        }
        let Worker { port, mut pipe } = worker;
        let pid = port.pid();
        drop(port);
        let promise = "a port that is dropped leaves nothing alive";
        ends(&mut pipe, promise).await?;
        let gone = async {
            while pid.and_then(Process::read).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(
            "a port that is dropped leaves neither the process nor a zombie",
            gone,
        )
        .await?;
    }
    Ok(())
}

async fn is_not_left_where_the_opening_is_dropped(opener: &impl Opener) -> Result<(), Breach> {
    // What it leaves, if it does, shows in the books. Here it is enough that the next one is none the worse.
    once(opener.open(worker(5))).await;
    let mut worker = Worker::open(opener, 6).await?;
    worker.is_alive().await?;
    worker.port.kill();
    worker.exit("`kill` ends the worker").await?;
    worker.release().await
}

async fn has_nothing_to_do_with_others(opener: &impl Opener) -> Result<(), Breach> {
    let (mut one, mut other) = (
        Worker::open(opener, 7).await?,
        Worker::open(opener, 8).await?,
    );
    one.port.kill();
    one.exit("`kill` ends the worker").await?;
    one.release().await?;
    other.is_alive().await?;
    drop(other.pipe);
    other.pipe = closed();
    other.port.kill();
    other.exit("`kill` ends the worker").await?;
    other.release().await
}

/// A worker's name is never used twice.
fn worker(generation: u64) -> WorkerId {
    WorkerId {
        slot: 0,
        generation,
    }
}

/// Reads until the end, or an error, which is as good.
async fn ends(pipe: &mut Pipe, promise: &'static str) -> Result<(), Breach> {
    let mut rest = Vec::new();
    within(promise, pipe.reader.read_to_end(&mut rest))
        .await
        .map(drop)
}

fn closed() -> Pipe {
    Pipe {
        reader: Box::new(tokio::io::empty()),
        writer: Box::new(tokio::io::sink()),
        preamble: Vec::new(),
    }
}

/// Polls once, and drops it.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

async fn within<T>(promise: &'static str, future: impl Future<Output = T>) -> Result<T, Breach> {
    let done = timeout(PATIENCE, future).await;
    done.map_err(|_| breach(promise, format!("no end of it within {PATIENCE:?}")))
}

fn expect<T: Debug + PartialEq>(
    promise: &'static str,
    found: T,
    expected: T,
) -> Result<(), Breach> {
    if found == expected {
        Ok(())
    } else {
        Err(breach(promise, format!("{found:?}")))
    }
}

fn breach(promise: &'static str, found: impl ToString) -> Breach {
    let found = found.to_string();
    Breach { promise, found }
}
