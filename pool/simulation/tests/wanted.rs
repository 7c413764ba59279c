//! The requests of clients, each as long as its client wants the outcome.

use ostler_pool::WorkerId;
use ostler_pool::rt::simulated::now;

use crate::ledger::{Company, Entry};
use crate::oracle::Call;
use crate::plan::Request;
use crate::world::{World, body};

impl World {
    /// As [`ask`](Self::ask), for a request that has no company. The caller waits until the last
    /// result is dropped.
    pub(crate) fn request(
        &self,
        request: Request,
        worker: Option<WorkerId>,
    ) -> (Call, Vec<u8>, Wanted) {
        let (call, bytes, wanted) = self.ask(request, worker, Company::Alone);
        wanted.waits(true);
        (call, bytes, wanted)
    }

    /// A call that begins now, on this worker if its caller holds one, and its request, which is
    /// JSON with a number of its own. The outcome is wanted until the last result is dropped.
    pub(crate) fn ask(
        &self,
        request: Request,
        worker: Option<WorkerId>,
        company: Company,
    ) -> (Call, Vec<u8>, Wanted) {
        let mut ledger = self.ledger();
        let number = ledger.requests.len() as u64 + 1;
        ledger.requests.insert(number, Entry::new(request, company));
        let call = Call {
            number,
            worker,
            begun: now(),
            drained: ledger.drained.filter(|_| ledger.is_drained()),
            is_closed: ledger.is_closed,
        };
        drop(ledger);
        let wanted = Wanted(self.clone(), number);
        (call, body(number, "", request.size), wanted)
    }

    /// Numbers the company of requests that begin now.
    pub(crate) fn company(&self) -> u64 {
        let mut ledger = self.ledger();
        ledger.companies += 1;
        ledger.companies
    }
}

/// The outcome of a request is wanted.
pub(crate) struct Wanted(World, u64);

impl Wanted {
    /// Whether its caller waits for it now, and for nothing else.
    pub(crate) fn waits(&self, waits: bool) {
        let waiting = &mut self.0.ledger().waiting;
        if waits {
            waiting.insert(self.1);
        } else {
            waiting.remove(&self.1);
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.waits(false);
        self.0.ledger().entry(self.1).is_wanted = false;
    }
}
