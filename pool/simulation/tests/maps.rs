//! Clients whose requests share messages: maps, `call_many`, and calls that the pool collects.

use std::future::poll_fn;
use std::mem::discriminant;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use futures_core::Stream;
use ostler_pool::rt::simulated::{Sleep, now, wait};
use ostler_pool::{CallError, Lease};
use serde_json::Value;

use crate::client::{Client, bytes_of, json};
use crate::ledger::{Company, Entry};
use crate::oracle::{Call, Outcome};
use crate::plan::{Mapping, Request};
use crate::wanted::Wanted;
use crate::world::{World, pause};

impl Client {
    /// Makes a call on the pool, alone or with others.
    pub(crate) async fn call_by(
        &self,
        request: Request,
        make: impl AsyncFnOnce(Vec<u8>) -> Outcome,
    ) {
        let is_collected = self.plan.batching.is_some();
        let company = if is_collected {
            Company::Collected
        } else {
            Company::Alone
        };
        let (call, bytes, wanted) = self.world.ask(request, None, company);
        wanted.waits(true);
        if is_collected {
            let mut ledger = self.world.ledger();
            ledger.collected += 1;
            ledger.last_collected = Some(now());
        }
        let (outcome, asked) = self.timed(make(bytes)).await;
        self.world.judge(call, &outcome);
        if !is_collected {
            self.world.count(&outcome);
        }
        let mut ledger = self.world.ledger();
        // A caller that is dropped does not say whether its lease ended early.
        ledger.has_lost_others |= is_collected && self.plan.has_drops();
        if !is_collected && let Some((worker, written)) = ledger.entry(call.number).written {
            ledger.waited(worker, asked, written);
        }
    }

    pub(crate) async fn many(&self, requests: &[Request], at_once: usize) {
        let Some((mut lease, held)) = self.checkout().await else {
            return;
        };
        let mut is_over = false;
        for requests in requests.chunks(at_once) {
            is_over = self.call_many(&mut lease, requests, is_over).await;
            if is_over {
                held.is_lost();
            } else {
                held.check();
            }
        }
    }

    /// Returns whether the lease is over.
    async fn call_many(&self, lease: &mut Lease, requests: &[Request], was_over: bool) -> bool {
        let (company, worker) = (Company::Many(self.world.company()), lease.worker());
        let asked: Vec<(Call, Vec<u8>, Wanted)> = (requests.iter())
            .map(|request| self.world.ask(*request, Some(worker), company))
            .collect();
        if let Some((.., last)) = asked.last() {
            last.waits(true);
        }
        let bodies: Vec<&[u8]> = asked.iter().map(|(_, bytes, _)| &bytes[..]).collect();
        let outcomes = lease.call_many(&bodies).await;
        assert_eq!(outcomes.len(), requests.len());
        let (mut is_over, mut failure) = (was_over, None);
        for ((call, ..), outcome) in asked.iter().zip(&outcomes) {
            match outcome {
                Err(error @ CallError::LeaseOver { .. }) if is_over => {
                    self.world.judge_written(*call, error);
                    // Nothing more is sent, so all others get this error, too.
                    failure = Some(error);
                }
                outcome => {
                    assert!(!is_over || failure.is_some(), "{call:?}: {outcome:?}");
                    is_over = self.world.judge(*call, outcome) || is_over;
                    if let (Some(failure), Err(error)) = (failure, outcome) {
                        assert_eq!(discriminant(failure), discriminant(error), "{call:?}");
                        assert_eq!(
                            failure.request_written(),
                            error.request_written(),
                            "{call:?}"
                        );
                    }
                    assert!(
                        failure.is_none() || outcome.is_err(),
                        "{call:?} is answered"
                    );
                    failure = outcome.as_ref().err().filter(|_| is_over);
                }
            }
        }
        is_over
    }

    pub(crate) async fn map(&self, mapping: &Mapping) {
        let world = self.world.clone();
        let company = Company::Map(world.company());
        let progress = Progress::new(mapping.in_order);
        let input = |mapping: &Mapping| Input {
            world,
            company,
            progress: progress.clone(),
            requests: mapping.requests.clone().into_iter(),
            every: mapping.every,
            pause: None,
        };
        let (in_order, in_json) = (mapping.in_order, mapping.in_json);
        let numbered = |(place, reply)| (Some(place), reply);
        if in_json {
            let values = InJson(input(mapping));
            let map = self.pool.map_json_stream::<_, Value>(values);
            if in_order {
                let read = |reply: Result<Value, _>| (None, reply.map(bytes_of));
                self.take(map, read, mapping, &progress).await;
            } else {
                let read =
                    |(place, reply): (_, Result<Value, _>)| (Some(place), reply.map(bytes_of));
                self.take(map.unordered(), read, mapping, &progress).await;
            }
        } else {
            let map = self.pool.map_stream(input(mapping));
            if in_order {
                self.take(map, |reply| (None, reply), mapping, &progress)
                    .await;
            } else {
                self.take(map.unordered(), numbered, mapping, &progress)
                    .await;
            }
        }
    }

    /// Takes replies, and judges each. `read`: its place, if it has one, and the outcome.
    async fn take<S: Stream + Unpin>(
        &self,
        mut replies: S,
        read: impl Fn(S::Item) -> (Option<usize>, Outcome),
        mapping: &Mapping,
        progress: &Progress,
    ) {
        let count = mapping.requests.len();
        for told in 0..mapping.take {
            let left = count.checked_sub(told);
            assert_eq!(
                replies.size_hint(),
                (left.unwrap_or(0), left),
                "after {told} replies"
            );
            progress.waits(true);
            let reply = poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)).await;
            progress.waits(false);
            let Some(reply) = reply else {
                assert_eq!(told, count, "the map has ended");
                return;
            };
            let (place, outcome) = read(reply);
            let (call, wanted) = progress.tell(place.unwrap_or(told));
            self.world.judge(call, &outcome);
            drop(wanted);
            pause(mapping.hold).await;
        }
    }
}

/// How far a map is, as its input and its client know.
#[derive(Clone)]
struct Progress(Arc<Mutex<Known>>);

struct Known {
    in_order: bool,
    /// What was taken from the input, and not told yet.
    taken: Vec<Option<(Call, Wanted)>>,
    told: usize,
    /// Whether the client waits.
    waits: bool,
}

impl Progress {
    fn new(in_order: bool) -> Self {
        Self(Arc::new(Mutex::new(Known {
            in_order,
            taken: Vec::new(),
            told: 0,
            waits: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn took(&self, call: Call, wanted: Wanted) {
        let mut known = self.lock();
        let is_next = !known.in_order || known.taken.len() == known.told;
        wanted.waits(known.waits && is_next);
        known.taken.push(Some((call, wanted)));
    }

    /// The client begins or ends to wait: for the next reply in order, or for any.
    fn waits(&self, waits: bool) {
        let mut known = self.lock();
        known.waits = waits;
        for (place, taken) in known.taken.iter().enumerate() {
            if let Some((_, wanted)) = taken {
                wanted.waits(waits && (!known.in_order || place == known.told));
            }
        }
    }

    fn ahead(&self) -> usize {
        let known = self.lock();
        known.taken.len() - known.told
    }

    fn tell(&self, place: usize) -> (Call, Wanted) {
        let mut known = self.lock();
        known.told += 1;
        let taken = known.taken.get_mut(place).and_then(Option::take);
        taken.expect("a reply to a request that was taken, and has none yet")
    }
}

/// The requests of a map, each registered when it is taken.
struct Input {
    world: World,
    company: Company,
    progress: Progress,
    requests: vec::IntoIter<Request>,
    every: Duration,
    /// Before the next request.
    pause: Option<Sleep>,
}

impl Stream for Input {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.every > Duration::ZERO {
            let every = self.every;
            let pause = self.pause.get_or_insert_with(|| wait(every));
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        let Some(request) = self.requests.next() else {
            return Poll::Ready(None);
        };
        let (call, bytes, wanted) = self.world.ask(request, None, self.company);
        self.world.ledger().mapped += 1;
        self.progress.took(call, wanted);
        self.judge_ahead();
        Poll::Ready(Some(bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.requests.size_hint()
    }
}

impl Input {
    /// A map takes two chunks per worker ahead, of one request each until it has served one.
    fn judge_ahead(&self) {
        let (plan, ledger) = (self.world.plan(), self.world.ledger());
        let mut ours = ledger.requests.values();
        // Those cost no time, and are never written.
        let has_large = |entry: &Entry| entry.request.size + 100 > plan.config.max_frame;
        let has_served =
            ours.any(|it| it.company == self.company && (it.written.is_some() || has_large(it)));
        let ahead = self.progress.ahead();
        let is_known = !has_served && !plan.has_violations();
        assert!(
            !is_known || ahead <= 2 * plan.max_size(),
            "{ahead} requests are ahead"
        );
    }
}

/// The requests of a map in JSON.
struct InJson(Input);

impl Stream for InJson {
    type Item = Value;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Value>> {
        let polled = Pin::new(&mut self.0).poll_next(cx);
        polled.map(|bytes| bytes.map(|bytes| json(&bytes)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
