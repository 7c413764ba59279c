//! Everything that can happen to a [`World`], and how its story ends.

use ostler::supervisor::{Fault, Input, PortFact};

use crate::world::World;

/// Something that happens. The index chooses among those to whom it can.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Checkout,
    GiveUp(usize),
    Checkin(usize),
    Fault(usize),
    Port(usize, PortFact),
    Elapse(usize),
    ElapseLate(usize),
    ElapseUpkeep(usize),
    /// An exchange that the worker answers with an error.
    Error(usize),
    Probed(usize, bool),
    Measured(usize, u64),
    OpenSession,
    EndSession(usize),
    CheckoutFor(usize),
    Recycle(usize),
    RecycleAll,
    Pause,
    Resume,
    Resize(usize),
    Shutdown,
}

/// One of `candidates`, if there are any.
fn pick<T>(which: usize, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    let mut candidates: Vec<T> = candidates.into_iter().collect();
    (!candidates.is_empty()).then(|| candidates.swap_remove(which % candidates.len()))
}

/// Lets the action happen, if it can: whether it did.
pub(crate) fn act(world: &mut World, action: Action) -> bool {
    match action {
        Action::Checkout => {
            world.checkout();
            true
        }
        Action::GiveUp(which) => {
            let waiter = pick(which, world.waiting.iter().copied());
            waiter.map(|waiter| world.give_up(waiter)).is_some()
        }
        Action::Checkin(which) => {
            let lease = pick(which, world.leases.iter().copied());
            lease.map(|lease| world.checkin(lease)).is_some()
        }
        Action::Fault(which) => {
            let lease = pick(which, world.leases.iter().copied());
            lease
                .map(|lease| world.fault(lease, Fault::Abandoned))
                .is_some()
        }
        Action::Port(which, fact) => {
            let worker = pick(which, world.ports.keys().copied());
            worker.is_some_and(|worker| world.port(worker, fact))
        }
        Action::Elapse(which) => {
            let timer = pick(which, world.timers.iter().copied());
            timer.map(|timer| world.elapse(timer)).is_some()
        }
        Action::ElapseLate(which) => {
            let timer = pick(which, world.cancelled.iter().copied());
            timer.map(|timer| world.elapse(timer)).is_some()
        }
        Action::Recycle(which) => {
            let worker = pick(which, world.ports.keys().copied());
            worker
                .map(|worker| world.handle(Input::Recycle { worker }))
                .is_some()
        }
        Action::ElapseUpkeep(which) => {
            let timer = pick(which, world.upkeep.iter().copied());
            timer.map(|timer| world.elapse(timer)).is_some()
        }
        Action::Error(which) => {
            let lease = pick(which, world.leases.iter().copied());
            lease
                .map(|lease| world.checkin_after(lease, 1, 1))
                .is_some()
        }
        Action::Probed(which, healthy) => {
            let lease = pick(which, world.probes.iter().copied());
            lease.map(|lease| world.probed(lease, healthy)).is_some()
        }
        Action::Measured(which, bytes) => {
            let worker = pick(which, world.ports.keys().copied());
            worker
                .map(|worker| world.handle(Input::Measured { worker, bytes }))
                .is_some()
        }
        Action::OpenSession => {
            world.open_session();
            true
        }
        Action::EndSession(which) => {
            let session = pick(which, world.sessions.iter().copied());
            session.map(|session| world.end_session(session)).is_some()
        }
        Action::CheckoutFor(which) => {
            let session = pick(which, world.sessions.iter().copied());
            session
                .map(|session| world.checkout_for(Some(session)))
                .is_some()
        }
        Action::RecycleAll => plain(world, Input::RecycleAll),
        Action::Pause => plain(world, Input::Pause),
        Action::Resume => plain(world, Input::Resume),
        Action::Resize(size) => plain(world, Input::Resize { size }),
        Action::Shutdown => plain(world, Input::Shutdown),
    }
}

/// Something that can always happen.
fn plain(world: &mut World, input: Input) -> bool {
    world.handle(input);
    true
}

/// Lets time run out, shuts down, and checks that everybody has had an answer and nothing is left.
pub(crate) fn end(world: &mut World) {
    let closing = world.supervisor.is_closing();
    let size = world.supervisor.policy().size;
    world.check_in_all();
    if !closing {
        // L3: whatever has happened, a pool whose workers start comes back to its size.
        world.run_out();
        world.check_in_all();
        world.run_out();
        assert_eq!(world.serving(), size);
        assert!(world.waiting.is_empty());
    }
    world.handle(Input::Shutdown);
    world.run_out();
    assert_eq!((world.phases(), world.closed), (vec![], 1));
    assert!(world.waiting.is_empty() && world.ports.is_empty() && world.timers.is_empty());
    assert!(world.sessions.is_empty() && world.upkeep.is_empty() && world.probes.is_empty());
    let counters = world.supervisor.counters();
    assert_eq!(counters.opened, counters.released);
    assert_eq!(counters.granted as usize, world.granted.len());
}
