//! Several requests on one lease: in batches, if the worker takes them, or as calls.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::Lease;
use super::call::{Call, Held, Received};
use super::requests::Requests;
use crate::error::CallError;
use crate::transport::frame::kind;

/// The longest batch of requests that have nothing to do with each other, in bytes. A longer one
/// would save nothing more. A worker reads the whole batch before it begins, and if it exits, every
/// unanswered request of the batch fails.
pub(super) const MAX_BATCH: usize = 64 * 1024;

/// Gets the answers to requests, in the order of the requests.
pub(super) trait Answers {
    fn push(&mut self, answer: Result<Vec<u8>, CallError>);

    /// The next answer is not there yet. Ready once no answer is wanted: the call is then
    /// abandoned.
    fn poll_given_up(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Answers for Vec<Result<Vec<u8>, CallError>> {
    fn push(&mut self, answer: Result<Vec<u8>, CallError>) {
        self.push(answer);
    }
}

/// Sends the requests from `first` on until all are answered, or the lease is over. Every request
/// that was sent gets its answer. A batch has `max` bytes at most. Returns the place of the first
/// request that was not sent.
///
/// Dropped before it resolves, it ends the lease in the middle of a call.
pub(super) async fn run(
    lease: &mut Lease,
    requests: &Requests,
    mut first: usize,
    max: usize,
    answers: &mut impl Answers,
) -> usize {
    while first < requests.len() && !lease.grant.has_ended() {
        let transport = lease.grant.transport();
        let together = if transport.takes_batches() {
            requests.fitting(first, transport.max_body().min(max))
        } else {
            first..first + 1
        };
        first = together.end;
        let before = lease.grant.recorded();
        let count = together.len();
        if count > 1 {
            let body = requests.batch(together);
            send(lease, kind::BATCH, &body, count, answers).await;
        } else {
            let body = requests.get(together.start);
            send(lease, kind::CALL, body, count, answers).await;
        }
        if lease.grant.limits().takes_lists {
            lease.grant.count_as_one(before);
        }
    }
    first
}

/// Sends one message, and passes on the answers to the `left` requests in it.
async fn send(
    lease: &mut Lease,
    kind: u8,
    body: &[u8],
    mut left: usize,
    answers: &mut impl Answers,
) {
    let grant = Held::Borrowed(&mut lease.grant);
    let failure = match Call::begin(grant, kind, body, &lease.options) {
        Err(error) => error,
        Ok(mut call) => loop {
            // Many replies come with one read.
            while let Some(reply) = call.take_reply() {
                answers.push(Ok(reply));
                left -= 1;
            }
            let answer = poll_fn(|cx| match call.poll_next(cx, body) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => answers.poll_given_up(cx).map(|()| None),
            })
            .await;
            match answer {
                None => return,
                Some(Err(error)) if !matches!(error, CallError::Raised { .. }) => break error,
                Some(answer) => answers.push(answer.map(Received::into_body)),
            }
            left -= 1;
            if left == 0 {
                return;
            }
        },
    };
    for _ in 1..left {
        answers.push(Err(failure.shared()));
    }
    answers.push(Err(failure));
}
