//! The clients that ask for a lease, and what they are told.
//!
//! A client that is answered at once never waits. One that waits has a place in a list under the
//! pool's lock, where its answer is put: it needs no channel and no timer of its own. The clock
//! watches the deadlines of all of them.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ostler::supervisor::Input;
use ostler::{SessionId, WaiterId};

use super::effects::{Actions, Deferred};
use super::state::State;
use super::{Driver, Grant, Place, Refused};
use crate::metrics::Wait;
use crate::rt::Instant;

/// The core's answer to a client.
pub(crate) type Answer = Result<Grant, Box<Refused>>;

/// A client that asked for a lease.
pub(crate) enum Entered {
    Answered(Answer),
    /// It waits, until this deadline. `None`: until the pool has first served, and then for
    /// `checkout_timeout`.
    Waits(WaiterId, Option<Instant>),
}

/// What a client that waited is told.
pub(crate) enum Told {
    Answer(Answer),
    TimedOut,
}

/// A client that waits, or that was told and has not noticed yet.
pub(super) struct Waiting {
    since: Instant,
    /// `None`: that of all clients that came before the pool had first served.
    deadline: Option<Instant>,
    /// Where it asked for the lease.
    pub(super) place: Option<Place>,
    told: Option<Told>,
    waker: Option<Waker>,
}

impl Driver {
    /// Asks for a lease. A client that has to wait does so until `deadline`, or for `timeout` from
    /// now, or else for `checkout_timeout`. That does not run before the pool has first served:
    /// what ends the wait is then the end of the first starts.
    pub(crate) fn enter(
        self: &Arc<Self>,
        session: Option<SessionId>,
        deadline: Option<Instant>,
        timeout: Option<Duration>,
        place: Option<Place>,
    ) -> Entered {
        let mut actions = Actions::default();
        actions.place = place;
        let entered = {
            let mut state = self.lock();
            let waiter = state.new_client();
            let input = Input::Checkout { waiter, session };
            self.feed_locked(&mut state, input, None, &mut actions);
            match actions.answer.take() {
                Some(answer) => Entered::Answered(answer),
                None => {
                    let now = Instant::now();
                    let runs = timeout.is_some() || state.supervisor.has_served();
                    let timeout = timeout.unwrap_or(self.limits.checkout_timeout);
                    let deadline = deadline.or_else(|| runs.then(|| now + timeout));
                    state.wait(waiter, now, deadline, &mut actions);
                    Entered::Waits(waiter, deadline)
                }
            }
        };
        self.perform(actions);
        if let Entered::Answered(answer) = &entered {
            self.metrics.waited(wait_of(answer), None);
        }
        entered
    }

    /// What a waiting client is told. Until then, the task is woken when there is something.
    pub(crate) fn poll_told(&self, waiter: WaiterId, cx: &mut Context<'_>) -> Poll<Told> {
        let told = self.lock().take_told(waiter);
        match told {
            Some(told) => Poll::Ready(self.told(told)),
            None => self.poll_untold(waiter, cx),
        }
    }

    /// As [`poll_told`](Self::poll_told), for a client that has most likely not been told yet.
    pub(crate) fn poll_untold(&self, waiter: WaiterId, cx: &mut Context<'_>) -> Poll<Told> {
        // Cloned and dropped without the lock: both may run the user's code.
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if let Some(told) = state.take_told(waiter) {
            drop(state);
            return Poll::Ready(self.told(told));
        }
        let client = state.clients.get_mut(waiter);
        let previous = client.and_then(|client| client.waker.replace(waker));
        drop(state);
        drop(previous);
        Poll::Pending
    }

    /// A client notices what it was told.
    fn told(&self, (told, since): (Told, Instant)) -> Told {
        let wait = match &told {
            Told::Answer(answer) => wait_of(answer),
            Told::TimedOut => Wait::TimedOut,
        };
        self.metrics.waited(wait, Some(since));
        told
    }

    /// Takes a client out of the queue. Returns its answer, if that came first.
    pub(crate) fn leave(self: &Arc<Self>, waiter: WaiterId) -> Option<Answer> {
        let mut actions = Actions::default();
        let client = {
            let mut state = self.lock();
            let client = state.clients.remove(waiter)?;
            if client.told.is_none() {
                let input = Input::GaveUp { waiter };
                self.feed_locked(&mut state, input, None, &mut actions);
                actions.pending.left_queue();
            }
            client
        };
        self.perform(actions);
        self.metrics.waited(Wait::GaveUp, Some(client.since));
        match client.told {
            Some(Told::Answer(answer)) => Some(answer),
            Some(Told::TimedOut) | None => None,
        }
    }

    /// Takes the clients whose deadlines have passed out of the queue, and tells them.
    pub(super) fn time_out_clients(self: &Arc<Self>) {
        let (now, mut actions) = (Instant::now(), Actions::default());
        {
            let mut state = self.lock();
            if state.alarm.is_none_or(|alarm| now < alarm) {
                return;
            }
            let waiting = state.clients.iter();
            let is_late = |it: &Waiting| state.deadline_of(it).is_some_and(|at| at <= now);
            let late = waiting.filter(|(_, it)| it.told.is_none() && is_late(it));
            let late: Vec<WaiterId> = late.map(|(waiter, _)| waiter).collect();
            for waiter in late {
                let input = Input::GaveUp { waiter };
                self.feed_locked(&mut state, input, None, &mut actions);
                state.tell(waiter, Told::TimedOut, &mut actions);
            }
            let waiting = state.clients.iter().filter(|(_, it)| it.told.is_none());
            state.alarm = waiting.filter_map(|(_, it)| state.deadline_of(it)).min();
        }
        self.perform(actions);
    }
}

fn wait_of(answer: &Answer) -> Wait {
    match answer {
        Ok(_) => Wait::Granted,
        Err(_) => Wait::Refused,
    }
}

impl State {
    fn new_client(&mut self) -> WaiterId {
        self.last_waiter += 1;
        WaiterId(self.last_waiter)
    }

    fn wait(
        &mut self,
        waiter: WaiterId,
        since: Instant,
        deadline: Option<Instant>,
        actions: &mut Actions,
    ) {
        actions.pending.entered_queue();
        let client = Waiting {
            since,
            deadline,
            place: actions.place,
            told: None,
            waker: None,
        };
        self.clients.push(waiter, client);
        if let Some(deadline) = deadline {
            self.alarm_at(deadline, actions);
        }
    }

    fn alarm_at(&mut self, deadline: Instant, actions: &mut Actions) {
        // Almost always, the clock already looks for an earlier client, even if that one has left.
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            actions.push(Deferred::Rearm);
        }
    }

    /// Once the pool has first served, `timeout` runs for the clients that came before.
    pub(super) fn start_checkout_clock(&mut self, timeout: Duration, actions: &mut Actions) {
        if self.first_deadline.is_none() && self.supervisor.has_served() {
            let deadline = actions.now() + timeout;
            self.first_deadline = Some(deadline);
            if !self.clients.is_empty() {
                self.alarm_at(deadline, actions);
            }
        }
    }

    /// When the client gives up, if that is known yet.
    fn deadline_of(&self, client: &Waiting) -> Option<Instant> {
        client.deadline.or(self.first_deadline)
    }

    /// Answers a client: it waits, or it is entering with this input.
    pub(super) fn answer(&mut self, waiter: WaiterId, answer: Answer, actions: &mut Actions) {
        if let Some(Told::Answer(answer)) = self.tell(waiter, Told::Answer(answer), actions) {
            actions.answer = Some(answer);
        }
    }

    /// Returns what could not be told, because the client does not wait.
    fn tell(&mut self, waiter: WaiterId, told: Told, actions: &mut Actions) -> Option<Told> {
        let Some(client) = self.clients.get_mut(waiter) else {
            return Some(told);
        };
        client.told = Some(told);
        actions.pending.left_queue();
        if let Some(waker) = client.waker.take() {
            actions.push(Deferred::WakeClient(waker));
        }
        None
    }

    /// What the client was told, and since when it has waited.
    fn take_told(&mut self, waiter: WaiterId) -> Option<(Told, Instant)> {
        self.clients.get_mut(waiter)?.told.as_ref()?;
        let client = self.clients.remove(waiter)?;
        Some((client.told?, client.since))
    }
}
