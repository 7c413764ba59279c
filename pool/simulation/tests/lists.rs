//! The faults and the operations that meet in a history.

/// Defines an enum, and a list of all its variants.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident, $all:ident: $($(#[$of:meta])* $variant:ident),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name {
            $($(#[$of])* $variant),*
        }

        pub(crate) const $all: &[$name] = &[$($name::$variant),*];
    };
}

listed! {
    /// Something that goes wrong.
    Fault, FAULTS:
    OpenError,
    OpenPanic,
    OpenHang,
    SlowOpen,
    NoHandshake,
    SlowHandshake,
    HandshakeError,
    WrongVersion,
    EarlyFrame,
    ExitAtStart,
    PingMissed,
    PingError,
    PingLate,
    PingTwice,
    PingWrong,
    Crash,
    Exit,
    ReplyAndExit,
    PartialReply,
    Hang,
    Slow,
    Garbage,
    ShortFrame,
    Twice,
    Early,
    OldId,
    WrongKind,
    Unsolicited,
    CloseOutput,
    CloseInput,
    Raise,
    RaiseGarbage,
    NotJson,
    LargeMemory,
    IgnoresAsk,
    IgnoresTerm,
    Unkillable,
    SlowRelease,
    StuckRelease,
    Escapes,
    PipeHeld,
    LateExit,
    Killed,
    CancelIgnored,
    CancelStray,
    CancelTwice,
    CancelExit,
    CancelFinish,
    RuntimeEnd,
}

listed! {
    /// The operations of a pool, as the matrix counts them.
    Operation, OPERATIONS:
    Call,
    CallJson,
    Lease,
    TryLease,
    Stream,
    Session,
    // From here on, those of operators.
    Status,
    Resize,
    Recycle,
    RecycleAll,
    Drain,
    Resume,
    Shutdown,
    Follow,
    /// Any of them, dropped.
    Dropped,
    /// A call or a call in JSON, in a pool that collects them.
    Collected,
    Many,
    Map,
}
