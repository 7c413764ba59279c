//! The kinds of workers that decisions are about.

use super::occupant::{Held, Holder, Occupant};
use crate::worker::Phase;

/// What a decision looks for. A slot is vacant, or its worker is of exactly one of the next eight
/// kinds: its phase, and whether it is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Vacant,
    Initializing,
    Ready,
    ReadyReplaced,
    Busy,
    BusyReplaced,
    Lingering,
    Finishing,
    Stopping,
    /// It serves, has reached a limit, and is not to be replaced yet.
    AtLimit,
    /// It serves until a rolling restart replaces it.
    Rolling,
    /// A client's call may be under way on it: a client holds it, or a call that a client gave up.
    HeldByClient,
    /// It lingers, and no session is bound to it.
    Drained,
    /// It may be granted, and a client of one of its sessions waits.
    Awaited,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::Vacant,
        Self::Initializing,
        Self::Ready,
        Self::ReadyReplaced,
        Self::Busy,
        Self::BusyReplaced,
        Self::Lingering,
        Self::Finishing,
        Self::Stopping,
        Self::AtLimit,
        Self::Rolling,
        Self::HeldByClient,
        Self::Drained,
        Self::Awaited,
    ];
    /// It counts towards `size`.
    pub(super) const STAFF: [Self; 3] = [Self::Initializing, Self::Ready, Self::Busy];
    /// It may be granted to any client.
    pub(super) const READY: [Self; 2] = [Self::Ready, Self::ReadyReplaced];
    const BUSY: [Self; 2] = [Self::Busy, Self::BusyReplaced];
    /// It serves, and is to be replaced.
    pub(super) const REPLACED: [Self; 2] = [Self::ReadyReplaced, Self::BusyReplaced];
    /// It serves, and is not to be replaced.
    pub(super) const KEPT: [Self; 2] = [Self::Ready, Self::Busy];
    /// It is idle or leased, and not draining.
    pub(super) const SERVING: [Self; 4] = [
        Self::Ready,
        Self::ReadyReplaced,
        Self::Busy,
        Self::BusyReplaced,
    ];
    pub(super) const DRAINING: [Self; 2] = [Self::Lingering, Self::Finishing];

    /// The kinds of the workers in one phase.
    pub(super) fn in_phase(phase: Phase) -> &'static [Self] {
        match phase {
            Phase::Initializing => &[Self::Initializing],
            Phase::Ready => &Self::READY,
            Phase::Busy => &Self::BUSY,
            Phase::Lingering => &[Self::Lingering],
            Phase::Finishing => &[Self::Finishing],
            Phase::Stopping => &[Self::Stopping],
            // It has no slot.
            Phase::Terminated => &[],
        }
    }
}

/// The kinds of one slot. Empty for a slot that the pool does not have yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const VACANT: Self = Self(1 << Kind::Vacant as u16);

    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// A bit for each kind that is true of only one of the two, at its place in [`Kind::ALL`].
    pub(super) fn changes(self, other: Self) -> u64 {
        u64::from(self.0 ^ other.0)
    }
}

#[cfg(test)]
impl FromIterator<Kind> for Kinds {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Self {
        let bits = kinds.into_iter().map(|kind| 1 << kind as u16);
        Self(bits.fold(0, |all, bit: u16| all | bit))
    }
}

impl Occupant {
    /// What the worker in a slot is.
    pub(super) fn kinds(&self) -> Kinds {
        let is_replaced = self.replacement.is_some();
        let phase = match (self.phase(), is_replaced) {
            (Phase::Initializing, _) => Kind::Initializing,
            (Phase::Ready, false) => Kind::Ready,
            (Phase::Ready, true) => Kind::ReadyReplaced,
            (Phase::Busy, false) => Kind::Busy,
            (Phase::Busy, true) => Kind::BusyReplaced,
            (Phase::Lingering, _) => Kind::Lingering,
            (Phase::Finishing, _) => Kind::Finishing,
            // The slot of a terminated worker is freed by the same input.
            (Phase::Stopping | Phase::Terminated, _) => Kind::Stopping,
        };
        let serves = self.is_serving();
        let is_held = matches!(
            self.lease,
            Some(Held {
                by: Holder::Client(_) | Holder::Cancel { .. },
                ..
            })
        );
        let lingers = phase == Kind::Lingering;
        let rolls = self.replacement.is_some_and(|it| it.rolling);
        let mut kinds = Kinds(1 << phase as u16);
        let mut add = |kind: Kind, is: bool| kinds.0 |= u16::from(is) << kind as u16;
        if serves && !is_replaced {
            add(Kind::AtLimit, self.health.limit_reached().is_some());
        }
        add(Kind::Rolling, serves && rolls);
        add(Kind::HeldByClient, is_held);
        add(Kind::Drained, lingers && self.sessions.is_empty());
        add(
            Kind::Awaited,
            self.is_grantable() && !self.waiting.is_empty(),
        );
        kinds
    }
}
