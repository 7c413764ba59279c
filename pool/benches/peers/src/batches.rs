//! Many small calls to one worker, beside the same worker on a bare pipe.

use std::io::{Read, Write};
use std::iter;
use std::time::Instant;

use futures_util::StreamExt;

use crate::pipes::{Blocking, Ostler, WORKER, frame};
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;

const CALLS: usize = 100_000;
const REQUEST: [u8; 64] = [b'x'; 64];
/// How many requests are sent before the answers are read, by all but `map`. The floors need that
/// they fit into a pipe.
const AT_ONCE: usize = 500;
/// The size of an answer.
const ANSWER: usize = 9 + REQUEST.len();

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let ostler = Ostler::open();
    let call_many = || {
        let requests = vec![REQUEST; CALLS];
        // The worker goes back to the pool, for the other row.
        let mut lease = ostler.lease();
        let start = Instant::now();
        ostler.runtime.block_on(async {
            for requests in requests.chunks(AT_ONCE) {
                for reply in lease.call_many(requests).await {
                    assert_eq!(reply.expect("a reply"), REQUEST);
                }
            }
        });
        nanos(start.elapsed()) / CALLS as f64
    };
    let map = || {
        let start = Instant::now();
        ostler.runtime.block_on(async {
            let mut replies = ostler.pool.map(iter::repeat_n(REQUEST, CALLS));
            while let Some(reply) = replies.next().await {
                assert_eq!(reply.expect("a reply"), REQUEST);
            }
        });
        nanos(start.elapsed()) / CALLS as f64
    };
    let row = |operation: &str, ostler: &dyn Fn() -> f64| {
        let mut bare = (Blocking::open(), Blocking::open());
        let operation = format!("64 B call, many by {operation}, one processor");
        Plan::new("G8", operation, WORKER)
            .add(Role::Ostler, "ostler", ostler)
            .goal(1e9 / 1.5e6)
            .add(Role::Floor, "blocking pipe, one write for all", || {
                exchange(&mut bare.0, &[batch()])
            })
            .add(Role::Floor, "blocking pipe, one write each", || {
                exchange(&mut bare.1, &vec![frame(2, &REQUEST); AT_ONCE])
            })
            .limit("Each reply is returned as a vector of its own; the floors copy none.")
            .measure(rounds)
    };
    vec![row("call_many", &call_many), row("map", &map)]
}

fn batch() -> Vec<u8> {
    let mut body = (AT_ONCE as u32).to_be_bytes().to_vec();
    body.extend((REQUEST.len() as u32).to_be_bytes().repeat(AT_ONCE));
    body.extend(REQUEST.repeat(AT_ONCE));
    frame(7, &body)
}

/// Writes the frames one by one, and reads the answers to their requests, until there were
/// [`CALLS`].
fn exchange(bare: &mut Blocking, frames: &[Vec<u8>]) -> f64 {
    let mut answers = vec![0; AT_ONCE * ANSWER];
    let start = Instant::now();
    for _ in 0..CALLS / AT_ONCE {
        for frame in frames {
            bare.stdin.write_all(frame).expect("the worker reads");
        }
        let read = bare.stdout.read_exact(&mut answers);
        read.expect("the worker answers");
        for answer in answers.chunks(ANSWER) {
            assert_eq!(answer[..5], [0, 0, 0, ANSWER as u8 - 4, 129]);
        }
    }
    nanos(start.elapsed()) / CALLS as f64
}
