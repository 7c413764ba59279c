//! The options that concern the driver and not the core.

use std::time::Duration;

use crate::config::AbandonedCalls;
#[cfg(feature = "json")]
use crate::error::CallError;

/// Limits that concern the driver and not the core.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) checkout_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) abandoned_calls: AbandonedCalls,
    /// How long a lease may be held before that is logged.
    pub(crate) lease_warning: Option<Duration>,
    pub(crate) max_frame: u32,
    /// Whether an error may be that of several requests, which the worker got together.
    pub(crate) takes_lists: bool,
    /// Whether requests and replies may be JSON.
    #[cfg(feature = "json")]
    pub(crate) takes_json: bool,
}

impl Limits {
    /// Fails if the workers take bytes.
    #[cfg(feature = "json")]
    pub(crate) fn takes_json(&self) -> Result<(), CallError> {
        match self.takes_json {
            true => Ok(()),
            false => Err(CallError::NotJson),
        }
    }
}
