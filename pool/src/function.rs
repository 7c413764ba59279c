//! A function of the workers, with the types of its requests and replies.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CallError;
use crate::lease::{CallOptions, Iter, JsonStream, Map};
use crate::pool::Pool;
use crate::request::Request;

/// A function of workers that have [several](crate::Python::module), with the types of its requests
/// and replies. Made by [`Pool::function_json`]. A handle: clones are cheap.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Function, Pool, Python};
///
/// let pool = Pool::builder(Python::module("statistics").json()).size(1).build()?;
/// let mean: Function<[u32], f64> = pool.function_json("mean");
/// assert_eq!(mean.call(&[1, 2, 6]).await?, 3.0);
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Function<T: ?Sized, R> {
    pool: Pool,
    name: Arc<str>,
    types: PhantomData<fn(&T) -> R>,
}

impl Pool {
    /// A function of the workers by its name, with the types of its requests and replies, which
    /// travel as JSON. See [`Function`].
    ///
    /// A name that the workers do not know fails each call with
    /// [`NoSuchFunction`](CallError::NoSuchFunction), which lists the names.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{CallError, Pool, Python};
    /// let pool = Pool::builder(Python::module("statistics").json()).size(1).build()?;
    /// let mode = pool.function_json::<[u32], u32>("mode");
    /// assert_eq!(mode.call(&[1, 2, 2]).await?, 2);
    /// let average = pool.function_json::<[u32], f64>("average");
    /// assert!(matches!(average.call(&[1, 2]).await, Err(CallError::NoSuchFunction { .. })));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn function_json<T: ?Sized, R>(&self, name: &str) -> Function<T, R> {
        Function {
            pool: self.clone(),
            name: name.into(),
            types: PhantomData,
        }
    }
}

impl<T: Serialize + ?Sized, R: DeserializeOwned> Function<T, R> {
    /// Leases a worker for one call.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::call`].
    ///
    /// # Errors
    ///
    /// As [`Pool::call_json`], and [`CallError::NoSuchFunction`].
    pub async fn call(&self, request: &T) -> Result<R, CallError> {
        self.request(request)?.send_json().await
    }

    /// Leases a worker for one streamed reply.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::stream`].
    ///
    /// # Errors
    ///
    /// As [`Pool::stream_json`], and [`CallError::NoSuchFunction`].
    pub async fn stream(&self, request: &T) -> Result<JsonStream<'static, R>, CallError> {
        self.request(request)?.stream_json().await
    }

    /// A request that gets options of its own before it is sent. Its
    /// [`send_json`](Request::send_json) returns the reply.
    ///
    /// # Errors
    ///
    /// As [`Pool::request_json`].
    pub fn request(&self, request: &T) -> Result<Request, CallError> {
        Ok(self.pool.request_json(request)?.function(&self.name))
    }

    /// Makes a call for each request, on all workers at once. See [`Pool::map_json`].
    pub fn map<I>(&self, requests: I) -> Map<Iter<I::IntoIter>, R>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        let options = CallOptions::of_function(Arc::clone(&self.name));
        self.pool
            .map_json_with(Iter::new(requests.into_iter()), options)
    }
}

impl<T: ?Sized, R> Clone for Function<T, R> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            name: Arc::clone(&self.name),
            types: PhantomData,
        }
    }
}

impl<T: ?Sized, R> fmt::Debug for Function<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
