//! Any order of events in a pool, and any inputs at all.
//!
//! The first six bytes are a policy and choose one of two modes. *Beside the model*, each further
//! pair of bytes is an action that can happen: the pool gives the effects and shows the state that
//! the model predicts. With a *hostile driver*, each further six bytes are an input that may be
//! illegal or have no subject: the pool handles it, counts it as late or rejects it, stays within
//! its bounds, and still shuts down.

use std::time::Duration;

use ostler::supervisor::{Effect, Fault, Input, LeaseEnd, Milestone, PortFact, Supervisor, Timer};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId, worker};

use crate::beside;
use crate::model_actions::{Action, FACTS, FAULTS, MEMORY, TENTHS};

/// What a run covered.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The kinds of the actions that applied, by number.
    pub(crate) actions: Vec<usize>,
    pub(crate) steps: usize,
}

/// Kinds of actions.
pub(crate) const KINDS: usize = 40;

pub(crate) fn run(data: &[u8]) -> Seen {
    let Some((head, rest)) = data.split_first_chunk::<6>() else {
        return Seen::default();
    };
    let policy = policy(*head);
    if head[0] & 0x80 == 0 {
        beside_the_model(policy, rest)
    } else {
        with_a_hostile_driver(policy, rest)
    }
}

/// A small pool with low limits.
fn policy(head: [u8; 6]) -> Policy {
    let [a, b, c, d, e, f] = head.map(usize::from);
    let small = |byte: usize, least: usize, count: usize| least + byte % count;
    let few =
        |byte, least, count| u32::try_from(small(byte, least, count)).expect("a small number");
    Policy {
        surge: small(a / 4, 1, 2),
        max_starting: small(b, 1, 3),
        crash_loop: few(b / 4, 1, 2),
        max_waiting: small(c, 0, 6),
        max_sessions: small(c / 8, 0, 4),
        health_failure_threshold: few(d, 1, 3),
        error_threshold: Some(few(d / 4, 1, 3)),
        max_worker_requests: Some(small(e, 1, 8) as u64),
        max_worker_memory: Some(MEMORY),
        min_worker_life: Duration::from_secs((f % 2) as u64),
        cancel_grace: (f / 2 % 2 == 0).then_some(Duration::from_secs(1)),
        ..Policy::new(small(a, 1, 4))
    }
}

fn beside_the_model(policy: Policy, rest: &[u8]) -> Seen {
    let (mut world, mut model) = beside::begin(policy);
    let mut seen = Seen::default();
    for pair in rest.chunks_exact(2) {
        let kind = usize::from(pair[0]) % KINDS;
        seen.steps += 1;
        model.act(action(kind, pair[1]));
        if model.input.is_some() {
            seen.actions.push(kind);
        }
        beside::follow(&mut world, &model);
    }
    beside::end(world);
    seen
}

fn action(kind: usize, which: u8) -> Action {
    use Action as A;
    // A part of `which` chooses the subject, the rest the details.
    let (index, rest) = (usize::from(which), u64::from(which));
    match kind {
        0 => A::Come,
        1 => A::ComeFor(which),
        2 => A::GiveUp(which),
        3 => A::Return(
            which / 16,
            rest % 4,
            (rest / 4 % 4).min(rest % 4),
            rest / 16 % 2 == 1,
        ),
        4 => A::Break(which / 3, FAULTS[index % 3]),
        5 => A::OpenSession,
        6 => A::EndSession(which),
        7 => A::Start(which),
        8 => A::FailToStart(which, index % 2 == 1),
        9 => A::Crash(which),
        10 => A::Exit(which),
        11 => A::Release(which),
        12 => A::AnswerHealthy(which),
        13 => A::AnswerUnhealthy(which),
        14 => A::AnswerBadly(which),
        15 => A::Weigh(which / 3, TENTHS[index % 3]),
        16 => A::Hang(which),
        17 => A::MissProbe(which),
        18 => A::ElapseBackoff(which),
        19 => A::ReachMilestone(which),
        20 => A::SweepSessions,
        21 => A::Recycle(which),
        22 => A::RecycleAll,
        23 if which.is_multiple_of(2) => A::Drain,
        23 => A::Resume,
        24 => A::Resize(1 + index % 6),
        25 if which == 0 => A::Shutdown,
        25 if which == 1 => A::ShutdownNow,
        25 => A::Come,
        26 => A::GiveUpLate(which),
        27 => A::ReturnAgain(which),
        28 => A::AnswerLate(which),
        29 => A::ElapseLate(which),
        30 => A::OpenSessionAgain(which),
        31 => A::EndSessionAgain(which),
        32 => A::ComeForEnded(which),
        33 => A::Abandon(which / 3, FAULTS[index % 3]),
        34 => A::CancelCleanly(which),
        35 => A::CancelBadly(which),
        36 => A::MissCancel(which),
        37 => A::CancelLate(which),
        38 => A::ElapseGrace,
        _ => A::ReportNonsense(which / 4, FACTS[index % 4]),
    }
}

fn with_a_hostile_driver(policy: Policy, rest: &[u8]) -> Seen {
    let mut supervisor = Supervisor::new(policy, 1).expect("a valid policy");
    let mut seen = Seen::default();
    for bytes in rest.chunks_exact(6) {
        let before = supervisor.clone();
        seen.steps += 1;
        let bytes = bytes.try_into().expect("six of them");
        let input = input(bytes, seen.steps as u64);
        if supervisor.feed(input).is_err() {
            // An error leaves the pool unchanged.
            assert_eq!(
                format!("{supervisor:?}"),
                format!("{before:?}"),
                "{input:?}"
            );
        }
        is_bounded(&supervisor);
        supervisor.take_effects().for_each(drop);
    }
    supervisor
        .feed(Input::Shutdown)
        .expect("a pool can always be shut down");
    let mut closed = 0;
    for _ in 0..10_000 {
        closed += supervisor
            .take_effects()
            .filter(|effect| matches!(effect, Effect::Closed))
            .count();
        let Some(view) = supervisor.workers().next() else {
            break;
        };
        // Whatever the driver reported before, an exit and a release end each worker.
        let worker = view.worker;
        for fact in [PortFact::Exited, PortFact::Released] {
            let _ = supervisor.feed(Input::Port { worker, fact });
        }
    }
    assert_eq!((supervisor.workers().count(), supervisor.waiting()), (0, 0));
    assert!(closed <= 1, "it ends once");
    seen
}

/// What holds whatever the driver reports.
fn is_bounded(supervisor: &Supervisor) {
    let policy = supervisor.policy();
    assert!(supervisor.waiting() <= policy.max_waiting);
    assert!(supervisor.sessions() <= policy.max_sessions);
    // A shrunk pool gives up its surplus slots as they become empty.
    assert!(supervisor.workers().count() <= 6 + policy.surge);
    assert!(supervisor.abandoned().len() <= 6);
}

/// Any input, with ids that often exist. Most clients that come have the step as their id.
fn input(bytes: [u8; 6], step: u64) -> Input {
    let [kind, a, b, c, d, e] = bytes;
    let worker = WorkerId {
        slot: usize::from(a % 8),
        generation: u64::from(b % 8),
    };
    let lease = LeaseId {
        worker,
        serial: u64::from(c % 8),
    };
    let session = SessionId(u64::from(b % 8));
    let late = |steps: u8| WaiterId(step.saturating_sub(u64::from(steps)));
    let machines = [
        worker::Timer::Start,
        worker::Timer::Drain,
        worker::Timer::Rung,
    ];
    let milestone = [
        Milestone::Check,
        Milestone::Mature,
        Milestone::Stable,
        Milestone::Age,
    ];
    let fault = [Fault::Abandoned, Fault::TimedOut, Fault::ProtocolBroken][usize::from(e % 3)];
    match kind % 16 {
        0 => Input::Checkout {
            waiter: late(if e % 8 == 0 { a } else { 0 }),
            session: (c % 2 == 0).then_some(session),
        },
        1 => Input::GaveUp {
            waiter: late(a % 16),
        },
        2 => Input::LeaseEnded {
            lease,
            calls: u64::from(d),
            errors: u64::from(e),
            unbroken: d < e,
            end: match d % 3 {
                0 => LeaseEnd::Clean,
                1 => LeaseEnd::Fault(fault),
                _ => LeaseEnd::Cancellable(fault),
            },
        },
        3 => Input::Port {
            worker,
            fact: [
                PortFact::Started,
                PortFact::StartFailed { is_final: e < 128 },
                PortFact::Exited,
                PortFact::Released,
                PortFact::Broke,
            ][usize::from(d % 5)],
        },
        4 => Input::Elapsed {
            timer: match d % 7 {
                0 => Timer::Worker {
                    worker,
                    timer: machines[usize::from(e % 3)],
                    generation: u64::from(c % 8),
                },
                1 => Timer::Milestone {
                    worker,
                    milestone: milestone[usize::from(e % 4)],
                },
                2 => Timer::Probe { lease },
                5 => Timer::Cancel { lease },
                3 => Timer::Backoff {
                    generation: u64::from(e % 8),
                },
                4 => Timer::IdleSweep,
                _ => Timer::SessionGrace,
            },
        },
        5 => Input::Probed {
            lease,
            healthy: d % 2 == 0,
        },
        6 => Input::Measured {
            worker,
            bytes: u64::from(c) << 20,
        },
        7 => Input::OpenSession { session },
        8 => Input::EndSession { session },
        9 => Input::Recycle { worker },
        10 => Input::RecycleAll,
        11 => Input::Drain,
        12 => Input::Resume,
        13 => Input::Resize {
            size: usize::from(a % 7),
        },
        14 => Input::CancelEnded {
            lease,
            clean: d % 2 == 0,
        },
        _ if a == 0 => Input::Shutdown,
        _ if a == 1 => Input::ShutdownNow,
        _ => Input::Checkout {
            waiter: late(a % 16),
            session: None,
        },
    }
}
