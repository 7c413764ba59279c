//! Does the supervisor report how cancellations, drains, rolling restarts and shutdowns end?

use std::time::Duration;

use ostler::supervisor::{DrainEnd, Fault, Input, LeaseEnd, PortFact, Reason, RollingEnd, Timer};
use ostler::worker::Phase;
use ostler::{LeaseId, Policy, WorkerId};

use crate::world::World;

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
    world.port(worker(0, 2), PortFact::StartFailed);
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
