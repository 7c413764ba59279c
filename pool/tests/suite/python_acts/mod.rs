//! Does a Python worker give each call its outcome, whatever the function does?
//!
//! A plan is a few calls, each of which performs random acts: it raises exceptions, starts threads,
//! handles signals, closes descriptors, forks, and so on. [`oracle`] predicts each outcome. After
//! each call, two more must be answered: by the same worker, or by its replacement if the call has
//! ended it.

mod oracle;

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use ostler_pool::{CallError, ExitStatus, Lease, Pool, Program, Python};
use tokio::time::timeout;

use crate::resources::modules;
use crate::rig::{self, Random, interpreter};
use oracle::{ACTS, End, Oracle, Outcome};

/// How the workers of a pool are made, and whether they are cancelled. The seed decides, so that a
/// seed repeats it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    zygote: bool,
    cancels: bool,
}

const KINDS: u64 = 4;

impl Kind {
    fn of(seed: u64) -> Self {
        Self {
            zygote: seed % 2 == 1,
            cancels: seed % KINDS >= 2,
        }
    }

    fn pool(self) -> Pool {
        let python = Python::function("acts:run").json();
        let python = (python.path(modules().join("python_acts")).path(modules()))
            .interpreter(Program::new(interpreter()));
        let python = if self.zygote { python.zygote() } else { python };
        let (moment, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        Pool::builder(python)
            .size(1)
            .abandoned_calls(crate::cancel(self.cancels.then_some(minute)))
            .error_threshold(None)
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            // An abandoned worker may ignore SIGTERM.
            .term_grace(Duration::from_millis(20))
            .release_timeout(minute)
            .checkout_timeout(minute)
            .call_timeout(minute)
            .build()
            .unwrap()
    }
}

/// A call of a plan: its acts, by their index.
#[derive(Clone)]
struct Call {
    is_stream: bool,
    acts: Vec<usize>,
}

impl Call {
    fn request(&self) -> Vec<u8> {
        let acts: Vec<_> = self.acts.iter().map(|&act| ACTS[act].0).collect();
        serde_json::to_vec(&acts).unwrap()
    }
}

#[derive(Clone)]
struct Plan(Vec<Call>);

impl Plan {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
        let call = |below: &mut dyn FnMut(usize) -> usize| Call {
            is_stream: below(3) == 0,
            acts: (0..1 + below(8)).map(|_| below(ACTS.len())).collect(),
        };
        Self((0..1 + below(4)).map(|_| call(&mut below)).collect())
    }

    /// The plans with one act less.
    fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        for call in 0..self.0.len() {
            for act in 0..self.0[call].acts.len() {
                let mut plan = self.clone();
                plan.0[call].acts.remove(act);
                plan.0.retain(|call| !call.acts.is_empty());
                plans.push(plan);
            }
        }
        plans
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.0 {
            let acts: Vec<_> = call.acts.iter().map(|&act| ACTS[act].0).collect();
            let how = if call.is_stream { "stream" } else { "call" };
            writeln!(f, "    {how}: {}", acts.join("; "))?;
        }
        Ok(())
    }
}

/// What the workers of a pool must have done so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    exited: u64,
    faulted: u64,
}

/// The outcome of a call that is not abandoned.
async fn outcome(lease: &mut Lease, call: &Call) -> Outcome {
    let mut parts = Vec::new();
    let error = if call.is_stream {
        let mut stream = lease.stream(call.request()).unwrap();
        loop {
            match stream.next().await {
                Some(Ok(part)) => parts.push(String::from_utf8(part).unwrap()),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        }
    } else {
        match lease.call(call.request()).await {
            Ok(reply) => {
                parts.push(String::from_utf8(reply).unwrap());
                None
            }
            Err(error) => Some(error),
        }
    };
    let end = match error {
        None => End::Returned,
        Some(CallError::Raised { source, .. }) => End::Raised(source.kind),
        Some(CallError::WorkerExited { exit, .. }) => End::Exited(exit.status),
        Some(other) => End::Other(format!("{other:?}")),
    };
    Outcome { parts, end }
}

/// Takes some parts, and drops the call.
async fn abandon(lease: &mut Lease, call: &Call, parts: usize) -> Outcome {
    let mut taken = Vec::new();
    let mut end = End::Abandoned;
    if call.is_stream {
        let mut stream = lease.stream(call.request()).unwrap();
        for _ in 0..parts {
            match stream.next().await {
                Some(Ok(part)) => taken.push(String::from_utf8(part).unwrap()),
                other => end = End::Other(format!("{other:?}")),
            }
        }
        // There may be another part.
        let next = timeout(Duration::ZERO, stream.next()).await;
        if let Ok(None | Some(Err(_))) = next {
            end = End::Other(format!("{next:?}"));
        }
    } else if let Ok(reply) = timeout(Duration::ZERO, lease.call(call.request())).await {
        end = End::Other(format!("{reply:?}"));
    }
    Outcome { parts: taken, end }
}

/// The process that answers two calls, if it answers them right.
async fn check(lease: &mut Lease) -> Result<u32, String> {
    let pid = lease.pid().unwrap();
    for number in 1..=2 {
        let request = format!("[\"check {number}\"]");
        let reply = lease.call(request.as_bytes()).await;
        let reply = reply.map(|reply| String::from_utf8(reply).unwrap());
        let expected = format!("[\"{number}\",{pid}]");
        match reply {
            Ok(reply) if reply == expected => {}
            other => {
                return Err(format!(
                    "call {number} after it should reply {expected}: {other:?}"
                ));
            }
        }
    }
    Ok(pid)
}

/// Performs a plan on a new worker, and ends it.
async fn perform(pool: &Pool, plan: &Plan, kind: Kind, tally: &mut Tally) -> Result<(), String> {
    let checkout = async || pool.checkout().await.map_err(|error| error.to_string());
    let mut oracle = Oracle::new();
    let mut lease = checkout().await?;
    let pid = lease.pid().unwrap();
    for call in &plan.0 {
        let expected = oracle.call(&call.acts, call.is_stream);
        let seen = match expected.end {
            End::Abandoned => abandon(&mut lease, call, expected.parts.len()).await,
            _ => outcome(&mut lease, call).await,
        };
        if seen != expected {
            return Err(format!("expected {expected:?}, not {seen:?}"));
        }
        let replaced = match expected.end {
            End::Abandoned => !kind.cancels,
            End::Exited(_) => true,
            _ => false,
        };
        tally.exited += u64::from(matches!(expected.end, End::Exited(_)));
        tally.faulted += u64::from(expected.end == End::Abandoned && replaced);
        if !matches!(expected.end, End::Returned | End::Raised(_)) {
            drop(lease);
            lease = checkout().await?;
        }
        let after = check(&mut lease).await?;
        if (after != pid) != replaced {
            return Err(format!("process {pid} was replaced: {}", after != pid));
        }
        if replaced {
            return Ok(());
        }
        if expected.end == End::Abandoned {
            // How far the call came is not known.
            break;
        }
    }
    match lease.call(b"[\"exits_at_once 0\"]").await {
        Err(CallError::WorkerExited { exit, .. }) if exit.status == ExitStatus::Code(0) => {
            tally.exited += 1;
            Ok(())
        }
        other => Err(format!("the exit failed: {other:?}")),
    }
}

/// Performs plans of one kind, one after the other. Panics with the first that fails, as small as
/// it can be.
async fn perform_all(seeds: impl Iterator<Item = u64>, kind: Kind) {
    let pool = kind.pool();
    let mut tally = Tally::default();
    for seed in seeds {
        let plan = Plan::new(seed);
        if let Err(problem) = perform(&pool, &plan, kind, &mut tally).await {
            let (smallest, why) = shrink(plan.clone(), problem.clone(), kind).await;
            panic!(
                "OSTLER_TEST_SEED={seed} repeats this, with {kind:?}:\n{plan}{problem}\nin short:\n{smallest}{why}"
            );
        }
    }
    rig::until(&pool, |status| status.serving() == 1).await;
    let report = pool.shutdown().await;
    assert_eq!(report.unreleased, []);
    let counters = report.counters;
    let seen = Tally {
        exited: counters.exited,
        faulted: counters.faulted,
    };
    assert_eq!(seen, tally);
    assert_eq!(counters.opened, 1 + tally.exited + tally.faulted);
}

/// Drops acts from a plan that fails for as long as it still does.
async fn shrink(mut plan: Plan, mut problem: String, kind: Kind) -> (Plan, String) {
    'smaller: loop {
        for smaller in plan.smaller() {
            let pool = kind.pool();
            let result = perform(&pool, &smaller, kind, &mut Tally::default()).await;
            pool.shutdown().await;
            if let Err(why) = result {
                (plan, problem) = (smaller, why);
                continue 'smaller;
            }
        }
        return (plan, problem);
    }
}

async fn perform_some(count: u64) {
    let first = Random::fresh_seed();
    println!("OSTLER_TEST_SEED={first}");
    let seeds = move |lane| {
        (0..count)
            .map(move |number| first.wrapping_add(number))
            .filter(move |seed| seed % KINDS == lane)
    };
    join_all((0..KINDS).map(|lane| perform_all(seeds(lane), Kind::of(lane)))).await;
}

/// Y1: a process that a function forks answers no call and reads none, whether it returns, raises
/// or yields.
#[tokio::test]
async fn a_forked_child_answers_no_call() {
    let named = |name: &&str| ACTS.iter().position(|act| act.0 == *name).unwrap();
    let call = |is_stream, acts: &[&str]| Call {
        is_stream,
        acts: acts.iter().map(named).collect(),
    };
    let plan = Plan(vec![
        call(false, &["fork returns", "fork fails"]),
        call(true, &["fork returns"]),
        call(true, &["child_yields"]),
        call(false, &["fork leaves", "fork_and_forget stays"]),
        call(false, &["fork returns", "raises ValueError"]),
    ]);
    for kind in (0..KINDS).map(Kind::of) {
        let pool = kind.pool();
        let performed = perform(&pool, &plan, kind, &mut Tally::default()).await;
        assert_eq!(performed, Ok(()), "{kind:?}");
        assert_eq!(pool.shutdown().await.unreleased, []);
    }
}

/// Y2: whatever a function does, each call has its one outcome, and the next two are answered. A
/// hundred random plans, on spawned and on forked workers, with and without a grace.
#[tokio::test]
async fn each_call_has_its_outcome() {
    perform_some(100).await;
}

/// Y2: the same, with as many plans as `OSTLER_PLANS` says, or 4,000.
#[tokio::test]
#[ignore = "takes several minutes"]
async fn each_call_of_thousands_has_its_outcome() {
    let plans = std::env::var("OSTLER_PLANS").ok();
    perform_some(plans.map_or(4000, |count| count.parse().unwrap())).await;
}
