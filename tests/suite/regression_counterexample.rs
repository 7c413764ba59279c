//! Written by `ostler-check-trace --regression`.

use std::time::Duration;

use ostler::supervisor::*;
use ostler::*;

/// The specification violated BackoffsHaveVacancies. Step 8 of the counterexample is
/// BackoffElapsed; this pool does CancelBackoff.
#[test]
fn regression() {
    let policy = Policy {
        surge: 1,
        max_starting: 1,
        crash_loop: 1,
        max_waiting: 1,
        max_sessions: 1,
        enable_health_monitoring: true,
        health_failure_threshold: 1,
        max_worker_requests: None,
        error_threshold: Some(5),
        min_worker_life: Duration::ZERO,
        cancel_grace: None,
        ..Policy::new(1)
    };
    let mut pool = Supervisor::new(policy, 1).expect("the policy is valid");
    assert_eq!(after(&mut pool), "0.1 Initializing");
    let steps: &[(Input, &str)] = &[
        (
            Input::Port { worker: WorkerId { slot: 0, generation: 1 }, fact: PortFact::Started },
            "0.1 Ready",
        ),
        (
            Input::RecycleAll,
            "0.1 Ready; 1.1 Initializing",
        ),
        (
            Input::Port { worker: WorkerId { slot: 1, generation: 1 }, fact: PortFact::StartFailed { is_final: false } },
            "1.1 is stopped by Term; a vacancy backs off; StartFailed { replaced: 0, kept: 1 }; a backoff is cancelled; 0.1 Ready; 1.1 Stopping",
        ),
    ];
    for &(input, does) in steps {
        pool.feed(input).expect("the pool accepts the input");
        assert_eq!(after(&mut pool), does, "after {input:?}");
    }
}

fn after(pool: &mut Supervisor) -> String {
    let effects: Vec<Effect> = pool.take_effects().collect();
    let workers: Vec<_> = pool.workers().map(|view| (view.worker, view.phase)).collect();
    shown(&effects, &workers)
}

/// What the pool answered and ordered, and then the phases of its workers.
fn shown(effects: &[Effect], workers: &[(WorkerId, Phase)]) -> String {
    let told = effects.iter().filter_map(|effect| match *effect {
        Effect::Grant { waiter, lease } => {
            Some(format!("client {} gets {}", waiter.0, lease.worker))
        }
        Effect::Refuse { waiter, .. } => Some(format!("client {} is refused", waiter.0)),
        Effect::Worker { worker, order } => match order {
            Order::Stop { rung, .. } => Some(format!("{worker} is stopped by {rung}")),
            Order::Probe { .. } => Some(format!("{worker} is probed")),
            Order::Cancel { .. } => Some(format!("{worker} cancels its call")),
            Order::Abandon => Some(format!("{worker} is abandoned")),
            Order::Open { .. } | Order::Measure => None,
        },
        Effect::SessionEnded { session, .. } => Some(format!("session {} ends", session.0)),
        Effect::StartTimer { timer, .. } => {
            let backs_off = matches!(timer, Timer::Backoff { .. });
            backs_off.then(|| "a vacancy backs off".to_owned())
        }
        Effect::CancelTimer { timer } => {
            let backed_off = matches!(timer, Timer::Backoff { .. });
            backed_off.then(|| "a backoff is cancelled".to_owned())
        }
        Effect::RollingEnded(end) => Some(format!("{end:?}")),
        Effect::DrainEnded(end) => Some(format!("{end:?}")),
        Effect::ShutdownDrained | Effect::Closed => Some(format!("{effect:?}")),
        Effect::Event(_) => None,
    });
    let phases = workers
        .iter()
        .map(|(worker, phase)| format!("{worker} {phase}"));
    told.chain(phases).collect::<Vec<_>>().join("; ")
}
