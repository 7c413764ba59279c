//! Does each worker have a position of its own, and its replacement the same?

use ostler::supervisor::{Input, PortFact, Reason};
use ostler::{Phase, Policy, WorkerId};

use crate::world::World;

/// The workers that start or serve, by position: the phase of each, and whether it is to be
/// replaced.
fn staff(world: &World) -> Vec<(usize, Phase, bool)> {
    let phases = [Phase::Initializing, Phase::Ready, Phase::Busy];
    let views = world.supervisor.workers();
    let views = views.filter(|view| phases.contains(&view.phase));
    let mut staff: Vec<_> = views
        .map(|view| (view.position, view.phase, view.replacing.is_some()))
        .collect();
    staff.sort();
    staff
}

fn at(world: &World, position: usize, phase: Phase) -> WorkerId {
    let mut views = world.supervisor.workers();
    let view = views.find(|view| (view.position, view.phase) == (position, phase));
    view.expect("there is one").worker
}

/// R30: a crashed worker leaves its position to its replacement, while a lower one is missing and
/// backs off.
#[test]
fn a_replacement_has_the_position_of_its_predecessor() {
    let mut world = World::new(Policy {
        surge: 3,
        ..Policy::new(3)
    });
    assert!(world.opened.iter().map(|(_, position)| *position).eq(0..3));
    let failed = at(&world, 0, Phase::Initializing);
    world.port(failed, PortFact::StartFailed { is_final: false });
    world.start_all();
    let crashed = at(&world, 1, Phase::Ready);
    world.port(crashed, PortFact::Exited);
    let expected = [(1, Phase::Initializing, false), (2, Phase::Ready, false)];
    assert_eq!(staff(&world), expected);
    world.run_out();
    let all = [0, 1, 2].map(|position| (position, Phase::Ready, false));
    assert_eq!(staff(&world), all);
}

/// R30: when more workers are missing than may start at once, the position that was left first gets
/// the next worker, whichever position is lower.
#[test]
fn the_oldest_vacancy_is_filled_first() {
    let mut world = World::new(Policy {
        max_starting: 1,
        surge: 3,
        ..Policy::new(3)
    });
    world.start_all();
    for position in [2, 1, 0] {
        world.port(at(&world, position, Phase::Ready), PortFact::Exited);
    }
    for position in [2, 1, 0] {
        assert_eq!(staff(&world)[0], (position, Phase::Initializing, false));
        world.port(at(&world, position, Phase::Initializing), PortFact::Started);
    }
    let all = [0, 1, 2].map(|position| (position, Phase::Ready, false));
    assert_eq!(staff(&world), all);
}

/// R30: a pool that shrinks while a low position is still starting keeps serving with the worker
/// that has no position any more, until that start has ended.
#[test]
fn a_shrunk_pool_serves_until_the_low_positions_do() {
    let mut world = World::new(Policy::new(3));
    for position in [1, 2] {
        world.port(at(&world, position, Phase::Initializing), PortFact::Started);
    }
    world.feed(Input::Resize { size: 2 });
    let expected = [
        (0, Phase::Initializing, false),
        (1, Phase::Ready, false),
        (2, Phase::Ready, true),
    ];
    assert_eq!(staff(&world), expected);
    let surplus = at(&world, 2, Phase::Ready);
    world.start_all();
    let all = [0, 1].map(|position| (position, Phase::Ready, false));
    assert_eq!(staff(&world), all);
    let left = world
        .supervisor
        .workers()
        .find(|view| view.worker == surplus);
    assert_eq!(left.expect("it is stopping").reason, Some(Reason::Surplus));
    assert_eq!(world.supervisor.counters().recycled, 0);
}

/// R30: of several starting workers beyond the size, those with the highest positions are stopped,
/// and a pool that grows again opens them anew.
#[test]
fn starts_beyond_the_size_are_stopped() {
    let mut world = World::new(Policy::new(4));
    world.feed(Input::Resize { size: 2 });
    let starting = [0, 1].map(|position| (position, Phase::Initializing, false));
    assert_eq!(staff(&world), starting);
    world.run_out();
    world.feed(Input::Resize { size: 3 });
    assert_eq!(world.opened.len(), 1);
    assert_eq!(world.opened[0].1, 2);
}

/// R30: a worker that a stopped rolling restart keeps, although its replacement serves, is replaced
/// after all: two workers do not share a position for good.
#[test]
fn a_kept_worker_does_not_share_its_position() {
    let mut world = World::new(Policy {
        surge: 2,
        ..Policy::new(2)
    });
    world.start_all();
    world.feed(Input::RecycleAll);
    let new = [0, 1].map(|position| at(&world, position, Phase::Initializing));
    // The worker at 0 is gone, so the one at 1 is needed, although its replacement serves.
    world.port(at(&world, 0, Phase::Ready), PortFact::Exited);
    world.port(new[1], PortFact::Started);
    let shared = [
        (0, Phase::Initializing, false),
        (1, Phase::Ready, false),
        (1, Phase::Ready, true),
    ];
    assert_eq!(staff(&world), shared);
    world.port(new[0], PortFact::StartFailed { is_final: false });
    assert_eq!(world.rolled.len(), 1, "it is stopped");
    assert_eq!(staff(&world), shared[1..]);
    world.run_out();
    let all = [0, 1].map(|position| (position, Phase::Ready, false));
    assert_eq!(staff(&world), all);
}
