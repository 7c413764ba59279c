//! May a recorder look at the pool whenever it gets something?
//!
//! A pool that calls it under its own lock waits for itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use ostler_pool::Pool;
use ostler_pool::testing::Sim;

use crate::until;

/// Looks at the pool, once there is one, and counts how often.
#[derive(Clone, Default)]
struct Looks {
    pool: Arc<OnceLock<Pool>>,
    count: Arc<AtomicUsize>,
}

impl Looks {
    fn look(&self) {
        if let Some(pool) = self.pool.get() {
            let _ = pool.status();
            self.count.fetch_add(1, Ordering::Relaxed);
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

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.look();
        Counter::from_arc(Arc::new(self.clone()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.clone()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

/// The pool records without its lock, whatever happens to its workers and its callers.
#[test]
fn a_recorder_may_look_at_the_pool() {
    let (sender, done) = channel();
    let running = thread::spawn(move || {
        let looks = Looks::default();
        let _kept = metrics::set_default_local_recorder(&looks);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let pool = Pool::builder(Sim::default()).size(1);
            let pool = pool
                .checkout_timeout(Duration::from_millis(5))
                .build()
                .unwrap();
            assert!(looks.pool.set(pool.clone()).is_ok());
            until(&pool, |status| status.serving() == 1).await;
            let lease = pool.checkout().await.unwrap();
            pool.checkout().await.unwrap_err();
            drop(lease);
            pool.call(b"hello").await.unwrap();
            pool.call(b"exit").await.unwrap_err();
            until(&pool, |status| status.serving() == 1).await;
            pool.shutdown().await;
        });
        sender.send(looks.count.load(Ordering::Relaxed)).unwrap();
    });
    // No passing run takes that long. A run that panics drops its sender.
    let looks = done.recv_timeout(Duration::from_secs(60));
    let looks = looks.expect("the pool waits for itself, or see the panic above");
    running.join().unwrap();
    assert!(looks > 20, "{looks}");
}
