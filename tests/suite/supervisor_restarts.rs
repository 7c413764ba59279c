//! Does the supervisor start workers again, and not too often?

use std::time::Duration;

use ostler::supervisor::{Effect, Input, Milestone, PortFact, Refusal, Supervisor, Timer};
use ostler::worker::Phase;
use ostler::{Policy, WorkerId};

use crate::world::World;

fn worker(slot: usize, generation: u64) -> WorkerId {
    WorkerId { slot, generation }
}

fn crash(world: &mut World, worker: WorkerId) {
    world.port(worker, PortFact::Exited);
    world.port(worker, PortFact::Released);
}

fn pauses(world: &World) -> usize {
    let pause = |timer: &&Timer| matches!(timer, Timer::Backoff { .. });
    world.timers.iter().filter(pause).count()
}

/// L13: a failed start holds its own position back, for a pause, and no other.
#[test]
fn a_failed_start_is_repeated_after_a_pause() {
    let mut world = World::new(Policy::new(3));
    crash(&mut world, worker(0, 1));
    world.start_all();
    assert_eq!(world.phases(), [Phase::Ready; 2]);
    assert_eq!(pauses(&world), 1);
    world.elapse(Timer::Backoff { generation: 1 });
    assert_eq!(
        world.phases(),
        [Phase::Initializing, Phase::Ready, Phase::Ready]
    );
}

/// L13: the first crash is made good at once, the next ones of the same position after a pause, until a worker has
/// served for `restart_reset`.
#[test]
fn a_crash_is_made_good_at_once_and_a_second_is_not() {
    let mut world = World::new(Policy::new(1));
    world.start_all();
    crash(&mut world, worker(0, 1));
    assert_eq!((world.phases().len(), pauses(&world)), (1, 0));
    // It is in the other slot by now, because the first was not free yet.
    world.start_all();
    let second = world.supervisor.workers().next().unwrap().worker;
    crash(&mut world, second);
    assert_eq!((world.phases().len(), pauses(&world)), (0, 1));
    world.elapse(Timer::Backoff { generation: 1 });
    world.start_all();
    let third = world.supervisor.workers().next().unwrap().worker;
    world.elapse(Timer::Milestone {
        worker: third,
        milestone: Milestone::Stable,
    });
    crash(&mut world, third);
    assert_eq!((world.phases().len(), pauses(&world)), (1, 0));
}

/// L13: a crash loop in one position does not keep another one from being filled.
#[test]
fn a_pause_holds_back_one_position() {
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
    assert_eq!((world.phases(), pauses(&world)), (vec![Phase::Ready], 1));
    crash(&mut world, steady);
    assert_eq!(
        (world.phases(), pauses(&world)),
        (vec![Phase::Initializing], 1)
    );
}

/// L13, L14: the pauses double up to their limit, each changed by a tenth at most, and not alike in any two pools.
#[test]
fn pauses_double_with_jitter() {
    let pauses = |seed| {
        let mut supervisor = Supervisor::new(Policy::new(1), seed).unwrap();
        let mut pauses = Vec::new();
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
                    Effect::StartTimer { timer, after } => Some((timer, after)),
                    _ => None,
                })
                .expect("a pause");
            pauses.push(after);
            supervisor.feed(Input::Elapsed { timer }).unwrap();
        }
        pauses
    };
    for (round, pause) in pauses(1).into_iter().enumerate() {
        let plain = Duration::from_millis((100 << round).min(30_000));
        assert!(
            pause >= plain.mul_f64(0.9) && pause <= plain.mul_f64(1.1),
            "{round}: {pause:?}"
        );
    }
    assert_eq!(pauses(1), pauses(1));
    assert!(
        pauses(1)
            .iter()
            .zip(pauses(2))
            .all(|(one, other)| *one != other)
    );
}

/// L13: a crash loop with nothing serving refuses at once; while something serves, clients wait for it.
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
    world.port(b, PortFact::StartFailed);
    let patient = world.checkout();
    assert!(world.waiting.contains(&patient));
    world.port(a, PortFact::Exited);
    assert_eq!(world.refused, [(patient, Refusal::CrashLoop)]);
    let hasty = world.checkout();
    assert_eq!(world.refused[1..], [(hasty, Refusal::CrashLoop)]);
    assert_eq!(world.granted[0].0, waits);
}

/// L12: a crash loop is over as soon as a worker starts; when that one dies under a lease, clients wait for the next.
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
    world.port(first, PortFact::StartFailed);
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
