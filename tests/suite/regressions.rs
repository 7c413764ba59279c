//! Does `ostler-check-trace --regression` write tests that compile, pass on this code, and fail on
//! wrong code?
//!
//! The tests that it writes are modules of this suite: `regression_*.rs`.

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use ostler::supervisor::{Effect, Event, Input, LeaseEnd, PortFact, Supervisor, Timer};
use ostler::trace::{Head, Step, VERSION};
use ostler::{LeaseId, Policy, WaiterId, WorkerId};

use crate::counterexample::of_counterexample;
use crate::regression::of_trace;
use crate::spec_files::read;
use crate::spec_mutants::mutants_of;
use crate::spec_support::{Checked, Model, beside_the_spec, spec_dir};
use crate::trace_check::check;

/// A counterexample becomes a test of the code, which decides otherwise.
#[test]
fn a_counterexample_becomes_a_test() {
    let mutant = spec_dir().join("mutants/PoolBackoffKept.tla");
    let (counterexample, cfg) = counterexample(&mutant);
    let test = of_counterexample(&counterexample, &cfg).expect("a counterexample of the pool");
    assert_written("regression_counterexample", &test);
}

/// A record that the specification allows becomes a test that the code still does the same.
#[test]
fn a_record_becomes_a_test() {
    let (head, steps) = recorded();
    let allowed = check(&head, &steps);
    allowed.unwrap_or_else(|refused| panic!("{refused}"));
    let test = of_trace(&head, &steps, None).expect("this code recorded it");
    assert_written("regression_record", &test);
}

/// A record with a wrong step becomes a test that the code does not do that.
#[test]
fn a_wrong_record_becomes_a_test() {
    let (head, steps) = tampered();
    let refused = check(&head, &steps).expect_err("the second client was first in the queue");
    let test = of_trace(&head, &steps, Some(&refused)).expect("this code does all before it");
    assert_written("regression_wrong_record", &test);
}

/// No test is written from a record of code that did something else, which the specification
/// allows.
#[test]
fn a_record_of_other_code_becomes_no_test() {
    let (head, mut steps) = recorded();
    let crash = steps.last_mut().expect("there are steps");
    let backoff = Timer::Backoff { generation: 1 };
    let after = Duration::from_millis(100);
    crash
        .effects
        .retain(|effect| !matches!(effect, Effect::Event(Event::Opened { .. })));
    crash.effects.push(Effect::StartTimer {
        timer: backoff,
        after,
    });
    let other = of_trace(&head, &steps, None).expect_err("this code does not back off there");
    let expected = "line 10: this version of the code does something else.\n\
                    recorded: 1.1 is stopped by Reap; a vacancy backs off; 1.1 Stopping\n     \
                    now: 1.1 is stopped by Reap; 0.2 Initializing; 1.1 Stopping";
    assert_eq!(other, expected);
}

/// The counterexample of every mutant of the pool becomes a test, and the code follows none of them
/// to its end.
#[test]
#[ignore = "takes a minute: it checks every mutant of the pool again"]
fn the_code_follows_no_counterexample_to_its_end() {
    let mut followed = 0;
    for path in mutants_of("WorkerPool") {
        let (counterexample, cfg) = counterexample(&path);
        let test = match of_counterexample(&counterexample, &cfg) {
            Ok(test) => test,
            // No real pool is without surge.
            Err(problem) if problem.starts_with("option `surge` is 0") => continue,
            Err(problem) => panic!("{}: {problem}", path.display()),
        };
        assert!(!test.contains("assert_ne!"), "{}:\n{test}", path.display());
        followed += 1;
    }
    println!("{followed} counterexamples");
}

/// What the checker prints about a mutant, and the mutant's configuration.
fn counterexample(mutant: &Path) -> (String, String) {
    let model = Model::load(&beside_the_spec(mutant)).expect("the mutant can be loaded");
    let Ok(Checked::Violated { property, trace }) = model.check() else {
        panic!("{}: no property rejects it", mutant.display());
    };
    let cfg = read(&mutant.with_extension("cfg")).expect("the configuration can be read");
    (format!("{property} is violated:\n{trace}"), cfg)
}

/// Two clients, and a worker that crashes.
fn recorded() -> (Head, Vec<Step>) {
    let policy = Policy {
        max_worker_requests: Some(1),
        min_worker_life: Duration::ZERO,
        ..Policy::new(1)
    };
    let mut pool = Supervisor::new(policy.clone(), 1).expect("a valid policy");
    let (first, second) = (worker(0, 1), worker(1, 1));
    let checkout = |waiter| Input::Checkout {
        waiter: WaiterId(waiter),
        session: None,
    };
    let port = |worker, fact| Input::Port { worker, fact };
    let checkin = |worker| Input::LeaseEnded {
        lease: LeaseId { worker, serial: 1 },
        calls: 1,
        errors: 0,
        unbroken: false,
        end: LeaseEnd::Clean,
    };
    let inputs = [
        checkout(1),
        checkout(2),
        port(first, PortFact::Started),
        // It has reached its limit.
        checkin(first),
        port(second, PortFact::Started),
        port(first, PortFact::Exited),
        port(first, PortFact::Released),
        port(second, PortFact::Exited),
    ];
    let mut steps = vec![Step {
        input: None,
        effects: pool.take_effects().collect(),
    }];
    for input in inputs {
        pool.feed(input).expect("the input is legal");
        steps.push(Step {
            input: Some(input),
            effects: pool.take_effects().collect(),
        });
    }
    let ostler_trace = VERSION;
    (
        Head {
            ostler_trace,
            policy,
        },
        steps,
    )
}

/// The same, but the second client in the queue is served before the first.
fn tampered() -> (Head, Vec<Step>) {
    let (head, mut steps) = recorded();
    for effect in &mut steps[3].effects {
        if let Effect::Grant { waiter, .. } = effect {
            *waiter = WaiterId(2);
        }
    }
    (head, steps)
}

fn worker(slot: usize, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

/// Panics if the module differs from what the program writes. `UPDATE=1` rewrites it.
fn assert_written(module: &str, test: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite")
        .join(module);
    let path = path.with_extension("rs");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, test).expect("the module can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        test,
        "`UPDATE=1 cargo test --test suite regressions` rewrites {}",
        path.display()
    );
}
