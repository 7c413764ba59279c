//! Sessions by the names that clients gave them.

use std::collections::HashMap;
use std::sync::Arc;

use ostler::SessionId;
use ostler::supervisor::{Refusal, SessionEnd};

/// At most `max_sessions`.
#[derive(Default)]
pub(super) struct Sessions {
    by_name: HashMap<Arc<str>, SessionId>,
    names: HashMap<SessionId, Arc<str>>,
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
        self.by_name.insert(Arc::clone(&name), session);
        self.names.insert(session, name);
        session
    }

    pub(super) fn ended(&mut self, session: SessionId, end: SessionEnd) {
        if let Some(name) = self.names.remove(&session) {
            self.by_name.remove(&name);
        }
        if let SessionEnd::Refused(refusal) = end {
            self.refusal = Some(refusal);
        }
    }

    /// Why the session that was just opened was refused, if it was.
    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }
}
