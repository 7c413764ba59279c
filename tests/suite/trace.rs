//! Is a trace of a real pool a behaviour of `spec/WorkerPool.tla`?
//!
//! A pool of Python workers is recorded while clients come, call, cancel and keep sessions, and
//! while workers are killed, stopped, recycled and fail to start. Then the trace is followed in the
//! specification step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use ostler::trace::{Head, Step};
use ostler::{Phase, WorkerId};
use ostler_pool::{DrainEnd, Pool, RecvError, SessionError, StartError, WorkerStatus};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::random::Random;
use crate::regression::of_trace;
use crate::spec_checks::assert_same;
use crate::spec_support::Model;
use crate::trace_check::{Follower, check, parse};
use crate::trace_names::kind;
use crate::trace_pool::{Scratch, pool};
use crate::trace_tampered::{TAMPERINGS, lasting_move};

const CLIENTS: u64 = 10;

/// One client, and the accidents of workers meanwhile. It ignores outcomes: the trace has them all.
async fn client(pool: Pool, seed: u64, rounds: u64) {
    let mut random = Random::new(seed);
    for _ in 0..rounds {
        let number = random.below(3);
        match random.below(100) {
            0..2 => drop(signal(random.below(4), &pool, Signal::KILL)),
            2..4 => drop(signal(random.below(4), &pool, Signal::STOP)),
            4..6 => {
                let workers = pool.status().workers;
                let which = random.below(workers.len().max(1) as u64);
                if let Some(worker) = workers.get(usize::try_from(which).expect("an index")) {
                    pool.recycle(worker.worker);
                }
            }
            6 => drop(pool.recycle_all()),
            7..9 => pool
                .resize(3 + usize::try_from(number).expect("a small number"))
                .expect("a size"),
            9 => {
                drop(pool.drain());
                tokio::task::yield_now().await;
                drop(pool.drain());
                pool.resume();
            }
            10..13 => drop(timeout(Duration::ZERO, pool.checkout()).await),
            13..16 => {
                // The worker has the request by the time at which the call is given up.
                let request: &[u8] = if number == 0 { b"deaf" } else { b"sleep 1" };
                if let Ok(mut lease) = pool.checkout().await {
                    let _ = timeout(Duration::from_millis(20), lease.call(request)).await;
                }
            }
            16..19 => drop(pool.call(b"fail twice").await),
            19 => drop(pool.call(b"exit 3").await),
            20 => drop(pool.call(b"immortal").await),
            21 => drop(pool.call(b"sicken").await),
            22..34 => {
                if let Ok(session) = pool.session(&format!("session {number}")) {
                    let _ = session.call(b"pid").await;
                    if number == 0 {
                        session.end();
                    }
                }
            }
            _ => {
                for _ in 0..8 {
                    if let Ok(mut lease) = pool.checkout().await {
                        for _ in 0..=number {
                            let _ = lease.call(b"pid").await;
                        }
                    }
                }
            }
        }
    }
}

/// Signals one of the serving workers, if there are that many. Returns which.
fn signal(which: u64, pool: &Pool, signal: Signal) -> Option<WorkerId> {
    let mut workers = pool.status().workers;
    workers.retain(|worker| matches!(worker.phase, Phase::Ready | Phase::Busy));
    let known = workers.get(usize::try_from(which).expect("a small number"))?;
    let pid = Pid::from_raw(known.pid?.cast_signed()).expect("a process id");
    let _ = kill_process(pid, signal);
    Some(known.worker)
}

fn serves(pool: &Pool, worker: WorkerId) -> bool {
    let workers = pool.status().workers;
    let of = |known: &WorkerStatus| {
        known.worker == worker && matches!(known.phase, Phase::Ready | Phase::Busy)
    };
    workers.iter().any(of)
}

/// The whole life of a pool, with everything in it.
async fn live(scratch: &Scratch, seed: u64) {
    // The first start fails for good, and its only callers are refused at once.
    scratch.mood("misspelt");
    let pool = pool(scratch);
    assert!(pool.ready().await.is_err());
    // On a busy machine, other starts may have timed out before.
    let is_final = |pool: &Pool| pool.status().last_failure.is_some_and(|it| it.is_final());
    until(&pool, is_final).await;
    scratch.mood("well");
    until(&pool, |pool| pool.status().serving() > 0).await;
    let clients = (0..CLIENTS).map(|number| tokio::spawn(client(pool.clone(), seed ^ number, 120)));
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client does not panic");
    }
    until(&pool, |pool| pool.status().serving() >= 3).await;
    assert_eq!(pool.drain().await, DrainEnd::Drained);
    pool.resume();
    // An idle worker misses its health checks; another one, if that was replaced for another
    // reason.
    let missed = pool.status().counters.missed_probes;
    while pool.status().counters.missed_probes < missed + 2 {
        let Some(stopped) = signal(0, &pool, Signal::STOP) else {
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        until(&pool, |pool| !serves(pool, stopped)).await;
    }
    // A worker reports itself unhealthy.
    let mut lease = pool.checkout().await.expect("a worker");
    let worker = lease.worker();
    lease.call(b"sicken").await.expect("an answer");
    drop(lease);
    until(&pool, |pool| !serves(pool, worker)).await;
    // An idle worker breaks the protocol.
    let mut lease = pool.checkout().await.expect("a worker");
    let worker = lease.worker();
    lease.call(b"babble").await.expect("an answer");
    drop(lease);
    until(&pool, |pool| !serves(pool, worker)).await;
    lose_a_session(&pool).await;
    // From now on every start fails: the rolling restart stops, and with no worker left, clients
    // are refused.
    until(&pool, |pool| pool.status().serving() >= 3).await;
    let lost = pool.session("lost").expect("a session");
    let _ = lost.call(b"pid").await;
    scratch.mood("refuse");
    assert!(pool.recycle_all().await.is_err());
    until(&pool, |pool| {
        for which in 0..4 {
            let _ = signal(which, pool, Signal::KILL);
        }
        pool.status().serving() == 0
    })
    .await;
    assert!(lost.call(b"pid").await.is_err());
    assert!(pool.call(b"pid").await.is_err());
    // Every vacancy backs off, and then the pool shrinks.
    pool.resize(5).expect("a size");
    until(&pool, |pool| pool.status().workers.is_empty()).await;
    pool.resize(1).expect("a size");
    scratch.mood("dawdle");
    let too_late = |failure: &StartError| matches!(failure, StartError::TimedOut { .. });
    until(&pool, |pool| {
        pool.status()
            .last_failure
            .is_some_and(|failure| too_late(&failure))
    })
    .await;
    scratch.mood("well");
    pool.resize(2).expect("a size");
    until(&pool, |pool| pool.status().serving() == 2).await;
    // The shutdown begins while a session is open, calls are under way, and a client waits.
    let kept = pool.session("kept").expect("a session");
    kept.call(b"pid").await.expect("an answer");
    let (one, other) = (pool.call(b"sleep 1000"), pool.call(b"sleep 1000"));
    let waits = pool.checkout();
    let shutdown = async {
        until(&pool, |pool| pool.status().waiting == 1).await;
        let mut events = pool.events();
        drop(pool.shutdown());
        // Also after the deadline of the report, when the machine is slow.
        while !matches!(events.recv().await, Err(RecvError::Closed)) {}
    };
    let _ = tokio::join!(one, other, waits, shutdown);
}

/// A session's worker is killed while a client waits for it.
async fn lose_a_session(pool: &Pool) {
    loop {
        let session = pool.session("waited for").expect("a session");
        let Ok(lease) = session.checkout().await else {
            continue;
        };
        let killed = async {
            until(pool, |pool| pool.status().waiting == 1).await;
            let pid = lease.pid().expect("it is leased");
            let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
            let _ = kill_process(pid, Signal::KILL);
        };
        let (waited, ()) = tokio::join!(session.checkout(), killed);
        if let Err(SessionError::Lost { .. }) = waited {
            return;
        }
    }
}

async fn until(pool: &Pool, is: impl Fn(&Pool) -> bool) {
    for _ in 0..60_000 {
        if is(pool) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("never came: {}", pool.status());
}

/// A trace of a pool's whole life.
fn recorded(name: &str, seed: u64) -> (Head, Vec<Step>) {
    let scratch = Scratch::new(name);
    Runtime::new()
        .expect("a runtime")
        .block_on(live(&scratch, seed));
    let text = fs::read_to_string(scratch.file("trace")).expect("the trace was written");
    parse(&text).expect("the trace can be read")
}

/// T5: the specification allows all of ten thousand steps of real pools under load, with kills,
/// failed starts, sessions, cancellations, resizing and shutdowns, and they take every action.
#[test]
fn traces_of_real_pools_are_allowed() {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let known = Model::with("WorkerPool", "PoolLarge");
    let known = known
        .action_names()
        .into_iter()
        .map(|name| kind(name).to_owned())
        .collect();
    let (mut steps, mut actions, mut taken) = (0, 0, BTreeSet::new());
    // One life is enough for the count, and nearly always for the actions.
    for life in 0..5 {
        let (head, trace) = recorded("trace", seed.wrapping_add(life));
        let allowed = check(&head, &trace).unwrap_or_else(|refused| panic!("{refused}"));
        println!("{allowed}");
        // The record becomes a regression test, so this code does the same without a host.
        of_trace(&head, &trace, None).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(allowed.closed);
        steps += allowed.steps;
        actions += allowed.actions.values().sum::<usize>();
        taken.extend(allowed.actions.into_keys());
        if actions >= 10_000 && taken == known {
            break;
        }
    }
    println!("{steps} steps, {actions} actions of the specification");
    assert!(actions >= 10_000);
    assert_same(&taken, &known, "actions in the traces");
}

/// T5: a trace that was tampered with is rejected at the step that is wrong. A trace that lacks a
/// step is rejected at a later step.
#[test]
fn a_tampered_trace_is_rejected() {
    /// How often each tampering is tried.
    const OFTEN: usize = 20;
    /// How often a step of each kind is left out.
    const OFTEN_LEFT_OUT: usize = 2;
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let (head, trace) = recorded("tampered", seed);
    let mut follower = Follower::new(&head, &trace);
    let mut tried = [0; TAMPERINGS.len()];
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    for (n, step) in trace.iter().enumerate() {
        if let Some(moved) = lasting_move(follower.mirror(), step) {
            let kind = format!("{} in {}", moved.input, moved.from);
            let tried = left_out.entry(kind.clone()).or_default();
            *tried += 1;
            if *tried <= OFTEN_LEFT_OUT {
                let without = follower.allows_without(&trace[n + 1..]);
                assert!(without.is_err(), "{kind}: left out unnoticed, {step:?}");
            }
        }
        for ((what, tamper), tried) in TAMPERINGS.iter().zip(&mut tried) {
            if *tried == OFTEN {
                continue;
            }
            let Some(tampered) = tamper(follower.mirror(), step) else {
                continue;
            };
            *tried += 1;
            let refused = follower.allows(&tampered).err();
            let refused = refused.unwrap_or_else(|| panic!("{what}: allowed, {tampered:?}"));
            assert_eq!(refused.line, n + 2, "{what}: {refused}");
        }
        follower
            .follow(step)
            .unwrap_or_else(|refused| panic!("{refused}"));
    }
    println!("left out: {left_out:?}");
    assert!(left_out.len() >= 8, "kinds of steps that are left out");
    for ((what, _), tried) in TAMPERINGS.iter().zip(tried) {
        println!("{tried:3} times {what}");
    }
    assert!(tried.iter().all(|tried| *tried > 0));
}
