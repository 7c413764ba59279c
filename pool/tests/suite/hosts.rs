//! Do workers live exactly as long as their host?

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::{env, thread};

use ostler_pool::testing::Process;
use ostler_pool::{Pool, Program, Python};
use tokio::runtime::Runtime;

use crate::resources::{modules, until, until_ended};
use crate::rig::{hostile, interpreter};

/// P1: a worker outlives the thread that spawned it.
#[test]
fn a_worker_outlives_the_thread_that_spawned_it() {
    let spawner = thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let pool = runtime.block_on(async {
            let pool = hostile().size(1).build().unwrap();
            pool.call(b"pid").await.unwrap();
            pool
        });
        (runtime, pool)
    });
    let (runtime, pool) = spawner.join().unwrap();
    runtime.block_on(async {
        assert_eq!(pool.call(b"sleep 0.1").await.unwrap(), b"slept");
        assert_eq!(pool.shutdown().await.counters.opened, 1);
    });
}

/// P14: when their host is killed, an idle worker and a spinning one exit by themselves.
#[test]
fn workers_end_with_their_host() {
    const ROLE: &str = "OSTLER_TEST_HOST";
    if env::var_os(ROLE).is_some() {
        Runtime::new().unwrap().block_on(async {
            // Without a sentinel, which would kill workers that do not exit.
            let interpreter = Program::new(interpreter()).sentinel(false);
            let python = Python::function("hostile:run").interpreter(interpreter);
            let pool = Pool::builder(python.path(modules()))
                .size(2)
                .build()
                .unwrap();
            let mut spins = pool.checkout().await.unwrap();
            let idles = pool.checkout().await.unwrap();
            println!("pids {} {}", spins.pid().unwrap(), idles.pid().unwrap());
            drop(idles);
            let _ = spins.call(b"spin").await;
        });
        return;
    }
    let mut host = Command::new(env::current_exe().unwrap())
        .args([
            "hosts::workers_end_with_their_host",
            "--exact",
            "--nocapture",
        ])
        .env(ROLE, "")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let pids: Vec<u32> = lines
        .filter_map(|line| line.split_once("pids ").map(|(_, pids)| pids.to_owned()))
        .map(|pids| pids.split(' ').map(|pid| pid.parse().unwrap()).collect())
        .next()
        .expect("the host names its workers");
    until("a spinning worker", || {
        Process::read(pids[0]).is_some_and(|worker| worker.cpu_ticks > 10)
    });
    host.kill().unwrap();
    host.wait().unwrap();
    until_ended(&pids);
}
