//! Draws batches, maps, and a pool that collects calls: apart from all else, so that the other
//! seeds keep their histories.

use std::time::Duration;

use ostler_pool::port::Batching;

use crate::draw::{SMALL, Swarm};
use crate::lists::Fault;
use crate::plan::{Act, Mapping, Plan, Request};
use crate::random::Random;

/// Leaves the seeds of the bugs that were planted before there were batches.
const SALT: u64 = 0xc531;

impl Swarm {
    /// Adds to half of the plans.
    pub(crate) fn add_batches(&mut self, plan: &mut Plan) {
        self.random = Random::new(plan.seed ^ SALT);
        if !self.random.one_in(2) {
            return;
        }
        plan.takes_batches = match self.random.below(4) {
            0 => vec![false, true],
            1 => vec![true, true, false],
            _ => vec![true],
        };
        let (has_many, has_maps) = (self.random.one_in(2), self.random.one_in(2));
        for script in &mut plan.scripts {
            for place in (0..=script.len()).rev() {
                if has_many && self.random.one_in(3) {
                    let requests = self.many(1, 8);
                    let act = Act::Many(requests, self.random.count(1, 8));
                    script.insert(place, self.step_of(act));
                }
                if has_maps && self.random.one_in(3) {
                    let act = Act::Map(self.mapping());
                    script.insert(place, self.step_of(act));
                }
            }
        }
        if self.random.one_in(2) {
            self.collect_calls(plan);
        }
    }

    /// Adds clients whose calls meet.
    fn collect_calls(&mut self, plan: &mut Plan) {
        let wait = self
            .random
            .pick(&[0, 0, 1, 3, 10].map(Duration::from_millis));
        plan.batching = Some(Batching::new(self.random.count(1, 8), wait));
        let most = if self.scale == SMALL { 5 } else { 12 };
        for _ in 0..self.random.count(1, most) {
            let steps = (0..self.random.count(1, self.scale.steps)).map(|_| {
                let request = self.request(false);
                let act = match self.random.one_in(4) {
                    true => Act::CallJson(request),
                    false => Act::Call(request),
                };
                self.step_of(act)
            });
            plan.scripts.push(steps.collect());
        }
        if self.has_call_timeout {
            return;
        }
        // The drop of its caller does not end such a call: others may wait for the same message.
        for step in plan.scripts.iter_mut().flatten() {
            if let Act::Call(request) | Act::CallJson(request) = &mut step.act {
                request.fault = request.fault.filter(|fault| *fault != Fault::Hang);
            }
        }
    }

    fn mapping(&mut self) -> Mapping {
        let most = if self.scale == SMALL { 16 } else { 40 };
        let requests = self.many(0, most);
        let random = &mut self.random;
        let mut time = |of| match random.one_in(of) {
            true => random.duration(1, 50),
            false => Duration::ZERO,
        };
        let (every, hold) = (time(4), time(3));
        Mapping {
            requests,
            in_order: self.random.one_in(2),
            in_json: self.random.one_in(4),
            every,
            hold,
            take: match self.random.one_in(4) {
                true => self.random.count(0, 8),
                false => usize::MAX,
            },
        }
    }

    /// Requests of which most are good and quick, or not.
    fn many(&mut self, from: usize, to: usize) -> Vec<Request> {
        let (are_good, are_quick) = (self.random.one_in(2), self.random.one_in(2));
        let count = self.random.count(from, to);
        let requests = (0..count).map(|_| {
            let mut request = self.request(false);
            if are_good && !self.random.one_in(8) {
                request.fault = None;
            }
            if are_quick {
                request.work = Duration::ZERO;
            }
            request
        });
        requests.collect()
    }
}
