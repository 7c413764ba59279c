//! The metrics of a pool, and their names.
//!
//! The pool hands them to the recorder of the crate [`metrics`](https://docs.rs/metrics) that the
//! program installs. **Install it before the pool is built.** Each metric has the label `pool`, the
//! pool's [`name`](crate::Config::name), or `default` if it has none. Durations are in seconds.
//!
#![cfg_attr(feature = "metrics", doc = "```")]
#![cfg_attr(not(feature = "metrics"), doc = "```ignore")]
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use ostler_pool::{Pool, Python, metrics};
//!
//! let prometheus = PrometheusBuilder::new()
//!     .set_buckets_for_metric(Matcher::Full(metrics::CALL.into()), &[0.001, 0.01, 0.1, 1.0])?
//!     .install_recorder()?;
//! let sqrt = Python::function("math:sqrt").json();
//! let pool = Pool::builder(sqrt).name("roots").size(1).build()?;
//! pool.call_json::<_, f64>(&2).await?;
//! let count = r#"ostler_call_seconds_count{pool="roots",outcome="ok"} 1"#;
//! assert!(prometheus.render().contains(count));
//! # pool.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Without the feature `metrics`, the types of this module have no fields and do nothing.

#[cfg(not(feature = "metrics"))]
mod disabled;
#[cfg(feature = "metrics")]
mod names;
#[cfg(feature = "metrics")]
mod recorded;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::disabled::{Metrics, Pending, Timer};
#[cfg(feature = "metrics")]
pub use self::names::{CALL, DRAIN, ENDS, QUEUE, START, TRANSITIONS, WAIT, WORKERS};
#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{Metrics, Pending, Timer};

/// How a client's wait for a lease ended.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    Granted,
    Refused,
    TimedOut,
    GaveUp,
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Ok,
    /// The worker answered with an error.
    Raised,
    TimedOut,
    /// Its caller dropped it.
    Abandoned,
    /// The worker exited, was stopped, or broke the protocol.
    Failed,
}

impl Outcome {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Raised => "raised",
            Self::TimedOut => "timed_out",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
        }
    }
}
