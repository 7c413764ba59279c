//! Callers that wait for the end of an operation.

use tokio::sync::oneshot::{self, Receiver, Sender};

/// How many there are before the first look for callers that are gone. In the simulation, few
/// callers wait.
const FEW: usize = if cfg!(shuttle) { 1 } else { 16 };

/// The senders of the callers that wait. Callers may be gone: their senders are removed before they
/// outnumber the others, so an operation that never ends keeps no memory for each of them.
#[derive(Debug)]
pub(super) struct Waiters<T> {
    senders: Vec<Sender<T>>,
    /// How many there may be before the next look. Twice as many as the last look left, so that a
    /// caller costs a constant number of looks.
    most: usize,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self {
            senders: Vec::new(),
            most: FEW,
        }
    }
}

impl<T> Waiters<T> {
    /// Adds a caller. Returns what it waits on, and the senders of callers that are gone, which are
    /// to be dropped without the lock: each may drop a caller's waker.
    pub(super) fn add(&mut self) -> (Receiver<T>, Vec<Sender<T>>) {
        let mut gone = Vec::new();
        if self.senders.len() >= self.most {
            gone = self
                .senders
                .extract_if(.., |sender| sender.is_closed())
                .collect();
            self.most = FEW.max(2 * self.senders.len());
            self.senders.shrink_to(self.most);
        }
        let (sender, receiver) = oneshot::channel();
        self.senders.push(sender);
        (receiver, gone)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    /// Takes all of them, to be answered.
    pub(super) fn take(&mut self) -> Vec<Sender<T>> {
        std::mem::take(self).senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M2: callers that are gone leave nothing behind, and those that wait are answered.
    #[test]
    fn callers_that_are_gone_are_forgotten() {
        let mut waiters = Waiters::default();
        let mut waiting = Vec::new();
        let (mut most, mut forgotten) = (0, 0);
        for number in 0..10_000 {
            let (receiver, gone) = waiters.add();
            forgotten += gone.len();
            if number % 100 == 0 {
                waiting.push(receiver);
            }
            most = most.max(waiters.senders.capacity());
        }
        assert!(most <= 512, "room for {most} callers");
        assert!(forgotten > 9_000, "{forgotten}");
        let many: Vec<_> = (0..1000).map(|_| waiters.add()).collect();
        drop(many);
        for _ in 0..2000 {
            drop(waiters.add());
        }
        let room = waiters.senders.capacity();
        assert!(room <= 512, "room for {room} callers");
        for sender in waiters.take() {
            let _ = sender.send(7);
        }
        let answered = waiting.iter_mut().map(|receiver| receiver.try_recv().ok());
        assert_eq!(answered.collect::<Vec<_>>(), vec![Some(7); 100]);
    }
}
