//! Calls to an echo worker, beside the same worker on bare pipes.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use ostler_pool::{Lease, Pool, Program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::clients::runtime;
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;

pub(crate) const WORKER: &str = "echo in Rust";
const HEAD: usize = 9;
const SMALL: &str = "The kernel takes most of the time, for pipes and for two switches between \
                     processes; ostler adds deadlines, checks and the states of the worker.";

pub(crate) fn small(rounds: usize) -> Vec<Row> {
    const CALLS: usize = 10_000;
    let request = [b'x'; 64];
    let (ostler, other) = (Ostler::open(), Ostler::open());
    let mut lease = ostler.lease();
    let (mut blocking, mut tokio) = (Blocking::open(), Tokio::open());
    let mut again = (Blocking::open(), Tokio::open());
    vec![
        Plan::new("G6", "64 B call of a lease, one processor", WORKER)
            .add(Role::Ostler, "ostler", || {
                ostler.calls(&mut lease, &request, CALLS)
            })
            .add(Role::Floor, "blocking pipe", || {
                blocking.calls(&request, CALLS)
            })
            .add(Role::Floor, "tokio pipe", || tokio.calls(&request, CALLS))
            .goal(1.05)
            .limit(SMALL)
            .measure(rounds),
        Plan::new("G6", "64 B call of a pool, one processor", WORKER)
            .add(Role::Ostler, "ostler", || other.pool_calls(&request, CALLS))
            .add(Role::Floor, "blocking pipe", || {
                again.0.calls(&request, CALLS)
            })
            .add(Role::Floor, "tokio pipe", || again.1.calls(&request, CALLS))
            .goal(1.12)
            .limit(SMALL)
            .measure(rounds),
    ]
}

pub(crate) fn large(rounds: usize) -> Vec<Row> {
    let ostler = Ostler::open();
    let mut lease = ostler.lease();
    let (mut blocking, mut tokio) = (Blocking::open(), Tokio::open());
    let mut row = |mib: usize, calls| {
        let request = vec![b'x'; mib << 20];
        let operation = format!("{mib} MiB call of a lease, one processor");
        Plan::new("G7", operation, WORKER)
            .add(Role::Ostler, "ostler", || {
                ostler.calls(&mut lease, &request, calls)
            })
            .add(Role::Floor, "blocking pipe", || {
                blocking.calls(&request, calls)
            })
            .goal(0.9)
            .add(Role::Floor, "tokio pipe", || tokio.calls(&request, calls))
            .limit("The kernel copies each byte into a pipe and out of it, twice per call.")
            .measure(rounds)
    };
    vec![row(1, 100), row(64, 2)]
}

/// This program as a worker.
pub(crate) fn worker() -> Program {
    Program::new(std::env::current_exe().expect("a path")).arg("worker")
}

/// A pool of one worker.
pub(crate) struct Ostler {
    pub(crate) runtime: Runtime,
    pub(crate) pool: Pool,
}

impl Ostler {
    pub(crate) fn open() -> Self {
        let runtime = runtime();
        let pool = runtime.block_on(async {
            let builder = Pool::builder(worker()).size(1).max_worker_requests(None);
            builder.max_frame(80 << 20).build().expect("a pool")
        });
        Self { runtime, pool }
    }

    pub(crate) fn lease(&self) -> Lease {
        let lease = self.runtime.block_on(self.pool.checkout());
        lease.expect("a worker")
    }

    fn calls(&self, lease: &mut Lease, request: &[u8], calls: usize) -> f64 {
        let start = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..calls {
                let reply = lease.call(request).await.expect("a reply");
                assert_eq!(reply.len(), request.len());
            }
        });
        nanos(start.elapsed()) / calls as f64
    }

    fn pool_calls(&self, request: &[u8], calls: usize) -> f64 {
        let start = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..calls {
                let reply = self.pool.call(request).await.expect("a reply");
                assert_eq!(reply.len(), request.len());
            }
        });
        nanos(start.elapsed()) / calls as f64
    }
}

/// The frame of a request, or of HELLO.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = (5 + body.len() as u32).to_be_bytes().to_vec();
    frame.extend([kind, 0, 0, 0, 1]);
    frame.extend(body);
    frame
}

/// A worker on blocking pipes.
pub(crate) struct Blocking {
    child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    reply: Vec<u8>,
}

impl Blocking {
    /// Returns once the worker has answered HELLO.
    pub(crate) fn open() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker can be started");
        let stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let mut blocking = Self {
            child,
            stdin,
            stdout,
            reply: Vec::new(),
        };
        let hello = [0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0];
        blocking
            .stdin
            .write_all(&frame(1, &hello))
            .expect("the worker reads");
        blocking.read(HEAD + 4);
        blocking
    }

    pub(crate) fn calls(&mut self, request: &[u8], calls: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..calls {
            let request = frame(2, request);
            self.stdin.write_all(&request).expect("the worker reads");
            self.read(request.len());
        }
        nanos(start.elapsed()) / calls as f64
    }

    fn read(&mut self, size: usize) {
        self.reply.resize(size, 0);
        self.stdout
            .read_exact(&mut self.reply)
            .expect("the worker answers");
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.child.kill().expect("the worker can be killed");
        self.child.wait().expect("the worker can be reaped");
    }
}

/// A worker on tokio's pipes.
struct Tokio {
    runtime: Runtime,
    /// Killed when it is dropped.
    _child: tokio::process::Child,
    stdin: tokio::process::ChildStdin,
    stdout: tokio::process::ChildStdout,
    reply: Vec<u8>,
}

impl Tokio {
    fn open() -> Self {
        let runtime = runtime();
        let context = runtime.enter();
        let mut child = tokio::process::Command::new(std::env::current_exe().expect("a path"))
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker can be started");
        let stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        drop(context);
        Self {
            runtime,
            _child: child,
            stdin,
            stdout,
            reply: Vec::new(),
        }
    }

    fn calls(&mut self, request: &[u8], calls: usize) -> f64 {
        let Self {
            runtime,
            stdin,
            stdout,
            reply,
            ..
        } = self;
        let start = Instant::now();
        runtime.block_on(async {
            for _ in 0..calls {
                let request = frame(2, request);
                stdin.write_all(&request).await.expect("the worker reads");
                reply.resize(request.len(), 0);
                let read = stdout.read_exact(reply).await;
                read.expect("the worker answers");
            }
        });
        nanos(start.elapsed()) / calls as f64
    }
}
