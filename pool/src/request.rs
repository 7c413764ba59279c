//! A call with options of its own.

use std::fmt;
use std::time::Duration;

use ostler::policy::MAX_TIMEOUT;

use crate::error::CallError;
#[cfg(feature = "json")]
use crate::error::JsonPart;
#[cfg(feature = "json")]
use crate::lease::JsonStream;
use crate::lease::{self, CallOptions, Lease, ReplyStream, Session};
use crate::pool::Pool;

/// A request with options of its own, to be sent. Made by [`Pool::request`].
///
/// An option that is not set is that of the pool.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use std::time::Duration;
/// use ostler_pool::{Pool, Python};
///
/// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
/// let session = pool.session("user 42")?;
/// let request = pool.request("hello").session(&session).call_timeout(Duration::from_secs(1));
/// assert_eq!(request.send().await?, b"aGVsbG8=");
/// # session.end();
/// # pool.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<B = Vec<u8>> {
    pool: Pool,
    body: B,
    options: CallOptions,
    session: Option<Session>,
    checkout_timeout: Option<Duration>,
    idempotent: bool,
    retries: u32,
}

impl Pool {
    /// A request that gets options of its own before it is sent: see [`Request`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("base64:b64encode")).size(1).build()?;
    /// let reply = pool.request("hello").idempotent().retries(2).send().await?;
    /// assert_eq!(reply, b"aGVsbG8=");
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn request<B: AsRef<[u8]>>(&self, body: B) -> Request<B> {
        Request {
            pool: self.clone(),
            body,
            options: CallOptions::default(),
            session: None,
            checkout_timeout: None,
            idempotent: false,
            retries: 0,
        }
    }

    /// As [`request`](Self::request), with a value that is sent as JSON.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use ostler_pool::{Pool, Python};
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
    /// let root: f64 = pool.request_json(&2.25)?.idempotent().retries(2).send_json().await?;
    /// assert_eq!(root, 1.5);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Json`] if the value cannot be written, and
    /// [`NotJson`](CallError::NotJson) if the pool's workers take bytes.
    #[cfg(feature = "json")]
    pub fn request_json<T>(&self, request: &T) -> Result<Request, CallError>
    where
        T: serde::Serialize + ?Sized,
    {
        self.takes_json()?;
        let body = serde_json::to_vec(request).map_err(CallError::json(JsonPart::Request))?;
        Ok(self.request(body))
    }

    /// Leases a worker for one streamed reply. See [`Lease::stream`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::TryStreamExt;
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
    /// let parts: Vec<_> = pool.stream("[1, 2]").await?.try_collect().await?;
    /// assert_eq!(parts, [b"2", b"1"]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`checkout`](Self::checkout). The stream that it returns is an abandoned call if it is
    /// dropped before its end.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The stream returns later errors.
    pub async fn stream(
        &self,
        request: impl AsRef<[u8]>,
    ) -> Result<ReplyStream<'static>, CallError> {
        self.request(request).stream().await
    }

    /// As [`stream`](Self::stream), with JSON both ways.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use futures_util::TryStreamExt;
    /// use ostler_pool::{Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("builtins:reversed").json()).size(1).build()?;
    /// let parts = pool.stream_json::<_, u32>(&[1, 2]).await?;
    /// let parts: Vec<u32> = parts.try_collect().await?;
    /// assert_eq!(parts, [2, 1]);
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream), and [`CallError::Json`] and [`NotJson`](CallError::NotJson).
    #[cfg(feature = "json")]
    pub async fn stream_json<T, R>(&self, request: &T) -> Result<JsonStream<'static, R>, CallError>
    where
        T: serde::Serialize + ?Sized,
        R: serde::de::DeserializeOwned,
    {
        self.request_json(request)?.stream_json().await
    }
}

impl<B: AsRef<[u8]>> Request<B> {
    /// Names the function to run, for workers that have [several](crate::Python::module).
    pub fn function(mut self, name: &str) -> Self {
        self.options.function = Some(name.into());
        self
    }

    /// Makes the call one of this session. See [`Session`].
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.clone());
        self
    }

    /// Sets how long to wait for a worker, instead of
    /// [`checkout_timeout`](crate::Config::checkout_timeout). This time runs also before the pool
    /// has first served. A longer one than 7 days counts as 7 days.
    pub fn checkout_timeout(mut self, timeout: Duration) -> Self {
        self.checkout_timeout = Some(timeout.min(MAX_TIMEOUT));
        self
    }

    /// Sets how long the worker may take to answer, or to send the next part of a stream, instead
    /// of [`call_timeout`](crate::Config::call_timeout). A Python worker is told. A longer one than
    /// 7 days counts as 7 days.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.options.call_timeout = Some(timeout.min(MAX_TIMEOUT));
        self
    }

    /// Sets the trace that the call belongs to, as the header `traceparent` of
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it. A Python worker is told.
    pub fn traceparent(mut self, value: &str) -> Self {
        self.options.traceparent = Some(value.into());
        self
    }

    /// Says that the worker may see the request more than once. Only then do
    /// [`retries`](Self::retries) repeat a request that a worker may have seen.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Sets how often to repeat the request, on another worker, if its worker exited, broke the
    /// protocol or was stopped before it answered. A request that a worker may have seen is
    /// repeated only if it is [`idempotent`](Self::idempotent). Each attempt has timeouts of its
    /// own. Default: 0.
    ///
    /// Exceptions are answers, and a request without an answer in time has had its time: neither
    /// is repeated, nor is a request that got no worker. A session is lost with its worker, so its
    /// calls are not repeated. A stream is repeated only until it is returned.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Leases a worker for the call, and waits for its reply.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::call`].
    ///
    /// # Errors
    ///
    /// As [`Pool::call`], and [`CallError::NoSuchFunction`]. After retries, the error of the last
    /// attempt.
    pub async fn send(self) -> Result<Vec<u8>, CallError> {
        let mut left = self.retries;
        loop {
            match self.attempt().await {
                Err(error) if left > 0 && self.may_repeat(&error) => left -= 1,
                outcome => return outcome,
            }
        }
    }

    /// As [`send`](Self::send), with the reply parsed as JSON.
    ///
    /// # Errors
    ///
    /// As `send`, and [`CallError::Json`].
    #[cfg(feature = "json")]
    pub async fn send_json<R: serde::de::DeserializeOwned>(self) -> Result<R, CallError> {
        let reply = self.send().await?;
        serde_json::from_slice(&reply).map_err(CallError::json(JsonPart::Reply))
    }

    /// Leases a worker for one streamed reply. The lease ends with the stream.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::stream`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). The stream returns later errors.
    pub async fn stream(self) -> Result<ReplyStream<'static>, CallError> {
        let mut left = self.retries;
        loop {
            let lease = self.checkout().await?;
            match lease.into_stream(self.body.as_ref()) {
                Err(error) if left > 0 && self.may_repeat(&error) => left -= 1,
                stream => return stream,
            }
        }
    }

    /// As [`stream`](Self::stream), with each part parsed as JSON.
    ///
    /// # Errors
    ///
    /// As `stream`.
    #[cfg(feature = "json")]
    pub async fn stream_json<R>(self) -> Result<JsonStream<'static, R>, CallError>
    where
        R: serde::de::DeserializeOwned,
    {
        Ok(self.stream().await?.json())
    }

    async fn attempt(&self) -> Result<Vec<u8>, CallError> {
        self.checkout().await?.call(&self.body).await
    }

    async fn checkout(&self) -> Result<Lease, CallError> {
        let driver = self.pool.driver();
        // A name that no worker knows must not wait for a worker.
        if let (Some(name), Some(known)) = (&self.options.function, driver.functions()) {
            lease::check_function(Some(name), &known)?;
        }
        let timeout = self.checkout_timeout;
        let mut lease = match &self.session {
            None => lease::checkout_within(driver, timeout, None).await?,
            Some(session) => session.checkout_within(timeout).await?,
        };
        lease.set_options(&self.options);
        Ok(lease)
    }

    fn may_repeat(&self, error: &CallError) -> bool {
        let has_failed = matches!(
            error,
            CallError::WorkerExited { .. } | CallError::Protocol { .. } | CallError::Stopped { .. }
        );
        has_failed && self.session.is_none() && (self.idempotent || !error.request_written())
    }
}

impl<B> fmt::Debug for Request<B> {
    /// Without the request, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("session", &self.session)
            .field("idempotent", &self.idempotent)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
