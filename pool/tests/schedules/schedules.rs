//! Is every client served once, and is nothing lost, doubled or left behind, in whatever order the threads come?
//!
//! Each test plays plans of one kind. A lost wake-up is a deadlock here, as no deadline that would hide it ever passes;
//! a lost lease is one at the end, when every worker is asked for at once.

use crate::explore::explore;
use crate::plan::Plan;

/// L6, L7: every client gets a worker and its own answer.
#[test]
fn calm() {
    explore(Plan::calm);
}

/// L6, C1, C2: what is given up, wherever it is by then, loses no worker and reaches nobody else.
#[test]
fn impatient() {
    explore(Plan::impatient);
}

/// L5, C4: workers that do not start, exit or break the protocol cost the calls on them and no other.
#[test]
fn hostile() {
    explore(Plan::hostile);
}

/// L4, L16, L18: a pool that is resized, recycled, drained and shut down under load serves on or says why not.
#[test]
fn managed() {
    explore(Plan::managed);
}
