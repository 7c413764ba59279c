//! The ids of requests: unpredictable, so that a worker can answer only a request that it has read.

use std::hash::BuildHasher;

use crate::rt::Keys;

/// How many requests pass before an id may be used again.
const RECENT: usize = 8;

/// Draws ids that a worker cannot predict from those it has seen: the keyed hash of a counter. The
/// key is random and never leaves the host.
#[derive(Debug, Default)]
pub(super) struct Ids<K = Keys> {
    key: K,
    drawn: u64,
    /// The last ids, in a ring. A late answer to one of these requests must not fit the next.
    recent: [u32; RECENT],
    oldest: usize,
}

impl<K: BuildHasher> Ids<K> {
    pub(super) fn next(&mut self) -> u32 {
        loop {
            self.drawn += 1;
            // The upper half of the hash.
            let id = (self.key.hash_one(self.drawn) >> 32) as u32;
            // 0 belongs to the handshake, and is what `recent` holds at first.
            if id != 0 && !self.recent.contains(&id) {
                self.recent[self.oldest] = id;
                self.oldest = (self.oldest + 1) % RECENT;
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasherDefault, Hasher};

    use super::*;

    /// C6: neither the order of ids nor the distance between two tells the next, and each worker
    /// has ids of its own.
    #[test]
    fn ids_are_unpredictable() {
        let draw = |ids: &mut Ids| -> Vec<u32> { (0..1000).map(|_| ids.next()).collect() };
        let (first, second) = (draw(&mut Ids::default()), draw(&mut Ids::default()));
        assert_ne!(first, second);
        assert!(!first.contains(&0));
        let steps: HashSet<u32> = (first.windows(2))
            .map(|pair| pair[1].wrapping_sub(pair[0]))
            .collect();
        assert!(steps.len() > 990, "{} steps", steps.len());
        let growing = first.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((300..700).contains(&growing), "{growing} of 999 grow");
        for window in first.windows(RECENT + 1) {
            let (last, earlier) = window.split_last().unwrap();
            assert!(!earlier.contains(last));
        }
    }

    /// A hash with a few values only, in turn: 0, 0, 0, 1, 1, 1, 2, ...
    #[derive(Default)]
    struct Few(u64);

    impl Hasher for Few {
        fn write(&mut self, _: &[u8]) {}

        fn write_u64(&mut self, drawn: u64) {
            self.0 = (drawn / 3 % 12) << 32;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    /// C1: an id is not used again for the next few requests, even if the hash repeats itself, and
    /// never is it the id of the handshake.
    #[test]
    fn an_id_is_not_used_again_soon() {
        let mut ids = Ids::<BuildHasherDefault<Few>>::default();
        let drawn: Vec<u32> = (0..100).map(|_| ids.next()).collect();
        let turns: Vec<u32> = (1..12).cycle().take(100).collect();
        assert_eq!(drawn, turns);
    }
}
