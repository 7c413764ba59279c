//! What a worker learns of sessions.

use std::collections::BTreeSet;

use crate::process::Process;

/// The tags of the entries of `DETAILS`.
const SESSION: u8 = 2;
const SESSION_NUMBER: u8 = 5;

#[derive(Default)]
pub(crate) struct Sessions {
    /// That of the next request.
    next: Option<String>,
    /// The sessions of this worker by their numbers and names, as long as they last, and those that
    /// are over.
    open: BTreeSet<(u64, String)>,
    over: BTreeSet<u64>,
}

impl Sessions {
    /// The next request has these details. Only sessions have any.
    pub(crate) fn details(&mut self, mut body: &[u8]) {
        let (mut name, mut number) = (None, None);
        while let Some((tag, rest)) = body.split_first() {
            let (length, rest) = rest.split_first_chunk().expect("a length");
            let (value, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            match *tag {
                SESSION => name = Some(String::from_utf8(value.to_vec()).expect("a name")),
                SESSION_NUMBER => number = Some(u64::from_be_bytes(value.try_into().unwrap())),
                tag => panic!("an entry with the tag {tag}"),
            }
            body = rest;
        }
        let (name, number) = (name.expect("a name"), number.expect("a number"));
        assert!(!self.over.contains(&number), "session {number} is over");
        self.open.insert((number, name.clone()));
        let previous = self.next.replace(name);
        assert_eq!(previous, None, "a request has two");
    }

    /// A session is over. This worker has served it, hears of its end once, and between two
    /// requests.
    pub(crate) fn ended(&mut self, body: &[u8]) {
        let (number, name) = body.split_first_chunk().expect("a number");
        let name = String::from_utf8(name.to_vec()).expect("a name");
        let number = u64::from_be_bytes(*number);
        assert!(
            self.open.remove(&(number, name)),
            "session {number} is over"
        );
        self.over.insert(number);
        assert_eq!(self.next, None, "between the details and the request");
    }

    /// The session of this request.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.next.take()
    }
}

impl Process {
    /// Whether the worker was told the truth about the session of a request.
    pub(crate) fn judge_session(&self, number: u64, told: Option<&str>) {
        let ledger = self.world.ledger();
        let session = ledger.sessions.get(&number);
        let expected = session.map(|name| format!("session {name}"));
        // A session may end before its last request is sent.
        let may_be_over = ledger.sessions_ended
            || ledger.is_closing
            || self.world.plan().config.session_idle_timeout.is_some();
        let is_right = match told {
            Some(told) => expected.as_deref() == Some(told),
            None => expected.is_none() || may_be_over || !self.takes_batches,
        };
        assert!(is_right, "request {number} of {expected:?}: {told:?}");
    }
}
