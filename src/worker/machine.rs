//! The worker's hierarchical state machine, run by `statig`.
//!
//! statig's traits are implemented by hand instead of through its macro: the impls below read as the transition
//! table, build identically each time, and a leaf without a handler does not compile.
//!
//! ```text
//! Alive
//!   Initializing
//!   Serving       Ready, Busy
//!   Draining      Lingering, Finishing
//!   Stopping      one rung of the ladder after another
//! Terminated
//! ```

use statig::Outcome;
use statig::blocking::{self, IntoStateMachine, StateExt as _};

use super::{Effect, Effects, Input, Phase, Rejected, Rung, Timer};
use crate::vocabulary::vocabulary;

/// The leaves. Only `Stopping` knows more than its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaf {
    Initializing,
    Ready,
    Busy,
    Lingering,
    Finishing,
    Stopping(Rung),
    Terminated,
}

vocabulary! {
    /// A phase that others lie in, and what they share.
    pub enum Superstate {
        /// There may be a process. Its exit leads to `Stopping` from everywhere; a late start timer means nothing.
        Alive,
        /// Takes work. A fault leads to `Stopping`.
        Serving,
        /// Takes no new work, under one drain deadline. A fault or the deadline leads to `Stopping`.
        Draining,
    }
}

/// What statig calls shared storage. A worker has none: all that it remembers is in its leaf.
#[derive(Debug)]
struct Lifecycle;

impl IntoStateMachine for Lifecycle {
    type Event<'evt> = Input;
    type Context<'ctx> = Effects;
    type State = Leaf;
    type Superstate<'sub> = Superstate;

    fn initial() -> Leaf {
        Leaf::Initializing
    }
}

use Outcome::{Super, Transition};

/// A late input: accepted, and changes nothing. That it is not `Super` is what tells it from an illegal one.
const STALE: Outcome<Leaf> = Outcome::Handled;

const fn stop(rung: Rung) -> Outcome<Leaf> {
    Transition(Leaf::Stopping(rung))
}

impl blocking::State<Lifecycle> for Leaf {
    fn call_handler(&mut self, _: &mut Lifecycle, input: &Input, _: &mut Effects) -> Outcome<Self> {
        use Input::*;
        match (*self, input) {
            (Self::Initializing, Started) => Transition(Self::Ready),
            (Self::Initializing, StartFailed | StartElapsed) => stop(Rung::Term),
            (Self::Initializing, Retire) => stop(Rung::Ask),
            (Self::Initializing, _) => Super,

            (Self::Ready, Checkout) => Transition(Self::Busy),
            (Self::Ready, Retire) => Transition(Self::Lingering),
            (Self::Ready, _) => Super,

            (Self::Busy, Checkin) => Transition(Self::Ready),
            (Self::Busy, Retire) => Transition(Self::Finishing),
            (Self::Busy, _) => Super,

            (Self::Lingering, Checkout) => Transition(Self::Finishing),
            (Self::Lingering, SessionsEnded) => stop(Rung::Ask),
            (Self::Lingering, _) => Super,

            (Self::Finishing, Checkin) => Transition(Self::Lingering),
            (Self::Finishing, SessionsEnded) => STALE,
            (Self::Finishing, _) => Super,

            (Self::Stopping(rung), RungElapsed) => stop(rung.next()),
            (Self::Stopping(_), Released) => Transition(Self::Terminated),
            (Self::Stopping(_), Started | StartFailed) => STALE,
            (Self::Stopping(_), Checkin | Fault) => STALE,
            (Self::Stopping(_), Retire | SessionsEnded | DrainElapsed) => STALE,
            (Self::Stopping(_), _) => Super,

            (Self::Terminated, Checkin | Fault) => STALE,
            (Self::Terminated, Retire | SessionsEnded) => STALE,
            (Self::Terminated, StartElapsed | DrainElapsed | RungElapsed) => STALE,
            (Self::Terminated, _) => Super,
        }
    }

    fn call_entry_action(&mut self, _: &mut Lifecycle, effects: &mut Effects) {
        match *self {
            Self::Initializing => {
                effects.push(Effect::Open);
                effects.push(Effect::StartTimer(Timer::Start));
            }
            Self::Stopping(rung) => {
                effects.push(Effect::Stop(rung));
                effects.push(Effect::StartTimer(Timer::Rung));
            }
            _ => {}
        }
    }

    fn call_exit_action(&mut self, _: &mut Lifecycle, effects: &mut Effects) {
        match self {
            Self::Initializing => effects.push(Effect::CancelTimer(Timer::Start)),
            Self::Stopping(_) => effects.push(Effect::CancelTimer(Timer::Rung)),
            _ => {}
        }
    }

    fn superstate(&mut self) -> Option<Superstate> {
        match self {
            Self::Initializing | Self::Stopping(_) => Some(Superstate::Alive),
            Self::Ready | Self::Busy => Some(Superstate::Serving),
            Self::Lingering | Self::Finishing => Some(Superstate::Draining),
            Self::Terminated => None,
        }
    }
}

impl blocking::Superstate<Lifecycle> for Superstate {
    fn call_handler(&mut self, _: &mut Lifecycle, input: &Input, _: &mut Effects) -> Outcome<Leaf> {
        use Input::*;
        match (*self, input) {
            (Self::Serving, Fault) => stop(Rung::Term),
            (Self::Serving, _) => Super,

            (Self::Draining, Fault) => stop(Rung::Term),
            (Self::Draining, DrainElapsed) => stop(Rung::Ask),
            (Self::Draining, Retire) => STALE,
            (Self::Draining, _) => Super,

            (Self::Alive, Exited) => stop(Rung::Reap),
            (Self::Alive, StartElapsed) => STALE,
            (Self::Alive, _) => Super,
        }
    }

    fn call_entry_action(&mut self, _: &mut Lifecycle, effects: &mut Effects) {
        if *self == Self::Draining {
            effects.push(Effect::StartTimer(Timer::Drain));
        }
    }

    fn call_exit_action(&mut self, _: &mut Lifecycle, effects: &mut Effects) {
        if *self == Self::Draining {
            effects.push(Effect::CancelTimer(Timer::Drain));
        }
    }

    fn superstate(&mut self) -> Option<Superstate> {
        match self {
            Self::Serving | Self::Draining => Some(Self::Alive),
            Self::Alive => None,
        }
    }
}

/// What came of an input that was not illegal.
#[must_use = "a transition's effects must be performed"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The worker made a transition. `from` and `to` are equal when it took the next rung of the ladder.
    Moved {
        /// The phase that it left.
        from: Phase,
        /// The phase that it is in now.
        to: Phase,
        /// What is to be done now, in this order.
        effects: Effects,
    },
    /// The input came late and means nothing any more. Nothing changed, nothing is to be done.
    Stale,
}

/// The lifecycle of one worker.
///
/// ```
/// use ostler::worker::{Effect, Input, Phase, Reaction, Timer, Worker};
///
/// let (mut worker, effects) = Worker::start();
/// assert_eq!(*effects, [Effect::Open, Effect::StartTimer(Timer::Start)]);
///
/// // The driver opened the port, and the worker answered the handshake:
/// let Reaction::Moved { to, effects, .. } = worker.feed(Input::Started)? else { unreachable!() };
/// assert_eq!(to, Phase::Ready);
/// assert_eq!(*effects, [Effect::CancelTimer(Timer::Start)]);
///
/// // A start timer that was already on its way is stale. A checkin without a lease is illegal.
/// assert_eq!(worker.feed(Input::StartElapsed), Ok(Reaction::Stale));
/// assert!(worker.feed(Input::Checkin).is_err());
/// # Ok::<(), ostler::worker::Rejected>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    leaf: Leaf,
}

impl Worker {
    /// A worker at the start of its life, and the first effects.
    pub fn start() -> (Self, Effects) {
        let mut leaf = Lifecycle::initial();
        let mut effects = Effects::NONE;
        let depth = leaf.depth();
        leaf.enter(&mut Lifecycle, &mut effects, depth);
        (Self { leaf }, effects)
    }

    /// The phase that the worker is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.leaf {
            Leaf::Initializing => Phase::Initializing,
            Leaf::Ready => Phase::Ready,
            Leaf::Busy => Phase::Busy,
            Leaf::Lingering => Phase::Lingering,
            Leaf::Finishing => Phase::Finishing,
            Leaf::Stopping(_) => Phase::Stopping,
            Leaf::Terminated => Phase::Terminated,
        }
    }

    /// The rung that the worker stands on, while it is stopping.
    #[must_use]
    pub fn rung(&self) -> Option<Rung> {
        match self.leaf {
            Leaf::Stopping(rung) => Some(rung),
            _ => None,
        }
    }

    /// The superstates that the worker's phase lies in, innermost first.
    pub fn superstates(&self) -> impl Iterator<Item = Superstate> {
        let mut leaf = self.leaf;
        core::iter::successors(blocking::State::superstate(&mut leaf), |superstate| {
            blocking::Superstate::superstate(&mut superstate.clone())
        })
    }

    /// Handles one input: a transition, a stale input, or a rejection.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the input is illegal in this phase; the worker is then as it was.
    pub fn feed(&mut self, input: Input) -> Result<Reaction, Rejected> {
        let from = self.phase();
        let mut effects = Effects::NONE;
        let outcome = self.leaf.handle(&mut Lifecycle, &input, &mut effects);
        debug_assert!(
            effects.is_empty(),
            "handlers order nothing: entry and exit actions do"
        );
        match outcome {
            // statig's own runner drops what no state took. Here that is the typed rejection.
            Outcome::Super => Err(Rejected { phase: from, input }),
            Outcome::Handled => Ok(Reaction::Stale),
            Outcome::Transition(mut target) => {
                let (exits, entries) = self.leaf.transition_path(&mut target);
                self.leaf.exit(&mut Lifecycle, &mut effects, exits);
                self.leaf = target;
                self.leaf.enter(&mut Lifecycle, &mut effects, entries);
                let to = self.phase();
                Ok(Reaction::Moved { from, to, effects })
            }
        }
    }
}
