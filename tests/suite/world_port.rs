//! What the ports of a [`World`](crate::world::World) can do.

use ostler::supervisor::PortFact;

/// What a port can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortState {
    /// Ordered to open; not answered yet.
    Opening,
    /// Answered, and its leader is alive.
    Answered,
    /// Its leader has exited.
    Exited,
    /// Ordered to be released.
    Releasing,
    /// Abandoned, and its leader is alive. Once it exits, it is released without an order.
    Surviving,
}

impl PortState {
    /// What the port can do after this fact. `None`: the fact cannot happen, or it is the last one.
    pub(crate) fn after(self, fact: PortFact) -> Option<Self> {
        match (self, fact) {
            (Self::Opening, PortFact::Started | PortFact::StartFailed { .. }) => {
                Some(Self::Answered)
            }
            (Self::Answered, PortFact::Broke) => Some(Self::Answered),
            (Self::Opening | Self::Answered, PortFact::Exited) => Some(Self::Exited),
            (Self::Surviving, PortFact::Exited) => Some(Self::Releasing),
            _ => None,
        }
    }

    /// What the port can do once it is abandoned.
    pub(crate) fn abandoned(self) -> Self {
        match self {
            Self::Opening | Self::Answered | Self::Surviving => Self::Surviving,
            Self::Exited | Self::Releasing => Self::Releasing,
        }
    }

    /// Whether this can happen to the port.
    pub(crate) fn can(self, fact: PortFact) -> bool {
        self.after(fact).is_some() || (self, fact) == (Self::Releasing, PortFact::Released)
    }
}
