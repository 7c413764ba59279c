//! What a simulated worker is asked, and what it answers.

use std::time::Duration;

use crate::port::ExitStatus;
use crate::transport::details::Known;

/// A request that reached a worker of [`Sim::answering`](super::Sim::answering).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    body: Vec<u8>,
    is_stream: bool,
    known: Known,
    call_timeout: Duration,
}

impl Request {
    /// A request of which this is known. `timeout`: that of requests of which nothing else is said.
    pub(super) fn new(body: &[u8], is_stream: bool, known: Known, timeout: Duration) -> Self {
        Self {
            body: body.to_vec(),
            is_stream,
            call_timeout: known.timeout.unwrap_or(timeout),
            known,
        }
    }

    /// The bytes of the request.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the client asked for a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// The function that the request names, one of [`Sim::functions`](super::Sim::functions).
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.known.function.as_deref()
    }

    /// The name of the session that the request belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.known.session.as_deref()
    }

    /// How long the client waits for the answer, in whole milliseconds: the pool's `call_timeout`,
    /// or that of the request.
    #[must_use]
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// The trace that the request belongs to, as W3C Trace Context writes it.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.known.traceparent.as_deref()
    }

    /// The request as a value, as a Python function of a pool with
    /// [`Python::json`](crate::Python::json) gets it.
    ///
    /// # Panics
    ///
    /// If it is not the JSON of a `T`. In the closure of a [`Sim`](super::Sim), this crashes the
    /// worker.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        let value = serde_json::from_slice(&self.body);
        value.unwrap_or_else(|error| {
            let text = String::from_utf8_lossy(&self.body);
            panic!(
                "the request is not the JSON of a `{}`: {error}: {text}",
                std::any::type_name::<T>()
            )
        })
    }
}

/// What a worker of [`Sim::answering`](super::Sim::answering) does with a request.
///
/// ```
/// use std::time::Duration;
///
/// use ostler_pool::testing::{Answer, Sim};
/// use ostler_pool::{ExitStatus, Pool};
///
/// # let mut paused = tokio::runtime::Builder::new_current_thread();
/// # paused.enable_all().start_paused(true).build()?.block_on(async {
/// // A stream of two parts, 1 s apart, whose worker then crashes.
/// let sim = Sim::answering(|_, _| {
///     let second = Answer::reply("world").after(Duration::from_secs(1));
///     Answer::Stream(vec![
///         Answer::reply("hello"),
///         second,
///         Answer::Crash(ExitStatus::Code(1)),
///     ])
/// });
/// let pool = Pool::builder(sim).build()?;
/// let mut lease = pool.checkout().await?;
/// let mut stream = lease.stream("greet")?;
/// assert_eq!(stream.next().await.unwrap()?, b"hello");
/// assert_eq!(stream.next().await.unwrap()?, b"world");
/// assert!(stream.next().await.unwrap().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Answer {
    /// Replies. A stream gets it as its only part.
    Reply(Vec<u8>),
    /// Waits, then does this. A cancel during the wait ends the request with the error `Cancelled`,
    /// as it does in a Python function that sleeps.
    After(Duration, Box<Self>),
    /// Fails the request with an error, as an exception of a Python function does.
    Raise {
        /// The type of the error, such as `ValueError`.
        kind: String,
        /// Its message.
        message: String,
    },
    /// Exits without an answer.
    Crash(ExitStatus),
    /// Never answers, and ignores a cancel.
    Hang,
    /// Answers a stream: each [`Reply`](Self::Reply) is a part, and the stream ends after the last
    /// one, or with the first `Raise`, `Crash` or `Hang`. A call gets a `TypeError` instead.
    Stream(Vec<Self>),
}

impl Answer {
    /// A reply of these bytes.
    pub fn reply(body: impl Into<Vec<u8>>) -> Self {
        Self::Reply(body.into())
    }

    /// A reply of this value as JSON.
    ///
    /// # Panics
    ///
    /// If the value has no JSON, such as a map whose keys are no strings.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Self {
        Self::Reply(serde_json::to_vec(value).expect("the reply can be written as JSON"))
    }

    /// An error of this type with this message.
    pub fn raise(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Raise {
            kind: kind.into(),
            message: message.into(),
        }
    }

    /// The same answer, `delay` later.
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// What goes wrong with one request of an application. See [`Sim::faults`](super::Sim::faults).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The worker exits, and the closure of the simulation does not see the request.
    Crash,
    /// The worker exits when the closure has answered. The answer is lost, and what the closure did
    /// remains, as with a worker that has written to a database: a retry does it again.
    CrashAfterwards,
    /// The request fails with a `RuntimeError`, and the closure does not see it.
    Raise,
    /// The worker never answers, and the closure does not see the request.
    Hang,
    /// The answer comes this much later.
    Delay(Duration),
}
