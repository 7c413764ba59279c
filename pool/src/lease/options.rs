//! What a call can say besides its request.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{Grant, SessionTag};
use crate::error::CallError;
use crate::transport::details::Details;

/// What the calls of a lease say besides their requests. Most say nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    /// The function to run, for workers that have several.
    pub(crate) function: Option<Arc<str>>,
    pub(super) session: Option<Arc<SessionTag>>,
    /// Instead of the pool's `call_timeout`.
    pub(crate) call_timeout: Option<Duration>,
    /// As W3C Trace Context writes it.
    pub(crate) traceparent: Option<Arc<str>>,
}

impl CallOptions {
    #[cfg(feature = "json")]
    pub(crate) fn of_function(name: Arc<str>) -> Self {
        Self {
            function: Some(name),
            ..Self::default()
        }
    }

    /// What the worker of this lease is told.
    pub(super) fn details(&self, grant: &Grant) -> Result<Details, CallError> {
        check_function(self.function.as_deref(), grant.transport().functions())?;
        let mut details = Details::default();
        if let Some(name) = &self.function {
            details.function(name);
        }
        if let Some(session) = &self.session {
            session.describe(&mut details);
        }
        if let Some(timeout) = self.call_timeout {
            details.timeout(timeout);
        }
        if let Some(traceparent) = &self.traceparent {
            details.traceparent(traceparent);
        }
        Ok(details)
    }
}

/// Whether workers with these functions, which are sorted, can run a request that names this one.
pub(crate) fn check_function(name: Option<&str>, known: &[String]) -> Result<(), CallError> {
    let fits = match name {
        None => known.is_empty(),
        Some(name) => (known.binary_search_by(|known| known.as_str().cmp(name))).is_ok(),
    };
    if fits {
        return Ok(());
    }
    Err(CallError::NoSuchFunction {
        function: name.map(str::to_owned),
        known: known.to_vec(),
    })
}
