//! The metrics of a build without the feature `metrics`: types without fields that do nothing.

use ostler::supervisor::{Reason, Transition};

use super::{Outcome, Wait};
use crate::rt::Instant;

pub(crate) struct Metrics;

impl Metrics {
    pub(crate) fn new(_: Option<&str>) -> Self {
        Self
    }

    pub(crate) fn record(&self, _: &Pending) {}

    pub(crate) fn waited(&self, _: Wait, _: Option<Instant>) {}

    pub(crate) fn called(&self, _: Outcome, _: Timer) {}

    pub(crate) fn ended(&self, _: Reason) {}
}

#[derive(Default)]
pub(crate) struct Pending;

impl Pending {
    pub(crate) fn opened(&mut self) {}

    pub(crate) fn moved(&mut self, _: Transition, _: Option<Instant>, _: Option<Instant>) {}

    pub(crate) fn entered_queue(&mut self) {}

    pub(crate) fn left_queue(&mut self) {}
}

#[derive(Clone, Copy)]
pub(crate) struct Timer;

impl Timer {
    pub(crate) fn start() -> Self {
        Self
    }
}
