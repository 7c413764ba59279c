//! What happened, kept for those who watch.

use std::collections::VecDeque;

use ostler::supervisor::Event;

/// How many events a reader may be behind. One that is further behind has missed those before, and is told how many.
const KEPT: usize = 4096;

/// The latest events, in their order. Empty while nobody reads, so that it costs nothing then.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: VecDeque<Event>,
    /// The number of the first of them.
    first: u64,
    readers: usize,
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Read {
    Event(Event),
    /// So many events are gone.
    Missed(u64),
    /// There is nothing new yet.
    Nothing,
    /// There will be nothing new.
    Closed,
}

impl Log {
    /// Whether somebody reads, who is to be told.
    pub(super) fn push(&mut self, event: Event) -> bool {
        if self.readers == 0 {
            return false;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
            self.first += 1;
        }
        self.events.push_back(event);
        true
    }

    pub(super) fn subscribe(&mut self) -> u64 {
        self.readers += 1;
        self.end()
    }

    pub(super) fn unsubscribe(&mut self) {
        self.readers -= 1;
        if self.readers == 0 {
            self.first = self.end();
            self.events = VecDeque::new();
        }
    }

    pub(super) fn read(&self, next: u64, closed: bool) -> Read {
        if next < self.first {
            return Read::Missed(self.first - next);
        }
        let index = usize::try_from(next - self.first).unwrap_or(usize::MAX);
        match (self.events.get(index), closed) {
            (Some(event), _) => Read::Event(*event),
            (None, false) => Read::Nothing,
            (None, true) => Read::Closed,
        }
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}
