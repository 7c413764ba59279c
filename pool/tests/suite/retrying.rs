//! The worked example of `docs/testing.md`, which shows the code between the two lines.

// ----
use std::time::Duration;

use ostler_pool::testing::{Answer, Fault, Sim, strategies};
use ostler_pool::{CallError, ExitStatus, Pool};
use proptest::prelude::*;
use tokio::time::Instant;

/// The application: classifies a word, in three attempts at most. A worker that died has changed
/// nothing, so its call may be repeated. Any other error would come again.
async fn classify(pool: &Pool, word: &str) -> Result<String, CallError> {
    let mut attempts = 1;
    loop {
        match pool.call_json(word).await {
            Err(CallError::WorkerExited { .. }) if attempts < 3 => attempts += 1,
            result => return result,
        }
    }
}

/// A worker that answers each word with its class.
fn classifier() -> Sim {
    Sim::answering(|_, request| match &request.json::<String>()[..] {
        "cat" => Answer::json("animal").after(Duration::from_millis(20)),
        word => Answer::raise("KeyError", word),
    })
}

/// A worker that crashes twice is tried a third time.
#[tokio::test(start_paused = true)]
async fn a_crash_is_retried() {
    let mut crashes = 2;
    let sim = Sim::answering(move |_, _| {
        if crashes == 0 {
            return Answer::json("animal");
        }
        crashes -= 1;
        Answer::Crash(ExitStatus::Signal(9))
    });
    let pool = Pool::builder(sim.clone()).size(1).build().unwrap();
    assert_eq!(classify(&pool, "cat").await.unwrap(), "animal");
    assert_eq!(sim.stats().requests, 3);
}

/// An exception of the worker reaches the caller after one attempt.
#[tokio::test(start_paused = true)]
async fn an_exception_is_not_retried() {
    let sim = classifier();
    let pool = Pool::builder(sim.clone()).size(1).build().unwrap();
    match classify(&pool, "xyzzy").await {
        Err(CallError::Raised { source, .. }) => assert_eq!(source.message, "xyzzy"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sim.stats().requests, 1);
}

/// A worker that hangs costs the caller its timeout, and the next call nothing.
#[tokio::test(start_paused = true)]
async fn a_worker_that_hangs_costs_one_timeout() {
    let sim = classifier().faults([Some(Fault::Hang)]);
    let pool = Pool::builder(sim)
        .size(1)
        .call_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    pool.checkout().await.unwrap();
    let begun = Instant::now();
    assert!(classify(&pool, "cat").await.unwrap_err().is_timeout());
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    let begun = Instant::now();
    assert_eq!(classify(&pool, "cat").await.unwrap(), "animal");
    assert_eq!(begun.elapsed(), Duration::from_millis(20));
}

proptest! {
    /// Whatever goes wrong: a word has one class, and no call is repeated more than twice.
    #[test]
    fn any_faults(faults in strategies::faults(12)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let sim = classifier().faults(faults);
        let pool = Pool::builder(sim.clone()).size(2);
        // The backoff after repeated crashes is longer than the default.
        let pool = pool.checkout_timeout(Duration::from_secs(600));
        runtime.block_on(async {
            let pool = pool.build().unwrap();
            for _ in 0..12 {
                let before = sim.stats().requests;
                let class = classify(&pool, "cat").await;
                let requests = sim.stats().requests - before;
                match class {
                    Ok(class) => assert_eq!(class, "animal"),
                    Err(CallError::WorkerExited { .. }) => assert_eq!(requests, 3),
                    Err(CallError::Raised { .. } | CallError::TimedOut { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
                assert!((1..=3).contains(&requests), "{requests} requests");
            }
        });
    }
}
// ----

/// The page shows this file's code.
#[test]
fn the_page_shows_this_code() {
    let code = include_str!("retrying.rs").split("// ----\n").nth(1);
    let page = include_str!("../../../docs/testing.md");
    assert!(
        page.contains(&format!("```rust\n{}```\n", code.unwrap())),
        "copy the code from `retrying.rs` to docs/testing.md"
    );
}
