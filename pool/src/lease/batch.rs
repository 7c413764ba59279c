//! Several requests on one lease: in batches, if the worker takes them, or as calls.

use std::future::poll_fn;

use super::Lease;
use super::call::{Call, Received};
use super::requests::Requests;
use crate::error::CallError;
use crate::transport::frame::kind;

/// The longest batch, in bytes. A longer one would save nothing more. A worker reads the whole
/// batch before it begins, and if it exits, every unanswered request of the batch fails.
const MAX_BATCH: usize = 64 * 1024;

/// Gets the answers to requests, in the order of the requests.
pub(super) trait Answers {
    fn push(&mut self, answer: Result<Vec<u8>, CallError>);

    /// The next answer is not there yet.
    fn pause(&mut self) {}
}

impl Answers for Vec<Result<Vec<u8>, CallError>> {
    fn push(&mut self, answer: Result<Vec<u8>, CallError>) {
        self.push(answer);
    }
}

/// Sends the requests from `first` on until all are answered, or the lease is over. Every request
/// that was sent gets its answer. Returns the place of the first request that was not sent.
///
/// Dropped before it resolves, it ends the lease in the middle of a call.
pub(super) async fn run(
    lease: &mut Lease,
    requests: &Requests,
    mut first: usize,
    answers: &mut impl Answers,
) -> usize {
    while first < requests.len() && !lease.grant.has_ended() {
        let transport = lease.grant.transport();
        let together = if transport.takes_batches() {
            requests.fitting(first, transport.max_body().min(MAX_BATCH))
        } else {
            first..first + 1
        };
        first = together.end;
        if together.len() > 1 {
            let body = requests.batch(together.clone());
            run_batch(lease, &body, together.len(), answers).await;
        } else {
            answers.pause();
            let answer = lease.call(requests.get(together.start)).await;
            answers.push(answer);
        }
    }
    first
}

/// Sends one batch and passes on `left` answers.
async fn run_batch(lease: &mut Lease, body: &[u8], mut left: usize, answers: &mut impl Answers) {
    let failure = match Call::begin(&mut lease.grant, kind::BATCH, body) {
        Err(error) => error,
        Ok(mut call) => loop {
            // Many replies come with one read.
            while let Some(reply) = call.take_reply() {
                answers.push(Ok(reply));
                left -= 1;
            }
            let answer = poll_fn(|cx| {
                let polled = call.poll_next(cx, body);
                if polled.is_pending() {
                    answers.pause();
                }
                polled
            })
            .await;
            match answer {
                Err(error) if !matches!(error, CallError::Raised { .. }) => break error,
                answer => answers.push(answer.map(Received::into_body)),
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
