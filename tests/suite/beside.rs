//! The supervisor in its [`World`], beside a [`Model`]: what it says and shows is what the model does.

use std::time::Duration;

use ostler::supervisor::Event;
use ostler::supervisor::{Effect, Input, Milestone, Order, Timer};
use ostler::{Policy, SessionId, WaiterId, WorkerId};

use crate::model::{Home, Model};
use crate::world::World;

/// A pool that is as the model of a new one is.
pub(crate) fn begin(policy: Policy) -> (World, Model) {
    let model = Model::new(policy);
    (begin_with(&model), model)
}

pub(crate) fn begin_with(model: &Model) -> World {
    let world = World::new(model.policy.clone());
    compare(&world, model);
    look(&world, model);
    world
}

/// Lets happen what has happened to the model: whether it came late.
pub(crate) fn follow(world: &mut World, model: &Model) -> bool {
    let Some(input) = model.input else {
        return false;
    };
    let stale = world.supervisor.counters().stale;
    match model.illegal {
        None => world.feed(input),
        Some(illegal) => {
            assert_eq!(world.supervisor.feed(input), Err(illegal));
            world.said = world.supervisor.take_effects().collect();
        }
    }
    compare(world, model);
    look(world, model);
    world.supervisor.counters().stale > stale
}

/// With clients that let go, whatever has happened, the pool comes back to its size, and a shutdown to its end: everybody has
/// had an answer, and nothing is left.
pub(crate) fn end(mut world: World) {
    let closing = world.supervisor.is_closing();
    let size = world.supervisor.policy().size;
    world.check_in_all();
    if !closing {
        // L3: there is no state that a pool whose workers start does not leave.
        world.run_out();
        world.check_in_all();
        world.run_out();
        assert_eq!(world.serving(), size);
        assert!(world.waiting.is_empty());
    }
    world.feed(Input::Shutdown);
    world.run_out();
    assert_eq!((world.phases(), world.closed), (vec![], 1));
    assert!(world.waiting.is_empty() && world.ports.is_empty() && world.timers.is_empty());
    assert!(world.sessions.is_empty() && world.health.is_empty() && world.probes.is_empty());
    let counters = world.supervisor.counters();
    assert_eq!(counters.opened, counters.released);
    assert_eq!(counters.granted as usize, world.granted.len());
}

/// What the pool says is what it must say. The order counts where there is one to keep: among what concerns one worker,
/// one client, one session, one timer of the pool's, or the pool as a whole.
fn compare(world: &World, model: &Model) {
    let by_subject = |said: &[Effect]| {
        let mut said: Vec<(Subject, Effect)> = said.iter().map(|e| (subject(e), *e)).collect();
        said.sort_by_key(|(subject, _)| *subject);
        said
    };
    let (must, does) = (by_subject(&model.effects), by_subject(&world.said));
    let agree = must.len() == does.len()
        && must
            .iter()
            .zip(&does)
            .all(|(must, does)| must.0 == does.0 && agree(must.1, does.1));
    assert!(
        agree,
        "to {:?} the pool says\n{does:#?}\nand must say\n{must:#?}",
        model.input
    );
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Worker(WorkerId),
    Client(WaiterId),
    Session(SessionId),
    Timer(Timer),
    Pool,
}

fn subject(effect: &Effect) -> Subject {
    match effect {
        Effect::Worker { worker, .. } => Subject::Worker(*worker),
        Effect::Event(event) => Subject::Worker(Event::worker(event)),
        Effect::Grant { waiter, .. } | Effect::Refuse { waiter, .. } => Subject::Client(*waiter),
        Effect::SessionEnded { session, .. } => Subject::Session(*session),
        Effect::StartTimer { timer, .. } | Effect::CancelTimer { timer } => Subject::Timer(*timer),
        Effect::Rolled(_) | Effect::Drained | Effect::Closed => Subject::Pool,
    }
}

/// L14: pauses, checks and ages are changed at random by a tenth at most; everything else is as the model says.
fn agree(must: Effect, does: Effect) -> bool {
    match (started(must), started(does)) {
        (Some((timer, nominal)), Some((same, drawn))) => {
            let is_random = matches!(
                timer,
                Timer::Backoff { .. }
                    | Timer::Milestone {
                        milestone: Milestone::Check | Milestone::Age,
                        ..
                    }
            );
            let range = nominal.mul_f64(0.9)..=nominal.mul_f64(1.1);
            timer == same && (drawn == nominal || is_random && range.contains(&drawn))
        }
        _ => must == does,
    }
}

fn started(effect: Effect) -> Option<(Timer, Duration)> {
    match effect {
        Effect::StartTimer { timer, after }
        | Effect::Worker {
            order: Order::StartTimer { timer, after },
            ..
        } => Some((timer, after)),
        _ => None,
    }
}

/// What is seen of the pool is what must be.
fn look(world: &World, model: &Model) {
    let pool = &world.supervisor;
    let input = model.input;
    let workers: Vec<_> = pool.workers().collect();
    assert_eq!(workers, model.views(), "after {input:?}");
    let phases: Vec<_> = model.views().iter().map(|view| view.phase).collect();
    assert_eq!(pool.phases().collect::<Vec<_>>(), phases, "after {input:?}");
    assert_eq!(pool.counters(), model.counters, "after {input:?}");
    assert_eq!(pool.policy(), &model.policy, "after {input:?}");
    assert_eq!(pool.waiting(), model.waiting(), "after {input:?}");
    assert_eq!(pool.sessions(), model.open_sessions(), "after {input:?}");
    assert_eq!(pool.is_closing(), model.closing, "after {input:?}");
    for session in &model.sessions {
        let home = match session.home {
            Home::Worker(home) => Some(home),
            Home::None | Home::Lost(_) | Home::Over => None,
        };
        assert_eq!(pool.session_worker(session.id), home, "after {input:?}");
    }
}
