//! Does the supervisor decide correctly? One scenario per test; `supervisor_random` covers the
//! rest.

use std::time::Duration;

use ostler::supervisor::{Fault, Input, LeaseEnd, PortFact, Reason, Refusal, RollingEnd, Timer};
use ostler::worker::{self, Phase, Rung};
use ostler::{LeaseId, Policy, WorkerId};

use crate::world::World;

fn started(size: usize) -> World {
    let mut world = World::new(Policy::new(size));
    world.start_all();
    assert_eq!(world.serving(), size);
    world
}

/// A new pool starts `size` workers, at most `max_starting` at a time.
#[test]
fn a_pool_starts_its_workers() {
    let mut world = World::new(Policy {
        max_starting: 2,
        ..Policy::new(5)
    });
    assert_eq!(world.phases(), [Phase::Initializing; 2]);
    let first = WorkerId {
        slot: 0,
        generation: 1,
    };
    world.port(first, PortFact::Started);
    assert_eq!(
        world.phases(),
        [Phase::Ready, Phase::Initializing, Phase::Initializing]
    );
    world.start_all();
    assert_eq!(world.phases(), [Phase::Ready; 5]);
}

/// L6: a returned lease goes to the longest-waiting client at once; the worker is never idle in
/// between.
#[test]
fn a_lease_is_handed_over() {
    let mut world = started(1);
    let (first, second) = (world.checkout(), world.checkout());
    let lease = world.leases[0];
    assert_eq!(world.granted, [(first, lease)]);
    world.checkin(lease);
    let next = world.leases[0];
    assert_eq!(world.granted, [(first, lease), (second, next)]);
    assert_eq!((next.worker, next.serial), (lease.worker, lease.serial + 1));
}

/// L10: an input about a worker, lease, timer or client that is gone is counted as late and changes
/// nothing.
#[test]
fn late_inputs_are_counted() {
    let mut world = started(1);
    let client = world.checkout();
    let lease = world.leases[0];
    world.checkin(lease);
    let worker = lease.worker;
    let gone = WorkerId {
        generation: worker.generation + 1,
        ..worker
    };
    let nowhere = WorkerId { slot: 99, ..worker };
    let start = Timer::Worker {
        worker,
        timer: worker::Timer::Start,
        generation: 1,
    };
    let before = (world.phases(), world.supervisor.counters());
    for (late, input) in [
        Input::LeaseEnded {
            lease,
            calls: 7,
            errors: 0,
            unbroken: true,
            end: LeaseEnd::Clean,
        },
        Input::LeaseEnded {
            lease,
            calls: 0,
            errors: 0,
            unbroken: true,
            end: LeaseEnd::Fault(Fault::Abandoned),
        },
        Input::GaveUp { waiter: client },
        Input::Port {
            worker: gone,
            fact: PortFact::Exited,
        },
        Input::Port {
            worker: nowhere,
            fact: PortFact::Released,
        },
        Input::Elapsed { timer: start },
        Input::Elapsed {
            timer: Timer::Backoff { generation: 3 },
        },
        Input::Recycle { worker: gone },
    ]
    .into_iter()
    .enumerate()
    {
        world.feed(input);
        let mut counters = before.1;
        counters.stale = late as u64 + 1;
        // Calls count, however late they are reported.
        counters.calls += 7;
        assert_eq!(
            (world.phases(), world.supervisor.counters()),
            (before.0.clone(), counters)
        );
    }
}

/// Opening an open session again changes nothing: it stays bound, and its waiting clients are told
/// when it is lost.
#[test]
fn reopening_an_open_session_is_stale() {
    let mut world = started(1);
    let session = world.open_session();
    world.checkout_for(Some(session));
    let lease = world.leases[0];
    let second = world.checkout_for(Some(session));
    let stale = world.supervisor.counters().stale;
    world.feed(Input::OpenSession { session });
    let supervisor = &world.supervisor;
    assert_eq!(
        (
            supervisor.session_worker(session),
            supervisor.counters().stale
        ),
        (Some(lease.worker), stale + 1)
    );
    world.port(lease.worker, PortFact::Exited);
    assert_eq!(
        world.refused,
        [(second, Refusal::SessionLost(Reason::Exited))]
    );
}

/// L2: an illegal input is a typed error that names the worker, and the pool is unchanged.
#[test]
fn an_illegal_input_is_an_error() {
    let mut world = started(1);
    let worker = WorkerId {
        slot: 0,
        generation: 1,
    };
    let released = Input::Port {
        worker,
        fact: PortFact::Released,
    };
    let error = world.supervisor.feed(released).unwrap_err();
    assert_eq!(
        error.to_string(),
        "worker 0.1: illegal input: Released in phase Ready"
    );
    assert_eq!(world.phases(), [Phase::Ready]);
    world.checkout();
    assert_eq!(world.phases(), [Phase::Busy]);
}

/// L10: a late deadline of an earlier rung does not shorten the next rung.
#[test]
fn a_rung_keeps_its_own_deadline() {
    let mut world = started(1);
    let worker = WorkerId {
        slot: 0,
        generation: 1,
    };
    world.feed(Input::Shutdown);
    let ask = world.timers[0];
    world.elapse(ask);
    assert_eq!(world.rungs[&worker], [Rung::Ask, Rung::Term]);
    world.feed(Input::Elapsed { timer: ask });
    assert_eq!(world.rungs[&worker], [Rung::Ask, Rung::Term]);
    world.elapse(world.timers[0]);
    assert_eq!(world.rungs[&worker], [Rung::Ask, Rung::Term, Rung::Kill]);
}

/// C1: a worker whose lease ended with a fault is stopped, and its replacement starts at once
/// within `surge`.
#[test]
fn a_faulted_worker_is_replaced() {
    let mut world = started(2);
    world.checkout();
    world.fault(world.leases[0], Fault::TimedOut);
    assert_eq!(
        world.phases(),
        [Phase::Stopping, Phase::Ready, Phase::Initializing]
    );
    let stopped = world.supervisor.workers().next().unwrap();
    assert_eq!(stopped.reason, Some(Reason::Fault(Fault::TimedOut)));
    world.start_all();
    assert_eq!(world.serving(), 2);
}

/// L4: while stopping workers occupy every slot, no worker starts until a port is released.
#[test]
fn a_slot_is_free_when_its_port_is() {
    let mut world = started(2);
    for _ in 0..2 {
        world.checkout();
    }
    for lease in world.leases.clone() {
        world.port(lease.worker, PortFact::Exited);
    }
    assert_eq!(
        world.phases(),
        [Phase::Stopping, Phase::Stopping, Phase::Initializing]
    );
    let first = WorkerId {
        slot: 0,
        generation: 1,
    };
    world.port(first, PortFact::Released);
    assert_eq!(
        world.phases(),
        [Phase::Initializing, Phase::Stopping, Phase::Initializing]
    );
    let next = world.supervisor.workers().next().unwrap().worker;
    assert_eq!((next.slot, next.generation), (0, 2));
}

/// L15: a recycled worker retires when its replacement is ready, and serves while replacements
/// fail.
#[test]
fn a_recycled_worker_is_kept_until_it_is_replaced() {
    let mut world = started(2);
    let old = WorkerId {
        slot: 0,
        generation: 1,
    };
    world.feed(Input::Recycle { worker: old });
    assert_eq!(
        world.phases(),
        [Phase::Ready, Phase::Ready, Phase::Initializing]
    );
    let failing = WorkerId {
        slot: 2,
        generation: 1,
    };
    world.port(failing, PortFact::Exited);
    world.port(failing, PortFact::Released);
    assert_eq!(world.phases(), [Phase::Ready, Phase::Ready]);
    let backoff = world.timers[0];
    world.elapse(backoff);
    world.start_all();
    assert_eq!(
        world.phases(),
        [Phase::Stopping, Phase::Ready, Phase::Ready]
    );
    assert_eq!(world.supervisor.counters().recycled, 1);
}

/// L16: a shutdown covers idle, leased, starting and stopping workers, and ends when the last one
/// is released.
#[test]
fn shutdown_covers_every_phase() {
    let mut world = started(3);
    world.checkout();
    world.checkout();
    let [leased, faulted] = world.leases[..] else {
        panic!("two leases")
    };
    world.fault(faulted, Fault::Abandoned);
    assert_eq!(
        world.phases(),
        [
            Phase::Busy,
            Phase::Stopping,
            Phase::Ready,
            Phase::Initializing
        ]
    );
    world.feed(Input::Shutdown);
    assert_eq!(
        world.phases(),
        [
            Phase::Finishing,
            Phase::Stopping,
            Phase::Stopping,
            Phase::Stopping
        ]
    );
    world.checkin(leased);
    assert_eq!(world.phases(), [Phase::Stopping; 4]);
    let late = world.checkout();
    assert_eq!(world.refused, [(late, Refusal::Closed)]);
    world.run_out();
    assert_eq!((world.phases(), world.closed), (vec![], 1));
    world.feed(Input::Shutdown);
    assert_eq!(world.closed, 1);
}

/// A shutdown does not retire workers that are leaving already, and counts no late input.
#[test]
fn a_shutdown_skips_workers_that_are_leaving() {
    let mut world = started(2);
    world.checkout();
    world.fault(world.leases[0], Fault::Abandoned);
    let before = world.supervisor.counters();
    world.feed(Input::Shutdown);
    assert_eq!(world.supervisor.counters(), before);
    assert_eq!(world.phases(), [Phase::Stopping; 3]);
}

/// The drain, both graces and a reserve for the kill fit into `shutdown_timeout`.
#[test]
fn the_stages_of_a_shutdown_fit_into_it() {
    use ostler::supervisor::{Effect, Order, Supervisor};
    for (shutdown, grace) in [(30_000, 2_000), (1_000, 2_000), (10, 60_000), (10, 0)] {
        let policy = Policy {
            shutdown_timeout: Duration::from_millis(shutdown),
            ask_grace: Duration::from_millis(grace),
            term_grace: Duration::from_millis(grace),
            ..Policy::new(1)
        };
        let mut supervisor = Supervisor::new(policy, 1).unwrap();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        supervisor
            .feed(Input::Port {
                worker,
                fact: PortFact::Started,
            })
            .unwrap();
        supervisor
            .feed(Input::Checkout {
                waiter: ostler::WaiterId(1),
                session: None,
            })
            .unwrap();
        assert!(supervisor.take_effects().count() > 0);
        supervisor.feed(Input::Shutdown).unwrap();
        let mut until_the_kill = Duration::ZERO;
        loop {
            let effects: Vec<Effect> = supervisor.take_effects().collect();
            let stop = |effect: &Effect| {
                matches!(
                    effect,
                    Effect::Worker {
                        order: Order::Stop {
                            rung: Rung::Kill,
                            ..
                        },
                        ..
                    }
                )
            };
            if effects.iter().any(stop) {
                break;
            }
            let timer = effects.iter().find_map(|effect| match effect {
                Effect::StartTimer { timer, after } => Some((*timer, *after)),
                _ => None,
            });
            let (timer, after) = timer.expect("each stage has a deadline");
            until_the_kill += after;
            supervisor.feed(Input::Elapsed { timer }).unwrap();
        }
        assert!(
            until_the_kill < Duration::from_millis(shutdown),
            "{until_the_kill:?}"
        );
        assert!(
            until_the_kill > Duration::from_millis(shutdown) / 3,
            "{until_the_kill:?}"
        );
    }
}

/// L4: a pool of more workers than a word of its index has bits decides as a small one: clients get
/// the lowest idle workers, and a pool that shrinks retires those with the highest positions.
#[test]
fn a_large_pool_decides_as_a_small_one() {
    let mut world = World::new(Policy {
        max_starting: 100,
        surge: 10,
        ..Policy::new(300)
    });
    world.start_all();
    for _ in 0..310 {
        world.checkout();
    }
    let slots = |leases: &[LeaseId]| leases.iter().map(|it| it.worker.slot).collect::<Vec<_>>();
    assert_eq!(slots(&world.leases), (0..300).collect::<Vec<_>>());
    assert_eq!(world.supervisor.waiting(), 10);
    for lease in world.leases.clone().into_iter().rev() {
        world.checkin(lease);
    }
    assert_eq!(slots(&world.leases), (290..300).rev().collect::<Vec<_>>());
    world.feed(Input::Resize { size: 70 });
    let serving = |world: &World| {
        let views = world.supervisor.workers();
        let serving = views.filter(|view| matches!(view.phase, Phase::Ready | Phase::Busy));
        serving.map(|view| view.worker.slot).collect::<Vec<_>>()
    };
    assert_eq!(serving(&world), (0..70).collect::<Vec<_>>());
    world.check_in_all();
    world.feed(Input::RecycleAll);
    world.run_out();
    assert_eq!(world.rolled, [RollingEnd::Completed { replaced: 70 }]);
    assert_eq!(world.supervisor.workers_in(Phase::Ready), 70);
    world.feed(Input::Shutdown);
    world.run_out();
    assert_eq!((world.closed, world.ports.len()), (1, 0));
}
