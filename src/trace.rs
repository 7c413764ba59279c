//! What a recorded trace consists of: a [`Head`], then [`Step`]s.

use alloc::vec::Vec;

use crate::policy::Policy;
use crate::supervisor::{Effect, Input};

/// The first entry of a trace: how the pool was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Head {
    /// The format of the trace: [`VERSION`].
    pub ostler_trace: u32,
    /// The policy that the pool decided by.
    pub policy: Policy,
}

/// The version of the serialized form of [`Head`] and [`Step`].
pub const VERSION: u32 = 1;

/// One step of a pool: an input, and every effect that it caused. The steps of a pool, in order,
/// tell its whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// `None` in the first step: a new pool opens its workers before its first input.
    pub input: Option<Input>,
    /// In the order in which they were given.
    pub effects: Vec<Effect>,
}
