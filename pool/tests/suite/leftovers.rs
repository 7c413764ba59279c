//! Workers of `leftovers.c`, and hosts for them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use ostler_pool::port::{ExitStatus, Opener, Pipe, Port, Release, Start};
use ostler_pool::{Program, WorkerId};
use rustix::process::{Signal, geteuid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime;
use tokio::time::timeout;

use crate::puppets::kind;
use crate::resources::{Resources, compiled_as, is_alive, isolated, scratch, tag_of};
use crate::rig::signal;

/// A user with few rights.
pub(crate) const OTHER_USER: u32 = 65534;

/// What an unprivileged test prints to have the test that started it kill a process.
pub(crate) const KILL: &str = "kill ";

/// How long a release may take before a test takes it for endless.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The path of a binary of `leftovers.c`, as [`compiled_as`] returns it.
pub(crate) fn leftovers(name: &str) -> Option<PathBuf> {
    compiled_as(name, "leftovers.c", &["-O1", "-pthread"])
}

/// A worker of `leftovers.c` whose handshake is done.
pub(crate) struct Worker {
    pub(crate) port: Box<dyn Port>,
    pub(crate) pid: u32,
    pipe: Pipe,
}

impl Worker {
    pub(crate) async fn start(program: &impl Opener) -> Self {
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        let mut port = program.open(Start::new(worker, 0)).await.unwrap();
        let (pid, pipe) = (port.pid().unwrap(), port.take_pipe());
        let mut worker = Self { port, pid, pipe };
        // Version 1, and frames of up to 64 MiB.
        worker.ask(kind::HELLO, &[0, 0, 0, 1, 4, 0, 0, 0]).await;
        worker
    }

    async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut frame = u32::try_from(5 + body.len())
            .unwrap()
            .to_be_bytes()
            .to_vec();
        frame.extend([kind, 0, 0, 0, 0]);
        frame.extend(body);
        self.pipe.writer.write_all(&frame).await.unwrap();
    }

    /// Sends a frame and returns the body of its answer.
    async fn ask(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.send(kind, body).await;
        let length = self.pipe.reader.read_u32().await.unwrap();
        let mut answer = vec![0; length as usize];
        self.pipe.reader.read_exact(&mut answer).await.unwrap();
        answer.split_off(5)
    }

    /// Has the worker leave a process behind, and returns its id.
    pub(crate) async fn leave(&mut self, verb: &str) -> u32 {
        let pid = self.ask(kind::CALL, verb.as_bytes()).await;
        let pid = String::from_utf8(pid).unwrap().parse().unwrap();
        assert!(is_alive(pid), "{verb}");
        pid
    }

    /// The value of its `OSTLER_TAG`.
    pub(crate) fn tag(&self) -> String {
        tag_of(self.pid)
    }

    /// Has it exit by itself.
    pub(crate) async fn exit(&mut self) {
        self.send(kind::SHUTDOWN, b"").await;
        let exit = self.port.exited().await;
        assert_eq!(exit.status, ExitStatus::Code(0));
    }

    pub(crate) async fn kill(&mut self) {
        self.port.kill();
        self.port.exited().await;
    }

    pub(crate) async fn release(mut self) -> Release {
        self.kill().await;
        self.released().await
    }

    /// What is left of it when it has exited.
    pub(crate) async fn released(&mut self) -> Release {
        let released = timeout(DEADLINE, self.port.released()).await;
        released.unwrap_or_else(|_| panic!("held up by {:?}", self.port.survivors()))
    }
}

/// Runs `test` in a process of its own, on one thread of a runtime, and checks that nothing is
/// left.
///
/// `name` is the test's path, as `cargo test` prints it.
pub(crate) fn on_one_thread(name: &str, test: impl AsyncFnOnce(Program)) {
    if !isolated(name) {
        return;
    }
    let Some(path) = leftovers("leftovers") else {
        return;
    };
    run(Program::new(&path), test);
    fs::remove_file(path).unwrap();
}

pub(crate) fn run(program: Program, test: impl AsyncFnOnce(Program)) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap();
    let before = Resources::snapshot();
    runtime.block_on(async {
        let mut program = program.sentinel(false);
        program.prepare().unwrap();
        test(program).await;
    });
    before.assert_no_leaks(&[]);
}

/// Runs a test as an unprivileged user: see [`isolated`]. `None` if the test was run in another
/// process, or cannot be. In that process, returns the worker's program.
pub(crate) fn as_other_user(name: &str) -> Option<Program> {
    const ROLE: &str = "OSTLER_TEST_RELEASES_WORKER";
    if let Some(path) = env::var_os(ROLE) {
        return Some(Program::new(path));
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return None;
    }
    let worker = leftovers(name)?;
    let root = scratch(&format!("{name}-root"));
    fs::copy(&worker, &root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o4755)).unwrap();
    let suite = scratch(&format!("{name}-suite"));
    fs::copy(env::current_exe().unwrap(), &suite).unwrap();
    // Most likely a user of its own, also beside another run of the suite: a release counts what
    // other processes of its user hide.
    let own = name.bytes().map(u32::from).sum::<u32>() + std::process::id();
    let user = 60_000 + own % 5_000;
    let mut host = Command::new("setpriv")
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .arg("--clear-groups")
        .arg(&suite)
        .args([&format!("releases::{name}"), "--exact", "--nocapture"])
        .env(ROLE, &worker)
        .env("OSTLER_TEST_ISOLATED", name)
        .env("SETUID_PROGRAM", &root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut has_passed = false;
    for line in BufReader::new(host.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        if let Some((_, pid)) = line.split_once(KILL) {
            signal(pid.parse().unwrap(), Signal::KILL);
        }
        has_passed |= line.contains("1 passed");
    }
    let status = host.wait().unwrap();
    for path in [worker, root, suite] {
        fs::remove_file(path).unwrap();
    }
    assert!(has_passed, "{status}");
    None
}
