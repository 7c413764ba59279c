//! What a Python worker's position means for its environment.

use std::ffi::OsString;

use super::Python;

impl Python {
    /// Sets environment variables of each worker by its position, a number from 0 to `size` - 1.
    /// For what each worker needs to itself, such as a GPU. See
    /// [`Program::env_for_position`](crate::Program::env_for_position).
    ///
    /// A worker of a [`zygote`](Self::zygote) gets them when it is forked, after the import of its
    /// module.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{Pool, Python};
    ///
    /// let getenv = Python::function("os:getenv")
    ///     .json()
    ///     .env_for_position(|position| [("CUDA_VISIBLE_DEVICES", position.to_string())]);
    /// let pool = Pool::builder(getenv).size(1).build()?;
    /// assert_eq!(pool.call_json::<_, String>("CUDA_VISIBLE_DEVICES").await?, "0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn env_for_position<N, V, E>(
        mut self,
        env: impl Fn(usize) -> E + Send + Sync + 'static,
    ) -> Self
    where
        E: IntoIterator<Item = (N, V)>,
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.position_env.add(env);
        self
    }
}
