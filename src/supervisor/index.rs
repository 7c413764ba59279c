//! An index of the slots by what is in them.

use alloc::vec::Vec;
use core::fmt;

use super::kinds::{Kind, Kinds};

const BITS: usize = u64::BITS as usize;

/// As many as there are kinds, and a power of two: then the compiler sees that a masked number is
/// within bounds.
const KINDS: usize = Kind::ALL.len().next_power_of_two();

/// A word for each kind.
type Words = [u64; KINDS];

/// For each kind, the set of the slots that are of that kind. It makes a decision cost the same in
/// a pool of any size.
///
/// All of it follows from what is in the slots, and it changes only in [`update`](Self::update).
/// Tests compare the two after each input.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// A bit for each slot.
    slots: Vec<Words>,
    /// A bit for each word of `slots`: whether it has a slot.
    summary: Vec<Words>,
    counts: [usize; KINDS],
}

impl fmt::Debug for Index {
    /// Shows nothing: the slots say it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// The slot is of the kinds `now`, and no longer of the kinds `before`.
    pub(super) fn update(&mut self, slot: usize, before: Kinds, now: Kinds) {
        let (word, bit) = (slot / BITS, 1 << (slot % BITS));
        if self.slots.len() <= word {
            self.slots.resize(word + 1, Words::default());
            self.summary.resize(word / BITS + 1, Words::default());
        }
        let (slots, summary) = (&mut self.slots[word], &mut self.summary[word / BITS]);
        for kind in numbers(0, before.changes(now)) {
            let kind = kind % KINDS;
            slots[kind] ^= bit;
            if slots[kind] & bit == 0 {
                self.counts[kind] -= 1;
            } else {
                self.counts[kind] += 1;
            }
            // The word had no slot, or has none now.
            if slots[kind] & !bit == 0 {
                summary[kind] ^= 1 << (word % BITS);
            }
        }
    }

    pub(super) fn has(&self, slot: usize, kind: Kind) -> bool {
        let words = self.slots.get(slot / BITS);
        words.is_some_and(|words| words[kind as usize] >> (slot % BITS) & 1 == 1)
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    /// The lowest slot of this kind.
    #[inline]
    pub(super) fn first(&self, kind: Kind) -> Option<usize> {
        // Most sets are empty most of the time.
        if self.count(kind) == 0 {
            return None;
        }
        self.lowest(kind as usize)
    }

    fn lowest(&self, kind: usize) -> Option<usize> {
        let high = self.summary.iter().position(|words| words[kind] != 0)?;
        let word = high * BITS + self.summary[high][kind].trailing_zeros() as usize;
        Some(word * BITS + self.slots[word][kind].trailing_zeros() as usize)
    }

    /// The slots of this kind, in order.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let words = self.summary.iter().enumerate();
        let words = words.flat_map(move |(high, words)| numbers(high, words[kind as usize]));
        words.flat_map(move |word| numbers(word, self.slots[word][kind as usize]))
    }
}

/// The numbers of the bits that are set in a word.
fn numbers(word: usize, bits: u64) -> impl Iterator<Item = usize> {
    let mut rest = bits;
    core::iter::from_fn(move || {
        let lowest = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(word * BITS + lowest)
    })
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec;

    use super::*;

    /// L4: the index agrees with sets that are kept in another way, whatever changes, in pools of
    /// few and of many slots.
    #[test]
    fn the_index_is_what_the_slots_are() {
        let mut index = Index::default();
        let mut model: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); Kind::ALL.len()];
        let mut known = vec![Kinds::default(); 10_000];
        let mut random = 7_u64;
        for step in 0..20_000 {
            random = (random.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1);
            // Few slots for a while, then many, then few again: the ends of the sets move.
            let slots = [3, 130, 10_000, 70][step / 100 % 4];
            let slot = (random >> 33) as usize % slots;
            let now = Kind::ALL
                .into_iter()
                .filter(|kind| random >> *kind as u64 & 1 == 1);
            let now: Kinds = now.collect();
            index.update(slot, known[slot], now);
            known[slot] = now;
            for kind in Kind::ALL {
                let model = &mut model[kind as usize];
                match now.has(kind) {
                    true => model.insert(slot),
                    false => model.remove(&slot),
                };
                assert_eq!(index.has(slot, kind), now.has(kind));
                assert_eq!(index.count(kind), model.len());
                assert_eq!(index.first(kind), model.first().copied());
                if step % 100 == 99 {
                    assert!(index.of(kind).eq(model.iter().copied()));
                }
            }
        }
        let most = model.iter().map(BTreeSet::len).max();
        assert!(most > Some(1_000), "{most:?}");
    }
}
