//! Judges what clients are told, by what the workers did. It knows nothing of the pool's own books.

use std::time::Duration;

use ostler_pool::rt::simulated::now;
use ostler_pool::{
    CallError, CheckoutError, JsonPart, ProtocolError, Reason, RollingError, SessionError, WorkerId,
};

use crate::ledger::{Answer, Cause, Company, Entry, Ledger};
use crate::lists::Fault;
use crate::plan::{End, NEVER, Time};
use crate::scanner::number;
use crate::world::World;

/// One call, from the moment at which its caller began to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    /// The worker, if the caller holds it already. Then the call began at once.
    pub(crate) worker: Option<WorkerId>,
    pub(crate) begun: Duration,
    /// How often the pool had been resumed, if it rejected new clients for certain.
    pub(crate) drained: Option<u64>,
    /// Whether it rejected all clients for certain.
    pub(crate) is_closed: bool,
}

pub(crate) type Outcome = Result<Vec<u8>, CallError>;

impl World {
    fn entry(&self, number: u64) -> Entry {
        self.ledger().requests[&number].clone()
    }

    /// Judges the outcome of a call. Returns whether its lease is over.
    pub(crate) fn judge(&self, call: Call, outcome: &Outcome) -> bool {
        self.note(format_args!("request {}: {}", call.number, shown(outcome)));
        self.judge_admission(call, outcome);
        match outcome {
            Ok(reply) => self.judge_reply(call, reply),
            Err(error) if self.judge_error(call, error) => return true,
            Err(_) => {}
        }
        self.ledger().entry(call.number).is_told = true;
        false
    }

    /// A pool that rejects clients serves none.
    fn judge_admission(&self, call: Call, outcome: &Outcome) {
        let drained = self.ledger().is_drained() && call.drained == Some(self.ledger().resumes);
        let is_closed = matches!(outcome, Err(CallError::Checkout(CheckoutError::Closed)));
        let is_refused = is_closed
            || matches!(
                outcome,
                Err(CallError::Checkout(CheckoutError::Draining { .. }))
            );
        if call.worker.is_none() && (drained || call.is_closed) {
            let is_rejected = if call.is_closed {
                is_closed
            } else {
                is_refused
            };
            assert!(is_rejected, "{call:?}: {}", shown(outcome));
        }
    }

    /// Counts the lease of a single call that has no company.
    pub(crate) fn count(&self, outcome: &Outcome) {
        if !matches!(outcome, Err(CallError::Checkout(_) | CallError::Session(_))) {
            self.ledger().granted += 1;
        }
    }

    fn judge_reply(&self, call: Call, reply: &[u8]) {
        let Entry {
            written,
            read,
            answer,
            request,
            ..
        } = self.entry(call.number);
        let early = request.fault == Some(Fault::Early);
        let read = read.or(written.filter(|_| early));
        let (worker, _) = read.expect("no worker has read the answered request");
        assert!(
            call.worker.is_none_or(|leased| leased == worker),
            "{call:?}: {worker} answered"
        );
        if answer == Some(Answer::NotJson) {
            assert_eq!(reply, b"?", "{call:?}");
        } else {
            assert!(
                answer == Some(Answer::Reply) || early,
                "{call:?}: {answer:?}"
            );
            let expected = crate::world::body(call.number, &worker.to_string(), request.size);
            assert!(
                reply == expected,
                "{call:?}: the reply to request {:?}",
                number(reply)
            );
        }
        self.ledger().answered += 1;
    }

    /// Returns whether the lease is over.
    fn judge_error(&self, call: Call, error: &CallError) -> bool {
        self.judge_written(call, error);
        let entry = self.entry(call.number);
        match error {
            CallError::Checkout(refusal) => {
                match entry.company {
                    Company::Alone => self.judge_refusal(refusal, call.begun),
                    company => self.judge_shared_refusal(refusal, call.begun, company),
                }
                return true;
            }
            CallError::Session(refusal) => {
                self.ledger().refused += u64::from(!refusal.is_timeout());
                self.judge_session_refusal(refusal, call.begun);
                return true;
            }
            CallError::Raised { worker, source } => {
                self.ledger().answered += 1;
                assert_eq!(
                    entry.read.map(|(worker, _)| worker),
                    Some(*worker),
                    "{call:?}"
                );
                let kind = Answer::Raised(match &*source.kind {
                    "ValueError" => "ValueError",
                    "Cancelled" => "Cancelled",
                    other => panic!("{call:?}: an error of type {other}"),
                });
                assert_eq!(entry.answer, Some(kind), "{call:?}");
                return false;
            }
            CallError::Json { part, .. } => {
                assert_eq!(*part, JsonPart::Reply);
                assert_eq!(entry.answer, Some(Answer::NotJson), "{call:?}");
                self.ledger().answered += 1;
                return false;
            }
            CallError::WorkerExited { worker, exit, .. } => {
                let known = self.ledger().worker(*worker).exit;
                let Some((status, cause)) = known else {
                    panic!("{call:?}: worker {worker} has not exited: {error:?}");
                };
                assert_eq!(status, exit.status, "{call:?}: worker {worker}");
                assert_ne!(cause, Cause::Told, "{call:?}: worker {worker}: {error:?}");
                assert!(!entry.is_out, "{call:?}: its answer is lost: {error:?}");
            }
            CallError::TimedOut { after, .. } => {
                let timeout = self.plan().config.call_timeout;
                assert_eq!(*after, timeout, "{call:?}");
                self.judge_call_deadline(call, &entry, timeout);
            }
            CallError::Stopped { reason, .. } => self.judge_reason(*reason),
            CallError::Protocol { worker, source, .. } => self.judge_violation(*worker, source),
            CallError::RequestTooLarge { size, max } => {
                let body = crate::world::body(call.number, "", entry.request.size);
                assert_eq!(*size, body.len(), "{call:?}");
                assert!(size > max, "{call:?}: {error:?}");
                return false;
            }
            CallError::LeaseOver { .. } => panic!("{call:?}: {error:?}"),
            _ => panic!("{call:?}: an unknown error, {error:?}"),
        }
        self.ledger().has_lost_others |= entry.company == Company::Collected;
        true
    }

    /// Whether the error says the truth about the request.
    pub(crate) fn judge_written(&self, call: Call, error: &CallError) {
        let entry = self.entry(call.number);
        if error.request_written() {
            // The task that sends requests with company is gone, and nothing knows how far it was.
            let is_unknown = entry.company != Company::Alone
                && matches!(self.plan().end, End::Runtime(_))
                && self.ledger().is_closing;
            let is_written = entry.written.is_some() || is_unknown;
            assert!(is_written, "{call:?}: not written: {error:?}");
        } else {
            assert_eq!(entry.read, None, "{call:?}: {error:?}");
            assert_eq!(entry.written, None, "{call:?}: {error:?}");
            let mut ledger = self.ledger();
            let entry = ledger.requests.get_mut(&call.number).expect("it is known");
            entry.is_unwritten = true;
        }
    }

    /// Whether a call ended `timeout` after the answer before it in its message, or after the
    /// beginning of that.
    fn judge_call_deadline(&self, call: Call, entry: &Entry, timeout: Duration) {
        let mut begun = call.begun;
        if let Some(message) = entry.message {
            let ledger = self.ledger();
            let others = ledger.requests.values();
            let told = others.filter(|other| other.message == Some(message) && other.is_told);
            let last = told.filter_map(|other| other.answered).max();
            begun = begun.max(message.begun).max(last.unwrap_or_default());
        }
        let is_known = match entry.company {
            Company::Alone => entry.message.is_some() || call.worker.is_some(),
            // Clients that are gone may have got the last answer.
            Company::Collected => entry.message.is_some() && !self.plan().has_drops(),
            Company::Many(_) => entry.message.is_some(),
            // Its client may look later.
            Company::Map(_) => false,
        };
        self.judge_deadline(begun, timeout, is_known);
    }

    /// Whether a wait ended at its deadline: not earlier, and not later if the host is fast.
    fn judge_deadline(&self, begun: Duration, timeout: Duration, is_exact: bool) {
        let waited = now().saturating_sub(begun);
        assert!(timeout < NEVER, "a timeout that never passes has passed");
        assert!(
            waited >= timeout,
            "timed out after {waited:?} instead of {timeout:?}"
        );
        if is_exact && self.plan().time == Time::Punctual {
            assert_eq!(waited, timeout, "timed out late");
        }
    }

    /// As [`judge_deadline`](Self::judge_deadline), for a client that waited for a worker: its
    /// deadline runs from the moment at which the pool first serves.
    fn judge_wait(&self, begun: Duration, timeout: Duration, is_exact: bool) {
        let readied = self.ledger().readied.clone();
        let had_served = readied.iter().any(|ready| *ready <= begun);
        let later = readied.into_iter().filter(|ready| *ready > begun);
        let starts: Vec<Duration> = had_served
            .then_some(begun)
            .into_iter()
            .chain(later)
            .collect();
        // The pool may have refused an answer to its handshake, so it is one of these.
        let fits = |start: &&Duration| start.saturating_add(timeout) == now();
        let start = starts.iter().find(fits).or(starts.iter().min());
        let start = start.expect("no client times out before the pool has served");
        self.judge_deadline(*start, timeout, is_exact);
    }

    fn judge_violation(&self, worker: WorkerId, source: &ProtocolError) {
        use Fault::*;
        let shown = self.ledger().worker(worker).shown.clone();
        let exited = self.ledger().worker(worker).exit.is_some();
        let has = |faults: &[Fault]| faults.iter().any(|fault| shown.contains(fault));
        // The exit follows within a second, unless the host is slow.
        let is_slow = self.plan().time != Time::Punctual;
        let exits_late = is_slow && (exited || has(&[LateExit]));
        let stray = [
            OldId,
            Twice,
            Unsolicited,
            CancelStray,
            CancelTwice,
            PingTwice,
            WrongKind,
            Early,
            PingWrong,
            PingLate,
            CloseInput,
            EarlyFrame,
        ];
        let is_explained = match source {
            ProtocolError::FrameTooLong { .. } => has(&[Garbage]),
            ProtocolError::FrameTooShort { .. } => has(&[ShortFrame]),
            ProtocolError::MalformedError => has(&[RaiseGarbage]),
            ProtocolError::UnexpectedId { .. } | ProtocolError::Unsolicited => has(&stray),
            // In a batch, what should come between two calls may come between two answers.
            ProtocolError::UnexpectedKind { .. } => has(&[WrongKind, PingWrong, Unsolicited]),
            ProtocolError::EarlyAnswer => has(&[Early]),
            ProtocolError::StreamEndedWithBody => has(&[NotJson]),
            ProtocolError::OutputClosed => has(&[CloseOutput]) || exits_late,
            ProtocolError::InputClosed => has(&[CloseInput]) || exits_late,
            _ => false,
        };
        assert!(
            is_explained,
            "worker {worker} showed only {shown:?}: {source:?}"
        );
    }

    /// Whether there is a cause in this world for which a worker is stopped.
    fn judge_reason(&self, reason: Reason) {
        let config = &self.plan().config;
        let is_possible = match reason {
            Reason::Shutdown => self.ledger().is_closing,
            Reason::Exited => self.plan().has(Fault::OpenPanic),
            Reason::Unhealthy => config.enable_health_monitoring,
            Reason::Limit(_) | Reason::Recycled | Reason::Surplus | Reason::Fault(_) => true,
            _ => false,
        };
        assert!(is_possible, "a worker was stopped for {reason:?}");
    }

    pub(crate) fn judge_refusal(&self, refusal: &CheckoutError, begun: Duration) {
        self.ledger().refused += u64::from(!refusal.is_timeout());
        self.judge_checkout(refusal, begun, true);
    }

    /// As `judge_refusal`, for a request that may share its checkout with others.
    fn judge_shared_refusal(&self, refusal: &CheckoutError, begun: Duration, company: Company) {
        let is_known = company == Company::Collected
            && !self.ledger().has_lost_others
            && !self.plan().has_drops();
        self.judge_checkout(refusal, begun, is_known);
    }

    /// `is_exact`: whether the checkout began at `begun`.
    fn judge_checkout(&self, refusal: &CheckoutError, begun: Duration, is_exact: bool) {
        let (config, mut ledger) = (&self.plan().config, self.ledger());
        ledger.note(format_args!("refused: {refusal}"));
        let is_possible = match refusal {
            CheckoutError::Closed => ledger.is_closing,
            CheckoutError::Draining { .. } => ledger.has_drained,
            CheckoutError::QueueFull { max_waiting, pool } => {
                *max_waiting == config.max_waiting && pool.waiting >= *max_waiting
            }
            CheckoutError::CrashLoop { .. } => {
                config.crash_loop < u32::MAX && self.may_fail(&ledger)
            }
            CheckoutError::NoneIdle { .. } => false,
            CheckoutError::TimedOut { after, .. } => {
                assert_eq!(*after, config.checkout_timeout);
                drop(ledger);
                return self.judge_wait(begun, *after, is_exact);
            }
            _ => false,
        };
        assert!(is_possible, "refused: {refusal}");
    }

    pub(crate) fn judge_session_refusal(&self, refusal: &SessionError, begun: Duration) {
        let (config, mut ledger) = (&self.plan().config, self.ledger());
        ledger.note(format_args!("refused: {refusal}"));
        let is_possible = match refusal {
            SessionError::Closed => ledger.is_closing,
            SessionError::Draining { .. } => ledger.has_drained,
            SessionError::QueueFull { max_waiting, pool } => {
                *max_waiting == config.max_waiting && pool.waiting >= *max_waiting
            }
            SessionError::CrashLoop { .. } => {
                config.crash_loop < u32::MAX && self.may_fail(&ledger)
            }
            SessionError::TooMany { max_sessions } => *max_sessions == config.max_sessions,
            SessionError::Ended => {
                ledger.found_ended = true;
                true
            }
            SessionError::Lost { reason } => {
                // The next call on it finds it ended.
                ledger.sessions_ended = true;
                drop(ledger);
                return match reason {
                    Reason::Exited => {
                        assert!(self.ledger().workers.values().any(|w| w.exit.is_some()))
                    }
                    reason => self.judge_reason(*reason),
                };
            }
            SessionError::TimedOut { after, .. } => {
                assert_eq!(*after, config.checkout_timeout);
                drop(ledger);
                return self.judge_wait(begun, *after, true);
            }
            _ => false,
        };
        assert!(is_possible, "refused: {refusal}");
    }

    /// Whether a start may have failed.
    fn may_fail(&self, ledger: &Ledger) -> bool {
        let is_slow = self.plan().time != Time::Punctual;
        ledger.starts_failed || is_slow && self.plan().config.start_timeout < NEVER
    }

    pub(crate) fn judge_rolling(&self, outcome: &Result<usize, RollingError>) {
        let mut ledger = self.ledger();
        ledger.note(format_args!("rolling restart: {outcome:?}"));
        let is_possible = match outcome {
            Ok(_) => true,
            Err(RollingError::Closed { .. }) => ledger.is_closing,
            Err(RollingError::StartFailed { .. }) => self.may_fail(&ledger),
            Err(_) => false,
        };
        assert!(is_possible, "a rolling restart ended with {outcome:?}");
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(_) => "answered".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}
