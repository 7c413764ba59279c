//! Draws requests, with what workers do wrong about them.

use std::time::Duration;

use crate::draw::Swarm;
use crate::lists::Fault;
use crate::plan::Request;

/// What a worker does wrong when its call is cancelled.
pub(crate) const ON_CANCEL: [Fault; 5] = [
    Fault::CancelIgnored,
    Fault::CancelStray,
    Fault::CancelTwice,
    Fault::CancelExit,
    Fault::CancelFinish,
];

impl Swarm {
    pub(crate) fn requests(&mut self) -> Vec<Request> {
        (0..self.random.count(0, 3))
            .map(|_| self.request(false))
            .collect()
    }

    pub(crate) fn request(&mut self, is_stream: bool) -> Request {
        use Fault::*;
        let in_calls = [
            Exit,
            ReplyAndExit,
            PartialReply,
            Hang,
            Garbage,
            ShortFrame,
            Twice,
            Early,
            OldId,
            WrongKind,
            Unsolicited,
            CloseOutput,
            CloseInput,
            Raise,
            RaiseGarbage,
            NotJson,
            Slow,
        ];
        let mut one_of = |all: &[Fault], of| {
            let all: Vec<Fault> = all
                .iter()
                .copied()
                .filter(|fault| self.faults.contains(fault))
                .collect();
            (!all.is_empty() && self.random.one_in(of)).then(|| self.random.pick(&all))
        };
        let fault = one_of(&in_calls, 3);
        let on_cancel = one_of(&ON_CANCEL, 2);
        Request {
            fault,
            on_cancel,
            work: match fault {
                Some(Slow) => self.random.duration(50, 1_000),
                _ if self.random.one_in(2) => Duration::ZERO,
                _ => self.random.duration(1, 30),
            },
            // Some are too large for a frame.
            size: self.random.pick(&[0, 0, 20, 200, 900, 900, 2_000]),
            parts: if is_stream {
                self.random.count(0, 6)
            } else {
                0
            },
        }
    }
}
