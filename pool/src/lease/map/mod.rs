//! Many requests to all workers of a pool.

mod pace;
mod task;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use futures_core::Stream;
use tokio::sync::watch;

use self::pace::MAX_BYTES;
use self::task::{Answer, Answered, Chunk, Shared};
use super::options::CallOptions;
use super::requests::Requests;
use crate::driver::Driver;
use crate::error::CallError;
use crate::rt::Instant;

/// How many chunks per worker a map may have under way. The worker serves one. The other is ready
/// for it, or has replies that the client has not taken yet.
const CHUNKS: usize = 2;

/// How long requests wait for others to be taken from a slow input.
const MAX_WAIT: Duration = Duration::from_millis(1);

/// The replies to many requests, in the order of the requests. Made by [`Pool::map`] and its kin.
///
/// The requests go to all workers of the pool at once. They travel in chunks whose size adapts to
/// what is measured: a chunk holds its worker for about 5 ms, or for one request, and other clients
/// are served in between. For a worker that takes batches, as [Python workers](crate::Python) do,
/// a chunk is one message each way.
///
/// **Failures.** Each item is the outcome of one call, as [`Pool::call`] would return it. An
/// exception is the error of its own request. If a worker exits or does not answer in time, what
/// it has answered is kept, and the requests that were sent with it and have no answer get the
/// error. Its [`request_written`](CallError::request_written) says whether the worker may have seen
/// them. The map goes on. Nothing is repeated.
///
/// **Backpressure.** At most two chunks per worker are ahead of the replies that were taken. A
/// chunk ends at 4,096 requests or 64 KiB. Nothing more is taken from the input until replies are.
///
/// **Deadlines.** Each request has `call_timeout` from the reply to the one before it on.
///
/// Dropped before its end, it abandons what its workers are doing, like dropped calls: workers are
/// stopped and replaced, unless the pool [lets abandoned calls end](crate::AbandonedCalls) and they
/// do so in time.
///
/// [`Pool::map`]: crate::Pool::map
/// [`Pool::call`]: crate::Pool::call
#[must_use = "a stream does nothing unless it is polled"]
pub struct Map<S: Stream, R = Vec<u8>> {
    source: Source<S>,
    arriving: Arriving,
    read: fn(Vec<u8>) -> Result<R, CallError>,
    shared: Arc<Shared>,
}

/// The replies of a [`Map`] as they come, each with the place of its request, which counts from 0.
/// Made by [`Map::unordered`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct MapUnordered<S: Stream, R = Vec<u8>> {
    map: Map<S, R>,
}

/// An iterator as a stream. The input of [`Pool::map`](crate::Pool::map).
#[derive(Clone, Debug)]
pub struct Iter<I>(I);

impl<I> Iter<I> {
    pub(crate) fn new(items: I) -> Self {
        Self(items)
    }
}

impl<I> Unpin for Iter<I> {}

impl<I: Iterator> Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// The requests, and how far they are.
struct Source<S: Stream> {
    /// `None` once it has ended.
    requests: Option<Pin<Box<S>>>,
    write: fn(S::Item, &mut Vec<u8>) -> Result<(), CallError>,
    /// How many requests were taken.
    taken: usize,
    /// Dropped with the map, which ends its tasks.
    open: watch::Sender<()>,
}

/// The answers, and how far they were taken.
struct Arriving {
    /// Those that the client takes now, from the place that it takes next.
    current: vec::IntoIter<Answer>,
    place: usize,
    /// Whether a chunk ends with them.
    ends_chunk: bool,
    /// Others, by the place of their first request.
    others: BTreeMap<usize, Answered>,
    /// How many chunks have answers that were not taken.
    chunks: usize,
    /// How many answers were taken.
    taken: usize,
}

impl<S: Stream, R> Map<S, R> {
    pub(crate) fn new(
        driver: &Arc<Driver>,
        requests: S,
        write: fn(S::Item, &mut Vec<u8>) -> Result<(), CallError>,
        read: fn(Vec<u8>) -> Result<R, CallError>,
        options: CallOptions,
    ) -> Self {
        Self {
            source: Source {
                requests: Some(Box::pin(requests)),
                write,
                taken: 0,
                open: watch::Sender::new(()),
            },
            arriving: Arriving {
                current: Vec::new().into_iter(),
                place: 0,
                ends_chunk: false,
                others: BTreeMap::new(),
                chunks: 0,
                taken: 0,
            },
            read,
            shared: Arc::new(Shared::new(Arc::clone(driver), options)),
        }
    }

    /// The replies as they come. A slow reply does not hold up those behind it.
    pub fn unordered(self) -> MapUnordered<S, R> {
        MapUnordered { map: self }
    }

    fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        in_order: bool,
    ) -> Poll<Option<(usize, Result<R, CallError>)>> {
        loop {
            if let Some(answer) = self.arriving.current.next() {
                let place = self.arriving.place;
                self.arriving.place += 1;
                self.arriving.taken += 1;
                let reply = answer.map_err(|error| *error).and_then(self.read);
                return Poll::Ready(Some((place, reply)));
            }
            self.arriving.end_current();
            self.source.fill(cx, &mut self.arriving, &self.shared);
            if !self.arriving.begin_next(in_order) {
                if self.arriving.chunks == 0 && self.source.requests.is_none() {
                    return Poll::Ready(None);
                }
                for answered in ready!(self.poll_answered(cx)) {
                    self.arriving.others.insert(answered.first, answered);
                }
            }
        }
    }

    fn poll_answered(&self, cx: &Context<'_>) -> Poll<Vec<Answered>> {
        let answered = self.shared.take(cx.waker());
        match answered.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(answered),
        }
    }

    /// What is left: what was taken from the input and has no reply yet, and what the input says.
    fn left(&self) -> (usize, Option<usize>) {
        let under_way = self.source.taken - self.arriving.taken;
        let requests = self.source.requests.as_ref();
        let (least, most) = requests.map_or((0, Some(0)), |requests| requests.size_hint());
        (
            least.saturating_add(under_way),
            most.and_then(|most| most.checked_add(under_way)),
        )
    }
}

impl<S: Stream> Source<S> {
    /// Takes as many requests as may be under way, or as there are without waiting, and has them
    /// served.
    fn fill(&mut self, cx: &mut Context<'_>, arriving: &mut Arriving, shared: &Arc<Shared>) {
        let tasks = shared.driver.size();
        while arriving.chunks < CHUNKS * tasks {
            let begun = Instant::now();
            let (requests, next) = self.take(cx, shared.chunk_size());
            if requests.len() > 0 {
                arriving.chunks += 1;
                let first = self.taken;
                self.taken += requests.len();
                shared.serve(Chunk { first, requests }, tasks, &self.open);
            }
            match next {
                Next::Failed(error) => {
                    // A chunk of its own that was served at once.
                    arriving.chunks += 1;
                    let answered = Answered {
                        first: self.taken,
                        answers: vec![Err(Box::new(error))],
                        ends_chunk: true,
                    };
                    arriving.others.insert(self.taken, answered);
                    self.taken += 1;
                }
                Next::There => {}
                Next::Ended => self.requests = None,
                Next::Late => return,
            }
            if self.requests.is_none() {
                return;
            }
            if begun.elapsed() > MAX_WAIT {
                // The client takes replies before the input goes on.
                cx.waker().wake_by_ref();
                return;
            }
        }
    }

    /// Takes up to `size` requests, and says what comes next.
    fn take(&mut self, cx: &mut Context<'_>, size: usize) -> (Requests, Next) {
        let mut taken = Requests::default();
        let Some(requests) = &mut self.requests else {
            return (taken, Next::Ended);
        };
        let begun = Instant::now();
        while taken.len() < size && taken.bytes() < MAX_BYTES {
            match requests.as_mut().poll_next(cx) {
                Poll::Ready(Some(request)) => {
                    if let Err(error) = taken.write(|bytes| (self.write)(request, bytes)) {
                        return (taken, Next::Failed(error));
                    }
                }
                Poll::Ready(None) => return (taken, Next::Ended),
                Poll::Pending => return (taken, Next::Late),
            }
            // The clock is read seldom, so they wait at most about twice as long.
            if taken.len().is_power_of_two() && begun.elapsed() > MAX_WAIT {
                break;
            }
        }
        (taken, Next::There)
    }
}

/// What comes after some requests.
enum Next {
    /// Maybe more.
    There,
    /// A request that cannot be written.
    Failed(CallError),
    /// Nothing yet.
    Late,
    Ended,
}

impl Arriving {
    /// The client has taken all current answers.
    fn end_current(&mut self) {
        if self.ends_chunk {
            self.chunks -= 1;
            self.ends_chunk = false;
        }
    }

    /// Goes on to other answers, if there are any that may be taken now.
    fn begin_next(&mut self, in_order: bool) -> bool {
        let next =
            (self.others.first_entry()).filter(|next| !in_order || *next.key() == self.taken);
        let Some(next) = next.map(|next| next.remove()) else {
            return false;
        };
        self.place = next.first;
        self.current = next.answers.into_iter();
        self.ends_chunk = next.ends_chunk;
        true
    }
}

impl<S: Stream, R> Stream for Map<S, R> {
    type Item = Result<R, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reply = ready!(self.poll_reply(cx, true));
        Poll::Ready(reply.map(|(_, reply)| reply))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left()
    }
}

impl<S: Stream, R> Stream for MapUnordered<S, R> {
    type Item = (usize, Result<R, CallError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.map.poll_reply(cx, false)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.map.left()
    }
}

impl<S: Stream, R> fmt::Debug for Map<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("requests", &self.source.taken)
            .field("replies", &self.arriving.taken)
            .finish_non_exhaustive()
    }
}

impl<S: Stream, R> fmt::Debug for MapUnordered<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map.fmt(f)
    }
}
