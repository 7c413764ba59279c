//! May a recorder look at the pool whenever it gets something?
//!
//! A pool that calls it under its own lock waits for itself.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use ostler_pool::testing::Sim;
use ostler_pool::{CheckoutError, Pool};
use tokio::time::timeout;

use crate::until;

/// Looks at the pool, once there is one, and remembers which metrics did.
#[derive(Clone, Default)]
struct Looks {
    pool: Arc<OnceLock<Pool>>,
    looked: Arc<Mutex<BTreeSet<String>>>,
    /// The name of the metric, and its outcome or phase if it has one.
    metric: String,
}

impl Looks {
    fn of(&self, key: &Key) -> Arc<Self> {
        let mut metric = key.name().to_owned();
        for label in key.labels() {
            if ["outcome", "phase"].contains(&label.key()) {
                metric = format!("{metric} {}", label.value());
            }
        }
        Arc::new(Self {
            metric,
            ..self.clone()
        })
    }

    fn look(&self) {
        if let Some(pool) = self.pool.get() {
            let _ = pool.status();
            self.looked.lock().unwrap().insert(self.metric.clone());
        }
    }
}

impl CounterFn for Looks {
    fn increment(&self, _: u64) {
        self.look();
    }

    fn absolute(&self, _: u64) {
        self.look();
    }
}

impl GaugeFn for Looks {
    fn increment(&self, _: f64) {
        self.look();
    }

    fn decrement(&self, _: f64) {
        self.look();
    }

    fn set(&self, _: f64) {
        self.look();
    }
}

impl HistogramFn for Looks {
    fn record(&self, _: f64) {
        self.look();
    }
}

impl Recorder for Looks {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let looks = self.of(key);
        looks.look();
        Counter::from_arc(looks)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.of(key))
    }
}

/// The pool records each metric, and each outcome of calls and waits, without its lock.
#[test]
fn a_recorder_may_look_at_the_pool() {
    let (sender, done) = channel();
    let running = thread::spawn(move || {
        let looks = Looks::default();
        let _kept = metrics::set_default_local_recorder(&looks);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let pool = Pool::builder(Sim::default())
                .size(1)
                .max_waiting(1)
                .checkout_timeout(Duration::from_secs(1))
                .call_timeout(Duration::from_secs(1))
                .build()
                .unwrap();
            assert!(looks.pool.set(pool.clone()).is_ok());
            provoke_every_outcome(&pool).await;
            pool.shutdown().await;
        });
        sender.send(looks.looked.lock().unwrap().clone()).unwrap();
    });
    // No passing run takes that long. A run that panics drops its sender.
    let looked = done.recv_timeout(Duration::from_secs(60));
    let looked = looked.expect("the pool waits for itself, or see the panic above");
    running.join().unwrap();
    let expected = [
        "ostler_call_seconds abandoned",
        "ostler_call_seconds failed",
        "ostler_call_seconds ok",
        "ostler_call_seconds raised",
        "ostler_call_seconds timed_out",
        "ostler_drain_seconds",
        "ostler_queue_length",
        "ostler_start_seconds",
        "ostler_transitions_total",
        "ostler_wait_seconds gave_up",
        "ostler_wait_seconds granted",
        "ostler_wait_seconds refused",
        "ostler_wait_seconds timed_out",
        "ostler_worker_ends_total",
        "ostler_workers busy",
        "ostler_workers draining",
        "ostler_workers initializing",
        "ostler_workers ready",
    ];
    assert_eq!(Vec::from_iter(looked), expected);
}

/// Lets waits and calls end in every way.
async fn provoke_every_outcome(pool: &Pool) {
    let lease = pool.checkout().await.unwrap();
    pool.checkout().await.unwrap_err();
    {
        let mut gives_up = pin!(pool.checkout());
        timeout(Duration::ZERO, &mut gives_up).await.unwrap_err();
        let refused = pool.checkout().await;
        assert!(matches!(refused, Err(CheckoutError::QueueFull { .. })));
    }
    drop(lease);
    pool.call(b"hello").await.unwrap();
    pool.call(b"raise").await.unwrap_err();
    pool.call(b"hang").await.unwrap_err();
    pool.call(b"exit").await.unwrap_err();
    let abandoned = timeout(Duration::from_millis(1), pool.call(b"hang")).await;
    abandoned.unwrap_err();
    // A worker that leaves waits for its lease.
    let lease = pool.checkout().await.unwrap();
    pool.recycle(lease.worker());
    until(pool, |status| status.counters.started == 5).await;
    drop(lease);
    until(pool, |status| status.counters.released == 4).await;
}
