//! What a simulated worker does by itself, whatever it is asked.

/// How one simulated worker starts, answers health checks and ends.
///
/// Each variant differs from [`Good`](Self::Good) only in what its description says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Script {
    /// Completes the handshake at once, answers every health check, uses 1 MiB, and exits with code
    /// 0 on a shutdown frame or at the end of its input.
    #[default]
    Good,
    /// `open` returns an error.
    OpenFails,
    /// `open` panics.
    OpenPanics,
    /// Answers the handshake after 60 ms.
    SlowStart,
    /// Never answers the handshake.
    NoHandshake,
    /// Answers the handshake with an error.
    StartFails,
    /// Exits with code 3 before it answers the handshake.
    ExitsAtStart,
    /// Never answers a health check.
    IgnoresPings,
    /// Answers each health check with an error.
    Unhealthy,
    /// Answers each health check twice.
    DoublePong,
    /// Answers each health check with a frame of the wrong kind.
    WrongPong,
    /// Uses 1 GiB of memory.
    LargeMemory,
    /// Ignores the shutdown frame, the end of its input and `SIGTERM`; only `SIGKILL` ends it.
    IgnoresStop,
    /// Its port is not released before [`Sim::let_go`](super::Sim::let_go).
    NeverReleased,
    /// As [`IgnoresStop`](Self::IgnoresStop), and `SIGKILL` ends it only after
    /// [`Sim::let_go`](super::Sim::let_go).
    Unkillable,
}

impl Script {
    /// Whether only `SIGKILL` ends the worker, if anything does.
    pub(super) fn ignores_stop(self) -> bool {
        matches!(self, Self::IgnoresStop | Self::Unkillable)
    }
}
