//! Do the lines that a worker writes to stderr go where the option `stderr` says?
//!
//! Each test runs itself once more, as a host of its own, because a process has one stderr.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, io};

use ostler_pool::port::{BoxFuture, Opener, Port, Start, StderrSink};
use ostler_pool::testing::Sim;
use ostler_pool::{OpenError, Pool, Stderr, WorkerId};
use tokio::runtime::Runtime;
use tracing::subscriber::set_global_default;

use crate::rig::{end, hostile};
use crate::tracing::{Log, listen};

/// What this process is to be, if it is a host.
const ROLE: &str = "OSTLER_TEST_STDERR_HOST";

fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Starts this test once more, in this role.
fn host(test: &str, role: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A pool whose worker says its last words, with this route, and with a subscriber if the host is
/// to listen. Prints how many lines the subscriber got.
fn say_last_words(route: Stderr, listens: bool, name: Option<&str>) {
    let log = Log::default();
    if listens {
        set_global_default(log.clone()).unwrap();
    }
    Runtime::new().unwrap().block_on(async {
        let mut pool = hostile().size(1).stderr(route);
        if let Some(name) = name {
            pool = pool.name(name);
        }
        let pool = pool.build().unwrap();
        pool.call(b"exit 4").await.unwrap_err();
        pool.shutdown().await;
    });
    let said = "ostler::stderr the last words";
    let mut logged = log.lines();
    logged.retain(|(line, _)| line == said);
    println!("logged {}", logged.len());
}

/// O10: without a subscriber, a worker's lines reach the host's stderr with the worker's name. The
/// option chooses otherwise, and the pool's name tells pools apart.
#[test]
fn lines_go_where_the_option_says() {
    let anonymous = "[worker 0.1] the last words";
    let routes = [
        ("auto", (Stderr::Auto, false, None), (Some(anonymous), 0)),
        ("auto, heard", (Stderr::Auto, true, None), (None, 1)),
        ("log", (Stderr::Log, true, None), (None, 1)),
        ("host", (Stderr::Host, true, None), (Some(anonymous), 0)),
        ("both", (Stderr::Both, true, None), (Some(anonymous), 1)),
        ("null", (Stderr::Null, true, None), (None, 0)),
        (
            "named",
            (Stderr::Auto, false, Some("thumbnails")),
            (Some("[thumbnails worker 0.1] the last words"), 0),
        ),
    ];
    if let Some(role) = role() {
        let is_it = |(name, ..): &&(&str, _, _)| *name == role;
        let (_, (route, listens, name), _) = routes.iter().find(is_it).unwrap();
        return say_last_words(*route, *listens, *name);
    }
    for (role, _, (said, logged)) in routes {
        let host = host("stderr_routes::lines_go_where_the_option_says", role);
        let output = host.wait_with_output().unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{role}: {err}");
        let lines: Vec<&str> = (err.lines())
            .filter(|line| line.contains("the last words"))
            .collect();
        assert_eq!(lines, Vec::from_iter(said), "{role}");
        assert!(out.contains(&format!("logged {logged}\n")), "{role}: {out}");
    }
}

/// A pool whose idle worker has written this many lines of 8 KiB to stderr, and the worker.
async fn flooded(lines: usize) -> (Pool, WorkerId) {
    let pool = hostile().size(1).stderr(Stderr::Host).build().unwrap();
    let flood = format!("flood {}", lines * 8192);
    assert_eq!(pool.call(flood).await.unwrap(), b"flooded");
    let worker = pool.checkout().await.unwrap().worker();
    (pool, worker)
}

/// Reads what a host prints, up to a line with this text. Returns the rest, which must stay open.
fn read_until(host: &mut Child, text: &str) -> BufReader<ChildStdout> {
    let mut out = BufReader::new(host.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the host has ended");
    }
    out
}

/// O10: a host whose stderr is not read holds up no worker. It drops lines, and says how many.
#[test]
fn a_stderr_that_is_not_read_holds_up_no_worker() {
    const PIECES: usize = 4096;
    if role().is_some() {
        return Runtime::new().unwrap().block_on(async {
            let (pool, worker) = flooded(PIECES).await;
            // The rest of the flood is read when the worker has exited.
            pool.recycle(worker);
            crate::rig::is_released(&pool, worker).await;
            println!("flooded");
            let _ = io::stdin().read(&mut [0]).unwrap();
            pool.shutdown().await;
        });
    }
    let test = "stderr_routes::a_stderr_that_is_not_read_holds_up_no_worker";
    let mut host = host(test, "floods");
    let _out = read_until(&mut host, "flooded");
    let err = BufReader::new(host.stderr.take().unwrap());
    let mut lines = err.lines().map(Result::unwrap);
    let mut written = 0;
    // The shutdown of the host waits 1 s at most for its lines, so they are read before it begins.
    let dropped: usize = loop {
        let line = lines.next().expect("the host says how many it has dropped");
        if let Some(notice) = line.strip_prefix("[ostler] dropped ") {
            break notice.split(' ').next().unwrap().parse().unwrap();
        }
        written += usize::from(line.starts_with("[worker 0.1] xxx"));
        assert!(written < PIECES, "none was dropped");
    };
    drop(host.stdin.take());
    lines.for_each(|line| assert!(!line.starts_with('['), "{line}"));
    assert!(host.wait().unwrap().success());
    assert!(written >= 1024, "{written} written");
    assert_eq!(written + dropped, PIECES);
}

/// O10: a host may exit after the shutdown of its pool: the lines that its stderr had no space for
/// are written by then, if they are read.
#[test]
fn the_last_lines_are_written_before_the_shutdown_ends() {
    const PIECES: usize = 256;
    if role().is_some() {
        return Runtime::new().unwrap().block_on(async {
            let (pool, worker) = flooded(PIECES).await;
            let shutdown = pool.shutdown();
            crate::rig::is_released(&pool, worker).await;
            println!("released");
            shutdown.await;
            // At once: the test harness would give the lines more time.
            std::process::exit(0);
        });
    }
    let test = "stderr_routes::the_last_lines_are_written_before_the_shutdown_ends";
    let mut host = host(test, "exits");
    let _out = read_until(&mut host, "released");
    let err = BufReader::new(host.stderr.take().unwrap());
    let lines = err.lines().map(Result::unwrap);
    let written = lines.filter(|line| line.starts_with("[worker 0.1] xxx"));
    assert_eq!(written.count(), PIECES);
    assert!(host.wait().unwrap().success());
}

/// Simulated workers that write a line when they start.
#[derive(Debug)]
struct Greets {
    sim: Sim,
    sink: StderrSink,
}

impl Opener for Greets {
    fn stderr_to(&mut self, sink: StderrSink) {
        self.sink = sink;
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.sink.line(start.worker, Some(71), "hello");
        Opener::open(&self.sim, start)
    }
}

/// O10: lines that a custom opener passes on are logged with the worker and its process id.
#[tokio::test(start_paused = true)]
async fn a_custom_opener_passes_lines_on() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::default();
    let opener = Greets {
        sim: sim.clone(),
        sink: StderrSink::default(),
    };
    let pool = Pool::builder(opener).size(1).stderr(Stderr::Log);
    let pool = pool.build().unwrap();
    drop(pool.checkout().await.unwrap());
    end(&pool, &sim).await;
    let mut lines = log.lines();
    lines.retain(|(line, _)| line.starts_with("ostler::stderr"));
    let fields = [("pid", "71"), ("worker", "0.1")].map(|(name, value)| (name, value.to_owned()));
    assert_eq!(lines, [("ostler::stderr hello".to_owned(), fields.into())]);
}
