//! Does the supervisor hold its promises in every order of events?
//!
//! Random sequences of what clients, ports and timers may do, resolved against what they can do at that moment. The
//! [`World`] checks what must hold after each step; at the end time runs out, and everyone has had an answer.

use std::time::Duration;

use ostler::Policy;
use ostler::supervisor::{Fault, Input, PortFact};
use proptest::prelude::*;

use crate::world::World;

/// Something that happens. The index chooses among those to whom it can.
#[derive(Clone, Copy, Debug)]
enum Action {
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

fn action() -> impl Strategy<Value = Action> {
    let which = any::<usize>();
    prop_oneof![
        8 => Just(Action::Checkout),
        2 => which.prop_map(Action::GiveUp),
        6 => which.prop_map(Action::Checkin),
        2 => which.prop_map(Action::Fault),
        8 => which.prop_map(|which| Action::Port(which, PortFact::Started)),
        2 => which.prop_map(|which| Action::Port(which, PortFact::StartFailed)),
        3 => which.prop_map(|which| Action::Port(which, PortFact::Exited)),
        6 => which.prop_map(|which| Action::Port(which, PortFact::Released)),
        4 => which.prop_map(Action::Elapse),
        2 => which.prop_map(Action::ElapseLate),
        4 => which.prop_map(Action::ElapseUpkeep),
        3 => which.prop_map(Action::Error),
        3 => (which, any::<bool>()).prop_map(|(which, healthy)| Action::Probed(which, healthy)),
        1 => (which, 0..3u64).prop_map(|(which, mib)| Action::Measured(which, mib << 20)),
        2 => Just(Action::OpenSession),
        1 => which.prop_map(Action::EndSession),
        5 => which.prop_map(Action::CheckoutFor),
        2 => which.prop_map(Action::Recycle),
        1 => Just(Action::RecycleAll),
        1 => prop_oneof![1 => Just(Action::Pause), 2 => Just(Action::Resume)],
        1 => (1..6usize).prop_map(Action::Resize),
        1 => (0..10u8).prop_map(|dice| if dice == 0 { Action::Shutdown } else { Action::Checkout }),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let sizes = (1..5usize, 1..3usize, 1..4usize);
    let limits = (1..3u32, 0..6usize, 0..4usize, 1..4u32, 1..4u32);
    (sizes, limits, any::<bool>()).prop_map(|(sizes, limits, hasty)| {
        let (size, surge, max_starting) = sizes;
        let (crash_loop, max_waiting, max_sessions, threshold, errors) = limits;
        Policy {
            surge,
            max_starting,
            crash_loop,
            max_waiting,
            max_sessions,
            health_failure_threshold: threshold,
            error_threshold: Some(errors),
            max_worker_requests: Some(6),
            max_worker_memory: Some(2 << 20),
            min_worker_life: Duration::from_secs(u64::from(!hasty)),
            ..Policy::new(size)
        }
    })
}

/// One of `candidates`, if there are any.
fn pick<T>(which: usize, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    let mut candidates: Vec<T> = candidates.into_iter().collect();
    (!candidates.is_empty()).then(|| candidates.swap_remove(which % candidates.len()))
}

/// Lets the action happen, if it can: whether it did.
fn act(world: &mut World, action: Action) -> bool {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// L4, L6, L8, L16, C1, C2, P12, after every step; then, with clients that check in and a shutdown, an end.
    #[test]
    fn every_order_of_events_keeps_the_promises(
        policy in policy(),
        actions in prop::collection::vec(action(), 0..120),
    ) {
        let mut world = World::new(policy);
        for action in actions {
            act(&mut world, action);
        }
        let closing = world.supervisor.is_closing();
        let size = world.supervisor.policy().size;
        world.check_in_all();
        if !closing {
            // L3: whatever has happened, a pool whose workers start comes back to its size.
            world.run_out();
            world.check_in_all();
            world.run_out();
            prop_assert_eq!(world.serving(), size);
            prop_assert!(world.waiting.is_empty());
        }
        world.handle(Input::Shutdown);
        world.run_out();
        prop_assert_eq!((world.phases(), world.closed), (vec![], 1));
        prop_assert!(world.waiting.is_empty() && world.ports.is_empty() && world.timers.is_empty());
        prop_assert!(world.sessions.is_empty() && world.upkeep.is_empty() && world.probes.is_empty());
        let counters = world.supervisor.counters();
        prop_assert_eq!(counters.opened, counters.released);
        prop_assert_eq!(counters.granted as usize, world.granted.len());
    }
}
