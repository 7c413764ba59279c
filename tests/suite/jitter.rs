//! Does jitter follow from the seed, evenly and within a tenth?

use std::time::Duration;

use ostler::supervisor::{
    Effect, Event, Input, LeaseEnd, Limit, Milestone, PortFact, Reason, Supervisor, Timer,
};
use ostler::{LeaseId, Policy, WaiterId, WorkerId};

/// A seed whose first SplitMix64 numbers are published, and those numbers.
const SEED: u64 = 1_234_567;
const NUMBERS: [u64; 4] = [
    6_457_827_717_110_365_317,
    3_203_168_211_198_807_973,
    9_817_491_932_198_370_423,
    4_593_380_528_125_082_431,
];

const WORKER: WorkerId = WorkerId {
    slot: 0,
    generation: 1,
};

/// A pool of one serving worker, and the milestone timers that its start set.
fn started(policy: Policy) -> (Supervisor, Vec<(Milestone, Duration)>) {
    let mut supervisor = Supervisor::new(policy, SEED).expect("a valid policy");
    supervisor.take_effects().for_each(drop);
    let (worker, fact) = (WORKER, PortFact::Started);
    let timers = timers_after(&mut supervisor, Input::Port { worker, fact });
    (supervisor, timers)
}

fn timers_after(supervisor: &mut Supervisor, input: Input) -> Vec<(Milestone, Duration)> {
    supervisor.feed(input).expect("it can happen");
    let of_milestone = |effect| match effect {
        Effect::StartTimer {
            timer: Timer::Milestone { milestone, .. },
            after,
        } => Some((milestone, after)),
        _ => None,
    };
    supervisor.take_effects().filter_map(of_milestone).collect()
}

/// Nine to eleven tenths of a duration, by the highest 53 bits of a random number.
fn drawn(duration: Duration, number: u64) -> Duration {
    let unit = (number >> 11) as f64 / 2f64.powi(53);
    duration.mul_f64(0.9 + 0.2 * unit)
}

/// L14: each deadline with jitter takes the next number.
#[test]
fn deadlines_follow_from_the_seed() {
    let policy = Policy {
        max_worker_requests: None,
        ..Policy::new(1)
    };
    let (check, age) = (policy.health_check_interval, Duration::from_secs(3600));
    let (mut supervisor, timers) = started(policy.clone());
    assert_eq!(
        timers,
        [
            (Milestone::Check, drawn(check, NUMBERS[0])),
            (Milestone::Mature, policy.min_worker_life),
            (Milestone::Stable, policy.restart_reset),
            (Milestone::Age, drawn(age, NUMBERS[1])),
        ]
    );
    let milestone = Timer::Milestone {
        worker: WORKER,
        milestone: Milestone::Check,
    };
    for number in &NUMBERS[2..] {
        let again = timers_after(&mut supervisor, Input::Elapsed { timer: milestone });
        assert_eq!(again, [(Milestone::Check, drawn(check, *number))]);
        // The health check would keep the worker busy.
        let serial = supervisor.counters().probes;
        let lease = LeaseId {
            worker: WORKER,
            serial,
        };
        let healthy = true;
        timers_after(&mut supervisor, Input::Probed { lease, healthy });
    }
}

/// L14: a limit is lowered by at most a tenth, and is reached at exactly the number drawn.
#[test]
fn limits_follow_from_the_seed() {
    for most in [1_000, 50, 9, 1] {
        let limit = most - NUMBERS[0] % (most / 10 + 1);
        assert!((most - most / 10..=most).contains(&limit));
        for calls in [limit - 1, limit] {
            let (mut supervisor, _) = started(Policy {
                max_worker_requests: Some(most),
                min_worker_life: Duration::ZERO,
                ..Policy::new(1)
            });
            let (waiter, session) = (WaiterId(1), None);
            timers_after(&mut supervisor, Input::Checkout { waiter, session });
            supervisor
                .feed(Input::LeaseEnded {
                    lease: LeaseId {
                        worker: WORKER,
                        serial: 1,
                    },
                    calls,
                    errors: 0,
                    unbroken: false,
                    end: LeaseEnd::Clean,
                })
                .expect("it is leased");
            let (worker, reason) = (WORKER, Reason::Limit(Limit::Requests));
            let replacing = Effect::Event(Event::Replacing { worker, reason });
            let is_replaced = supervisor.take_effects().any(|effect| effect == replacing);
            assert_eq!(is_replaced, calls == limit, "{calls} of {most}");
        }
    }
}

/// L14: the memory limit is lowered likewise, by a number of its own.
#[test]
fn the_memory_limit_follows_from_the_seed() {
    const MOST: u64 = 1 << 30;
    let limit = MOST - NUMBERS[1] % (MOST / 10 + 1);
    assert!((MOST - MOST / 10..MOST).contains(&limit));
    for bytes in [limit - 1, limit] {
        let (mut supervisor, _) = started(Policy {
            max_worker_requests: Some(1_000),
            max_worker_memory: Some(MOST),
            min_worker_life: Duration::ZERO,
            ..Policy::new(1)
        });
        let worker = WORKER;
        let measured = Input::Measured { worker, bytes };
        supervisor.feed(measured).expect("it serves");
        let reason = Reason::Limit(Limit::Memory);
        let replacing = Effect::Event(Event::Replacing { worker, reason });
        let is_replaced = supervisor.take_effects().any(|effect| effect == replacing);
        assert_eq!(is_replaced, bytes == limit, "{bytes} of {MOST}");
    }
}
