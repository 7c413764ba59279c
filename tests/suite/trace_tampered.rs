//! Ways to tamper with a trace, one for each thing that a pool must not do.

use ostler::supervisor::{
    DrainEnd, Effect, Event, Input, Order, PortFact, Reason, Refusal, RollingEnd, Timer, Transition,
};
use ostler::trace::Step;
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, WorkerId};

use crate::trace_mirror::{Client, Mirror};

/// Makes a wrong step from a right one, where possible.
pub(crate) type Tampering = fn(&Mirror, &Step) -> Option<Step>;

/// What a pool must not do, and how a trace of it would look.
pub(crate) const TAMPERINGS: [(&str, Tampering); 29] = [
    (
        "a client is not granted although a worker is ready",
        |_, step| {
            let granted =
                |effect: &Effect| is_grant(effect) || takes(effect, worker::Input::Checkout);
            // Health checks take workers as well.
            step.effects.iter().any(is_grant).then_some(())?;
            without(step, granted)
        },
    ),
    ("a lease is not handed over", |_, step| {
        without(step, is_grant)
    }),
    ("a busy worker is granted a second time", |mirror, step| {
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
    ("a stopping worker is granted", |mirror, step| {
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
    }),
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
    ("one client too many waits", |_, step| {
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
    ("a lost worker is not replaced", |_, step| {
        without(step, |effect| {
            matches!(effect, Effect::Event(Event::Opened { .. }))
        })
    }),
    ("one worker too many is opened", |_, step| {
        let unknown = WorkerId {
            slot: 999,
            generation: 1,
        };
        with(step, Effect::Event(Event::Opened { worker: unknown }))
    }),
    (
        "a worker makes a transition that is not in the table",
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
    ("a transition is not reported", |_, step| {
        let moves = |effect: &Effect| matches!(effect, Effect::Event(Event::Moved(moved)) if moved.from != moved.to);
        // Only one, because two may lead back to the first phase.
        let quiet = step.effects.iter().position(moves)?;
        let mut less = step.clone();
        let _ = less.effects.remove(quiet);
        Some(less)
    }),
    ("a stopped worker serves again", |mirror, step| {
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
    (
        "a port is abandoned before its process was killed",
        |_, step| {
            let stops = |effect: &Effect| {
                let Effect::Worker { order, .. } = effect else {
                    return false;
                };
                matches!(
                    order,
                    Order::Stop {
                        rung: Rung::Term,
                        ..
                    }
                )
            };
            step.effects.iter().any(stops).then_some(())?;
            replace(step, |effect| match effect {
                Effect::Event(Event::Moved(moved)) if moved.input == worker::Input::RungElapsed => {
                    Some(Effect::Event(Event::Moved(Transition {
                        input: worker::Input::Abandoned,
                        to: Phase::Terminated,
                        ..moved
                    })))
                }
                _ => None,
            })
        },
    ),
    (
        "a worker retires that is not to be replaced",
        |mirror, step| {
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
        },
    ),
    (
        "the loss of a session is not reported to a waiting client",
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
    ("a failed start is not followed by a backoff", |_, step| {
        // A first crash has no backoff, and the specification does not count crashes.
        let failed = |effect: &Effect| matches!(effect, Effect::Event(Event::Moved(moved)) if moved.from == Phase::Initializing);
        step.effects.iter().any(failed).then_some(())?;
        without(step, |effect| {
            matches!(
                effect,
                Effect::StartTimer {
                    timer: Timer::Backoff { .. },
                    ..
                }
            )
        })
    }),
    ("a busy worker gets a health check", |mirror, step| {
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
    ("a drain ends that did not begin", |mirror, step| {
        (mirror.intake == "Open").then_some(())?;
        with(step, Effect::DrainEnded(DrainEnd::Drained))
    }),
    ("a pool is closed while a worker serves", |mirror, step| {
        worker_in(mirror, &[Phase::Ready])?;
        with(step, Effect::Closed)
    }),
    ("the end of a drain is not reported", |_, step| {
        without(step, |effect| matches!(effect, Effect::DrainEnded(_)))
    }),
    (
        "a shutdown is drained while a worker drains",
        |mirror, step| {
            worker_in(mirror, &[Phase::Lingering, Phase::Finishing])?;
            (mirror.stage == "Draining").then_some(())?;
            let drained = step.effects.contains(&Effect::ShutdownDrained);
            (!drained && step.effects.is_empty()).then_some(())?;
            with(step, Effect::ShutdownDrained)
        },
    ),
    ("a shutdown is not reported as drained", |_, step| {
        without(step, |effect| *effect == Effect::ShutdownDrained)
    }),
    (
        "a stopped rolling restart is reported as completed",
        |_, step| {
            replace(step, |effect| match effect {
                Effect::RollingEnded(RollingEnd::StartFailed { replaced, .. }) => {
                    Some(Effect::RollingEnded(RollingEnd::Completed { replaced }))
                }
                _ => None,
            })
        },
    ),
    ("a kept worker is not reported", |_, step| {
        let kept = |effect: &Effect| matches!(effect, Effect::Event(Event::Kept { .. }));
        without(step, kept)
    }),
    (
        "a cancelled call fails and its worker serves on",
        |_, step| match step.input {
            Some(Input::CancelEnded { lease, clean: true }) => Some(Step {
                input: Some(Input::CancelEnded {
                    lease,
                    clean: false,
                }),
                ..step.clone()
            }),
            _ => None,
        },
    ),
    (
        "a call is cancelled that its client still makes",
        |mirror, step| {
            let held = |client: &Client| match client {
                Client::Holds(lease, _) => Some(*lease),
                _ => None,
            };
            let lease = mirror.clients.iter().find_map(held)?;
            step.effects.is_empty().then_some(())?;
            let order = Order::Cancel { lease };
            let worker = lease.worker;
            with(step, Effect::Worker { worker, order })
        },
    ),
];

/// A transition after which its worker is in another phase than before the step, and has not ended.
///
/// Its next transition is from that phase. So a trace without this step is rejected there, if not
/// earlier. Many other steps could be missing from the history of a real pool: a resize that had no
/// effect, an exit that was never noticed, a lease that was never returned to a stopped worker.
pub(crate) fn lasting_move(mirror: &Mirror, step: &Step) -> Option<Transition> {
    let moves = step.effects.iter().filter_map(|effect| match effect {
        Effect::Event(Event::Moved(moved)) => Some(*moved),
        _ => None,
    });
    let moves: Vec<Transition> = moves.collect();
    moves.iter().copied().find(|moved| {
        let last = moves.iter().rfind(|later| later.worker == moved.worker);
        let phase = last.map_or(moved.to, |last| last.to);
        let mut workers = mirror.workers.iter().flatten();
        let before = workers.find(|worker| worker.id == moved.worker);
        phase != Phase::Terminated && before.is_some_and(|worker| worker.phase != phase)
    })
}

fn is_grant(effect: &Effect) -> bool {
    matches!(effect, Effect::Grant { .. })
}

fn takes(effect: &Effect, input: worker::Input) -> bool {
    matches!(effect, Effect::Event(Event::Moved(moved)) if moved.input == input)
}

/// The step without the effects that match. `None` where none does.
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

/// The step with the first effect replaced that `other` accepts.
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
