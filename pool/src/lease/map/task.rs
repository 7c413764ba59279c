//! The tasks of a map. Each leases a worker, serves one chunk of requests, and returns the worker.
//!
//! They are tasks of the pool's runtime, not part of the stream: a client that is slow to take
//! replies must not keep workers from other clients meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use ostler::WorkerId;
use ostler::supervisor::Reason;
use tokio::select;
use tokio::sync::watch;

use super::pace::Pace;
use crate::driver::Driver;
use crate::error::{CallError, CheckoutError};
use crate::lease::batch::{self, Answers, MAX_BATCH};
use crate::lease::checkout;
use crate::lease::options::CallOptions;
use crate::lease::requests::Requests;
use crate::rt::{Instant, Mutex, MutexGuard};

/// Small, because most are replies.
pub(super) type Answer = Result<Vec<u8>, Box<CallError>>;

/// Requests that one lease serves.
pub(super) struct Chunk {
    /// The place of the first request among all of the map.
    pub(super) first: usize,
    pub(super) requests: Requests,
}

/// Answers to requests in a row.
pub(super) struct Answered {
    /// The place of the first of these requests.
    pub(super) first: usize,
    pub(super) answers: Vec<Answer>,
    /// Whether these are the last ones of their chunk.
    pub(super) ends_chunk: bool,
}

/// What a map shares with its tasks.
pub(super) struct Shared {
    pub(super) driver: Arc<Driver>,
    /// Of all calls.
    options: CallOptions,
    state: Mutex<State>,
}

struct State {
    /// Chunks that no task has begun.
    waiting: VecDeque<Chunk>,
    tasks: usize,
    answered: Vec<Answered>,
    /// The client, when it waits for answers.
    client: Option<Waker>,
    pace: Pace,
}

impl Shared {
    pub(super) fn new(driver: Arc<Driver>, options: CallOptions) -> Self {
        let pace = Pace::new(driver.max_worker_requests());
        Self {
            driver,
            options,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                tasks: 0,
                answered: Vec::new(),
                client: None,
                pace,
            }),
        }
    }

    /// How many requests the next chunk should have.
    pub(super) fn chunk_size(&self) -> usize {
        self.lock().pace.requests()
    }

    /// Serves a chunk, once fewer than `most` tasks serve others. `open` is true as long as the map
    /// exists.
    pub(super) fn serve(self: &Arc<Self>, chunk: Chunk, most: usize, open: &watch::Sender<()>) {
        {
            let mut state = self.lock();
            state.waiting.push_back(chunk);
            if state.tasks >= most {
                return;
            }
            state.tasks += 1;
        }
        let task = Task {
            shared: Arc::clone(self),
            has_ended: false,
        };
        self.driver.spawn(task.run(open.subscribe()));
    }

    /// Takes all answers that have come. If there are none, `client` is woken when there are.
    pub(super) fn take(&self, client: &Waker) -> Vec<Answered> {
        // Cloned and dropped without the lock, because both may run foreign code.
        let client = client.clone();
        let mut state = self.lock();
        let answered = mem::take(&mut state.answered);
        let replaced = match answered.is_empty() {
            true => state.client.replace(client),
            false => None,
        };
        drop(state);
        drop(replaced);
        answered
    }

    fn answer(&self, answered: Answered) {
        let mut state = self.lock();
        state.answered.push(answered);
        let client = state.client.take();
        drop(state);
        if let Some(client) = client {
            client.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    shared: Arc<Shared>,
    /// Whether it has found nothing more to do, and does not count any more.
    has_ended: bool,
}

impl Task {
    async fn run(mut self, mut map: watch::Receiver<()>) {
        select! {
            biased;
            // The map is gone. What its leases are doing is abandoned.
            _ = map.changed() => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        while let Some(chunk) = self.next() {
            serve(&self.shared, chunk).await;
        }
    }

    fn next(&mut self) -> Option<Chunk> {
        let mut state = self.shared.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            // Under the same lock: a chunk that comes later gets a task of its own.
            state.tasks -= 1;
            self.has_ended = true;
        }
        next
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.shared.lock();
        state.tasks -= 1;
        let unserved = match state.tasks {
            0 => mem::take(&mut state.waiting),
            _ => VecDeque::new(),
        };
        drop(state);
        // The runtime has ended, or the map. The client must not wait for these.
        for chunk in unserved {
            drop(Serving::new(&self.shared, &chunk));
        }
    }
}

async fn serve(shared: &Shared, chunk: Chunk) {
    let mut serving = Serving::new(shared, &chunk);
    let mut first = 0;
    while first < chunk.requests.len() {
        // Another worker may not be free for long.
        serving.pass_on();
        let mut lease = match checkout(&shared.driver).await {
            Ok(lease) => lease,
            Err(error) => return serving.fail(&CallError::Checkout(error)),
        };
        lease.options = shared.options.clone();
        serving.worker = Some(lease.worker());
        let begun = Instant::now();
        let before = mem::replace(&mut serving.bytes, 0);
        let next = batch::run(&mut lease, &chunk.requests, first, MAX_BATCH, &mut serving).await;
        let bytes = serving.bytes.max(chunk.requests.bytes());
        serving.bytes += before;
        shared
            .lock()
            .pace
            .served(next - first, begun.elapsed(), bytes);
        first = next;
    }
}

/// A chunk that is being served. On drop, the requests without an answer fail.
struct Serving<'a> {
    shared: &'a Shared,
    /// The place of the next request to be answered.
    next: usize,
    end: usize,
    /// The answers to the requests before that one which the client cannot see yet.
    answers: Vec<Answer>,
    /// The size of the replies, in bytes.
    bytes: usize,
    /// The worker that may have seen requests.
    worker: Option<WorkerId>,
}

impl<'a> Serving<'a> {
    fn new(shared: &'a Shared, chunk: &Chunk) -> Self {
        Self {
            shared,
            next: chunk.first,
            end: chunk.first + chunk.requests.len(),
            answers: Vec::new(),
            bytes: 0,
            worker: None,
        }
    }

    /// Answers all other requests with this error.
    fn fail(&mut self, error: &CallError) {
        while self.next < self.end {
            self.push(Err(error.shared()));
        }
    }
}

impl Answers for Serving<'_> {
    fn push(&mut self, answer: Result<Vec<u8>, CallError>) {
        self.bytes += answer.as_ref().map_or(0, Vec::len);
        self.answers.push(answer.map_err(Box::new));
        self.next += 1;
    }

    fn poll_given_up(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // The next answer may take long.
        self.pass_on();
        Poll::Pending
    }
}

impl Serving<'_> {
    fn pass_on(&mut self) {
        if !self.answers.is_empty() {
            let answers = mem::take(&mut self.answers);
            self.shared.answer(Answered {
                first: self.next - answers.len(),
                answers,
                ends_chunk: self.next == self.end,
            });
        }
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        // Only if its task was dropped are there any.
        self.fail(&match self.worker {
            Some(worker) => CallError::Stopped {
                worker,
                reason: Reason::Shutdown,
                request_written: true,
            },
            None => CallError::Checkout(CheckoutError::Closed),
        });
        self.pass_on();
    }
}
