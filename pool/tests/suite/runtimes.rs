//! Does a pool end with its runtime in every state, and refuse a runtime that cannot run it?

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use ostler_pool::port::{BoxFuture, OpenError, Opener, Port, Start};
use ostler_pool::testing::{Script, Sim, SimStats};
use ostler_pool::{BuildError, CallError, CheckoutError, Pool, RecvError};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::rig::{pool, until};

/// A guard against hanging. No passing test reaches it.
const MINUTE: Duration = Duration::from_secs(60);

fn single() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// O4: a pool is not built on a runtime without timers or without I/O, and starts nothing.
#[test]
fn a_pool_needs_timers_and_io() {
    let refused = |runtime: io::Result<Runtime>| {
        let sim = Sim::default();
        let built = runtime.unwrap().block_on(async { pool(&sim, 1).build() });
        assert_eq!(sim.stats(), SimStats::default());
        match built.unwrap_err() {
            error @ BuildError::IncompleteRuntime { .. } => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let mut builder = runtime::Builder::new_current_thread();
    assert_eq!(
        refused(builder.build()),
        "the pool's runtime has no timers: build the runtime with `enable_all`"
    );
    assert_eq!(
        refused(builder.enable_time().build()),
        "the pool's runtime has no I/O: build the runtime with `enable_all`"
    );
    let mut threads = runtime::Builder::new_multi_thread();
    assert_eq!(
        refused(threads.enable_io().build()),
        "the pool's runtime has no timers: build the runtime with `enable_all`"
    );
}

/// Checks, from another runtime, that the pool has ended: events end and clients are refused.
fn has_ended(pool: &Pool, mut events: ostler_pool::Events) {
    single().block_on(async {
        let end = async {
            while events.recv().await != Err(RecvError::Closed) {}
            assert!(matches!(pool.checkout().await, Err(CheckoutError::Closed)));
            assert_eq!(pool.shutdown().await.unreleased, []);
        };
        timeout(MINUTE, end).await.expect("the pool has ended");
    });
}

/// A pool of two, all of whose workers wait for the end of a long backoff.
async fn backing_off() -> Pool {
    let sim = Sim::new([Script::OpenFails; 2]);
    let pool = pool(&sim, 2)
        .restart_backoff(Duration::from_secs(3600))
        .restart_backoff_max(Duration::from_secs(3600))
        .build()
        .unwrap();
    until(&pool, |status| {
        (status.counters.opened, status.workers.len()) == (2, 0)
    })
    .await;
    pool
}

/// O5: a pool without a worker ends with its runtime.
#[test]
fn a_pool_that_backs_off_ends_with_its_runtime() {
    let home = single();
    let pool = home.block_on(backing_off());
    let events = pool.events();
    drop(home);
    has_ended(&pool, events);
}

/// O5: a pool also ends if a panic unwinds its runtime.
#[test]
fn a_pool_ends_with_a_runtime_that_unwinds() {
    for backs_off in [true, false] {
        let mut kept = None;
        let unwinds = AssertUnwindSafe(|| {
            let home = single();
            let pool = home.block_on(async {
                match backs_off {
                    true => backing_off().await,
                    false => pool(&Sim::default(), 2).build().unwrap(),
                }
            });
            kept = Some((pool.clone(), pool.events()));
            home.block_on(async {
                until(&pool, |status| status.counters.opened == 2).await;
                panic!("another task's panic");
            });
        });
        assert!(catch_unwind(unwinds).is_err());
        let (pool, events) = kept.unwrap();
        has_ended(&pool, events);
    }
}

/// O5: clients on another runtime get an error when the pool's runtime ends, and never a panic:
/// those that wait for a worker, and those whose call is under way.
#[test]
fn clients_on_another_runtime_get_an_error() {
    for round in 0..20 {
        let home = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let pool = home.block_on(async { pool(&Sim::default(), 1).build().unwrap() });
        let clients = {
            let pool = pool.clone();
            thread::spawn(move || {
                // The clients' runtime needs no timers: those are the pool's.
                let bare = runtime::Builder::new_current_thread().build().unwrap();
                bare.block_on(async {
                    let mut lease = pool.checkout().await.unwrap();
                    let calls = async { lease.call(b"hang").await };
                    let (called, waited) = tokio::join!(calls, pool.checkout());
                    (called, waited.map(drop))
                })
            })
        };
        // The first client waits as well, until the worker has started.
        while pool.status().counters.granted == 0 || pool.status().waiting == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        // Sooner or later after the clients began to wait.
        thread::sleep(Duration::from_micros(50 * round));
        home.shutdown_background();
        let (called, waited) = clients.join().expect("no panic");
        assert!(
            matches!(called, Err(CallError::Stopped { .. })),
            "{called:?}"
        );
        assert!(matches!(waited, Err(CheckoutError::Closed)), "{waited:?}");
    }
}

/// An opener that tells when it is dropped, and how often it was closed.
#[derive(Debug, Default)]
struct Held(Sim, Arc<AtomicBool>, Arc<AtomicU64>);

impl Opener for Held {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.0.open(start)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

/// O5: what the opener holds goes with the end of the pool, although a handle of the pool lives on:
/// after a shutdown, and after the end of the runtime.
#[test]
fn the_opener_goes_with_the_pool() {
    for shuts_down in [true, false] {
        let dropped = Arc::new(AtomicBool::new(false));
        let opener = Held(Sim::default(), Arc::clone(&dropped), Arc::default());
        let home = single();
        let pool = home.block_on(async {
            let pool = Pool::builder(opener).size(2).build().unwrap();
            pool.call(b"hello").await.unwrap();
            if shuts_down {
                pool.shutdown().await;
                assert!(dropped.load(Ordering::SeqCst));
            }
            pool
        });
        drop(home);
        assert!(dropped.load(Ordering::SeqCst));
        assert!(pool.is_closed());
    }
}

/// A writer that hangs from its first line until it is told to go on.
struct Hangs {
    began: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Write for Hangs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.began.send(());
        // Ends when the test does.
        let _ = self.go_on.lock().unwrap().recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// O6: a writer of the trace that hangs delays neither the close of the opener, nor the shutdown's
/// report beyond its timeout, nor the end of the runtime.
#[test]
fn a_hanging_recorder_holds_up_nothing() {
    let (began, has_begun) = channel();
    let (let_go, go_on) = channel();
    let writer = Hangs {
        began,
        go_on: Mutex::new(go_on),
    };
    let home = single();
    home.block_on(async {
        let opener = Held::default();
        let closed = Arc::clone(&opener.2);
        let pool = Pool::builder(opener)
            .size(1)
            .record(writer)
            .shutdown_timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        pool.call(b"hello").await.unwrap();
        let report = timeout(MINUTE, pool.shutdown().into_future())
            .await
            .unwrap();
        assert_eq!(report.unreleased, []);
        assert_eq!(closed.load(Ordering::SeqCst), 1);
        has_begun.recv_timeout(MINUTE).unwrap();
    });
    let (ended, has_ended) = channel();
    thread::spawn(move || {
        drop(home);
        let _ = ended.send(());
    });
    has_ended.recv_timeout(MINUTE).expect("the runtime ends");
    drop(let_go);
}

/// A shutdown waits for a slow writer of the trace, until the trace is written.
#[test]
fn a_slow_recorder_is_waited_for() {
    let (began, has_begun) = channel();
    let (let_go, go_on) = channel();
    let writer = Hangs {
        began,
        go_on: Mutex::new(go_on),
    };
    single().block_on(async {
        let pool = pool(&Sim::default(), 1).record(writer).build().unwrap();
        pool.call(b"hello").await.unwrap();
        let mut shutdown = Box::pin(pool.shutdown().into_future());
        until(&pool, |status| status.workers.is_empty()).await;
        has_begun.recv_timeout(MINUTE).unwrap();
        // A turn for every other task, which could end the pool.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(
            shutdown.as_mut().now_or_never().is_none(),
            "it does not wait"
        );
        drop(let_go);
        let report = timeout(MINUTE, shutdown).await.unwrap();
        assert!(report.is_clean(), "{report}");
    });
}
