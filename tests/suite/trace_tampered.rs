//! A trace that was tampered with, in each way in which a pool could do what it must not.

use ostler::supervisor::{Effect, Input, Order, PortFact, Reason, Refusal};
use ostler::supervisor::{Event, Transition};
use ostler::trace::Step;
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, WorkerId};

use crate::trace_mirror::{Client, Mirror};

/// A step that goes wrong, made of one that does not, where it can be.
pub(crate) type Tampering = fn(&Mirror, &Step) -> Option<Step>;

/// What a pool must not do, and how its trace would then look.
pub(crate) const TAMPERINGS: [(&str, Tampering); 21] = [
    (
        "a client is forgotten although a worker is ready",
        |_, step| {
            let granted =
                |effect: &Effect| is_grant(effect) || takes(effect, worker::Input::Checkout);
            // The health monitor takes workers as well.
            step.effects.iter().any(is_grant).then_some(())?;
            without(step, granted)
        },
    ),
    ("a lease is not handed over", |_, step| {
        without(step, is_grant)
    }),
    ("a busy worker is leased once more", |mirror, step| {
        let busy = worker_in(mirror, &[Phase::Busy])?;
        replace(step, |effect| match effect {
            Effect::Grant { waiter, lease } if lease.worker != busy => Some(Effect::Grant {
                waiter,
                lease: LeaseId {
                    worker: busy,
                    ..lease
                },
            }),
            _ => None,
        })
    }),
    (
        "a worker is leased that is on its way out",
        |mirror, step| {
            let stopping = worker_in(mirror, &[Phase::Stopping])?;
            replace(step, |effect| match effect {
                Effect::Grant { waiter, lease } => Some(Effect::Grant {
                    waiter,
                    lease: LeaseId {
                        worker: stopping,
                        ..lease
                    },
                }),
                _ => None,
            })
        },
    ),
    (
        "the second in the queue is served before the first",
        |mirror, step| {
            let waits = |client: &Client| match client {
                Client::Waits(waiter, None) => Some(*waiter),
                _ => None,
            };
            let second = mirror.clients.iter().filter_map(waits).max()?;
            replace(step, |effect| match effect {
                Effect::Grant { waiter, lease } if waiter < second => Some(Effect::Grant {
                    waiter: second,
                    lease,
                }),
                _ => None,
            })
        },
    ),
    ("a client is answered twice", |_, step| {
        twice(step, is_grant)
    }),
    (
        "a client is refused although a worker is ready",
        |_, step| {
            replace(step, |effect| match effect {
                Effect::Grant { waiter, .. } => Some(Effect::Refuse {
                    waiter,
                    refusal: Refusal::CrashLoop,
                }),
                _ => None,
            })
        },
    ),
    ("a client too many is let wait", |_, step| {
        without(step, |effect| {
            matches!(
                effect,
                Effect::Refuse {
                    refusal: Refusal::QueueFull,
                    ..
                }
            )
        })
    }),
    ("a worker that is lost is not replaced", |_, step| {
        without(step, |effect| {
            matches!(effect, Effect::Event(Event::Opened { .. }))
        })
    }),
    ("a worker too many is opened", |_, step| {
        let unknown = WorkerId {
            slot: 999,
            generation: 1,
        };
        with(step, Effect::Event(Event::Opened { worker: unknown }))
    }),
    (
        "a worker goes to a phase that is not in the table",
        |_, step| {
            replace(step, |effect| match effect {
                Effect::Event(Event::Moved(moved)) if moved.to == Phase::Stopping => {
                    Some(Effect::Event(Event::Moved(Transition {
                        to: Phase::Ready,
                        ..moved
                    })))
                }
                _ => None,
            })
        },
    ),
    ("a transition is kept quiet", |_, step| {
        let moves = |effect: &Effect| matches!(effect, Effect::Event(Event::Moved(moved)) if moved.from != moved.to);
        // One of them, because two may lead back to where the first began.
        let quiet = step.effects.iter().position(moves)?;
        let mut less = step.clone();
        let _ = less.effects.remove(quiet);
        Some(less)
    }),
    ("a worker that was stopped serves again", |mirror, step| {
        let worker = worker_in(mirror, &[Phase::Stopping])?;
        let back = Transition {
            worker,
            from: Phase::Stopping,
            input: worker::Input::Started,
            to: Phase::Ready,
            reason: None,
        };
        with(step, Effect::Event(Event::Moved(back)))
    }),
    ("a rung of the ladder is left out", |_, step| {
        replace(step, |effect| match effect {
            Effect::Worker {
                worker,
                order:
                    Order::Stop {
                        rung: Rung::Term,
                        reason,
                    },
            } => {
                let order = Order::Stop {
                    rung: Rung::Kill,
                    reason,
                };
                Some(Effect::Worker { worker, order })
            }
            _ => None,
        })
    }),
    (
        "a port is released before its process has exited",
        |_, step| match step.input {
            Some(Input::Port {
                worker,
                fact: PortFact::Exited,
            }) => Some(Step {
                input: Some(Input::Port {
                    worker,
                    fact: PortFact::Released,
                }),
                ..step.clone()
            }),
            _ => None,
        },
    ),
    ("a worker is replaced that nobody marked", |mirror, step| {
        let worker = worker_in(mirror, &[Phase::Ready])?;
        step.effects.is_empty().then_some(())?;
        let gone = Transition {
            worker,
            from: Phase::Ready,
            input: worker::Input::Retire,
            to: Phase::Lingering,
            reason: Some(Reason::Recycled),
        };
        with(step, Effect::Event(Event::Moved(gone)))
    }),
    (
        "the loss of a session is kept from who waits for it",
        |_, step| {
            without(step, |effect| {
                matches!(
                    effect,
                    Effect::Refuse {
                        refusal: Refusal::SessionLost(_),
                        ..
                    }
                )
            })
        },
    ),
    ("a failed start is not followed by a pause", |_, step| {
        // After a crash there is none the first time, which the specification does not count.
        let failed = |effect: &Effect| matches!(effect, Effect::Event(Event::Moved(moved)) if moved.from == Phase::Initializing);
        step.effects.iter().any(failed).then_some(())?;
        without(step, |effect| {
            matches!(
                effect,
                Effect::StartTimer {
                    timer: ostler::supervisor::Timer::Backoff { .. },
                    ..
                }
            )
        })
    }),
    ("a busy worker is probed", |mirror, step| {
        let worker = worker_in(mirror, &[Phase::Busy])?;
        let lease = LeaseId {
            worker,
            serial: u64::MAX,
        };
        with(
            step,
            Effect::Worker {
                worker,
                order: Order::Probe { lease },
            },
        )
    }),
    (
        "a pool is said to be drained while it takes clients",
        |mirror, step| {
            (!mirror.paused).then_some(())?;
            with(step, Effect::Drained)
        },
    ),
    (
        "a pool is said to have ended while a worker is alive",
        |mirror, step| {
            worker_in(mirror, &[Phase::Ready])?;
            with(step, Effect::Closed)
        },
    ),
];

fn is_grant(effect: &Effect) -> bool {
    matches!(effect, Effect::Grant { .. })
}

fn takes(effect: &Effect, input: worker::Input) -> bool {
    matches!(effect, Effect::Event(Event::Moved(moved)) if moved.input == input)
}

/// Without the effects that match; `None` where none does.
fn without(step: &Step, is: impl Fn(&Effect) -> bool) -> Option<Step> {
    let mut less = step.clone();
    less.effects.retain(|effect| !is(effect));
    (less.effects.len() < step.effects.len()).then_some(less)
}

fn with(step: &Step, effect: Effect) -> Option<Step> {
    let mut more = step.clone();
    more.effects.push(effect);
    Some(more)
}

fn twice(step: &Step, is: impl Fn(&Effect) -> bool) -> Option<Step> {
    with(step, *step.effects.iter().find(|effect| is(effect))?)
}

/// With the first effect that can be another one instead.
fn replace(step: &Step, other: impl Fn(Effect) -> Option<Effect>) -> Option<Step> {
    let mut changed = step.clone();
    let found = changed
        .effects
        .iter_mut()
        .find_map(|effect| Some((other(*effect)?, effect)));
    let (instead, effect) = found?;
    *effect = instead;
    Some(changed)
}

fn worker_in(mirror: &Mirror, phases: &[Phase]) -> Option<WorkerId> {
    let mut workers = mirror.workers.iter().flatten();
    Some(workers.find(|worker| phases.contains(&worker.phase))?.id)
}
