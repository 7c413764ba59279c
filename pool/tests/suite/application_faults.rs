//! Do the strategies for `proptest` exercise an application's own calls?

use std::time::Duration;

use futures_util::future::join;
use ostler_pool::testing::strategies::{Action, actions, actions_without_drain, faults};
use ostler_pool::testing::{Answer, Fault, Sim};
use ostler_pool::{CallError, CheckoutError, Pool};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

/// Draws the same values each time, so that counts of them are exact.
fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).unwrap().current()
}

/// How the calls of an application ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ends {
    replies: usize,
    exits: usize,
    errors: usize,
    timeouts: usize,
    refused: usize,
}

impl Ends {
    fn count(&mut self, call: Result<Vec<u8>, CallError>) {
        match call {
            Ok(reply) => {
                assert_eq!(reply, b"done");
                self.replies += 1;
            }
            Err(CallError::WorkerExited { .. }) => self.exits += 1,
            Err(CallError::Raised { .. }) => self.errors += 1,
            Err(CallError::TimedOut { .. }) => self.timeouts += 1,
            Err(CallError::Checkout(CheckoutError::Draining { .. })) => self.refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The application's own calls meet exits, errors and timeouts, as many as the faults say.
#[test]
fn an_applications_calls_meet_every_fault() {
    let (mut runner, mut ends) = (TestRunner::deterministic(), Ends::default());
    let mut expected = Ends::default();
    for _ in 0..200 {
        let faults = drawn(&faults(30), &mut runner);
        for fault in &faults {
            match fault {
                None => expected.replies += 1,
                Some(Fault::Crash | Fault::CrashAfterwards) => expected.exits += 1,
                Some(Fault::Raise) => expected.errors += 1,
                Some(Fault::Delay(delay)) if delay.as_secs() < 30 => expected.replies += 1,
                Some(_) => expected.timeouts += 1,
            }
        }
        let calls = faults.len();
        let sim = Sim::answering(|_, _| Answer::reply("done")).faults(faults);
        paused(async {
            // The backoff after repeated crashes is longer than the default.
            let pool = Pool::builder(sim.clone()).size(1);
            let pool = pool
                .checkout_timeout(Duration::from_secs(600))
                .build()
                .unwrap();
            for _ in 0..calls {
                ends.count(pool.call("work").await);
            }
        });
        assert_eq!(sim.stats().requests, calls);
    }
    assert_eq!(ends, expected);
    for often in [ends.replies, ends.exits, ends.errors, ends.timeouts] {
        assert!(often > 200, "{ends:?}");
    }
}

/// Beside clients that never drain the pool, no call of an application is refused. Beside others,
/// some are.
#[test]
fn a_pool_that_is_not_drained_refuses_nothing() {
    let mut runner = TestRunner::deterministic();
    let mut refused = |actions: BoxedStrategy<Vec<Action>>| {
        let mut ends = Ends::default();
        for _ in 0..100 {
            let actions = drawn(&actions, &mut runner);
            paused(async {
                let sim = Sim::answering(|_, request| match request.body() {
                    b"work" => Answer::reply("done"),
                    other => Answer::reply(other),
                });
                let pool = Pool::builder(sim).size(2).build().unwrap();
                let clients = async {
                    for action in actions {
                        action.perform(&pool).await;
                    }
                };
                let application = async {
                    for _ in 0..20 {
                        ends.count(pool.call("work").await);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                join(clients, application).await;
            });
        }
        assert_eq!(ends.replies + ends.refused, 2_000, "{ends:?}");
        ends.refused
    };
    assert_eq!(refused(actions_without_drain(30).boxed()), 0);
    assert!(refused(actions(30).boxed()) > 100);
}
