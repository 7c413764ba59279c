//! Every client is served exactly once, and no wake-up, lease or worker is lost, in any schedule.
//!
//! Each test runs plans of one kind. The timeouts that would hide a lost wake-up never fire, so a
//! lost wake-up is a deadlock. So is a lost lease: at the end, the test leases every worker at
//! once.

use crate::explore::explore;
use crate::plan::Plan;

/// L6, L7: every client gets a worker and its own reply.
#[test]
fn calm() {
    explore(Plan::calm);
}

/// L6, C1, C2: a call or checkout dropped at any point loses no worker, and its reply reaches no
/// other client.
#[test]
fn impatient() {
    explore(Plan::impatient);
}

/// L5, C4: a worker that fails to start, exits or breaks the protocol fails only its own call.
#[test]
fn hostile() {
    explore(Plan::hostile);
}

/// L4, L16, L18: a pool that is resized, recycled, drained and shut down under load serves every
/// call or returns the reason why not.
#[test]
fn managed() {
    explore(Plan::managed);
}
