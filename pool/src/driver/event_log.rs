//! Recent events, kept for readers.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use ostler::supervisor::Event;

/// How many events a reader may be behind. A reader that is further behind misses the oldest, and
/// is told how many. Few in the simulation, so that readers fall behind there, too.
const KEPT: usize = if cfg!(shuttle) { 16 } else { 4096 };

/// The most recent events, in order. Empty while there is no reader, so that it costs nothing then.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<Event>,
    /// The number of the first of them.
    first: u64,
    /// Each reader, and the task that waits for its next event.
    readers: HashMap<u64, Option<Waker>>,
    last_reader: u64,
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Read {
    Event(Event),
    /// The reader fell behind, and this many events are gone.
    Lagged(u64),
    /// There is no event now.
    Empty,
    /// There will be no more events.
    Closed,
}

impl EventLog {
    /// Adds an event. Returns whether there are readers to wake.
    pub(super) fn push(&mut self, event: Event) -> bool {
        if self.readers.is_empty() {
            return false;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
            self.first += 1;
        }
        self.events.push_back(event);
        true
    }

    /// A new reader, and the number of the first event that it will see.
    pub(super) fn subscribe(&mut self) -> (u64, u64) {
        self.last_reader += 1;
        self.readers.insert(self.last_reader, None);
        (self.last_reader, self.end())
    }

    /// Forgets a reader. The caller drops its waker after it has released the lock.
    pub(super) fn unsubscribe(&mut self, reader: u64) -> Option<Waker> {
        let waker = self.readers.remove(&reader).flatten();
        if self.readers.is_empty() {
            self.first = self.end();
            self.events = VecDeque::new();
        }
        waker
    }

    /// Sets the task to wake when an event comes. The caller drops the previous one after it has
    /// released the lock.
    pub(super) fn wait(&mut self, reader: u64, waker: Waker) -> Option<Waker> {
        self.readers.get_mut(&reader)?.replace(waker)
    }

    /// The tasks that wait for an event. The caller wakes them after it has released the lock.
    pub(super) fn waiting(&mut self) -> Vec<Waker> {
        self.readers.values_mut().filter_map(Option::take).collect()
    }

    pub(super) fn read(&self, next: u64, closed: bool) -> Read {
        if next < self.first {
            return Read::Lagged(self.first - next);
        }
        let index = usize::try_from(next - self.first).unwrap_or(usize::MAX);
        match (self.events.get(index), closed) {
            (Some(event), _) => Read::Event(*event),
            (None, false) => Read::Empty,
            (None, true) => Read::Closed,
        }
    }

    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use ostler::WorkerId;

    use super::*;

    /// L19: without a reader, the log keeps neither events nor room for them.
    #[test]
    fn an_unread_log_keeps_no_memory() {
        let mut log = EventLog::default();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        assert!(!log.push(Event::Opened { worker }));
        let (reader, _) = log.subscribe();
        assert!(log.push(Event::Opened { worker }));
        log.unsubscribe(reader);
        assert_eq!((log.events.capacity(), log.readers.len()), (0, 0));
    }
}
