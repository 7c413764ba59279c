//! What a step of a pool looks like from outside. The tests that this program writes contain this
//! function, so that it says the same of a pool as of its record.

use ostler::WorkerId;
use ostler::supervisor::{Effect, Order, Timer};
use ostler::worker::Phase;

/// What the pool answered and ordered, and then the phases of its workers.
pub(crate) fn shown(effects: &[Effect], workers: &[(WorkerId, Phase)]) -> String {
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
