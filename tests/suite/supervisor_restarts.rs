//! Does the supervisor replace failed workers, and back off?

use std::time::Duration;

use ostler::supervisor::{Effect, Fault, Input, Milestone, PortFact, Refusal, Supervisor, Timer};
use ostler::worker::Phase;
use ostler::{Policy, WorkerId};

use crate::world::World;

/// The start of a worker failed in a way that another start need not.
const FAILED: PortFact = PortFact::StartFailed { is_final: false };

fn worker(slot: usize, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

fn crash(world: &mut World, worker: WorkerId) {
    world.port(worker, PortFact::Exited);
    world.port(worker, PortFact::Released);
}

fn backoffs(world: &World) -> usize {
    let is_backoff = |timer: &&Timer| matches!(timer, Timer::Backoff { .. });
    world.timers.iter().filter(is_backoff).count()
}

/// L13: a failed start backs off before it is repeated, and delays no other worker.
#[test]
fn a_failed_start_backs_off() {
    let mut world = World::new(Policy::new(3));
    crash(&mut world, worker(0, 1));
    world.start_all();
    assert_eq!(world.phases(), [Phase::Ready; 2]);
    assert_eq!(backoffs(&world), 1);
    world.elapse(Timer::Backoff { generation: 1 });
    assert_eq!(
        world.phases(),
        [Phase::Initializing, Phase::Ready, Phase::Ready]
    );
}

/// L13: a first crash is replaced immediately. The next crash of its replacement backs off, until a
/// worker has served for `restart_reset`.
#[test]
fn a_second_crash_backs_off() {
    let mut world = World::new(Policy::new(1));
    world.start_all();
    crash(&mut world, worker(0, 1));
    assert_eq!((world.phases().len(), backoffs(&world)), (1, 0));
    // It is in the other slot by now, because the first was not free yet.
    world.start_all();
    let second = world.supervisor.workers().next().unwrap().worker;
    crash(&mut world, second);
    assert_eq!((world.phases().len(), backoffs(&world)), (0, 1));
    world.elapse(Timer::Backoff { generation: 1 });
    world.start_all();
    let third = world.supervisor.workers().next().unwrap().worker;
    world.elapse(Timer::Milestone {
        worker: third,
        milestone: Milestone::Stable,
    });
    crash(&mut world, third);
    assert_eq!((world.phases().len(), backoffs(&world)), (1, 0));
}

/// C6: a worker that breaks the protocol between two calls is stopped and replaced. If its
/// replacement does the same, the next one backs off, as after a crash. A fault in a call does not
/// count.
#[test]
fn a_worker_that_breaks_the_protocol_repeatedly_backs_off() {
    let mut world = World::new(Policy::new(1));
    world.start_all();
    world.checkout();
    world.fault(world.leases[0], Fault::ProtocolBroken);
    crash(&mut world, worker(0, 1));
    for (faulted, backing_off) in [(2, 0), (3, 1)] {
        world.start_all();
        let broken = world.supervisor.workers().next().unwrap().worker;
        assert!(world.port(broken, PortFact::Broke));
        crash(&mut world, broken);
        assert_eq!(world.supervisor.counters().faulted, faulted);
        assert_eq!(backoffs(&world), backing_off);
    }
}

/// L13: a backoff delays one worker, not the replacement of another.
#[test]
fn a_backoff_delays_one_vacancy() {
    let mut world = World::new(Policy {
        surge: 2,
        ..Policy::new(2)
    });
    world.start_all();
    let [steady, crashing] = [worker(0, 1), worker(1, 1)];
    crash(&mut world, crashing);
    world.start_all();
    let views: Vec<_> = world.supervisor.workers().map(|view| view.worker).collect();
    crash(&mut world, views[1]);
    assert_eq!((world.phases(), backoffs(&world)), (vec![Phase::Ready], 1));
    crash(&mut world, steady);
    assert_eq!(
        (world.phases(), backoffs(&world)),
        (vec![Phase::Initializing], 1)
    );
}

/// L13, L14: backoffs double up to `restart_backoff_max`, with a jitter of a tenth that differs
/// between seeds.
#[test]
fn backoffs_double_with_jitter() {
    let backoffs = |seed| {
        let mut supervisor = Supervisor::new(Policy::new(1), seed).unwrap();
        let mut backoffs = Vec::new();
        for generation in 1..=12 {
            let worker = WorkerId {
                slot: 0,
                generation,
            };
            for fact in [PortFact::Exited, PortFact::Released] {
                supervisor.feed(Input::Port { worker, fact }).unwrap();
            }
            let (timer, after) = supervisor
                .take_effects()
                .find_map(|effect| match effect {
                    Effect::StartTimer {
                        timer: timer @ Timer::Backoff { .. },
                        after,
                    } => Some((timer, after)),
                    _ => None,
                })
                .expect("a backoff");
            backoffs.push(after);
            supervisor.feed(Input::Elapsed { timer }).unwrap();
        }
        backoffs
    };
    for (round, backoff) in backoffs(1).into_iter().enumerate() {
        let plain = Duration::from_millis((100 << round).min(30_000));
        assert!(
            backoff >= plain.mul_f64(0.9) && backoff <= plain.mul_f64(1.1),
            "{round}: {backoff:?}"
        );
    }
    assert_eq!(backoffs(1), backoffs(1));
    assert!(
        backoffs(1)
            .iter()
            .zip(backoffs(2))
            .all(|(one, other)| *one != other)
    );
}

/// L13: in a crash loop, clients are refused at once when no worker serves; else they wait.
#[test]
fn a_crash_loop_refuses() {
    let mut world = World::new(Policy {
        crash_loop: 1,
        ..Policy::new(2)
    });
    let waits = world.checkout();
    let [a, b] = [0, 1].map(|slot| WorkerId {
        slot,
        generation: 1,
    });
    world.port(a, PortFact::Started);
    assert_eq!(world.granted.len(), 1);
    world.port(b, FAILED);
    let patient = world.checkout();
    assert!(world.waiting.contains(&patient));
    world.port(a, PortFact::Exited);
    assert_eq!(world.refused, [(patient, Refusal::CrashLoop)]);
    let hasty = world.checkout();
    assert_eq!(world.refused[1..], [(hasty, Refusal::CrashLoop)]);
    assert_eq!(world.granted[0].0, waits);
}

/// R32: a start that fails for good is a crash loop at once. Once a worker has served, it is one
/// failure like any other.
#[test]
fn a_final_failure_is_a_crash_loop() {
    let is_final = true;
    let mut world = World::new(Policy::new(2));
    let waits = world.checkout();
    world.port(worker(0, 1), PortFact::StartFailed { is_final });
    assert_eq!(world.refused, [(waits, Refusal::CrashLoop)]);
    assert!(world.supervisor.is_crash_loop() && !world.supervisor.has_served());
    assert_eq!(backoffs(&world), 1, "the pool tries again");
    world.port(worker(1, 1), PortFact::Started);
    assert!(!world.supervisor.is_crash_loop() && world.supervisor.has_served());
    crash(&mut world, worker(1, 1));
    let replacement = world.supervisor.workers().last().unwrap().worker;
    world.port(replacement, PortFact::StartFailed { is_final });
    let patient = world.checkout();
    assert!(world.waiting.contains(&patient));
    assert!(!world.supervisor.is_crash_loop());
}

/// L12: a successful start ends a crash loop: when that worker dies under a lease, clients wait for
/// the next one.
#[test]
fn a_start_ends_the_crash_loop() {
    let mut world = World::new(Policy {
        crash_loop: 1,
        ..Policy::new(1)
    });
    let [first, second] = [1, 2].map(|generation| WorkerId {
        slot: 0,
        generation,
    });
    world.port(first, FAILED);
    world.port(first, PortFact::Exited);
    world.port(first, PortFact::Released);
    let refused = world.checkout();
    assert_eq!(world.refused, [(refused, Refusal::CrashLoop)]);
    world.elapse(world.timers[0]);
    world.port(second, PortFact::Started);
    world.checkout();
    world.port(second, PortFact::Exited);
    assert_eq!(world.serving(), 0);
    let patient = world.checkout();
    assert!(world.waiting.contains(&patient));
    world.elapse(Timer::Backoff { generation: 2 });
    world.start_all();
    assert_eq!(world.granted.last().unwrap().0, patient);
}
