//! Several requests, one after another in memory.

use std::ops::Range;

/// Requests in the order in which they are sent. Two allocations, however many there are.
#[derive(Debug, Default)]
pub(super) struct Requests {
    bodies: Vec<u8>,
    /// Where in `bodies` each request ends.
    ends: Vec<usize>,
}

/// What a batch takes for its count, and for the length of each request.
const WORD: usize = size_of::<u32>();

impl Requests {
    pub(super) fn push(&mut self, request: &[u8]) {
        self.bodies.extend_from_slice(request);
        self.ends.push(self.bodies.len());
    }

    /// Adds the request that `write` appends to the bytes it is given, unless it fails.
    pub(super) fn write<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.bodies.len();
        let written = write(&mut self.bodies);
        match written {
            Ok(()) => self.ends.push(self.bodies.len()),
            Err(_) => self.bodies.truncate(end),
        }
        written
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The size of all requests, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bodies.len()
    }

    pub(super) fn get(&self, place: usize) -> &[u8] {
        &self.bodies[self.start(place)..self.ends[place]]
    }

    fn start(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The requests from `first` on that fit into one batch with a body of `max` bytes. At least
    /// one, whether it fits or not.
    pub(super) fn fitting(&self, first: usize, max: usize) -> Range<usize> {
        let start = self.start(first);
        let size = |end: usize| WORD + (end - first) * WORD + self.ends[end - 1] - start;
        let (mut fits, mut exceeds) = (first + 1, self.len() + 1);
        while exceeds - fits > 1 {
            let end = usize::midpoint(fits, exceeds);
            if size(end) <= max {
                fits = end;
            } else {
                exceeds = end;
            }
        }
        first..fits
    }

    /// The body of a `BATCH` of these requests.
    pub(super) fn batch(&self, places: Range<usize>) -> Vec<u8> {
        let word = |number: usize| {
            u32::try_from(number)
                .expect("a frame is shorter")
                .to_be_bytes()
        };
        let bodies = &self.bodies[self.start(places.start)..self.ends[places.end - 1]];
        let mut body = Vec::with_capacity(WORD + places.len() * WORD + bodies.len());
        body.extend_from_slice(&word(places.len()));
        for place in places {
            body.extend_from_slice(&word(self.get(place).len()));
        }
        body.extend_from_slice(bodies);
        body
    }
}
