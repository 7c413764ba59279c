//! Any order of events in a pool, and any inputs at all.
//!
//! The first bytes are a policy and a way to live. In a *world*, each following pair of bytes is something that happens, to one of
//! those to whom it can: the world performs what is ordered, and checks after each step what must hold. With a *hostile driver*
//! each six bytes are an input that may be about nobody that there is, or come when it cannot: it is taken, late or an error, and
//! the pool ends all the same.

use std::time::Duration;

use ostler::supervisor::{Due, Effect, Fault, Input, PortFact, Supervisor, Timer};
use ostler::{LeaseId, Policy, SessionId, WaiterId, WorkerId, worker};

use crate::world::World;
use crate::world_actions::{Action, act, end};

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The kinds of actions that happened, by their number; those that could not happen are not counted.
    pub(crate) actions: Vec<usize>,
    pub(crate) steps: usize,
}

/// How many kinds of actions there are.
pub(crate) const KINDS: usize = 22;

pub(crate) fn run(data: &[u8]) -> Seen {
    let Some((head, rest)) = data.split_first_chunk::<6>() else {
        return Seen::default();
    };
    let policy = policy(*head);
    if head[0] & 0x80 == 0 {
        in_a_world(policy, rest)
    } else {
        with_a_hostile_driver(policy, rest)
    }
}

/// A small pool with limits that are soon reached.
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
        max_worker_memory: Some(2 << 20),
        min_worker_life: Duration::from_secs((f % 2) as u64),
        ..Policy::new(small(a, 1, 4))
    }
}

fn in_a_world(policy: Policy, rest: &[u8]) -> Seen {
    let mut world = World::new(policy);
    let mut seen = Seen::default();
    for pair in rest.chunks_exact(2) {
        let (kind, which) = (usize::from(pair[0]) % KINDS, usize::from(pair[1]));
        seen.steps += 1;
        if act(&mut world, action(kind, which)) {
            seen.actions.push(kind);
        }
    }
    end(&mut world);
    seen
}

fn action(kind: usize, which: usize) -> Action {
    match kind {
        0 => Action::Checkout,
        1 => Action::GiveUp(which),
        2 => Action::Checkin(which),
        3 => Action::Fault(which),
        4 => Action::Port(which, PortFact::Started),
        5 => Action::Port(which, PortFact::StartFailed),
        6 => Action::Port(which, PortFact::Exited),
        7 => Action::Port(which, PortFact::Released),
        8 => Action::Elapse(which),
        9 => Action::ElapseLate(which),
        10 => Action::ElapseUpkeep(which),
        11 => Action::Error(which),
        12 => Action::Probed(which / 2, which.is_multiple_of(2)),
        13 => Action::Measured(which / 3, (which % 3) as u64 * (1 << 20)),
        14 => Action::OpenSession,
        15 => Action::EndSession(which),
        16 => Action::CheckoutFor(which),
        17 => Action::Recycle(which),
        18 => Action::RecycleAll,
        19 if which.is_multiple_of(2) => Action::Pause,
        19 => Action::Resume,
        20 => Action::Resize(1 + which % 6),
        _ if which == 0 => Action::Shutdown,
        _ => Action::Checkout,
    }
}

fn with_a_hostile_driver(policy: Policy, rest: &[u8]) -> Seen {
    let mut supervisor = Supervisor::new(policy, 1).expect("a valid policy");
    let mut seen = Seen::default();
    for bytes in rest.chunks_exact(6) {
        let before = supervisor.clone();
        let input = input(bytes.try_into().expect("six of them"));
        seen.steps += 1;
        if supervisor.handle(input).is_err() {
            // It says that nothing has changed.
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
        .handle(Input::Shutdown)
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
        // Whatever it was made to believe: an exit and a release are what ends each port.
        let worker = view.worker;
        for fact in [PortFact::Exited, PortFact::Released] {
            let _ = supervisor.handle(Input::Port { worker, fact });
        }
    }
    assert_eq!((supervisor.workers().count(), supervisor.waiting()), (0, 0));
    assert!(closed <= 1, "it ends once");
    seen
}

/// What holds whatever the driver says.
fn is_bounded(supervisor: &Supervisor) {
    let policy = supervisor.policy();
    assert!(supervisor.waiting() <= policy.max_waiting);
    assert!(supervisor.sessions() <= policy.max_sessions);
    // Slots that a larger size had are given up as they become empty.
    assert!(supervisor.workers().count() <= 6 + policy.surge);
}

/// Any input, about names that are often somebody's.
fn input(bytes: [u8; 6]) -> Input {
    let [kind, a, b, c, d, e] = bytes;
    let worker = WorkerId {
        slot: usize::from(a % 8),
        generation: u64::from(b % 8),
    };
    let lease = LeaseId {
        worker,
        serial: u64::from(c % 8),
    };
    let (waiter, session) = (WaiterId(u64::from(a)), SessionId(u64::from(b % 8)));
    let machines = [
        worker::Timer::Start,
        worker::Timer::Drain,
        worker::Timer::Rung,
    ];
    let due = [Due::Check, Due::Life, Due::Stable, Due::Age];
    match kind % 15 {
        0 => Input::Checkout {
            waiter,
            session: (c % 2 == 0).then_some(session),
        },
        1 => Input::GaveUp { waiter },
        2 => Input::LeaseEnded {
            lease,
            exchanges: u64::from(d),
            errors: u64::from(e),
            fault: [
                None,
                Some(Fault::Abandoned),
                Some(Fault::TimedOut),
                Some(Fault::ProtocolBroken),
            ][usize::from(d % 4)],
        },
        3 => Input::Port {
            worker,
            fact: [
                PortFact::Started,
                PortFact::StartFailed,
                PortFact::Exited,
                PortFact::Released,
            ][usize::from(d % 4)],
        },
        4 => Input::Elapsed {
            timer: match d % 5 {
                0 => Timer::Worker {
                    worker,
                    timer: machines[usize::from(e % 3)],
                    generation: u64::from(c % 8),
                },
                1 => Timer::Upkeep {
                    worker,
                    due: due[usize::from(e % 4)],
                },
                2 => Timer::Probe { lease },
                3 => Timer::Restart {
                    generation: u64::from(e % 8),
                },
                _ => Timer::Sessions,
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
        11 => Input::Pause,
        12 => Input::Resume,
        13 => Input::Resize {
            size: usize::from(a % 7),
        },
        _ if a == 0 => Input::Shutdown,
        _ => Input::Checkout {
            waiter,
            session: None,
        },
    }
}
