//! Concurrent calls that share a lease: what [`Batching`] is to a pool.
//!
//! Each caller asks for a lease of its own, in the queue of the pool. The first that gets one takes
//! the requests of the others along, and they leave the queue. A lease whose requests are fewer
//! than it may have is kept open for callers that come meanwhile. So a caller waits as long as it
//! would alone, for as many others, and is refused for the same reasons.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use ostler::WorkerId;
use ostler::supervisor::Reason;
use tokio::select;
use tokio::sync::oneshot;

use super::Lease;
use super::batch::{self, Answers};
use super::checkout;
use super::requests::Requests;
use crate::driver::{Driver, poll_timer};
use crate::error::{CallError, CheckoutError};
use crate::port::Batching;
use crate::rt::{Instant, Mutex, MutexGuard};

type Answer = Result<Vec<u8>, CallError>;

/// Collects the requests of concurrent callers. See the [module](self).
#[derive(Debug)]
pub(crate) struct Collector {
    driver: Arc<Driver>,
    max: usize,
    wait: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their numbers. Each caller has a place in the queue of the pool.
    waiting: VecDeque<Waiting>,
    /// Requests that have a lease, and room for others.
    open: Option<Open>,
    /// The number of the last caller that had to wait.
    last: u64,
}

/// A caller that waits for a lease.
#[derive(Debug)]
struct Waiting {
    number: u64,
    since: Instant,
    request: Vec<u8>,
    /// Gets, once a lease has taken the request, what will get the answer.
    taken: oneshot::Sender<oneshot::Receiver<Answer>>,
}

/// A request that has a lease.
#[derive(Debug)]
struct Member {
    request: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Open {
    members: Vec<Member>,
    /// Gets the members once there are as many as there may be.
    full: oneshot::Sender<Vec<Member>>,
}

impl Collector {
    pub(crate) fn new(driver: Arc<Driver>, batching: Batching) -> Arc<Self> {
        Arc::new(Self {
            driver,
            max: batching.max,
            wait: batching.wait,
            state: Mutex::new(State::default()),
        })
    }

    /// Makes a call, together with others.
    pub(crate) async fn call(self: &Arc<Self>, request: Vec<u8>) -> Answer {
        let answer = match self.join(request) {
            Ok(answer) => answer,
            Err(request) => self.obtain(request).await?,
        };
        // No answer: the task that would have sent the request was dropped with its runtime.
        answer
            .await
            .unwrap_or(Err(CallError::Checkout(CheckoutError::Closed)))
    }

    /// Adds the request to others that have a lease, or returns it.
    fn join(&self, request: Vec<u8>) -> Result<oneshot::Receiver<Answer>, Vec<u8>> {
        // The queue refuses those that come too late for the pool, so they enter it.
        let may_join = self.driver.accepts_clients();
        let mut state = self.lock();
        let Some(open) = state.open.as_mut().filter(|_| may_join) else {
            return Err(request);
        };
        let (answer, receiver) = oneshot::channel();
        open.members.push(Member { request, answer });
        if open.members.len() == self.max
            && let Some(Open { members, full }) = state.open.take()
        {
            // Under the lock, so that the group is in one place or the other. This wakes a task of
            // the pool's own, which may be done under a lock.
            let _ = full.send(members);
        }
        Ok(receiver)
    }

    /// Waits until a lease takes the request, maybe the caller's own.
    async fn obtain(
        self: &Arc<Self>,
        request: Vec<u8>,
    ) -> Result<oneshot::Receiver<Answer>, CheckoutError> {
        let since = Instant::now();
        let mut lease = pin!(checkout(&self.driver));
        // The pool may refuse the caller. Until it has not, no other lease may take the request.
        if let Poll::Ready(lease) = poll_fn(|cx| Poll::Ready(lease.as_mut().poll(cx))).await {
            return Ok(self.lead(lease?, request, since));
        }
        let (number, mut taken) = self.enqueue(request, since);
        let place = Place {
            collector: self,
            number,
        };
        let lease = select! {
            biased;
            answer = &mut taken => return answer.map_err(|_| CheckoutError::Closed),
            lease = lease => lease,
        };
        let Some(own) = place.leave() else {
            // A lease has just taken the request.
            drop(lease);
            return taken.await.map_err(|_| CheckoutError::Closed);
        };
        Ok(self.lead(lease?, own.request, since))
    }

    /// Lets a lease take the request along.
    fn enqueue(
        &self,
        request: Vec<u8>,
        since: Instant,
    ) -> (u64, oneshot::Receiver<oneshot::Receiver<Answer>>) {
        let (taken, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.waiting.push_back(Waiting {
            number,
            since,
            request,
            taken,
        });
        (number, receiver)
    }

    /// Sends a request and others that wait. The receiver gets its answer.
    fn lead(
        self: &Arc<Self>,
        lease: Lease,
        request: Vec<u8>,
        since: Instant,
    ) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        let mut members = vec![Member { request, answer }];
        let first = self.take_waiting(&mut members);
        let since = first.map_or(since, |first| first.min(since));
        let left = self.wait.saturating_sub(since.elapsed());
        let group = if members.len() < self.max && !left.is_zero() {
            self.open(members, left)
        } else {
            Group::Closed(members)
        };
        let collector = Arc::clone(self);
        self.driver.spawn(async move {
            let members = match group {
                Group::Closed(members) => members,
                Group::Open(opened, left) => opened.gather(left).await,
            };
            serve(&collector.driver, lease, members).await;
        });
        receiver
    }

    /// Adds waiting requests, up to `max` members. Returns since when the first of them has waited.
    fn take_waiting(&self, members: &mut Vec<Member>) -> Option<Instant> {
        let mut since = None;
        while members.len() < self.max {
            let Some(first) = self.lock().waiting.pop_front() else {
                break;
            };
            let (answer, receiver) = oneshot::channel();
            // Fails if the caller is gone. It wakes the caller, so no lock is held.
            if first.taken.send(receiver).is_ok() {
                since.get_or_insert(first.since);
                members.push(Member {
                    request: first.request,
                    answer,
                });
            }
        }
        since
    }

    /// Lets others join these for some time, unless they can join another lease's already.
    fn open(self: &Arc<Self>, members: Vec<Member>, left: Duration) -> Group {
        let mut state = self.lock();
        if state.open.is_some() {
            return Group::Closed(members);
        }
        let (full, filled) = oneshot::channel();
        state.open = Some(Open { members, full });
        let opened = Opened {
            collector: Arc::clone(self),
            filled,
            is_over: false,
        };
        Group::Open(opened, left)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place among those that wait. On drop, it is given up.
struct Place<'a> {
    collector: &'a Collector,
    number: u64,
}

impl Place<'_> {
    /// Takes the request back, unless a lease has taken it.
    fn leave(&self) -> Option<Waiting> {
        let waiting = &mut self.collector.lock().waiting;
        let at = waiting.binary_search_by_key(&self.number, |waiting| waiting.number);
        waiting.remove(at.ok()?)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

enum Group {
    /// Is to be sent.
    Closed(Vec<Member>),
    /// Others may join for so long.
    Open(Opened, Duration),
}

/// The group that others may join. On drop, they may not.
struct Opened {
    collector: Arc<Collector>,
    filled: oneshot::Receiver<Vec<Member>>,
    is_over: bool,
}

impl Opened {
    /// Waits for others.
    async fn gather(mut self, left: Duration) -> Vec<Member> {
        let mut end = pin!(self.collector.driver.sleep(left));
        let members = select! {
            biased;
            members = &mut self.filled => members.unwrap_or_default(),
            () = poll_fn(|cx| poll_timer(end.as_mut(), cx)) => self.close(),
        };
        self.is_over = true;
        members
    }

    fn close(&mut self) -> Vec<Member> {
        let mut state = self.collector.lock();
        match self.filled.try_recv() {
            Ok(members) => members,
            Err(_) => state.open.take().map_or(Vec::new(), |open| open.members),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.is_over {
            // The task was dropped with the runtime.
            self.close();
        }
    }
}

/// Sends requests, and passes on the answers.
async fn serve(driver: &Arc<Driver>, mut lease: Lease, members: Vec<Member>) {
    let mut requests = Requests::default();
    let mut answers = Vec::with_capacity(members.len());
    for Member { request, answer } in members {
        if !answer.is_closed() {
            requests.push(&request);
            answers.push(answer);
        }
    }
    let mut serving = Serving {
        callers: answers.into_iter(),
        worker: lease.worker(),
    };
    let mut first = 0;
    loop {
        first = batch::run(&mut lease, &requests, first, usize::MAX, &mut serving).await;
        if first == requests.len() || serving.is_given_up() {
            return;
        }
        // The worker has ended before these were sent.
        lease = match checkout(driver).await {
            Ok(lease) => lease,
            Err(error) => return serving.fail(&CallError::Checkout(error)),
        };
        serving.worker = lease.worker();
    }
}

/// The callers that wait for an answer, in the order of their requests. On drop, they get an error.
struct Serving {
    callers: vec::IntoIter<oneshot::Sender<Answer>>,
    worker: WorkerId,
}

impl Serving {
    fn is_given_up(&self) -> bool {
        self.callers
            .as_slice()
            .iter()
            .all(oneshot::Sender::is_closed)
    }

    fn fail(&mut self, error: &CallError) {
        while self.callers.len() > 0 {
            self.push(Err(error.shared()));
        }
    }
}

impl Answers for Serving {
    fn push(&mut self, answer: Answer) {
        if let Some(caller) = self.callers.next() {
            // Fails if the caller is gone.
            let _ = caller.send(answer);
        }
    }

    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for caller in self.callers.as_mut_slice() {
            // One caller that waits is enough, so it is enough to be woken when this one is gone.
            if caller.poll_closed(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only if its task was dropped with the runtime are there any that wait.
        self.fail(&CallError::Stopped {
            worker: self.worker,
            reason: Reason::Shutdown,
            request_written: true,
        });
    }
}
