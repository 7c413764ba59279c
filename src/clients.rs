//! A list of clients in the order in which they came.

use alloc::collections::VecDeque;
use core::fmt;

use crate::WaiterId;

/// Something for each of some clients, in the order in which the clients came: that of their ids.
///
/// Adding one at the end, finding one and removing one, wherever it is, take a few steps in a list
/// of any length.
///
/// ```
/// use ostler::{Clients, WaiterId};
///
/// let mut names = Clients::new();
/// for (id, name) in [(1, "Ada"), (2, "Bob"), (5, "Eve")] {
///     names.push(WaiterId(id), name);
/// }
/// assert_eq!(names.remove(WaiterId(1)), Some("Ada"));
/// assert_eq!(names.first(), Some((WaiterId(2), &"Bob")));
/// assert_eq!(names.len(), 2);
/// ```
#[derive(Clone)]
pub struct Clients<T> {
    /// By id. Where one was removed, its place remains for a while. The first and the last entry
    /// are never such places.
    entries: VecDeque<(WaiterId, Option<T>)>,
    /// How many entries are such places.
    empty: usize,
}

/// As few entries as need no tidying.
const FEW: usize = 32;

impl<T> Clients<T> {
    /// An empty list. It has no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            empty: 0,
        }
    }

    /// Adds a client at the end.
    ///
    /// # Panics
    ///
    /// In a debug build, if its id is not greater than those in the list. In a release build, the
    /// client may then not be found again.
    pub fn push(&mut self, client: WaiterId, value: T) {
        let last = self.last().map(|(last, _)| last);
        debug_assert!(last < Some(client), "{client:?} after {last:?}");
        self.entries.push_back((client, Some(value)));
    }

    /// What the list has for this client.
    pub fn get_mut(&mut self, client: WaiterId) -> Option<&mut T> {
        let index = self.find(client)?;
        self.entries[index].1.as_mut()
    }

    /// Removes a client.
    pub fn remove(&mut self, client: WaiterId) -> Option<T> {
        let index = self.find(client)?;
        let value = self.entries[index].1.take()?;
        self.empty += 1;
        self.tidy();
        Some(value)
    }

    /// The client that came first.
    #[must_use]
    pub fn first(&self) -> Option<(WaiterId, &T)> {
        let (client, value) = self.entries.front()?;
        Some((*client, value.as_ref()?))
    }

    /// The client that came last.
    #[must_use]
    pub fn last(&self) -> Option<(WaiterId, &T)> {
        let (client, value) = self.entries.back()?;
        Some((*client, value.as_ref()?))
    }

    /// Every client, in order.
    pub fn iter(&self) -> impl Iterator<Item = (WaiterId, &T)> {
        let entries = self.entries.iter();
        entries.filter_map(|(client, value)| Some((*client, value.as_ref()?)))
    }

    /// How many clients there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.empty
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, client: WaiterId) -> Option<usize> {
        // Ids are counted, so an entry is at most as far from the first one as their ids are apart.
        let (first, _) = self.entries.front()?;
        let apart = usize::try_from(client.0.checked_sub(first.0)?).ok()?;
        let farthest = apart.min(self.entries.len() - 1);
        if self.entries[farthest].0 == client {
            return Some(farthest);
        }
        let found = self.entries.binary_search_by_key(&client, |entry| entry.0);
        found.ok()
    }

    /// Removes empty places at both ends, and all of them when they are more than the clients.
    fn tidy(&mut self) {
        while let Some((_, None)) = self.entries.front() {
            self.entries.pop_front();
            self.empty -= 1;
        }
        while let Some((_, None)) = self.entries.back() {
            self.entries.pop_back();
            self.empty -= 1;
        }
        if self.empty > self.len() + FEW {
            self.entries.retain(|entry| entry.1.is_some());
            self.empty = 0;
        }
        // A queue that was long once does not keep its memory.
        if self.entries.capacity() > 4 * (self.entries.len() + FEW) {
            self.entries.shrink_to(2 * (self.entries.len() + FEW));
        }
    }
}

impl<T> Default for Clients<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Clients<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    /// L4, L8: a list of clients agrees with a map, whichever clients leave, and its memory follows
    /// their number.
    #[test]
    fn a_list_of_clients_is_a_map() {
        let (mut clients, mut model) = (Clients::new(), BTreeMap::new());
        let (mut random, mut next, mut longest) = (7_u64, 0, 0);
        for step in 0..60_000 {
            random = (random.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1);
            let draw = (random >> 33) as usize;
            // More come than leave for a while, then more leave than come.
            let grows = step / 1_000 % 3 != 2;
            if draw % 10 < if grows { 7 } else { 2 } {
                next += 1 + random % 3;
                clients.push(WaiterId(next), step);
                model.insert(WaiterId(next), step);
            } else if let Some(position) = draw.checked_rem(model.len()) {
                // The first, the last or any of them.
                let position = [0, model.len() - 1, position][draw / 16 % 3];
                let client = *model.keys().nth(position).unwrap();
                assert_eq!(clients.get_mut(client), model.get_mut(&client));
                assert_eq!(clients.remove(client), model.remove(&client));
                assert_eq!(clients.remove(client), None);
            }
            longest = longest.max(model.len());
            assert_eq!(clients.len(), model.len());
            assert_eq!(clients.is_empty(), model.is_empty());
            let ends = (clients.first(), clients.last());
            let ends = (ends.0.map(|it| it.0), ends.1.map(|it| it.0));
            assert_eq!(ends.0, model.keys().next().copied());
            assert_eq!(ends.1, model.keys().next_back().copied());
            assert!(clients.entries.len() <= 2 * model.len() + FEW + 1);
            if step % 500 == 0 {
                let all: Vec<_> = clients.iter().map(|(id, step)| (id, *step)).collect();
                assert!(
                    all.into_iter()
                        .eq(model.iter().map(|(id, step)| (*id, *step)))
                );
            }
        }
        assert!(longest > 1_000, "{longest}");
        for client in model.keys() {
            clients.remove(*client);
        }
        let kept = clients.entries.capacity();
        assert!(clients.is_empty() && kept <= 4 * FEW, "room for {kept}");
    }
}
