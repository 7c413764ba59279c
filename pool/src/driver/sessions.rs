//! Sessions by the names that clients gave them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use ostler::supervisor::{Input, Refusal, SessionEnd};
use ostler::{SessionId, WorkerId};

use super::Driver;
use super::effects::Actions;
use crate::error::SessionError;
use crate::transport::Transport;
use crate::transport::details::Details;

/// At most `max_sessions`.
#[derive(Default)]
pub(super) struct Sessions {
    by_name: HashMap<Arc<str>, SessionId>,
    open: HashMap<SessionId, Arc<SessionTag>>,
    last: u64,
    /// Why the session that is being opened was refused.
    refusal: Option<Refusal>,
}

impl Sessions {
    pub(super) fn named(&self, name: &str) -> Option<SessionId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn add(&mut self, name: &str) -> SessionId {
        self.last += 1;
        let (session, name) = (SessionId(self.last), Arc::<str>::from(name));
        let tag = SessionTag {
            session,
            name: Arc::clone(&name),
            worker: OnceLock::new(),
        };
        self.by_name.insert(name, session);
        self.open.insert(session, Arc::new(tag));
        session
    }

    pub(super) fn tag(&self, session: SessionId) -> Option<Arc<SessionTag>> {
        self.open.get(&session).cloned()
    }

    /// Forgets the session. The caller drops what is returned after it has released the lock.
    pub(super) fn ended(&mut self, session: SessionId, end: SessionEnd) -> Option<Arc<SessionTag>> {
        if let SessionEnd::Refused(refusal) = end {
            self.refusal = Some(refusal);
        }
        let tag = self.open.remove(&session)?;
        self.by_name.remove(&tag.name);
        Some(tag)
    }

    /// Why the session that was just opened was refused, if it was.
    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }
}

impl Driver {
    /// The session of this name. Opens it if it is not open.
    pub(crate) fn session(self: &Arc<Self>, name: &str) -> Result<SessionId, SessionError> {
        let mut actions = Actions::default();
        let opened = {
            let mut state = self.lock();
            if let Some(session) = state.sessions.named(name) {
                return Ok(session);
            }
            let session = state.sessions.add(name);
            let input = Input::OpenSession { session };
            self.feed_locked(&mut state, input, None, &mut actions);
            let refusal = state.sessions.take_refusal();
            refusal.map_or(Ok(session), |refusal| Err(state.refused(refusal).into()))
        };
        self.perform(actions);
        opened
    }

    /// The session as its worker knows it, unless it is over.
    pub(crate) fn session_tag(&self, session: SessionId) -> Option<Arc<SessionTag>> {
        self.lock().sessions.tag(session)
    }

    /// The worker that the session is bound to.
    pub(crate) fn session_worker(&self, session: SessionId) -> Option<WorkerId> {
        self.lock().supervisor.session_worker(session)
    }
}

/// A session, as its worker knows it. Each of its leases has a share. The last share goes when the
/// session is over and no lease of it is left, and its drop tells the worker.
#[derive(Debug)]
pub(crate) struct SessionTag {
    session: SessionId,
    name: Arc<str>,
    /// The worker that knows of it. It never moves to another one.
    worker: OnceLock<Weak<Transport>>,
}

impl SessionTag {
    /// Adds the session to what a worker is told of a request.
    pub(crate) fn describe(&self, details: &mut Details) {
        details.session(self.session.0, &self.name);
    }

    /// A request of the session goes to this worker.
    pub(crate) fn reaches(&self, worker: &Arc<Transport>) {
        self.worker.get_or_init(|| Arc::downgrade(worker));
    }
}

impl Drop for SessionTag {
    fn drop(&mut self) {
        if let Some(transport) = self.worker.get().and_then(Weak::upgrade) {
            transport.session_ended(self.session.0, &self.name);
        }
    }
}
