//! The scheduler of a history: it chooses the next task from a seed, and lets time pass.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use ostler_pool::rt::simulated;
use shuttle::current;
use shuttle::future::yield_now;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::plan::{Order, Plan, Time};
use crate::random::Random;

/// The farthest that time jumps while tasks can run.
const JUMP: Duration = Duration::from_secs(5);

/// The steps at one moment after which a history counts as a livelock.
const MAX_STEPS: u64 = 2_000_000;

/// When every history has ended: long after the end of all faults and the recovery from them.
const LATEST: Duration = Duration::from_secs(360);

thread_local! {
    static CLOCK: Cell<Option<TaskId>> = const { Cell::new(None) };
    static IS_CALM: Cell<bool> = const { Cell::new(false) };
}

/// From now on, time passes only while no task can run.
pub(crate) fn calm() {
    IS_CALM.set(true);
    simulated::set_pauses(None);
}

/// From now on, this task advances the clock, and runs only when the scheduler lets time pass.
pub(crate) async fn begin_clock() {
    CLOCK.set(Some(current::me()));
    yield_now().await;
}

pub(crate) struct HistoryScheduler {
    random: Random,
    time: Time,
    order: Order,
    seed: u64,
    has_run: bool,
    /// The steps since time passed, and the time.
    idle_steps: (u64, Duration),
    priorities: HashMap<TaskId, u64>,
}

impl HistoryScheduler {
    pub(crate) fn new(plan: &Plan) -> Self {
        CLOCK.set(None);
        IS_CALM.set(false);
        Self {
            random: Random::new(plan.seed ^ 0x5eed),
            time: plan.time,
            order: plan.order,
            seed: plan.seed,
            has_run: false,
            idle_steps: (0, Duration::ZERO),
            priorities: HashMap::new(),
        }
    }

    /// Whether time passes although tasks can run.
    fn jumps(&mut self) -> bool {
        let Time::Jumps(of) = self.time else {
            return false;
        };
        let is_near = |at: Duration| at.saturating_sub(simulated::now()) <= JUMP;
        !IS_CALM.get()
            && self.random.one_in(of.into())
            && simulated::next_deadline().is_some_and(is_near)
    }

    /// Time must pass, and every wait must end.
    fn judge_progress(&mut self) {
        let (steps, since) = &mut self.idle_steps;
        *steps += 1;
        if *since != simulated::now() {
            (*steps, *since) = (0, simulated::now());
        }
        assert!(
            *steps < MAX_STEPS,
            "livelock: {MAX_STEPS} steps at {since:?}"
        );
        assert!(*since < LATEST, "a client or an operator waits for ever");
    }

    fn choose(&mut self, tasks: &[TaskId], current: Option<TaskId>, is_yielding: bool) -> TaskId {
        let current = current.filter(|task| tasks.contains(task));
        match self.order {
            Order::Uniform => self.random.pick(tasks),
            Order::Sticky(of) => match current {
                Some(current) if !is_yielding && !self.random.one_in(of.into()) => current,
                _ => self.random.pick(tasks),
            },
            Order::Priorities(of) => {
                if let Some(current) = current
                    && (is_yielding || self.random.one_in(of.into()))
                {
                    // Below all others.
                    let lowest = self.priorities.values().min().copied().unwrap_or(1 << 40);
                    self.priorities.insert(current, lowest - 1);
                }
                for task in tasks {
                    let random = &mut self.random;
                    self.priorities
                        .entry(*task)
                        .or_insert_with(|| (1 << 50) + random.below(1 << 50));
                }
                let highest = tasks.iter().max_by_key(|task| self.priorities[task]);
                *highest.expect("a task can run")
            }
        }
    }
}

impl Scheduler for HistoryScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        // One history per seed.
        let has_run = std::mem::replace(&mut self.has_run, true);
        (!has_run).then(|| Schedule::new(self.seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        self.judge_progress();
        let clock = CLOCK.get();
        // Parked threads, which may wake for no reason, are among them.
        let ready = runnable.iter().filter(|task| task.runnable());
        let mut tasks: Vec<TaskId> = ready.map(|task| task.id()).collect();
        let count = tasks.len();
        tasks.retain(|task| Some(*task) != clock);
        let can_pass = tasks.len() < count;
        if can_pass && (tasks.is_empty() || self.jumps()) {
            return clock;
        }
        Some(self.choose(&tasks, current, is_yielding))
    }

    fn next_u64(&mut self) -> u64 {
        self.random.below(u64::MAX)
    }
}
