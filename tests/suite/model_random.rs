//! Random actions for a [`Model`], and random policies of small pools.

use std::time::Duration;

use ostler::Policy;
use ostler::supervisor::{Fault, PortFact};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::model::Model;
use crate::model_actions::{Action, FACTS, FAULTS, MEMORY, TENTHS};

/// A kind of action: its weight, one of its kind, and all of them.
type Kind = (u32, Action, BoxedStrategy<Action>);

/// The next action. Actions that apply are twenty times as likely as those that do not.
pub(crate) fn action(model: &Model) -> BoxedStrategy<Action> {
    let weighted = |(weight, one, all): Kind| {
        let applies = model.resolve(one).is_some();
        (if applies { 20 * weight } else { weight }, all)
    };
    Union::new_weighted(kinds().into_iter().map(weighted).collect()).boxed()
}

/// The weights keep pools busy: more clients come than things go wrong, and failures end.
fn kinds() -> Vec<Kind> {
    use Action as A;
    let just = |weight, action| (weight, action, Just(action).boxed());
    let of = |weight, make: fn(u8) -> A| (weight, make(0), any::<u8>().prop_map(make).boxed());
    let calls = (any::<u8>(), 0..4u64, 0..4u64, any::<bool>());
    vec![
        just(36, A::Come),
        of(36, A::ComeFor),
        of(3, A::ComeForEnded),
        of(6, A::GiveUp),
        (
            72,
            A::Return(0, 1, 0, false),
            calls
                .prop_map(|(n, all, errors, unbroken)| A::Return(n, all, errors.min(all), unbroken))
                .boxed(),
        ),
        (
            6,
            A::Break(0, Fault::Abandoned),
            (any::<u8>(), select(&FAULTS))
                .prop_map(|(n, fault)| A::Break(n, fault))
                .boxed(),
        ),
        (
            12,
            A::Abandon(0, Fault::Abandoned),
            (any::<u8>(), select(&FAULTS))
                .prop_map(|(n, fault)| A::Abandon(n, fault))
                .boxed(),
        ),
        of(9, A::CancelCleanly),
        of(3, A::CancelBadly),
        of(6, A::MissCancel),
        of(3, A::CancelLate),
        just(9, A::OpenSession),
        of(3, A::OpenSessionAgain),
        of(2, A::EndSession),
        of(72, A::Start),
        (
            9,
            A::FailToStart(0, false),
            (any::<u8>(), any::<bool>())
                .prop_map(|(n, is_final)| A::FailToStart(n, is_final))
                .boxed(),
        ),
        of(6, A::Crash),
        of(3, A::BreakByItself),
        of(36, A::Exit),
        of(36, A::Release),
        of(18, A::AnswerHealthy),
        of(9, A::AnswerUnhealthy),
        of(3, A::AnswerBadly),
        (
            12,
            A::Weigh(0, 1),
            (any::<u8>(), select(&TENTHS))
                .prop_map(|(n, tenths)| A::Weigh(n, tenths))
                .boxed(),
        ),
        of(12, A::Hang),
        of(12, A::MissProbe),
        of(18, A::ElapseBackoff),
        of(48, A::ReachMilestone),
        just(36, A::SweepSessions),
        just(12, A::ElapseGrace),
        of(9, A::Recycle),
        just(2, A::RecycleAll),
        just(1, A::Drain),
        just(2, A::Resume),
        (9, A::Resize(1), (1..6usize).prop_map(A::Resize).boxed()),
        just(2, A::Shutdown),
        just(1, A::ShutdownNow),
        of(3, A::GiveUpLate),
        of(3, A::ReturnAgain),
        of(3, A::AnswerLate),
        of(6, A::ElapseLate),
        of(3, A::EndSessionAgain),
        (
            3,
            A::ReportNonsense(0, PortFact::Released),
            (any::<u8>(), select(&FACTS))
                .prop_map(|(n, fact)| A::ReportNonsense(n, fact))
                .boxed(),
        ),
    ]
}

/// Small pools with narrow limits, so that each limit is reached. `max_worker_requests` is below
/// 10, so that its jitter is zero.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let sizes = (1..5usize, 1..3usize, 1..4usize, 1..4u32);
    let clients = (0..6usize, 0..4usize, any::<bool>());
    let health = (any::<bool>(), 1..4u32, any::<bool>());
    let limits = (any::<[bool; 4]>(), 1..6u64, 1..4u32, 0..2u64);
    (sizes, clients, health, limits).prop_map(|(sizes, clients, health, limits)| {
        let (size, surge, max_starting, crash_loop) = sizes;
        let (max_waiting, max_sessions, idle) = clients;
        let (limited, requests, errors, life) = limits;
        Policy {
            surge,
            max_starting,
            crash_loop,
            max_waiting,
            max_sessions,
            // So that the third consecutive failure reaches the longest backoff.
            restart_backoff_max: Duration::from_millis(300),
            session_idle_timeout: idle.then_some(Duration::from_secs(600)),
            cancel_grace: health.2.then_some(Duration::from_secs(1)),
            enable_health_monitoring: health.0,
            health_failure_threshold: health.1,
            max_worker_age: limited[0].then_some(Duration::from_secs(3600)),
            max_worker_requests: limited[1].then_some(requests),
            max_worker_memory: limited[2].then_some(MEMORY),
            error_threshold: limited[3].then_some(errors),
            min_worker_life: Duration::from_secs(life),
            ..Policy::new(size)
        }
    })
}
