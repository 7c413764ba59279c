//! Does the supervisor start workers again, and not too often?

use std::time::Duration;

use ostler::supervisor::{Effect, Input, PortFact, Refusal, Supervisor, Timer};
use ostler::worker::Phase;
use ostler::{Policy, WorkerId};

use crate::world::World;

/// L13: failed starts pause the pool, longer each time; one is tried before the others; a completed exchange ends it.
#[test]
fn failed_starts_back_off() {
    let mut world = World::new(Policy::new(3));
    for round in 0..4 {
        let expected = if round == 0 { 3 } else { 1 };
        let opening: Vec<WorkerId> = world.ports.keys().copied().collect();
        assert_eq!(opening.len(), expected, "round {round}");
        for worker in opening {
            world.port(worker, PortFact::Exited);
            world.port(worker, PortFact::Released);
        }
        assert_eq!(world.phases(), []);
        let pause = world.timers.pop().expect("a pause");
        assert_eq!(
            pause,
            Timer::Restart {
                generation: round + 1
            }
        );
        world.elapse(pause);
    }
    world.start_all();
    assert_eq!(world.serving(), 3);
    world.checkout();
    world.checkin(world.leases[0]);
    let worker = world.supervisor.workers().next().unwrap().worker;
    world.checkout();
    world.port(worker, PortFact::Exited);
    assert!(
        !world
            .timers
            .iter()
            .any(|timer| matches!(timer, Timer::Restart { .. }))
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
                supervisor.handle(Input::Port { worker, fact }).unwrap();
            }
            let (timer, after) = supervisor
                .take_effects()
                .find_map(|effect| match effect {
                    Effect::StartTimer { timer, after } => Some((timer, after)),
                    _ => None,
                })
                .expect("a pause");
            pauses.push(after);
            supervisor.handle(Input::Elapsed { timer }).unwrap();
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
    assert_eq!(
        world.phases(),
        [Phase::Stopping, Phase::Initializing],
        "and it is started at once"
    );
}
