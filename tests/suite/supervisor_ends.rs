//! Does the supervisor report how cancellations, drains, rolling restarts, workers and shutdowns
//! end?

use std::time::Duration;

use ostler::supervisor::{
    DrainEnd, Effect, Fault, Input, LeaseEnd, Order, PortFact, Reason, Refusal, RollingEnd,
    SessionEnd, Timer,
};
use ostler::worker::{Phase, Rung};
use ostler::{LeaseId, Policy, SessionId, WorkerId};

use crate::world::World;

/// The start of a worker failed in a way that another start need not.
const FAILED: PortFact = PortFact::StartFailed { is_final: false };

/// The first worker.
const ID: WorkerId = WorkerId {
    slot: 0,
    generation: 1,
};

fn started(policy: Policy) -> World {
    let mut world = World::new(policy);
    world.start_all();
    world
}

fn with_grace() -> World {
    started(Policy {
        cancel_grace: Some(Duration::from_secs(1)),
        ..Policy::new(1)
    })
}

/// A client gives up a call. Its call before was answered with an error.
fn give_up(world: &mut World) -> LeaseId {
    world.checkout();
    let lease = world.leases[0];
    world.feed(Input::LeaseEnded {
        lease,
        calls: 1,
        errors: 1,
        unbroken: true,
        end: LeaseEnd::Cancellable(Fault::Abandoned),
    });
    lease
}

/// C1: a worker that ends a cancelled call cleanly serves the next client, and the call counts like
/// any other. A late deadline changes nothing.
#[test]
fn a_cancelled_call_that_ends_keeps_its_worker() {
    let mut world = with_grace();
    let lease = give_up(&mut world);
    assert_eq!(world.cancelling, [lease]);
    let waits = world.checkout();
    assert!(world.waiting.contains(&waits));
    let clean = true;
    world.feed(Input::CancelEnded { lease, clean });
    assert_eq!(world.granted[1].0, waits);
    let view = world.supervisor.workers().next().unwrap();
    assert_eq!((view.phase, view.calls, view.errors), (Phase::Busy, 2, 0));
    world.elapse(Timer::Cancel { lease });
    assert_eq!(world.phases(), [Phase::Busy]);
}

/// C1: a worker that does not end a cancelled call within `cancel_grace` is stopped for the fault
/// that the client caused, and so is a worker that ends it otherwise.
#[test]
fn a_cancelled_call_that_fails_costs_its_worker() {
    for elapses in [true, false] {
        let mut world = with_grace();
        let lease = give_up(&mut world);
        match elapses {
            true => world.elapse(Timer::Cancel { lease }),
            false => world.feed(Input::CancelEnded {
                lease,
                clean: false,
            }),
        }
        let view = world.supervisor.workers().next().unwrap();
        let reason = Some(Reason::Fault(Fault::Abandoned));
        assert_eq!((view.phase, view.reason), (Phase::Stopping, reason));
        assert_eq!(world.supervisor.counters().faulted, 1);
        // It is over only once.
        let stale = world.supervisor.counters().stale;
        let clean = true;
        world.feed(Input::CancelEnded { lease, clean });
        assert_eq!(world.supervisor.counters().stale, stale + 1);
    }
}

/// Without a `cancel_grace`, a call that is given up stops its worker at once.
#[test]
fn without_a_grace_no_call_is_cancelled() {
    let mut world = started(Policy::new(1));
    give_up(&mut world);
    assert!(world.cancelling.is_empty());
    assert_eq!(world.phases(), [Phase::Stopping, Phase::Initializing]);
}

/// R9: a drain waits for calls that are being cancelled, and is reported once: as drained or as
/// resumed.
#[test]
fn each_drain_is_reported_once() {
    let mut world = with_grace();
    let lease = give_up(&mut world);
    world.feed(Input::Drain);
    assert_eq!(world.drains, []);
    world.feed(Input::Resume);
    assert_eq!(world.drains, [DrainEnd::Resumed]);
    world.feed(Input::Drain);
    let clean = true;
    world.feed(Input::CancelEnded { lease, clean });
    world.feed(Input::Resume);
    assert_eq!(world.drains, [DrainEnd::Resumed, DrainEnd::Drained]);
}

/// R8: a rolling restart reports how many workers it replaced and kept, and whether it completed.
#[test]
fn a_rolling_restart_reports_what_it_did() {
    let worker = |slot, generation| WorkerId { slot, generation };
    let mut world = started(Policy::new(2));
    world.feed(Input::RecycleAll);
    world.port(worker(2, 1), PortFact::Started);
    assert_eq!(world.rolled, []);
    world.port(worker(0, 1), PortFact::Exited);
    world.port(worker(0, 1), PortFact::Released);
    world.port(worker(0, 2), FAILED);
    let (replaced, kept) = (1, 1);
    let stopped = RollingEnd::StartFailed { replaced, kept };
    assert_eq!(world.rolled, [stopped]);
    world.feed(Input::RecycleAll);
    world.feed(Input::Shutdown);
    let (replaced, kept) = (0, 2);
    let closed = RollingEnd::Closed { replaced, kept };
    assert_eq!(world.rolled, [stopped, closed]);
    world.feed(Input::RecycleAll);
    let (replaced, kept) = (0, 0);
    assert_eq!(world.rolled[2..], [RollingEnd::Closed { replaced, kept }]);
}

/// L16: a shutdown is reported as drained when its last lease ends, and as closed when its last
/// port is released.
#[test]
fn a_shutdown_reports_both_stages() {
    let mut world = started(Policy::new(2));
    world.checkout();
    world.feed(Input::Shutdown);
    assert_eq!((world.shutdown_drained, world.closed), (0, 0));
    world.check_in_all();
    assert_eq!((world.shutdown_drained, world.closed), (1, 0));
    world.run_out();
    assert_eq!((world.shutdown_drained, world.closed), (1, 1));
}

/// The running deadline of a worker's rung, and its duration.
fn rung_deadline(world: &World, worker: WorkerId) -> (Timer, Duration) {
    let of_rung = |effect: &Effect| match *effect {
        Effect::StartTimer { timer, after } if timer.worker() == Some(worker) => {
            Some((timer, after))
        }
        _ => None,
    };
    let started = world.effects.iter().rev().find_map(of_rung);
    started.expect("the rung has a deadline")
}

/// P16: each of the last rungs has the deadline `release_timeout`. When it passes, the port is
/// abandoned, its slot is free, and its release is counted whenever it comes, once.
#[test]
fn a_port_that_is_not_released_in_time_is_abandoned() {
    for exits in [false, true] {
        let release_timeout = Duration::from_secs(7);
        let mut world = started(Policy {
            release_timeout,
            ..Policy::new(1)
        });
        let (worker, next) = (ID, WorkerId { slot: 1, ..ID });
        match exits {
            true => _ = world.port(worker, PortFact::Exited),
            false => {
                world.checkout();
                world.fault(world.leases[0], Fault::TimedOut);
                let (timer, after) = rung_deadline(&world, worker);
                assert_eq!(after, Duration::from_secs(2), "the grace after SIGTERM");
                world.elapse(timer);
            }
        }
        let last = if exits { Rung::Reap } else { Rung::Kill };
        assert_eq!(world.rungs[&worker].last(), Some(&last));
        let (timer, after) = rung_deadline(&world, worker);
        assert_eq!(after, release_timeout);
        world.elapse(timer);
        let order = Order::Abandon;
        assert!(world.effects.contains(&Effect::Worker { worker, order }));
        assert_eq!(world.supervisor.abandoned().collect::<Vec<_>>(), [worker]);
        assert_eq!(world.phases(), [Phase::Initializing]);
        // The bound is `size`: the next worker keeps its slot, and its rung is repeated.
        world.port(next, PortFact::Started);
        world.port(next, PortFact::Exited);
        let (timer, _) = rung_deadline(&world, next);
        world.elapse(timer);
        let (timer, after) = rung_deadline(&world, next);
        assert_eq!(
            (after, world.supervisor.abandoned().len()),
            (release_timeout, 1)
        );
        assert_eq!(world.rungs[&next], [Rung::Reap, Rung::Reap]);
        // Once the first port is released, the deadline counts again.
        if !exits {
            world.port(worker, PortFact::Exited);
        }
        world.port(worker, PortFact::Released);
        world.elapse(timer);
        assert_eq!(world.supervisor.abandoned().collect::<Vec<_>>(), [next]);
        let counters = world.supervisor.counters();
        assert_eq!((counters.abandoned, counters.released), (2, 1));
        let fact = PortFact::Released;
        world.feed(Input::Port { worker, fact });
        let late = world.supervisor.counters();
        assert_eq!((late.released, late.stale), (1, counters.stale + 1));
    }
}

/// P16: a shutdown ends when every port is released or abandoned, and an abandoned port is still
/// released afterwards.
#[test]
fn a_shutdown_does_not_wait_for_abandoned_ports() {
    let mut world = started(Policy::new(1));
    world.feed(Input::Shutdown);
    for _ in [Rung::Ask, Rung::Term, Rung::Kill] {
        assert_eq!(world.closed, 0);
        let (timer, _) = rung_deadline(&world, ID);
        world.elapse(timer);
    }
    assert_eq!((world.closed, world.supervisor.abandoned().len()), (1, 1));
    world.port(ID, PortFact::Exited);
    world.port(ID, PortFact::Released);
    assert_eq!((world.closed, world.supervisor.abandoned().len()), (1, 0));
    assert_eq!(world.effects, []);
}

/// A pool of one worker with a bound session whose lease is returned.
fn with_an_idle_session() -> (World, SessionId) {
    let mut world = started(Policy {
        session_grace: Duration::from_secs(3),
        ..Policy::new(1)
    });
    let session = world.open_session();
    world.checkout_for(Some(session));
    world.check_in_all();
    (world, session)
}

fn grace_of(world: &World) -> Option<Duration> {
    world.effects.iter().find_map(|effect| match *effect {
        Effect::StartTimer {
            timer: Timer::SessionGrace,
            after,
        } => Some(after),
        _ => None,
    })
}

/// O3: an idle session holds a shutdown for `session_grace`. Then it is lost, and its next client
/// is told.
#[test]
fn an_idle_session_holds_a_shutdown_for_its_grace() {
    let (mut world, session) = with_an_idle_session();
    world.feed(Input::Shutdown);
    assert_eq!(grace_of(&world), Some(Duration::from_secs(3)));
    assert_eq!(world.phases(), [Phase::Lingering]);
    world.elapse(Timer::SessionGrace);
    assert_eq!(world.phases(), [Phase::Stopping]);
    assert_eq!(world.shutdown_drained, 1);
    let waiter = world.checkout_for(Some(session));
    let lost = Refusal::SessionLost(Reason::Shutdown);
    assert_eq!(world.refused, [(waiter, lost)]);
    let end = SessionEnd::Lost(Reason::Shutdown);
    assert_eq!(world.ended, [(session, end)]);
    // It elapses once.
    let stale = world.supervisor.counters().stale;
    world.elapse(Timer::SessionGrace);
    assert_eq!(world.supervisor.counters().stale, stale + 1);
}

/// O3: after the grace, a session is served as long as a client waits for it or holds a lease, and
/// ends with the last of them.
#[test]
fn a_session_in_use_is_served_after_the_grace() {
    let (mut world, session) = with_an_idle_session();
    world.checkout_for(Some(session));
    let waits = world.checkout_for(Some(session));
    world.feed(Input::Shutdown);
    world.elapse(Timer::SessionGrace);
    assert_eq!(world.phases(), [Phase::Finishing]);
    let first = world.leases[0];
    world.checkin(first);
    assert_eq!(world.granted.last().map(|(waiter, _)| *waiter), Some(waits));
    assert_eq!(world.phases(), [Phase::Finishing]);
    world.check_in_all();
    assert_eq!(
        (world.phases(), world.refused.len()),
        (vec![Phase::Stopping], 0)
    );
}

/// O3: no grace runs without a bound session, and it ends with the drain.
#[test]
fn the_grace_ends_with_the_drain() {
    let mut world = started(Policy::new(1));
    world.open_session();
    world.feed(Input::Shutdown);
    assert_eq!(grace_of(&world), None);
    let (mut world, session) = with_an_idle_session();
    world.feed(Input::Shutdown);
    world.feed(Input::EndSession { session });
    let timer = Timer::SessionGrace;
    assert!(world.effects.contains(&Effect::CancelTimer { timer }));
    assert_eq!(world.shutdown_drained, 1);
}

/// R23: a starting worker that is recycled is stopped at once, is no failed start, and is replaced.
/// A worker that is leaving is left alone.
#[test]
fn a_starting_worker_is_recycled() {
    let mut world = World::new(Policy::new(1));
    world.feed(Input::Recycle { worker: ID });
    let mut views = world.supervisor.workers();
    let old = views.next().unwrap();
    let reason = Some(Reason::Recycled);
    assert_eq!((old.phase, old.reason), (Phase::Stopping, reason));
    let new = views.next().unwrap();
    assert_eq!((new.phase, new.replaces), (Phase::Initializing, reason));
    drop(views);
    assert_eq!(world.rungs[&ID], [Rung::Ask]);
    assert!(
        !world
            .timers
            .iter()
            .any(|timer| matches!(timer, Timer::Backoff { .. }))
    );
    let counters = world.supervisor.counters();
    assert_eq!((counters.recycled, counters.stale), (1, 0));
    world.feed(Input::Recycle { worker: ID });
    let counters = world.supervisor.counters();
    assert_eq!((counters.recycled, counters.stale), (1, 1));
}

/// O2: a worker that exits by itself is counted, whether it starts or serves; one that is stopped or
/// fails to start otherwise is not.
#[test]
fn exits_are_counted_in_every_phase() {
    for fact in [PortFact::Exited, FAILED] {
        let mut world = World::new(Policy::new(1));
        world.port(ID, fact);
        world.run_out();
        let exited = u64::from(fact == PortFact::Exited);
        assert_eq!(world.supervisor.counters().exited, exited);
    }
    let mut world = started(Policy::new(1));
    world.port(ID, PortFact::Exited);
    assert_eq!(world.supervisor.counters().exited, 1);
    world.feed(Input::Shutdown);
    world.run_out();
    assert_eq!(world.supervisor.counters().exited, 1);
}

/// O7: without grace, one input orders every worker to be killed, whether it starts, is idle, is in
/// a call or is asked to exit already. What the input skips is not late; the input repeated is.
#[test]
fn a_shutdown_without_grace_kills_every_worker() {
    for begun in [false, true] {
        let mut world = started(Policy::new(3));
        world.checkout();
        world.checkout();
        let (lease, worker) = (world.leases[0], world.leases[1].worker);
        world.feed(Input::LeaseEnded {
            lease,
            calls: 0,
            errors: 0,
            unbroken: true,
            end: LeaseEnd::Fault(Fault::Abandoned),
        });
        assert_eq!(world.phases().last(), Some(&Phase::Initializing));
        if begun {
            world.feed(Input::Shutdown);
            assert_eq!(world.supervisor.phase(worker), Some(Phase::Finishing));
        }
        world.feed(Input::ShutdownNow);
        let rungs: Vec<_> = world.supervisor.workers().map(|view| view.rung).collect();
        assert_eq!(rungs, [Some(Rung::Kill); 4]);
        assert_eq!(
            (world.shutdown_drained, world.supervisor.counters().stale),
            (1, 0)
        );
        world.feed(Input::ShutdownNow);
        assert_eq!(world.supervisor.counters().stale, 1);
        world.run_out();
        assert_eq!((world.phases(), world.closed), (vec![], 1));
    }
}
