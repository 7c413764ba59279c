//! What happened in the simulated world, as the workers and the clients saw it. It knows nothing of
//! the pool's own books.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ostler_pool::rt::simulated;
use ostler_pool::{ExitStatus, ShutdownReport, WorkerId};

use crate::lists::{Fault, Operation};
use crate::plan::Request;

/// Orders what happened: each entry gets the next number.
pub(crate) type Stamp = u64;

/// Why a worker's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By itself.
    Own,
    /// Another process killed it.
    Outside,
    /// It was told to: by `SHUTDOWN`, the end of its input, a signal of the pool, or the drop of
    /// its port.
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply,
    NotJson,
    Raised(&'static str),
}

/// With which others a request may share a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    Alone,
    /// With those of other callers.
    Collected,
    /// With those of the same `call_many`.
    Many(u64),
    /// With those of the same map.
    Map(u64),
}

/// A message with one or more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: u64,
    /// When the pipe took the first of it.
    pub(crate) begun: Duration,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) request: Request,
    pub(crate) company: Company,
    /// Whether its caller is there, and has not got the outcome.
    pub(crate) is_wanted: bool,
    /// Once it is written.
    pub(crate) message: Option<Message>,
    /// When the pipe had taken all of it, and that of which worker.
    pub(crate) written: Option<(WorkerId, Stamp)>,
    /// When the worker had read all of it.
    pub(crate) read: Option<(WorkerId, Stamp)>,
    /// The first answer that was written in full.
    pub(crate) answer: Option<Answer>,
    /// When its worker began to write an answer.
    pub(crate) answered: Option<Duration>,
    /// Whether the pipe has taken all of the answer.
    pub(crate) is_out: bool,
    /// Whether its caller was told the answer.
    pub(crate) is_told: bool,
    /// Whether its caller was told that it was not written.
    pub(crate) is_unwritten: bool,
}

/// One worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worker {
    pub(crate) is_open: bool,
    /// How its process ended.
    pub(crate) exit: Option<(ExitStatus, Cause)>,
    /// The faults that it has shown.
    pub(crate) shown: BTreeSet<Fault>,
    pub(crate) tenures: Vec<Tenure>,
}

/// How long a client held a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenure {
    /// When its end began.
    pub(crate) ended: Option<Stamp>,
    /// Whether the lease was over before that, or another client got the worker, because its holder
    /// was dropped in the middle of a call.
    pub(crate) is_over: bool,
}

/// A checkout, and bounds of when it was granted. That of a collected call is none: another caller
/// may take the call along, earlier or later than its own lease is granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) asked: Stamp,
    /// When it was in the queue for certain.
    pub(crate) waited: Option<Stamp>,
    /// The worker was not free before.
    pub(crate) earliest: Stamp,
    /// Its client had the lease.
    pub(crate) latest: Stamp,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stamp: Stamp,
    /// The log of a history that is replayed.
    pub(crate) log: Option<Vec<String>>,
    pub(crate) requests: BTreeMap<u64, Entry>,
    /// The sessions of requests that belong to one, by the numbers of the requests.
    pub(crate) sessions: BTreeMap<u64, u64>,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    /// Calls of `open`.
    pub(crate) attempts: u64,
    /// The most ports that were open at the same time.
    pub(crate) peak_open: usize,
    /// Whether a start has failed, in the eyes of the worker or of its opener.
    pub(crate) starts_failed: bool,
    /// When workers began to answer their handshake. The pool may have refused the answer.
    pub(crate) readied: Vec<Duration>,
    pub(crate) has_drained: bool,
    /// Whether the pool was told to end, by a client, the drop of its last handle or of its
    /// runtime.
    pub(crate) is_closing: bool,
    /// Whether a session was ended by a client, or its loss was told, and whether a client found
    /// one ended.
    pub(crate) sessions_ended: bool,
    pub(crate) found_ended: bool,
    /// The requests whose callers wait.
    pub(crate) waiting: BTreeSet<u64>,
    /// How many companies and messages there were.
    pub(crate) companies: u64,
    pub(crate) messages: u64,
    /// Calls whose callers asked the pool, in a pool that collects them, and requests of maps.
    pub(crate) collected: u64,
    /// When the last of those calls began.
    pub(crate) last_collected: Option<Duration>,
    pub(crate) mapped: u64,
    /// Whether a collected call was told that its lease ended early. Then others of the lease may
    /// have got another one.
    pub(crate) has_lost_others: bool,
    /// How often the pool was resumed, how often that is under way, and how often it had been when
    /// the pool last began to drain, if none was under way.
    pub(crate) resumes: u64,
    pub(crate) resuming: u64,
    pub(crate) drained: Option<u64>,
    /// Whether the pool rejects all clients for certain.
    pub(crate) is_closed: bool,
    /// The last worker that served each session.
    pub(crate) homes: BTreeMap<u64, WorkerId>,
    pub(crate) opener_dropped: bool,
    /// How often each operation is under way.
    under_way: BTreeMap<Operation, usize>,
    /// How often each fault met each operation.
    pub(crate) met: BTreeMap<(Fault, Operation), u64>,
    pub(crate) answered: u64,
    /// Leases that clients got, also those of single calls.
    pub(crate) granted: u64,
    /// Checkouts that were refused before their deadline.
    pub(crate) refused: u64,
    /// Checkouts without a session that got a lease.
    pub(crate) waits: Vec<Wait>,
    /// Rolling restarts that clients have begun.
    pub(crate) rolling: usize,
    /// The first complete report of the pool's shutdown.
    pub(crate) report: Option<ShutdownReport>,
}

impl Entry {
    pub(crate) fn new(request: Request, company: Company) -> Self {
        Self {
            request,
            company,
            is_wanted: true,
            message: None,
            written: None,
            read: None,
            answer: None,
            answered: None,
            is_out: false,
            is_told: false,
            is_unwritten: false,
        }
    }
}

impl Ledger {
    pub(crate) fn entry(&mut self, number: u64) -> &mut Entry {
        let entry = self.requests.get_mut(&number);
        entry.expect("the request is known")
    }

    pub(crate) fn stamp(&mut self) -> Stamp {
        self.stamp += 1;
        self.stamp
    }

    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        if let Some(log) = &mut self.log {
            let now = simulated::now();
            log.push(format!("{:>10.3} ms  {line}", now.as_secs_f64() * 1e3));
        }
    }

    /// How many ports are open.
    pub(crate) fn open(&self) -> usize {
        self.workers
            .values()
            .filter(|worker| worker.is_open)
            .count()
    }

    pub(crate) fn worker(&mut self, worker: WorkerId) -> &mut Worker {
        self.workers.entry(worker).or_default()
    }

    /// A worker shows a fault.
    pub(crate) fn shows(&mut self, worker: WorkerId, fault: Fault) {
        self.note(format_args!("worker {worker}: {fault:?}"));
        self.worker(worker).shown.insert(fault);
        self.meets(fault);
    }

    pub(crate) fn meets(&mut self, fault: Fault) {
        for (operation, _) in self.under_way.iter().filter(|(_, count)| **count > 0) {
            *self.met.entry((fault, *operation)).or_default() += 1;
        }
    }

    pub(crate) fn begins(&mut self, operation: Operation) {
        *self.under_way.entry(operation).or_default() += 1;
        let faults: BTreeSet<Fault> = self
            .workers
            .values()
            .filter(|worker| worker.is_open)
            .flat_map(|worker| worker.shown.iter().copied())
            .collect();
        for fault in faults {
            *self.met.entry((fault, operation)).or_default() += 1;
        }
    }

    pub(crate) fn ends(&mut self, operation: Operation) {
        *self.under_way.entry(operation).or_default() -= 1;
    }

    /// Whether the pool rejects new clients for certain until it is resumed.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained == Some(self.resumes)
    }

    /// The requests of the last message to a worker that it has not answered.
    pub(crate) fn unanswered(&self, worker: WorkerId) -> impl Iterator<Item = &Entry> {
        let written = self.requests.values();
        let written =
            written.filter(move |entry| entry.written.is_some_and(|(to, _)| to == worker));
        let last = (written.clone())
            .filter_map(|entry| entry.message)
            .map(|it| it.number);
        let last = last.max();
        let of_last = written.filter(move |entry| entry.message.map(|it| it.number) == last);
        of_last.filter(|entry| entry.answered.is_none())
    }

    /// The last request that a worker has read.
    pub(crate) fn last_read(&self, worker: WorkerId) -> Option<&Entry> {
        let read = |entry: &&Entry| entry.read.is_some_and(|(by, _)| by == worker);
        let read = self.requests.values().filter(read);
        read.max_by_key(|entry| entry.read.map(|(_, stamp)| stamp))
    }

    pub(crate) fn is_under_way(&self, operation: Operation) -> bool {
        self.under_way
            .get(&operation)
            .is_some_and(|count| *count > 0)
    }

    /// A client that asked at `asked`, and was in the queue at `waited`, has the worker.
    pub(crate) fn waited(
        &mut self,
        worker: WorkerId,
        (asked, waited): (Stamp, Option<Stamp>),
        latest: Stamp,
    ) {
        let before =
            |tenure: &&Tenure| !tenure.is_over && tenure.ended.is_some_and(|ended| ended < latest);
        let last = self.worker(worker).tenures.iter().rfind(before);
        let earliest = last.and_then(|tenure| tenure.ended).unwrap_or(0);
        self.waits.push(Wait {
            asked,
            waited,
            earliest,
            latest,
        });
    }

    /// No client that asked later was served earlier.
    pub(crate) fn judge_order(&self) {
        for first in &self.waits {
            let overtakes = |later: &&Wait| {
                first.waited.is_some_and(|waited| waited < later.asked)
                    && later.latest < first.earliest
            };
            if let Some(later) = self.waits.iter().find(overtakes) {
                panic!("{later:?} was served before {first:?}");
            }
        }
    }

    pub(crate) fn exits(&mut self, worker: WorkerId, status: ExitStatus, cause: Cause) {
        self.note(format_args!("worker {worker}: exits, {status}, {cause:?}"));
        self.worker(worker).exit.get_or_insert((status, cause));
    }
}
