//! Counts the serving workers of a pool from its events alone.

use ostler_pool::{Event, Events, Phase, Pool, Reason, TryRecvError};

use crate::rig::until;

pub(crate) struct ServingCount {
    events: Events,
    serving: usize,
    fewest: usize,
    ended: Vec<Reason>,
}

impl ServingCount {
    /// Starts to count once all workers of the pool serve.
    pub(crate) async fn of(pool: &Pool, size: usize) -> Self {
        until(pool, |status| status.serving() == size).await;
        Self {
            events: pool.events(),
            serving: size,
            fewest: size,
            ended: Vec::new(),
        }
    }

    /// Why each worker stopped serving so far, and the smallest number that served at any moment.
    pub(crate) fn so_far(&mut self) -> (Vec<Reason>, usize) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.add(event),
                Err(TryRecvError::Lagged(missed)) => panic!("{missed} events were missed"),
                Err(_) => break,
            }
        }
        (self.ended.clone(), self.fewest)
    }

    /// As [`so_far`](Self::so_far), once this many workers have stopped serving.
    pub(crate) async fn until_ended(&mut self, workers: usize) -> (Vec<Reason>, usize) {
        while self.ended.len() < workers {
            let event = self.events.recv().await.expect("no event was missed");
            self.add(event);
        }
        (self.ended.clone(), self.fewest)
    }

    fn add(&mut self, event: Event) {
        let Event::Moved(moved) = event else { return };
        let serves = |phase| matches!(phase, Phase::Ready | Phase::Busy);
        self.serving += usize::from(serves(moved.to) && !serves(moved.from));
        if serves(moved.from) && !serves(moved.to) {
            self.serving -= 1;
            self.ended.extend(moved.reason);
        }
        self.fewest = self.fewest.min(self.serving);
    }
}
