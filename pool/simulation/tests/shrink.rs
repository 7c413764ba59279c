//! Looks for a smaller plan that fails in the same way.

use std::sync::Arc;
use std::time::Duration;

use crate::history::{History, run};
use crate::plan::{Act, Mapping, Plan, Request, Time};

/// The schedules in which each smaller plan is tried. It has fewer steps, so its own seed leads to
/// another schedule.
const SCHEDULES: u64 = 12;

/// Shrinks a failing plan, and returns the smallest that was found with its history.
pub(crate) fn shrink(plan: &Plan, failure: &str) -> (Plan, History) {
    let mut best = (plan.clone(), run(&Arc::new(plan.clone()), true));
    loop {
        let smaller = candidates(&best.0);
        let found = smaller
            .into_iter()
            .find_map(|candidate| fails(candidate, failure));
        match found {
            Some(found) => best = found,
            None => return best,
        }
    }
}

/// Runs a plan until it fails in this way.
fn fails(mut plan: Plan, failure: &str) -> Option<(Plan, History)> {
    let first = plan.seed;
    (first..first + SCHEDULES).find_map(|seed| {
        plan.seed = seed;
        let history = run(&Arc::new(plan.clone()), true);
        let is_same = history
            .failure
            .as_ref()
            .is_some_and(|found| kind(found) == kind(failure));
        is_same.then(|| (plan.clone(), history))
    })
}

/// The letters of a message. The rest are ids, times and counts.
fn kind(failure: &str) -> String {
    let letters = failure.chars().filter(|c| c.is_alphabetic());
    letters.take(30).collect()
}

/// Plans that are smaller by one thing.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Plan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    for script in 0..plan.scripts.len() {
        if plan.scripts.len() > 1 {
            add(&|plan| drop(plan.scripts.remove(script)));
        }
        for step in 0..plan.scripts[script].len() {
            add(&|plan| drop(plan.scripts[script].remove(step)));
            let planned = &plan.scripts[script][step];
            if planned.after > Duration::ZERO {
                add(&|plan| plan.scripts[script][step].after = Duration::ZERO);
            }
            if planned.patience.is_some() {
                add(&|plan| plan.scripts[script][step].patience = None);
            }
            for smaller in acts(&planned.act) {
                add(&|plan| plan.scripts[script][step].act = smaller.clone());
            }
        }
    }
    for worker in 0..plan.workers.len() {
        if !plan.workers[worker].faults.is_empty() {
            add(&|plan| plan.workers[worker].faults.clear());
        }
    }
    if plan
        .workers
        .last()
        .is_some_and(|worker| worker.faults.is_empty())
    {
        add(&|plan| drop(plan.workers.pop()));
    }
    if plan.batching.is_some() {
        add(&|plan| plan.batching = None);
    }
    if plan.takes_batches != [false] {
        add(&|plan| plan.takes_batches = vec![false]);
    }
    if plan.has_reader {
        add(&|plan| plan.has_reader = false);
    }
    if plan.pipe.chunks {
        add(&|plan| plan.pipe.chunks = false);
    }
    if plan.time != Time::Punctual {
        add(&|plan| plan.time = Time::Punctual);
    }
    if plan.config.size > 1 {
        add(&|plan| plan.config.size -= 1);
    }
    if plan.config.enable_health_monitoring {
        add(&|plan| plan.config.enable_health_monitoring = false);
    }
    all
}

/// Acts with fewer requests, or with less to them.
fn acts(act: &Act) -> Vec<Act> {
    let mut all = Vec::new();
    let (Act::Many(requests, _) | Act::Map(Mapping { requests, .. })) = act else {
        return all;
    };
    let mut add = |change: &dyn Fn(&mut Vec<Request>)| {
        let mut smaller = act.clone();
        if let Act::Many(requests, _) | Act::Map(Mapping { requests, .. }) = &mut smaller {
            change(requests);
        }
        all.push(smaller);
    };
    let count = requests.len();
    if count > 3 {
        add(&|requests| requests.truncate(count / 2));
        add(&|requests| drop(requests.drain(..count / 2)));
    }
    for place in 0..count {
        add(&|requests| _ = requests.remove(place));
    }
    if let Act::Map(mapping) = act
        && mapping.every + mapping.hold > Duration::ZERO
    {
        let mut smaller = mapping.clone();
        (smaller.every, smaller.hold) = (Duration::ZERO, Duration::ZERO);
        all.push(Act::Map(smaller));
    }
    all
}
