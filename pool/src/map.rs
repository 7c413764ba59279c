//! Many calls on all workers: what a pool offers for it.

use futures_core::Stream;

#[cfg(feature = "json")]
use crate::error::{CallError, JsonPart};
use crate::lease::{CallOptions, Iter, Map};
use crate::pool::Pool;

impl Pool {
    /// Makes a call for each request, on all workers at once. The replies come in the order of the
    /// requests, or as soon as they are there: see [`Map`] and [`Map::unordered`].
    ///
    /// Many times as fast as [`call`](Self::call) for short requests, in bounded memory whatever
    /// the number of requests.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::TryStreamExt;
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let replies: Vec<Vec<u8>> = pool.map(["one", "two"]).try_collect().await?;
    /// assert_eq!(replies, [b"b25l", b"dHdv"]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn map<I>(&self, requests: I) -> Map<Iter<I::IntoIter>>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.map_stream(Iter::new(requests.into_iter()))
    }

    /// As [`map`](Self::map), for requests that come as a stream. Those that are there are sent
    /// without waiting for more.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::{TryStreamExt, stream};
    /// # use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(2).build()?;
    /// let requests = stream::iter(["one", "two"]);
    /// let replies: Vec<Vec<u8>> = pool.map_stream(requests).try_collect().await?;
    /// assert_eq!(replies, [b"b25l", b"dHdv"]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn map_stream<S>(&self, requests: S) -> Map<S>
    where
        S: Stream,
        S::Item: AsRef<[u8]>,
    {
        let write = |request: S::Item, bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(request.as_ref());
            Ok(())
        };
        Map::new(self.driver(), requests, write, Ok, CallOptions::default())
    }

    /// As [`map`](Self::map), with JSON both ways.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::TryStreamExt;
    /// # use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("math:factorial").json()).size(2).build()?;
    /// let replies: Vec<_> = pool.map_json::<_, u32>(1..=5).try_collect().await?;
    /// assert_eq!(replies, [1, 2, 6, 24, 120]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "json")]
    pub fn map_json<I, R>(&self, requests: I) -> Map<Iter<I::IntoIter>, R>
    where
        I: IntoIterator,
        I::Item: serde::Serialize,
        R: serde::de::DeserializeOwned,
    {
        self.map_json_stream(Iter::new(requests.into_iter()))
    }

    /// As [`map_json`](Self::map_json), for requests that come as a stream.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::{TryStreamExt, stream};
    /// # use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("math:factorial").json()).size(2).build()?;
    /// let requests = stream::iter(1..=5);
    /// let replies: Vec<_> = pool.map_json_stream::<_, u32>(requests).try_collect().await?;
    /// assert_eq!(replies, [1, 2, 6, 24, 120]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "json")]
    pub fn map_json_stream<S, R>(&self, requests: S) -> Map<S, R>
    where
        S: Stream,
        S::Item: serde::Serialize,
        R: serde::de::DeserializeOwned,
    {
        self.map_json_with(requests, CallOptions::default())
    }

    #[cfg(feature = "json")]
    pub(crate) fn map_json_with<S, R>(&self, requests: S, options: CallOptions) -> Map<S, R>
    where
        S: Stream,
        S::Item: serde::Serialize,
        R: serde::de::DeserializeOwned,
    {
        Map::new(
            self.driver(),
            requests,
            match self.takes_json() {
                Ok(()) => |request, bytes| {
                    let written = serde_json::to_writer(bytes, &request);
                    written.map_err(CallError::json(JsonPart::Request))
                },
                Err(_) => |_, _| Err(CallError::NotJson),
            },
            |reply| serde_json::from_slice(&reply).map_err(CallError::json(JsonPart::Reply)),
            options,
        )
    }
}
