//! Does the supervisor hold its promises in every order of events?
//!
//! Random sequences of what clients, ports and timers may do, resolved against what they can do at that moment. The
//! [`World`] checks what must hold after each step; at the end time runs out, and everyone has had an answer.

use std::time::Duration;

use ostler::Policy;
use ostler::supervisor::PortFact;
use proptest::prelude::*;

use crate::world::World;
use crate::world_actions::{Action, act, end};

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
        end(&mut world);
    }
}
