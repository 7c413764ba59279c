//! Is the record of a history a behaviour of `spec/WorkerPool.tla`?

use crate::trace_check;

/// Checks a record, and returns the number of its steps.
pub(crate) fn check(trace: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(trace);
    let (head, steps) = trace_check::parse(&text)?;
    let allowed = trace_check::check(&head, &steps);
    allowed
        .map(|allowed| allowed.steps)
        .map_err(|refused| refused.to_string())
}
