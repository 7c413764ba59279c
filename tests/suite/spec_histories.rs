//! Does the specification decide rightly in short histories that no slice is small enough for?
//!
//! Each history needs several workers and several kinds of events. A slice with all of them has too
//! many states for every run, and one history of it does not.

use ostler::Policy;
use tla_checker::ast::Value;

use crate::spec_model::{World, model};

/// A failed start takes back only the marks that the rolling restart gave: worker 1 is at a limit,
/// worker 2 was chosen, and worker 3 fails to start.
#[test]
fn a_failed_start_keeps_only_what_the_rolling_restart_chose() {
    leads_to(
        "KeptHistory",
        2,
        &[
            "Start(1)",
            "Started(1)",
            "Start(2)",
            "Started(2)",
            "Replace(1)",
            "Start(3)",
            "RecycleAll",
            "StartFailed(3)",
        ],
        "replacing = {1} /\\ restart = \"idle\"",
    );
}

/// A draining worker is no hope for a new client: worker 1 finishes its last call, worker 2 has
/// crashed, and worker 3 fails to start.
#[test]
fn a_client_is_refused_in_a_crash_loop_beside_a_draining_worker() {
    leads_to(
        "DrainingHistory",
        1,
        &[
            "Start(1)",
            "Started(1)",
            "Checkout(\"c1\")",
            "Grant(\"c1\", 1)",
            "Replace(1)",
            "Start(2)",
            "Started(2)",
            "RetireReplaced(1)",
            "Crashed(2) /\\ backoff' = backoff",
            "Released(2)",
            "Start(3)",
            "StartFailed(3)",
            "Checkout(\"c2\")",
        ],
        "queue = << >> /\\ phase[1] = \"Finishing\" /\\ leases = {<< \"c1\", 1 >>}",
    );
}

/// Takes the actions one by one in a pool of this size, lets it settle in every way, and checks
/// what is true then.
fn leads_to(name: &str, size: usize, actions: &[&str], expected: &str) {
    let policy = Policy {
        surge: 1,
        max_starting: 1,
        max_waiting: 1,
        max_sessions: 1,
        crash_loop: 1,
        ..Policy::new(size)
    };
    let world = World {
        workers: 6,
        clients: 2,
        sessions: 1,
        sizes: [size].into(),
    };
    let model = model(name, "WorkerPool", &policy, &world);
    let mut states = model.initial();
    for action in actions {
        states = (states.iter().flat_map(|state| model.next(state, action))).collect();
        assert_eq!(states.len(), 1, "{action}");
    }
    let mut settled = 0;
    while let Some(state) = states.pop() {
        let next = model.next(&state, "Settle");
        if next.is_empty() {
            settled += 1;
            let holds = model.eval_in(&state, expected) == Value::Bool(true);
            assert!(holds, "{expected} is not true of\n{}", model.tell(&state));
        }
        states.extend(next);
    }
    assert!(settled > 0, "the pool settles");
}
