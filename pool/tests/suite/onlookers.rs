//! May a port, an opener and a log look at the pool whenever it calls or drops them?
//!
//! A pool that calls them under its own lock waits for itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use ostler_pool::port::{BoxFuture, Exit, OpenError, Opener, Pipe, Port, Release, Start};
use ostler_pool::testing::{Script, Sim};
use ostler_pool::{Events, Pool, TryRecvError};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Metadata, Subscriber};

use crate::callbacks::resolves;
use crate::rig::{pool, until};

/// Looks at the pool, once there is one, whenever it is asked for something.
#[derive(Clone, Debug, Default)]
struct Looks {
    pool: Arc<OnceLock<Pool>>,
    /// How many ports were released, as the pool said when one was dropped.
    released: Arc<Mutex<Vec<u64>>>,
    /// What a reader of events found when the opener was dropped.
    last_event: Arc<OnceLock<TryRecvError>>,
}

impl Looks {
    fn look(&self) {
        let _ = self.pool.get().map(Pool::status);
    }
}

#[derive(Debug)]
struct Ports {
    sim: Sim,
    looks: Looks,
    events: Arc<OnceLock<Mutex<Events>>>,
}

#[derive(Debug)]
struct LookingPort {
    /// `None` when it is dropped.
    port: Option<Box<dyn Port>>,
    looks: Looks,
}

impl Opener for Ports {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        self.looks.look();
        Box::pin(async move {
            let port = Some(self.sim.open(start).await?);
            let looks = self.looks.clone();
            Ok(Box::new(LookingPort { port, looks }) as Box<dyn Port>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.looks.look();
        Box::pin(async {})
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let mut events = self.events.get().expect("it is set").lock().unwrap();
        let last = loop {
            if let Err(last) = events.try_recv() {
                break last;
            }
        };
        self.looks.last_event.set(last).expect("it is dropped once");
    }
}

impl LookingPort {
    fn port(&mut self) -> &mut Box<dyn Port> {
        self.looks.look();
        self.port.as_mut().expect("it is not dropped")
    }
}

impl Port for LookingPort {
    fn pid(&self) -> Option<u32> {
        self.looks.look();
        None
    }

    fn memory(&self) -> Option<u64> {
        self.looks.look();
        None
    }

    fn take_pipe(&mut self) -> Pipe {
        self.port().take_pipe()
    }

    fn terminate(&mut self) {
        self.port().terminate();
    }

    fn kill(&mut self) {
        self.port().kill();
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        self.port().exited()
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        self.port().released()
    }
}

impl Drop for LookingPort {
    fn drop(&mut self) {
        self.port = None;
        let released = self.looks.pool.get().unwrap().status().counters.released;
        self.looks.released.lock().unwrap().push(released);
    }
}

/// A port and an opener are called and dropped without the pool's lock: a port before the pool
/// counts it as released, and the opener before the pool reports its end.
#[test]
fn a_port_and_an_opener_may_look_at_the_pool() {
    resolves(async || {
        let sim = Sim::new([Script::IgnoresStop]);
        let looks = Looks::default();
        let events = Arc::<OnceLock<Mutex<Events>>>::default();
        let opener = Ports {
            sim: sim.clone(),
            looks: looks.clone(),
            events: Arc::clone(&events),
        };
        let pool = Pool::builder(opener).size(1).build().unwrap();
        events.set(Mutex::new(pool.events())).unwrap();
        looks.pool.set(pool.clone()).unwrap();
        until(&pool, |status| status.serving() == 1).await;
        pool.recycle(pool.status().workers[0].worker);
        until(&pool, |status| status.counters.released == 1).await;
        assert!(pool.shutdown().await.is_clean());
        assert_eq!(*looks.released.lock().unwrap(), [0, 1]);
        assert_eq!(looks.last_event.get(), Some(&TryRecvError::Empty));
        assert_eq!(sim.stats().killed, 1);
    });
}

/// A subscriber that looks at the pool for each line.
struct Log {
    pool: Arc<OnceLock<Pool>>,
    lines: Arc<AtomicUsize>,
}

impl Log {
    fn look(&self) {
        let _ = self.pool.get().map(Pool::status);
        self.lines.fetch_add(1, Ordering::Relaxed);
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ostler::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.look();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.look();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The pool logs without its lock, whatever happens to its workers.
#[test]
fn a_log_may_look_at_the_pool() {
    let (handle, lines) = (Arc::<OnceLock<Pool>>::default(), Arc::default());
    let log = Log {
        pool: Arc::clone(&handle),
        lines: Arc::clone(&lines),
    };
    resolves(async move || {
        // For this thread, on which every task of the pool runs.
        let _kept = set_default(log);
        let sim = Sim::new([Script::StartFails, Script::NeverReleased]);
        let pool = pool(&sim, 1).build().unwrap();
        handle.set(pool.clone()).unwrap();
        until(&pool, |status| status.serving() == 1).await;
        pool.call(b"exit").await.unwrap_err();
        until(&pool, |status| status.counters.abandoned == 1).await;
        until(&pool, |status| status.serving() == 1).await;
        pool.recycle(pool.status().workers[0].worker);
        until(&pool, |status| status.counters.recycled == 1).await;
        sim.let_go();
        until(&pool, |status| status.abandoned.is_empty()).await;
        assert!(pool.shutdown().await.is_clean());
    });
    let lines = lines.load(Ordering::Relaxed);
    // Not how many: what another test's thread logs first in this process may be off for good.
    assert!(lines > 0);
}
