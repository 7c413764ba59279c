//! Errors in full, for people.

use std::error::Error;
use std::fmt;

use super::{
    BuildError, CallError, CheckoutError, RemoteError, RollingError, SessionError, StartError,
};
use crate::port::Exit;

/// An error with its causes, one per line, then the remote traceback and the worker's last lines of
/// stderr.
///
/// Returned by the `report` method of each error.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(&'a (dyn Error + 'static));

impl<'a> Report<'a> {
    pub(super) fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut details = Vec::new();
        let mut level = Some(self.0);
        while let Some(error) = level {
            details.extend(detail(error));
            level = error.source();
            if let Some(cause) = level {
                write!(f, "\n  caused by: {cause}")?;
            }
        }
        for (title, text) in details {
            write!(f, "\n{title}:")?;
            for line in text.trim_end().lines() {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

/// `Debug` prints the report: it is what a user sees of an error that `main` returns or that
/// `unwrap` meets.
macro_rules! debug_as_report {
    ($($error:ty),*) => {$(
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Report::new(self), f)
            }
        }
    )*};
}

debug_as_report!(
    BuildError,
    CallError,
    CheckoutError,
    RollingError,
    SessionError,
    StartError
);

/// The part of an error that takes more than a line.
fn detail<'a>(error: &'a (dyn Error + 'static)) -> Option<(&'static str, &'a str)> {
    let exit: Option<&Exit> = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(CallError::WorkerExited { exit, .. }), _) => Some(exit),
        (_, Some(StartError::Exited { exit, .. })) => Some(exit),
        _ => None,
    };
    let stderr = exit.map(|exit| ("the worker's stderr ended", exit.stderr.as_str()));
    let remote = error.downcast_ref::<RemoteError>();
    let traceback = remote.map(|remote| ("remote traceback", remote.traceback.as_str()));
    stderr
        .or(traceback)
        .filter(|(_, text)| !text.trim_end().is_empty())
}
