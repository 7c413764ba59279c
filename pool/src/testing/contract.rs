//! Tests the contract of a port.

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

/// The timeout of each step. No step waits for more than a process that starts or exits, so only a
/// port that breaks the contract reaches it.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// A requirement of [`Opener`] or [`Port`] that an implementation does not meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port contract violated: expected that {requirement}; found {found}")]
#[non_exhaustive]
pub struct ContractViolation {
    /// The requirement, as a sentence.
    pub requirement: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Checks that the ports of an opener meet the contract that the pool relies on; see [`Port`].
///
/// Opens eight ports, whose workers must speak the frame protocol, and takes about as long as eight
/// starts. Each step has a timeout of 30 s. Where there is a `/proc`, the check also looks for
/// processes and zombies that outlive their port. It does not count descriptors: to find those that
/// leak, run it between two [snapshots](super::Resources).
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
/// The first requirement that is not met.
pub async fn check_port(mut opener: impl Opener) -> Result<(), ContractViolation> {
    let prepared = opener.prepare();
    prepared.map_err(|error| violation("`prepare` succeeds for an opener that can open", error))?;
    check_graceful_exit(&opener).await?;
    check_kill(&opener).await?;
    check_port_drop(&opener).await?;
    check_open_drop(&opener).await?;
    check_independence(&opener).await?;
    within("`close` completes", opener.close()).await
}

/// A worker that has completed its handshake.
struct Worker {
    port: Box<dyn Port>,
    pipe: Pipe,
}

impl Worker {
    async fn open(opener: &impl Opener, generation: u64) -> Result<Self, ContractViolation> {
        let opening = opener.open(worker_id(generation));
        let opened = within("`open` completes", opening).await?;
        let mut port = opened.map_err(|error| violation("`open` returns a port", error))?;
        let mut pipe = port.take_pipe();
        let mut hello = mem::take(&mut pipe.preamble);
        let body = [frame::VERSION, 1 << 16, 0].map(u32::to_be_bytes).concat();
        frame::encode(kind::HELLO, 0, &body, &mut hello);
        let mut worker = Self { port, pipe };
        worker.write(&hello).await?;
        let ready = worker.read_frame().await?;
        expect(
            "the pipe carries the handshake to the worker and its answer back",
            ready,
            (kind::READY, frame::VERSION.to_be_bytes().to_vec()),
        )?;
        Ok(worker)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ContractViolation> {
        let requirement = "the pipe accepts what the host writes";
        let written = within(requirement, self.pipe.writer.write_all(bytes)).await?;
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
        let frame = within(requirement, read)
            .await?
            .map_err(|error| violation(requirement, error))?;
        Ok((frame[0], frame[5..].to_vec()))
    }

    /// Checks that the worker answers pings and that `exited` is pending, twice, so that the second
    /// round runs after an `exited` future was dropped.
    async fn check_alive(&mut self) -> Result<(), ContractViolation> {
        for _ in 0..2 {
            let exited = poll_once(self.port.exited()).await;
            expect(
                "`exited` is pending while the worker runs, and is cancel safe",
                exited,
                None,
            )?;
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

    async fn wait_for_exit(&mut self, requirement: &'static str) -> Result<(), ContractViolation> {
        let exit: Exit = within(requirement, self.port.exited()).await?;
        let again = within("`exited` can be called again", self.port.exited()).await?;
        expect("`exited` returns the same exit each time", again, exit)?;
        expect(
            "`memory` is `None` after the exit",
            self.port.memory(),
            None,
        )?;
        // Both must do nothing now: after the release, the kernel may give the id to another
        // process.
        self.port.terminate();
        self.port.kill();
        Ok(())
    }

    async fn release(mut self) -> Result<(), ContractViolation> {
        poll_once(self.port.released()).await;
        within(
            "`released` is cancel safe and completes",
            self.port.released(),
        )
        .await?;
        expect(
            "`survivors` is empty after the release",
            self.port.survivors(),
            Vec::new(),
        )?;
        let process = self.port.pid().and_then(Process::read);
        expect(
            "`released` leaves neither the process nor a zombie",
            process.map(|process| process.to_string()),
            None,
        )
    }

    async fn kill_and_release(mut self) -> Result<(), ContractViolation> {
        self.port.kill();
        self.wait_for_exit(KILL_ENDS).await?;
        self.release().await
    }
}

const KILL_ENDS: &str = "`kill` makes the worker exit";

async fn check_graceful_exit(opener: &impl Opener) -> Result<(), ContractViolation> {
    let mut worker = Worker::open(opener, 1).await?;
    worker.check_alive().await?;
    let mut shutdown = Vec::new();
    frame::encode(kind::SHUTDOWN, 0, b"", &mut shutdown);
    worker.write(&shutdown).await?;
    // Dropping the pipe must close the worker's input.
    worker.pipe = closed_pipe();
    worker
        .wait_for_exit("a worker exits after a shutdown frame and the end of its input")
        .await?;
    worker.release().await
}

async fn check_kill(opener: &impl Opener) -> Result<(), ContractViolation> {
    let mut worker = Worker::open(opener, 2).await?;
    worker.port.kill();
    worker.wait_for_exit(KILL_ENDS).await?;
    read_to_end(&mut worker.pipe, "the output of a killed worker ends").await?;
    worker.release().await
}

/// Drops one port while its worker runs, and one whose exit was already reported.
async fn check_port_drop(opener: &impl Opener) -> Result<(), ContractViolation> {
    for has_exited in [false, true] {
        let mut worker = Worker::open(opener, 3 + u64::from(has_exited)).await?;
        if has_exited {
            worker.port.kill();
            worker.wait_for_exit(KILL_ENDS).await?;
        }
        let Worker { port, mut pipe } = worker;
        let pid = port.pid();
        drop(port);
        read_to_end(&mut pipe, "a dropped port leaves no process alive").await?;
        let reaped = async {
            while pid.and_then(Process::read).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let requirement = "a dropped port leaves neither the process nor a zombie";
        within(requirement, reaped).await?;
    }
    Ok(())
}

/// Drops an `open` future. What it leaks shows in the caller's snapshots; here, the next port must
/// work.
async fn check_open_drop(opener: &impl Opener) -> Result<(), ContractViolation> {
    poll_once(opener.open(worker_id(5))).await;
    let mut worker = Worker::open(opener, 6).await?;
    worker.check_alive().await?;
    worker.kill_and_release().await
}

/// Ends one of two workers; the other must not notice, not even by an inherited descriptor.
async fn check_independence(opener: &impl Opener) -> Result<(), ContractViolation> {
    let one = Worker::open(opener, 7).await?;
    let mut other = Worker::open(opener, 8).await?;
    one.kill_and_release().await?;
    other.check_alive().await?;
    other.pipe = closed_pipe();
    other.kill_and_release().await
}

/// The pool never opens two workers with the same id, so each port here has its own generation.
fn worker_id(generation: u64) -> WorkerId {
    WorkerId {
        slot: 0,
        generation,
    }
}

/// Reads until the end of the output or an error: either shows that no process holds it open.
async fn read_to_end(pipe: &mut Pipe, requirement: &'static str) -> Result<(), ContractViolation> {
    let mut rest = Vec::new();
    within(requirement, pipe.reader.read_to_end(&mut rest))
        .await
        .map(drop)
}

fn closed_pipe() -> Pipe {
    Pipe::new(tokio::io::empty(), tokio::io::sink())
}

/// Polls a future once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

async fn within<T>(
    requirement: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, ContractViolation> {
    let done = timeout(STEP_TIMEOUT, future).await;
    done.map_err(|_| violation(requirement, format!("a timeout after {STEP_TIMEOUT:?}")))
}

fn expect<T: Debug + PartialEq>(
    requirement: &'static str,
    found: T,
    expected: T,
) -> Result<(), ContractViolation> {
    if found == expected {
        Ok(())
    } else {
        Err(violation(requirement, format!("{found:?}")))
    }
}

fn violation(requirement: &'static str, found: impl ToString) -> ContractViolation {
    ContractViolation {
        requirement,
        found: found.to_string(),
    }
}
