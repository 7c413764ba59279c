//! The supervisor in its [`World`], compared with a [`Model`] after each input.

use std::time::Duration;

use ostler::supervisor::{Effect, Event, Input, Milestone, Timer};
use ostler::{Phase, Policy, SessionId, WaiterId, WorkerId};

use crate::model::{Home, Model};
use crate::world::World;

/// A new pool and its model.
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

/// Feeds the pool what the model was fed. Returns whether the pool counted it as late.
pub(crate) fn follow(world: &mut World, model: &Model) -> bool {
    let Some(input) = model.input else {
        return false;
    };
    let stale = world.supervisor.counters().stale;
    match model.illegal {
        None => world.feed(input),
        Some(illegal) => {
            assert_eq!(world.supervisor.feed(input), Err(illegal));
            world.effects = world.supervisor.take_effects().collect();
        }
    }
    compare(world, model);
    look(world, model);
    world.supervisor.counters().stale > stale
}

/// Whatever has happened: once clients return their leases, the pool comes back to its size, and a
/// shutdown ends. Every client has had an answer, and nothing is left.
pub(crate) fn end(mut world: World) {
    let closing = world.supervisor.is_closing();
    let size = world.supervisor.policy().size;
    world.check_in_all();
    if !closing {
        // L3: a pool whose workers start recovers from every state.
        world.run_out();
        world.check_in_all();
        world.run_out();
        assert_eq!(world.serving(), size);
        // R30: every position has its worker again.
        let mut positions: Vec<usize> = world.supervisor.workers().map(|it| it.position).collect();
        positions.sort_unstable();
        assert!(positions.into_iter().eq(0..size));
        assert!(world.waiting.is_empty());
    }
    world.feed(Input::Shutdown);
    world.run_out();
    assert_eq!((world.phases(), world.closed), (vec![], 1));
    assert!(world.waiting.is_empty() && world.ports.is_empty() && world.timers.is_empty());
    assert!(world.abandoned.is_empty());
    assert!(world.sessions.is_empty() && world.recurring.is_empty());
    assert!(world.probes.is_empty() && world.cancelling.is_empty());
    assert_eq!(world.shutdown_drained, 1);
    let counters = world.supervisor.counters();
    assert_eq!(counters.opened, counters.released);
    assert_eq!(counters.granted as usize, world.granted.len());
}

/// The pool's effects are those of the model. Their order counts among those about one worker, one
/// client, one session, one timer, or the pool as a whole.
fn compare(world: &World, model: &Model) {
    let by_subject = |effects: &[Effect]| {
        let mut effects: Vec<(Subject, Effect)> =
            effects.iter().map(|e| (subject(e), *e)).collect();
        effects.sort_by_key(|(subject, _)| *subject);
        effects
    };
    let (must, does) = (by_subject(&model.effects), by_subject(&world.effects));
    let agree = must.len() == does.len()
        && must
            .iter()
            .zip(&does)
            .all(|(must, does)| must.0 == does.0 && agree(must.1, does.1));
    assert!(
        agree,
        "after {:?} the pool gives\n{does:#?}\nand must give\n{must:#?}",
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
        Effect::StartTimer { timer, .. } | Effect::CancelTimer { timer } => match timer.worker() {
            Some(worker) => Subject::Worker(worker),
            None => Subject::Timer(*timer),
        },
        Effect::RollingEnded(_) | Effect::DrainEnded(_) => Subject::Pool,
        Effect::ShutdownDrained | Effect::Closed => Subject::Pool,
    }
}

/// L14: backoffs, health checks and ages have a jitter of a tenth; everything else is as in the
/// model.
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
        Effect::StartTimer { timer, after } => Some((timer, after)),
        _ => None,
    }
}

/// The pool shows what the model shows.
fn look(world: &World, model: &Model) {
    let pool = &world.supervisor;
    let input = model.input;
    let workers: Vec<_> = pool.workers().collect();
    assert_eq!(workers, model.views(), "after {input:?}");
    for view in model.views() {
        let phase = pool.phase(view.worker);
        assert_eq!(phase, Some(view.phase), "after {input:?}");
    }
    for phase in Phase::ALL {
        let workers = model
            .views()
            .iter()
            .filter(|view| view.phase == *phase)
            .count();
        assert_eq!(pool.workers_in(*phase), workers, "after {input:?}");
    }
    assert_eq!(pool.counters(), model.counters, "after {input:?}");
    let abandoned: Vec<_> = pool.abandoned().collect();
    assert_eq!(abandoned, model.abandoned(), "after {input:?}");
    assert_eq!(pool.policy(), &model.policy, "after {input:?}");
    assert_eq!(pool.waiting(), model.waiting(), "after {input:?}");
    assert_eq!(pool.sessions(), model.open_sessions(), "after {input:?}");
    assert_eq!(pool.is_closing(), model.is_closing(), "after {input:?}");
    for session in &model.sessions {
        let home = match session.home {
            Home::Worker(home) => Some(home),
            Home::None | Home::Lost(_) | Home::Over => None,
        };
        assert_eq!(pool.session_worker(session.id), home, "after {input:?}");
    }
}
