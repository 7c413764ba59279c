//! A plan: a pool, its workers with their faults, and a script for each client and operator.

use std::collections::BTreeSet;
use std::time::Duration;

use ostler_pool::port::Batching;
use ostler_pool::{AbandonedCalls, Config};

use crate::lists::{Fault, Operation};

/// A timeout that never fires. See `pool/src/rt/simulated/clock.rs`.
pub(crate) const NEVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Seeds the scheduler.
    pub(crate) seed: u64,
    pub(crate) time: Time,
    pub(crate) order: Order,
    pub(crate) config: Config,
    pub(crate) pipe: PipePlan,
    /// The first workers, in the order in which they are opened. All later ones are good.
    pub(crate) workers: Vec<WorkerPlan>,
    /// Whether each worker takes batches. They take turns in this list.
    pub(crate) takes_batches: Vec<bool>,
    /// How the pool collects calls.
    pub(crate) batching: Option<Batching>,
    pub(crate) scripts: Vec<Vec<Step>>,
    /// Whether a task reads all events.
    pub(crate) has_reader: bool,
    pub(crate) end: End,
    /// Whether shutdowns kill the workers, and the last one, once it has begun.
    pub(crate) without_grace: bool,
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// Only while no task can run: the host is infinitely fast, and deadlines hold exactly.
    Punctual,
    /// As `Punctual`, but one in so many points of the code pauses its thread for at most so long.
    Pauses(u32, Duration),
    /// At one in so many steps, time jumps to the next deadline: the host is slow.
    Jumps(u32),
}

/// How the scheduler chooses among the tasks that can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each is as likely as the others.
    Uniform,
    /// The current one goes on, except at one in so many steps.
    Sticky(u32),
    /// The one with the highest of the random priorities, which change at one in so many steps.
    Priorities(u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PipePlan {
    /// In bytes.
    pub(crate) capacity: usize,
    /// Whether each read and write moves a random number of bytes.
    pub(crate) chunks: bool,
}

/// How the history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Shutdown,
    /// The last handle of the pool is dropped.
    Drop,
    /// The runtime ends, this long after the start.
    Runtime(Duration),
}

/// A worker's faults outside of calls. Without any, it is good.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerPlan {
    pub(crate) faults: BTreeSet<Fault>,
    /// How long the slow faults take.
    pub(crate) delay: Duration,
    /// With [`Fault::Crash`]: after so many bytes, read and written.
    pub(crate) crash_after: u64,
    /// In MiB.
    pub(crate) memory: u64,
}

/// What a client or an operator does next.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The pause before it.
    pub(crate) after: Duration,
    pub(crate) act: Act,
    /// When the act is dropped, if it has not ended by then.
    pub(crate) patience: Option<Patience>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Time(Duration),
    /// So many turns of a task that only yields.
    Turns(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Call(Request),
    CallJson(Request),
    /// A checkout and the calls on its lease, which is then held for some time.
    Lease(Vec<Request>, Duration),
    TryLease(Vec<Request>),
    /// A checkout, and all requests on its lease, so many at once.
    Many(Vec<Request>, usize),
    Map(Mapping),
    /// A streamed call. `take`: the parts after which the stream is dropped.
    Stream {
        request: Request,
        take: usize,
    },
    /// Calls in the session of this name, and its end.
    Session {
        name: u64,
        requests: Vec<Request>,
        ends: bool,
    },
    Status,
    Resize(usize),
    /// Recycles one of the workers of the status.
    Recycle(usize),
    RecycleAll,
    /// Drains, waits for the end, and resumes.
    Drain,
    Resume,
    Shutdown,
    /// Reads so many events, with pauses.
    Follow(usize, Duration),
    /// Another process kills one of the workers.
    Kill(usize),
}

/// Requests to all workers.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) requests: Vec<Request>,
    pub(crate) in_order: bool,
    pub(crate) in_json: bool,
    /// How long the input takes for each.
    pub(crate) every: Duration,
    /// How long the client takes for each reply.
    pub(crate) hold: Duration,
    /// The replies after which the map is dropped.
    pub(crate) take: usize,
}

impl Act {
    pub(crate) fn operation(&self) -> Option<Operation> {
        Some(match self {
            Self::Call(_) => Operation::Call,
            Self::CallJson(_) => Operation::CallJson,
            Self::Lease(..) => Operation::Lease,
            Self::Many(..) => Operation::Many,
            Self::Map(_) => Operation::Map,
            Self::TryLease(_) => Operation::TryLease,
            Self::Stream { .. } => Operation::Stream,
            Self::Session { .. } => Operation::Session,
            Self::Status => Operation::Status,
            Self::Resize(_) => Operation::Resize,
            Self::Recycle(_) => Operation::Recycle,
            Self::RecycleAll => Operation::RecycleAll,
            Self::Drain => Operation::Drain,
            Self::Resume => Operation::Resume,
            Self::Shutdown => Operation::Shutdown,
            Self::Follow(..) => Operation::Follow,
            Self::Kill(_) => return None,
        })
    }

    pub(crate) fn requests_mut(&mut self) -> &mut [Request] {
        match self {
            Self::Call(request) | Self::CallJson(request) | Self::Stream { request, .. } => {
                std::slice::from_mut(request)
            }
            Self::Lease(requests, _)
            | Self::TryLease(requests)
            | Self::Many(requests, _)
            | Self::Map(Mapping { requests, .. })
            | Self::Session { requests, .. } => requests,
            _ => &mut [],
        }
    }
}

/// What the worker does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// `None`: it replies.
    pub(crate) fault: Option<Fault>,
    /// What it does when the call is cancelled. `None`: it confirms.
    pub(crate) on_cancel: Option<Fault>,
    /// The time that it works on it.
    pub(crate) work: Duration,
    /// The size of the request and of the reply in bytes, about.
    pub(crate) size: usize,
    /// The parts of the reply, if it is streamed.
    pub(crate) parts: usize,
}

impl Plan {
    /// Whether any worker or request has this fault.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults().contains(&fault)
    }

    /// Every fault of the plan.
    pub(crate) fn faults(&self) -> BTreeSet<Fault> {
        let mut faults: BTreeSet<Fault> =
            self.workers.iter().flat_map(|w| w.faults.clone()).collect();
        for step in self.scripts.iter().flatten() {
            let mut act = step.act.clone();
            for request in act.requests_mut() {
                faults.extend(request.fault);
                faults.extend(request.on_cancel);
            }
            if matches!(act, Act::Kill(_)) {
                faults.insert(Fault::Killed);
            }
        }
        if matches!(self.end, End::Runtime(_)) {
            faults.insert(Fault::RuntimeEnd);
        }
        faults
    }

    /// Whether any act may be dropped.
    pub(crate) fn has_drops(&self) -> bool {
        let drops = |step: &Step| match step.act {
            Act::Stream { take, .. } | Act::Map(Mapping { take, .. }) if take < usize::MAX => true,
            _ => step.patience.is_some(),
        };
        self.scripts.iter().flatten().any(drops)
    }

    /// Whether a client asks for a lease without waiting.
    pub(crate) fn tries(&self) -> bool {
        let mut acts = self.scripts.iter().flatten().map(|step| &step.act);
        acts.any(|act| matches!(act, Act::TryLease(_)))
    }

    /// As [`Act::operation`]. A pool that collects calls has no others.
    pub(crate) fn operation(&self, act: &Act) -> Option<Operation> {
        match act {
            Act::Call(_) | Act::CallJson(_) if self.batching.is_some() => {
                Some(Operation::Collected)
            }
            act => act.operation(),
        }
    }

    /// Whether, once the pool is drained, nothing but the drain's own client changes that.
    pub(crate) fn drains_alone(&self) -> bool {
        let acts = || self.scripts.iter().flatten().map(|step| &step.act);
        let drains = acts().filter(|act| matches!(act, Act::Drain)).count();
        let others = acts().any(|act| matches!(act, Act::Resume | Act::Session { .. }));
        let works = self.config.enable_health_monitoring
            || self.config.abandoned_calls != AbandonedCalls::Stop;
        drains == 1 && !others && !works
    }

    /// Whether a worker may break the protocol, or seem to.
    pub(crate) fn has_violations(&self) -> bool {
        use Fault::*;
        let faults = self.faults();
        let all = [
            Garbage,
            ShortFrame,
            RaiseGarbage,
            Twice,
            Early,
            OldId,
            WrongKind,
            Unsolicited,
            EarlyFrame,
            CloseOutput,
            CloseInput,
            NotJson,
            PingTwice,
            PingWrong,
            PingLate,
            CancelStray,
            CancelTwice,
            PartialReply,
            Crash,
            Exit,
            ReplyAndExit,
            Killed,
            ExitAtStart,
            CancelExit,
        ];
        all.iter().any(|fault| faults.contains(fault))
    }

    /// The largest size that the pool ever has.
    pub(crate) fn max_size(&self) -> usize {
        let resized = self
            .scripts
            .iter()
            .flatten()
            .filter_map(|step| match step.act {
                Act::Resize(size) => Some(size),
                _ => None,
            });
        resized.max().unwrap_or(0).max(self.config.size)
    }
}
