//! What a worker's position means for its environment.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

/// The variable that tells each worker its position.
pub(super) const VARIABLE: &str = "OSTLER_POSITION";

/// The name and the value of a variable.
type Variable = (OsString, OsString);

/// The variables whose values depend on a worker's position.
#[derive(Clone, Default)]
pub(crate) struct PositionEnv(Vec<Arc<dyn Fn(usize) -> Vec<Variable> + Send + Sync>>);

impl PositionEnv {
    pub(crate) fn add<N, V, E>(&mut self, env: impl Fn(usize) -> E + Send + Sync + 'static)
    where
        E: IntoIterator<Item = (N, V)>,
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.0.push(Arc::new(move |position| {
            let variables = env(position).into_iter();
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        }));
    }

    pub(crate) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    /// The variables of the worker at this position. A later one replaces an earlier one of the
    /// same name.
    pub(super) fn at(&self, position: usize) -> Vec<Variable> {
        let set = self.0.iter().flat_map(|env| env(position));
        // Last, because its runtime relies on it.
        let own = (VARIABLE.into(), position.to_string().into());
        set.chain([own]).collect()
    }
}

impl fmt::Debug for PositionEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PositionEnv").finish_non_exhaustive()
    }
}
