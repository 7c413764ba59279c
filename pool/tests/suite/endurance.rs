//! Do small leaks add up over thousands of calls, starts and exits?
//!
//! Each test has a short form and a long form with the same body. The long form runs on demand:
//! `cargo test --release -p ostler-pool --test suite -- --ignored endurance --nocapture`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ostler_pool::testing::resident_bytes;
use ostler_pool::{Builder, CallError, ExitStatus, Lease, Pool, Program, ProtocolError};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::resources::{Resources, isolated, leaks_nothing, modules};
use crate::rig::{Random, interpreter, signal, until};

/// More clients than workers, so that clients queue.
const CLIENTS: u64 = 12;
const WORKERS: usize = 8;

/// Growth of a host that leaks nothing, in bytes: memory that the allocator keeps, and pages of the
/// program.
pub(crate) const GROWTH: u64 = 8 << 20;

/// A fault that is injected into a call. The call's outcome must show it.
#[derive(Clone, Copy, Debug)]
enum Injected {
    Kill,
    Stop,
    Spin,
    Exit,
    ExitPartial,
    Grandchildren,
    Garbage,
    CloseStdout,
    Flood,
    Twice,
}

const INJECTED: [Injected; 10] = [
    Injected::Kill,
    Injected::Stop,
    Injected::Spin,
    Injected::Exit,
    Injected::ExitPartial,
    Injected::Grandchildren,
    Injected::Garbage,
    Injected::CloseStdout,
    Injected::Flood,
    Injected::Twice,
];

/// What the pool's counters must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    granted: u64,
    calls: u64,
    exited: u64,
    faulted: u64,
}

impl Injected {
    fn request(self) -> &'static [u8] {
        match self {
            Self::Kill | Self::Stop => b"many 10",
            Self::Spin => b"spin",
            Self::Exit => b"exit 3",
            Self::ExitPartial => b"exit_partial 5",
            Self::Grandchildren => b"grandchildren",
            Self::Garbage => b"garbage",
            Self::CloseStdout => b"close_stdout",
            Self::Flood => b"flood 1",
            Self::Twice => b"twice",
        }
    }

    /// Injects the fault into a call, checks the call's outcome, and counts it.
    async fn inject(self, lease: &mut Lease, tally: &mut Tally) {
        let pid = lease.pid().unwrap();
        match self {
            Self::Kill => signal(pid, Signal::KILL),
            Self::Stop => signal(pid, Signal::STOP),
            _ => {}
        }
        match (self, lease.call(self.request()).await) {
            (Self::Kill, Err(CallError::WorkerExited { exit, .. })) => {
                assert_eq!(exit.status, ExitStatus::Signal(9));
                tally.exited += 1;
            }
            (
                Self::Exit | Self::ExitPartial | Self::Grandchildren,
                Err(CallError::WorkerExited { exit, .. }),
            ) => {
                let expected = match self {
                    Self::Exit => (3, "the last words\n"),
                    Self::ExitPartial => (5, "in the middle\n"),
                    _ => (4, "orphaned\n"),
                };
                let (code, words) = expected;
                assert_eq!(exit.status, ExitStatus::Code(code));
                // An earlier call of this worker may have flooded its stderr.
                assert!(exit.stderr.ends_with(words), "not the last: {words}");
                tally.exited += 1;
            }
            (
                Self::Stop | Self::Spin,
                Err(CallError::TimedOut {
                    request_written, ..
                }),
            ) => {
                assert!(request_written);
                tally.faulted += 1;
            }
            (Self::Garbage, Err(CallError::Protocol { source, .. })) => {
                assert!(
                    matches!(
                        source,
                        ProtocolError::FrameTooLong {
                            length: 4294504938,
                            ..
                        }
                    ),
                    "{source}"
                );
                tally.faulted += 1;
            }
            (Self::CloseStdout, Err(CallError::Protocol { source, .. })) => {
                assert_eq!(source, ProtocolError::OutputClosed);
                tally.faulted += 1;
            }
            (Self::Flood, Ok(reply)) => {
                assert_eq!(reply, b"flooded");
                tally.calls += 1;
            }
            (Self::Twice, Ok(reply)) => {
                assert_eq!(reply, b"once");
                tally.calls += 1;
                tally.faulted += 1;
            }
            (injected, other) => panic!("{injected:?}: {other:?}"),
        }
    }
}

/// C4, L4: with 12 clients and a fault in 1 of 20 calls, each call has the outcome of its fault,
/// the counters add up, and the host leaks nothing and does not grow.
#[test]
fn faults_under_load_leak_nothing() {
    faults_under_load("faults_under_load_leak_nothing", 1_000);
}

/// C4, L4: 10,000 calls with injected faults leak nothing.
#[test]
#[ignore = "takes minutes"]
fn faults_in_ten_thousand_calls_leak_nothing() {
    faults_under_load("faults_in_ten_thousand_calls_leak_nothing", 10_000);
}

fn faults_under_load(name: &str, calls: u64) {
    if !isolated(&format!("endurance::{name}")) {
        return;
    }
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    leaks_nothing(async || {
        let since = Instant::now();
        let pool = workers()
            .size(WORKERS)
            .surge(WORKERS)
            .max_worker_requests(None)
            .call_timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let mut tally = call_with_faults(&pool, seed, calls / 10).await;
        let warm = figures_at_rest(&pool).await;
        tally = tally.and(call_with_faults(&pool, !seed, calls - calls / 10).await);
        let last = figures_at_rest(&pool).await;
        let report = pool.shutdown().await;
        assert_eq!(report.unreleased, []);
        let counters = report.counters;
        let counted = Tally {
            granted: counters.granted,
            calls: counters.calls,
            exited: counters.exited,
            faulted: counters.faulted,
        };
        assert_eq!(counted, tally);
        let replaced = tally.exited + tally.faulted;
        let opened = WORKERS as u64 + replaced;
        let ports = (counters.opened, counters.started, counters.released);
        assert_eq!(ports, (opened, opened, opened));
        println!(
            "{} calls, {replaced} workers lost ({} exited, {} stopped), in {:.1} s; host {} -> {} KiB, \
             {} -> {} descriptors",
            tally.granted,
            tally.exited,
            tally.faulted,
            since.elapsed().as_secs_f64(),
            warm.0 >> 10,
            last.0 >> 10,
            warm.1,
            last.1
        );
        assert_eq!(last.1, warm.1);
        assert!(last.0 < warm.0 + GROWTH);
    });
}

/// Makes this many calls, a random 1 in 20 of them with a fault, and counts their outcomes.
pub(crate) async fn call_with_faults(pool: &Pool, seed: u64, calls: u64) -> Tally {
    let client = async |client: u64| {
        // Each client has its own generator, so its numbers do not depend on the order of the
        // clients.
        let mut random = Random::new(seed ^ (client << 32));
        let mut tally = Tally::default();
        let share = calls / CLIENTS + u64::from(client < calls % CLIENTS);
        for _ in 0..share {
            let mut lease = pool.checkout().await.unwrap();
            tally.granted += 1;
            if random.below(20) == 0 {
                let injected = INJECTED[random.below(INJECTED.len() as u64) as usize];
                injected.inject(&mut lease, &mut tally).await;
            } else {
                let size = random.below(2000);
                let reply = lease.call(format!("many {size}").as_bytes()).await.unwrap();
                assert_eq!(reply.len() as u64, size);
                tally.calls += 1;
            }
        }
        tally
    };
    let tallies = join_all((0..CLIENTS).map(client)).await;
    tallies.into_iter().fold(Tally::default(), Tally::and)
}

impl Tally {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            granted: self.granted + other.granted,
            calls: self.calls + other.calls,
            exited: self.exited + other.exited,
            faulted: self.faulted + other.faulted,
        }
    }
}

/// The host's resident bytes and its number of descriptors, once all workers serve and none is
/// stopping.
async fn figures_at_rest(pool: &Pool) -> (u64, usize) {
    until(pool, |status| {
        status.serving() == status.size && status.workers.len() == status.size
    })
    .await;
    (resident_bytes(), Resources::snapshot().descriptors.len())
}

pub(crate) fn workers() -> Builder {
    let script = modules().join("hostile/hostile.py");
    let program = Program::new(interpreter()).args(["-I", "-S"]);
    let moment = Duration::from_millis(50);
    Pool::builder(program.arg(script).args(["good", "-"]))
        .restart_backoff(Duration::from_millis(1))
        .restart_backoff_max(Duration::from_millis(20))
        .checkout_timeout(Duration::from_secs(60))
        .ask_grace(moment)
        .term_grace(moment)
}

/// L4: 50 pools that are built, used and shut down one after the other leak nothing, and their host
/// does not grow.
#[test]
fn fifty_pools_leak_nothing() {
    cycles("fifty_pools_leak_nothing", 50);
}

/// L4: 1,000 pools leak nothing.
#[test]
#[ignore = "takes a minute"]
fn a_thousand_pools_leak_nothing() {
    cycles("a_thousand_pools_leak_nothing", 1_000);
}

fn cycles(name: &str, cycles: usize) {
    if !isolated(&format!("endurance::{name}")) {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let since = Instant::now();
    let mut warm = (Resources::snapshot(), resident_bytes());
    for cycle in 0..cycles {
        let size = 1 + cycle % 2;
        runtime.block_on(async {
            let pool = workers().size(size).build().unwrap();
            assert_eq!(pool.call(b"many 3").await.unwrap(), b"mmm");
            let report = pool.shutdown().await;
            assert_eq!(report.unreleased, []);
            let counters = report.counters;
            let counted = (counters.opened, counters.released, counters.calls);
            assert_eq!(counted, (size as u64, size as u64, 1));
        });
        warm.0.assert_no_leaks(&[]);
        if cycle == cycles / 10 {
            warm = (Resources::snapshot(), resident_bytes());
        }
    }
    let last = resident_bytes();
    println!(
        "{cycles} pools in {:.1} s; host {} -> {} KiB, {} descriptors",
        since.elapsed().as_secs_f64(),
        warm.1 >> 10,
        last >> 10,
        warm.0.descriptors.len()
    );
    assert!(last < warm.1 + GROWTH);
}
