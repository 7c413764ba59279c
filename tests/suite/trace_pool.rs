//! The pool that is recorded for [`trace`](crate::trace).

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use ostler_pool::port::{BoxFuture, Exit, OpenError, Opener, Pipe, Port, Release, Start};
use ostler_pool::{AbandonedCalls, Pool, Program, Python};
use tokio::time::{Instant, sleep_until};

/// A directory for the files of one test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ostler-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// How workers start from now on.
    pub(crate) fn mood(&self, mood: &str) {
        let unfinished = self.file("unfinished");
        fs::write(&unfinished, mood).expect("a file can be written");
        fs::rename(unfinished, self.file("mood")).expect("a file can be renamed");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A recorded pool with low limits, some of whose ports are stuck for a while.
pub(crate) fn pool(scratch: &Scratch) -> Pool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = Python::function("moody:run")
        .path(root.join("tests/suite"))
        .path(root.join("pool/tests/suite"))
        .interpreter(Program::new("python3").env("MOOD", scratch.file("mood")));
    let millis = Duration::from_millis;
    Pool::builder(Stuck(python))
        .size(4)
        .surge(2)
        .max_waiting(4)
        .max_sessions(3)
        .session_idle_timeout(millis(200))
        .max_worker_requests(60)
        .error_threshold(2)
        .min_worker_life(millis(10))
        .health_check_interval(millis(40))
        .health_check_timeout(millis(100))
        .health_failure_threshold(2)
        .start_timeout(Duration::from_secs(2))
        .restart_backoff(millis(5))
        .restart_backoff_max(millis(300))
        .ask_grace(millis(50))
        .term_grace(millis(50))
        .release_timeout(millis(50))
        .session_grace(millis(100))
        .shutdown_timeout(millis(600))
        .checkout_timeout(Duration::from_secs(5))
        .call_timeout(millis(500))
        .abandoned_calls(AbandonedCalls::Cancel(millis(200)))
        .record(fs::File::create(scratch.file("trace")).expect("a file can be made"))
        .build()
        .expect("the pool can be built")
}

/// Opens the ports of another opener. Every third one is stuck: it is released later than
/// `release_timeout` allows.
#[derive(Debug)]
struct Stuck(Python);

#[derive(Debug)]
struct StuckPort {
    port: Box<dyn Port>,
    is_stuck: bool,
    /// When it lets go, once it has been told to.
    lets_go: Option<Instant>,
}

impl Opener for Stuck {
    fn prepare(&mut self) -> Result<(), OpenError> {
        self.0.prepare()
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move {
            let port = self.0.open(start).await?;
            let is_stuck = start.worker.generation.is_multiple_of(3);
            let lets_go = None;
            let port: Box<dyn Port> = Box::new(StuckPort {
                port,
                is_stuck,
                lets_go,
            });
            Ok(port)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

impl Port for StuckPort {
    fn pid(&self) -> Option<u32> {
        self.port.pid()
    }

    fn memory(&self) -> Option<u64> {
        self.port.memory()
    }

    fn take_pipe(&mut self) -> Pipe {
        self.port.take_pipe()
    }

    fn terminate(&mut self) {
        self.port.terminate();
    }

    fn kill(&mut self) {
        self.port.kill();
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        self.port.exited()
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async {
            if self.is_stuck {
                let later = || Instant::now() + Duration::from_millis(200);
                sleep_until(*self.lets_go.get_or_insert_with(later)).await;
            }
            self.port.released().await
        })
    }
}
