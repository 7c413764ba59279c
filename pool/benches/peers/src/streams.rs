//! A stream of small parts, beside a reader of the same bytes on a bare pipe.

use std::io::{Read, Write};
use std::time::Instant;

use crate::echo::PART;
use crate::pipes::{Blocking, Ostler, WORKER, frame};
use crate::results::{Plan, Role, Row};
use crate::rounds::nanos;

const PARTS: u32 = 200_000;
const HEAD: usize = 9;

pub(crate) fn rows(rounds: usize) -> Vec<Row> {
    let ostler = Ostler::open();
    let mut lease = ostler.lease();
    let mut bare = Blocking::open();
    let operation = format!("one part of {PART} B of a stream, one processor");
    let streamed = || {
        let start = Instant::now();
        let parts = ostler.runtime.block_on(async {
            let mut stream = lease.stream(PARTS.to_be_bytes()).expect("a stream");
            let mut parts = 0;
            while let Some(part) = stream.next().await {
                assert_eq!(part.expect("a part").len(), PART);
                parts += 1;
            }
            parts
        });
        assert_eq!(parts, PARTS);
        nanos(start.elapsed()) / f64::from(PARTS)
    };
    vec![
        Plan::new("Gs", operation, WORKER)
            .add(Role::Ostler, "ostler", streamed)
            .add(Role::Floor, "blocking pipe", || read(&mut bare))
            .goal(2.0)
            .limit("Each part is returned as a vector of its own; the floor copies none.")
            .measure(rounds),
    ]
}

/// Reads as much at once as there is, and looks at each frame's head.
fn read(bare: &mut Blocking) -> f64 {
    let request = frame(5, &PARTS.to_be_bytes());
    let start = Instant::now();
    bare.stdin.write_all(&request).expect("the worker reads");
    let mut buffer = vec![0; 1 << 16];
    let (mut filled, mut parts) = (0, 0);
    loop {
        let got = bare.stdout.read(&mut buffer[filled..]);
        filled += got.expect("the worker answers");
        let mut rest = &buffer[..filled];
        while let Some(head) = rest.get(..HEAD) {
            let end = 4 + u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            if rest.len() < end {
                break;
            }
            if head[4] == 129 {
                assert_eq!(parts, PARTS);
                return nanos(start.elapsed()) / f64::from(parts);
            }
            parts += 1;
            rest = &rest[end..];
        }
        let consumed = filled - rest.len();
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
    }
}
