//! Does a start cost the same in a large host as in a small one?

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Lines, Write as _, stdin};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, iter};

use ostler_pool::port::{Opener as _, Start};
use ostler_pool::{Program, WorkerId};
use tokio::runtime::Runtime;

/// Tells a host how many MiB to allocate.
const HOLDS: &str = "OSTLER_TEST_HOST_HOLDS";

/// The two hosts take turns, so that other load on the machine affects both.
const TURNS: usize = 40;
const SPAWNS: usize = 5;

/// P10: a host of 256 MiB needs at most twice as long for a spawn as an empty one.
#[test]
fn a_large_host_spawns_as_fast() {
    compare("a_large_host_spawns_as_fast", 256);
}

/// P10: the same holds for a host of 1 GiB.
#[test]
#[ignore = "takes a gibibyte of memory: part of the endurance tests"]
fn endurance_of_a_host_of_1_gib() {
    compare("endurance_of_a_host_of_1_gib", 1024);
}

fn compare(name: &str, mib: usize) {
    if let Some(holds) = env::var_os(HOLDS) {
        return run_host(holds.to_str().unwrap().parse().unwrap());
    }
    let (mut empty, mut large) = (Host::start(name, 0), Host::start(name, mib));
    let (mut of_empty, mut of_large) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        of_empty.extend(empty.spawns());
        of_large.extend(large.spawns());
    }
    let (empty, large) = (sorted(of_empty), sorted(of_large));
    let (median, median_large) = (empty[empty.len() / 2], large[large.len() / 2]);
    // On a busy machine the median measures the load. The minimum measures the spawn itself, and a
    // `fork`, which copies the page tables, is never fast.
    let (empty, large) = (empty[0], large[0]);
    let ratio = large.as_secs_f64() / empty.as_secs_f64();
    println!(
        "fastest spawn: {empty:?} in an empty host, {large:?} in one of {mib} MiB: {ratio:.2}x; \
         the medians are {median:?} and {median_large:?}"
    );
    assert!(ratio < 2.0);
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    assert_eq!(times.len(), TURNS * SPAWNS);
    times.sort_unstable();
    times
}

/// A process that spawns when it is told to, and exits at the end of its input.
struct Host {
    process: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// Starts a host, and waits until it has allocated its memory.
    fn start(name: &str, mib: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                &format!("spawning::{name}"),
                "--exact",
                "--nocapture",
                "--include-ignored",
            ])
            .env(HOLDS, mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut host = Self { process, says };
        host.spawns();
        host
    }

    /// The durations of `SPAWNS` spawns.
    fn spawns(&mut self) -> Vec<Duration> {
        writeln!(self.process.stdin.as_ref().unwrap(), "go").unwrap();
        let said = self.says.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("nanoseconds ")?.1.to_owned())
        });
        let times = said.expect("the host answers");
        let times = times.split(' ').map(|time| time.parse().unwrap());
        times.map(Duration::from_nanos).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.process.stdin = None;
        let status = self.process.wait();
        assert!(std::thread::panicking() || status.unwrap().success());
    }
}

fn run_host(mib: usize) {
    let hoard = vec![1_u8; mib << 20];
    let runtime = Runtime::new().unwrap();
    let mut program = Program::new("true");
    program.prepare().unwrap();
    for go in stdin().lines() {
        assert_eq!(go.unwrap(), "go");
        let times = iter::repeat_with(|| runtime.block_on(spawn(&program)).as_nanos().to_string());
        let times: Vec<String> = times.take(SPAWNS).collect();
        println!("nanoseconds {}", times.join(" "));
    }
    black_box(hoard);
}

/// Spawns a process and waits for its end. Returns the duration of the spawn alone.
async fn spawn(program: &Program) -> Duration {
    let worker = WorkerId {
        slot: 0,
        generation: 1,
    };
    let since = Instant::now();
    let mut port = program.open(Start::new(worker, 0)).await.unwrap();
    let took = since.elapsed();
    port.exited().await;
    port.released().await;
    took
}
