//! Draws a plan from a seed, by swarm testing: each plan has a random subset of the options, the
//! operations and the faults, so that rare combinations meet.

use std::collections::BTreeSet;
use std::time::Duration;

use ostler_pool::{AbandonedCalls, Config};

use crate::draw_requests::ON_CANCEL;
use crate::lists::{FAULTS, Fault, OPERATIONS, Operation};
use crate::plan::{Act, End, NEVER, Order, Patience, PipePlan, Plan, Step, Time, WorkerPlan};
use crate::random::Random;

/// How large the histories are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// At most.
    pub(crate) workers: usize,
    /// From and to.
    pub(crate) clients: (usize, usize),
    pub(crate) sessions: u64,
    pub(crate) steps: usize,
}

pub(crate) const SMALL: Scale = Scale {
    workers: 2,
    clients: (1, 4),
    sessions: 2,
    steps: 4,
};

pub(crate) const MEDIUM: Scale = Scale {
    workers: 4,
    clients: (1, 12),
    sessions: 4,
    steps: 8,
};

/// Beyond what any other check reaches.
pub(crate) const LARGE: Scale = Scale {
    workers: 64,
    clients: (1_000, 1_000),
    sessions: 100,
    steps: 3,
};

/// What a plan draws from.
pub(crate) struct Swarm {
    pub(crate) random: Random,
    pub(crate) scale: Scale,
    operations: Vec<Operation>,
    pub(crate) faults: BTreeSet<Fault>,
    has_drops: bool,
    /// Whether calls may hang: a timeout or a drop ends them.
    pub(crate) has_call_timeout: bool,
}

/// The plan of a seed.
pub(crate) fn plan(seed: u64, scale: Scale) -> Plan {
    let mut random = Random::new(seed);
    let is_clean = random.one_in(8);
    let mut subset = |of: u64| random.one_in(of);
    let faults = FAULTS
        .iter()
        .copied()
        .filter(|_| !is_clean && subset(4))
        .collect();
    // The operations after it are drawn apart.
    let all = OPERATIONS.iter().copied();
    let of_all = all.take_while(|operation| *operation <= Operation::Dropped);
    let mut operations: Vec<Operation> = of_all.filter(|_| subset(2)).collect();
    operations.extend([Operation::Call, Operation::Lease]);
    let mut swarm = Swarm {
        has_drops: random.one_in(2),
        has_call_timeout: false,
        random,
        scale,
        operations,
        faults,
    };
    let mut plan = swarm.plan(seed);
    swarm.add_batches(&mut plan);
    plan
}

impl Swarm {
    fn plan(&mut self, seed: u64) -> Plan {
        let time = match self.random.below(5) {
            0 | 1 => Time::Punctual,
            2 => Time::Pauses(
                self.random.pick(&[20, 100, 500]),
                self.random.duration(1, 500),
            ),
            _ => Time::Jumps(self.random.pick(&[10, 50, 250])),
        };
        let order = match self.random.below(3) {
            0 => Order::Uniform,
            1 => Order::Sticky(self.random.pick(&[2, 5, 20])),
            _ => Order::Priorities(self.random.pick(&[20, 100, 500])),
        };
        let config = self.config();
        self.has_call_timeout = config.call_timeout < NEVER;
        let workers = self.workers(&config);
        let (least, most) = self.scale.clients;
        let scripts = (0..self.random.count(least, most))
            .map(|_| {
                (0..self.random.count(1, self.scale.steps))
                    .map(|_| self.step())
                    .collect()
            })
            .collect();
        let end = match self.random.below(8) {
            _ if self.faults.contains(&Fault::RuntimeEnd) => {
                End::Runtime(self.random.duration(1, 3_000))
            }
            0 => End::Drop,
            _ => End::Shutdown,
        };
        Plan {
            seed,
            time,
            order,
            config,
            pipe: PipePlan {
                capacity: self.random.pick(&[16, 64, 256, 4096]),
                chunks: self.random.one_in(2),
            },
            workers,
            takes_batches: vec![false],
            batching: None,
            scripts,
            has_reader: self.random.one_in(2),
            end,
            // Not drawn, so that other seeds have the histories that they had before.
            without_grace: seed % 11 == 7,
        }
    }

    fn config(&mut self) -> Config {
        let cancels = ON_CANCEL.iter().any(|fault| self.faults.contains(fault));
        let random = &mut self.random;
        let mut config = Config::default();
        config.size = random.count(1, self.scale.workers);
        if self.scale == LARGE {
            config.size = LARGE.workers;
        }
        config.surge = random.count(1, 2);
        config.max_starting = random.count(1, 3.max(self.scale.workers / 4));
        let mut timeout = |from, to| {
            if random.one_in(2) {
                random.duration(from, to)
            } else {
                NEVER
            }
        };
        config.start_timeout = timeout(20, 1_000);
        config.checkout_timeout = timeout(1, 1_000);
        config.call_timeout = timeout(5, 1_000);
        // It bounds the drain of a worker, so it passes in every plan.
        config.shutdown_timeout =
            random.pick(&[500, 1_000, 3_000, 30_000].map(Duration::from_millis));
        config.restart_backoff = random.duration(1, 50);
        config.restart_backoff_max = random.duration(50, 200);
        config.restart_reset = random.duration(10, 500);
        config.crash_loop = if random.one_in(2) {
            u32::MAX
        } else {
            random.pick(&[1, 2, 3])
        };
        config.max_waiting = if random.one_in(2) {
            10_000
        } else {
            random.count(0, 3)
        };
        config.max_sessions = if random.one_in(2) {
            10_000
        } else {
            random.count(1, 2)
        };
        config.session_grace = random.duration(1, 500);
        config.health_check_interval = random.duration(10, 200);
        config.health_check_timeout = random.duration(1, 100);
        config.health_failure_threshold = random.pick(&[1, 2, 3]);
        config.enable_health_monitoring = random.one_in(2);
        let cancel_grace = random.duration(1, 200);
        if cancels || random.one_in(3) {
            // No draw of its own, so that seeds keep their other draws.
            let may_finish = !cancels && config.call_timeout < NEVER;
            config.abandoned_calls = match cancel_grace.as_micros().is_multiple_of(2) && may_finish
            {
                true => AbandonedCalls::Finish,
                false => AbandonedCalls::Cancel(cancel_grace),
            };
        }
        let mut optional = |from, to| random.one_in(3).then(|| random.duration(from, to));
        config.session_idle_timeout = optional(10, 500);
        config.max_worker_age = optional(100, 1_000);
        config.max_worker_requests = random.one_in(3).then(|| 1 + random.below(8));
        config.max_worker_memory = random.one_in(3).then_some(100 << 20);
        config.error_threshold = random.one_in(3).then(|| random.pick(&[1, 2, 3]));
        config.min_worker_life = random.duration(1, 200);
        config.ask_grace = random.duration(1, 200);
        config.term_grace = random.duration(1, 200);
        config.release_timeout = random.duration(10, 500);
        config.max_frame = random.pick(&[1024, 4096]);
        config
    }

    fn workers(&mut self, config: &Config) -> Vec<WorkerPlan> {
        use Fault::*;
        let of_workers = [
            OpenError,
            OpenPanic,
            OpenHang,
            SlowOpen,
            NoHandshake,
            SlowHandshake,
            HandshakeError,
            WrongVersion,
            EarlyFrame,
            ExitAtStart,
            PingMissed,
            PingError,
            PingLate,
            PingTwice,
            PingWrong,
            Crash,
            LargeMemory,
            IgnoresAsk,
            IgnoresTerm,
            Unkillable,
            SlowRelease,
            StuckRelease,
            Escapes,
            PipeHeld,
            LateExit,
        ];
        let own: Vec<Fault> = of_workers
            .into_iter()
            .filter(|fault| self.faults.contains(fault))
            // Nothing would end a call whose worker closed a pipe that its descendant holds.
            .filter(|fault| *fault != PipeHeld || config.call_timeout < NEVER)
            // Nothing would end such a start.
            .filter(|fault| {
                config.start_timeout < NEVER || ![OpenHang, NoHandshake].contains(fault)
            })
            .collect();
        let count = if own.is_empty() {
            0
        } else {
            self.scale.workers * 2 + 4
        };
        (0..count)
            .map(|_| {
                let mut faults = BTreeSet::new();
                if !self.random.one_in(3) {
                    for _ in 0..self.random.count(1, 2) {
                        faults.insert(self.random.pick(&own));
                    }
                }
                WorkerPlan {
                    faults,
                    delay: self.random.duration(1, 1_000),
                    crash_after: self.random.below(400),
                    memory: self.random.pick(&[120, 95, 200]),
                }
            })
            .collect()
    }

    fn step(&mut self) -> Step {
        let act = self.act();
        self.step_of(act)
    }

    pub(crate) fn step_of(&mut self, act: Act) -> Step {
        let may_drop = self.has_drops && self.operations.contains(&Operation::Dropped);
        let patience = (may_drop && self.random.one_in(3)).then(|| match self.random.below(2) {
            0 => Patience::Turns(self.random.below(200)),
            _ => Patience::Time(self.random.duration(1, 200)),
        });
        let after = match self.random.below(3) {
            0 => self.random.duration(1, 1_000),
            1 => self.random.duration(1, 20),
            _ => Duration::ZERO,
        };
        let mut step = Step {
            after,
            act,
            patience,
        };
        if patience.is_none() && !self.has_call_timeout {
            // Nothing would end such a call.
            for request in step.act.requests_mut() {
                if request.fault == Some(Fault::Hang) {
                    request.fault = None;
                }
            }
        }
        step
    }

    fn act(&mut self) -> Act {
        if self.faults.contains(&Fault::Killed) && self.random.one_in(10) {
            return Act::Kill(self.random.count(0, 3));
        }
        // Clients call more often than operators act.
        let operation = loop {
            let operation = self.random.pick(&self.operations);
            let is_rare = operation >= Operation::Status;
            let of = if operation == Operation::Shutdown {
                8
            } else {
                3
            };
            if operation != Operation::Dropped && (!is_rare || self.random.one_in(of)) {
                break operation;
            }
        };
        match operation {
            Operation::Call => Act::Call(self.request(false)),
            Operation::CallJson => Act::CallJson(self.request(false)),
            Operation::Lease => {
                let requests = self.requests();
                let hold = if self.random.one_in(2) {
                    Duration::ZERO
                } else {
                    self.random.duration(1, 200)
                };
                Act::Lease(requests, hold)
            }
            Operation::TryLease => Act::TryLease(self.requests()),
            Operation::Stream => Act::Stream {
                request: self.request(true),
                take: if self.random.one_in(4) {
                    self.random.count(0, 4)
                } else {
                    usize::MAX
                },
            },
            Operation::Session => Act::Session {
                name: self.random.below(self.scale.sessions),
                requests: self.requests(),
                ends: self.random.one_in(2),
            },
            Operation::Resize => Act::Resize(self.random.count(1, self.scale.workers)),
            Operation::Recycle => Act::Recycle(self.random.count(0, 3)),
            Operation::RecycleAll => Act::RecycleAll,
            Operation::Drain => Act::Drain,
            Operation::Resume => Act::Resume,
            Operation::Shutdown => Act::Shutdown,
            Operation::Follow => Act::Follow(self.random.count(1, 20), self.random.duration(1, 50)),
            _ => Act::Status,
        }
    }
}
