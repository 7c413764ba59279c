//! Does a port keep its promises, without a driver above it?
//!
//! Frames are written byte by byte here, because they are the protocol that workers in other
//! languages speak.

use ostler_pool::port::{Opener, Pipe, Port, Start};
use ostler_pool::{ExitStatus, Program, Python, WorkerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::puppets::kind::{CALL, ERROR, HELLO, PING, PONG, READY, REPLY};
use crate::resources::{is_alive, modules, until};

const MIB: u64 = 1 << 20;

/// An open port after its handshake.
struct Worker {
    port: Box<dyn Port>,
    pipe: Pipe,
}

impl Worker {
    async fn open(mut opener: impl Opener) -> Self {
        opener.prepare().unwrap();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        let mut port = opener.open(Start::new(worker, 0)).await.unwrap();
        let mut pipe = port.take_pipe();
        let preamble = std::mem::take(&mut pipe.preamble);
        pipe.writer.write_all(&preamble).await.unwrap();
        let mut worker = Self { port, pipe };
        let hello = [0, 0, 0, 1, 0, 1, 0, 0];
        worker.send(HELLO, 0, &hello).await;
        assert_eq!(worker.receive().await, (READY, 0, vec![0, 0, 0, 1]));
        worker
    }

    async fn send(&mut self, kind: u8, id: u32, body: &[u8]) {
        let length = u32::try_from(5 + body.len()).unwrap();
        let frame = [&length.to_be_bytes(), &[kind][..], &id.to_be_bytes(), body].concat();
        self.pipe.writer.write_all(&frame).await.unwrap();
    }

    async fn receive(&mut self) -> (u8, u32, Vec<u8>) {
        let length = self.pipe.reader.read_u32().await.unwrap();
        let kind = self.pipe.reader.read_u8().await.unwrap();
        let id = self.pipe.reader.read_u32().await.unwrap();
        let mut body = vec![0; length as usize - 5];
        self.pipe.reader.read_exact(&mut body).await.unwrap();
        (kind, id, body)
    }

    /// Sends a frame and receives the answer, which must have the same id.
    async fn ask(&mut self, kind: u8, id: u32, body: &[u8]) -> (u8, Vec<u8>) {
        self.send(kind, id, body).await;
        let (kind, answered, body) = self.receive().await;
        assert_eq!(answered, id);
        (kind, body)
    }

    /// Makes the worker allocate memory, and returns the growth of its memory in bytes.
    async fn growth(&mut self, verb: &str) -> u64 {
        let before = self.port.memory().unwrap();
        let hoarded = (REPLY, b"hoarded".to_vec());
        assert_eq!(self.ask(CALL, 1, verb.as_bytes()).await, hoarded);
        self.port.memory().unwrap() - before
    }

    /// Kills the worker and waits for its release.
    async fn end(mut self) {
        self.port.kill();
        self.port.exited().await;
        self.port.released().await;
    }
}

fn python(target: &str) -> Python {
    Python::function(target).path(modules())
}

/// The first two strings of an `ERROR` frame: the type of the exception and its message.
fn raised(mut body: &[u8]) -> [String; 2] {
    [(); 2].map(|()| {
        let (length, rest) = body.split_first_chunk().unwrap();
        let (text, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        body = rest;
        String::from_utf8(text.to_vec()).unwrap()
    })
}

/// L3: the Python runtime answers pings between calls if the module has no `health`.
#[tokio::test]
async fn a_python_worker_answers_a_ping() {
    let mut worker = Worker::open(python("hostile:echo")).await;
    for id in [1, 3, u32::MAX] {
        assert_eq!(worker.ask(PING, id, b"").await, (PONG, vec![]));
        assert_eq!(
            worker.ask(CALL, 7, b"called").await,
            (REPLY, b"called".to_vec())
        );
    }
    worker.end().await;
}

/// L3: each ping calls the module's `health`. If it raises, the answer is an error, and the worker
/// serves on and recovers when `health` returns again.
#[tokio::test]
async fn a_ping_calls_the_health_of_the_module() {
    let mut worker = Worker::open(python("with_health:set_failure")).await;
    assert_eq!(worker.ask(PING, 1, b"").await, (PONG, vec![]));
    let asked = |times: &str| (REPLY, times.as_bytes().to_vec());
    assert_eq!(worker.ask(CALL, 2, b"no model").await, asked("1"));
    let (kind, error) = worker.ask(PING, 3, b"").await;
    assert_eq!(
        (kind, raised(&error)),
        (ERROR, ["OSError", "no model"].map(String::from))
    );
    assert_eq!(worker.ask(CALL, 4, b"").await, asked("2"));
    assert_eq!(worker.ask(PING, 5, b"").await, (PONG, vec![]));
    assert_eq!(worker.ask(CALL, 6, b"").await, asked("3"));
    worker.end().await;
}

/// A target that is named `health` is not called by a ping, because it takes an argument.
#[tokio::test]
async fn a_target_named_health_is_not_called_by_a_ping() {
    let mut worker = Worker::open(python("health_as_target:health")).await;
    assert_eq!(worker.ask(PING, 1, b"").await, (PONG, vec![]));
    assert_eq!(worker.ask(CALL, 2, b"x").await, (REPLY, b"x".to_vec()));
    worker.end().await;
}

/// `echo.py`, the smallest worker, answers a ping.
#[tokio::test]
async fn the_smallest_worker_answers_a_ping() {
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
    let mut worker = Worker::open(Program::new("python3").arg(echo)).await;
    assert_eq!(worker.ask(PING, 1, b"").await, (PONG, vec![]));
    assert_eq!(worker.ask(CALL, 2, b"x").await, (REPLY, b"x".to_vec()));
    worker.end().await;
}

/// The memory of a port is that of its process group: the worker and a grandchild. A process that
/// left the group is not counted.
#[tokio::test]
async fn the_memory_of_a_port_includes_its_group() {
    let mut worker = Worker::open(python("hostile:run")).await;
    // 64 MiB, and up to 32 MiB for the interpreter that allocates them.
    let one_hoard = 64 * MIB..96 * MIB;
    for verb in ["hoard 64", "hoard_below 64"] {
        let growth = worker.growth(verb).await;
        assert!(one_hoard.contains(&growth), "{verb}: {growth}");
    }
    let growth = worker.growth("hoard_elsewhere 64").await;
    assert!(growth < 32 * MIB, "{growth}");
    worker.end().await;
}

/// A dead worker has no memory, before and after its exit was noticed.
#[tokio::test]
async fn a_dead_worker_has_no_memory() {
    let mut worker = Worker::open(python("hostile:run")).await;
    let growth = worker.growth("hoard_below 64").await;
    assert!(growth >= 64 * MIB, "{growth}");
    worker.send(CALL, 2, b"exit 3").await;
    let pid = worker.port.pid().unwrap();
    until("its end", || !is_alive(pid));
    assert_eq!(worker.port.memory(), None);
    assert_eq!(worker.port.exited().await.status, ExitStatus::Code(3));
    assert_eq!(worker.port.memory(), None);
    worker.port.released().await;
    assert_eq!(worker.port.memory(), None);
}
