//! The HTTP status of each failure, for services that answer requests with calls.

#[cfg(feature = "json")]
use super::JsonPart;
use super::{CallError, CheckoutError, SessionError};

impl CallError {
    /// The HTTP status that tells a client of a service what happened to its request:
    ///
    /// | error | status | the client |
    /// |---|---|---|
    /// | [`QueueFull`](CheckoutError::QueueFull), [`TimedOut`](CheckoutError::TimedOut) or [`NoneIdle`](CheckoutError::NoneIdle) while waiting for a worker | 503 | tries again later |
    /// | [`CrashLoop`](CheckoutError::CrashLoop), [`Draining`](CheckoutError::Draining), [`Closed`](CheckoutError::Closed), [`SessionError::TooMany`] | 503 | tries again later |
    /// | [`SessionError::Lost`], [`SessionError::Ended`] | 410 | begins a new session |
    /// | [`RequestTooLarge`](Self::RequestTooLarge) | 413 | sends less |
    /// | [`Raised`](Self::Raised) | 500 | reports a bug, or its own mistake: see below |
    /// | [`TimedOut`](Self::TimedOut) | 504 | tries again if the call may run twice |
    /// | [`WorkerExited`](Self::WorkerExited), [`Protocol`](Self::Protocol), a reply that is not the expected JSON | 502 | tries again if the call may run twice |
    /// | [`Stopped`](Self::Stopped) | 503 | tries again if the call may run twice |
    /// | [`LeaseOver`](Self::LeaseOver), [`NoSuchFunction`](Self::NoSuchFunction), [`NotJson`](Self::NotJson), a request that cannot be written as JSON | 500 | reports a bug of the service |
    ///
    /// A worker cannot have acted on a call whose [`request_written`](Self::request_written) is
    /// false. An exception may be the client's mistake: a service that lets Python check its input
    /// maps those types itself, as 422 for `ValueError`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use ostler_pool::{CallError, Pool, Python};
    ///
    /// let pool = Pool::builder(Python::function("math:sqrt").json()).size(1).build()?;
    /// let error = pool.call_json::<_, f64>(&-1).await.unwrap_err();
    /// let status = match &error {
    ///     CallError::Raised { source, .. } if source.kind == "ValueError" => 422,
    ///     other => other.http_status(),
    /// };
    /// assert_eq!((status, error.http_status()), (422, 500));
    /// # pool.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Checkout(error) => error.http_status(),
            Self::Session(error) => error.http_status(),
            Self::RequestTooLarge { .. } => 413,
            Self::Raised { .. } | Self::LeaseOver { .. } | Self::NoSuchFunction { .. } => 500,
            #[cfg(feature = "json")]
            Self::NotJson => 500,
            Self::WorkerExited { .. } | Self::Protocol { .. } => 502,
            Self::Stopped { .. } => 503,
            Self::TimedOut { .. } => 504,
            #[cfg(feature = "json")]
            Self::Json { part, .. } => match part {
                JsonPart::Request => 500,
                JsonPart::Reply | JsonPart::Part => 502,
            },
        }
    }
}

impl CheckoutError {
    /// The HTTP status: 503. See [`CallError::http_status`].
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::TimedOut { .. }
            | Self::QueueFull { .. }
            | Self::CrashLoop { .. }
            | Self::NoneIdle { .. }
            | Self::Draining { .. }
            | Self::Closed => 503,
        }
    }
}

impl SessionError {
    /// The HTTP status: 410 if the session is over, otherwise 503. See [`CallError::http_status`].
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Lost { .. } | Self::Ended => 410,
            Self::TooMany { .. }
            | Self::TimedOut { .. }
            | Self::QueueFull { .. }
            | Self::CrashLoop { .. }
            | Self::Draining { .. }
            | Self::Closed => 503,
        }
    }
}
