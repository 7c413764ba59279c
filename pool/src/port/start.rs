//! What a port is opened for.

use ostler::WorkerId;

/// The worker that a port is opened for. See [`Opener::open`](super::Opener::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Start {
    /// The worker. Each id is used once.
    pub worker: WorkerId,
    /// Its position: a number from 0, below the pool's size. A worker has the position of the
    /// worker that it replaces, and while that one still serves, both have it. No third worker
    /// does.
    pub position: usize,
}

impl Start {
    /// The start of this worker at this position, for a test that opens a port without a pool.
    ///
    /// ```
    /// # use ostler_pool::WorkerId;
    /// # use ostler_pool::port::Start;
    /// let start = Start::new(WorkerId { slot: 0, generation: 1 }, 3);
    /// assert_eq!(start.position, 3);
    /// ```
    #[must_use]
    pub const fn new(worker: WorkerId, position: usize) -> Self {
        Self { worker, position }
    }
}
