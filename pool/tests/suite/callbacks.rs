//! May a task that waits for the pool look at it when it is woken or dropped, and does it find what
//! it was woken for?
//!
//! A pool that wakes or drops a task under its own lock waits for itself. `onlookers` asks the same
//! about ports, openers and logs.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_util::Stream as _;
use ostler_pool::testing::Sim;
use ostler_pool::{DrainEnd, Events, Pool, TryRecvError};
use tokio::runtime;
use tokio::time::sleep;

use crate::intake::SlowClose;
use crate::puppets::{Puppets, kind};
use crate::rig::{end, pool, until};

/// Runs a test on a paused clock of its own thread. Fails, instead of hanging, if the pool waits
/// for itself.
pub(crate) fn resolves(test: impl AsyncFnOnce() + Send + 'static) {
    let (sender, done) = channel();
    let running = thread::spawn(move || {
        let mut paused = runtime::Builder::new_current_thread();
        let paused = paused.enable_all().start_paused(true).build().unwrap();
        paused.block_on(test());
        drop(paused);
        sender.send(()).unwrap();
    });
    // No passing run takes that long. A run that panics drops its sender.
    match done.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => {}
        Err(RecvTimeoutError::Disconnected) => running.join().unwrap(),
        Err(RecvTimeoutError::Timeout) => panic!("the pool waits for itself"),
    }
}

/// A task that looks at the pool when it is woken and when its last waker is dropped.
struct Task {
    pool: Pool,
    woken: Arc<AtomicUsize>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        let _ = self.pool.status();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let _ = self.pool.status();
    }
}

/// Makes such tasks, and counts how often they were woken.
struct Tasks {
    pool: Pool,
    woken: Arc<AtomicUsize>,
}

impl Tasks {
    fn of(pool: &Pool) -> Self {
        let pool = pool.clone();
        let woken = Arc::default();
        Self { pool, woken }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::new(Task {
            pool: self.pool.clone(),
            woken: Arc::clone(&self.woken),
        }))
    }

    fn poll<F: Future>(&self, future: &mut Pin<Box<F>>) -> Poll<F::Output> {
        future
            .as_mut()
            .poll(&mut Context::from_waker(&self.waker()))
    }

    /// How often they were woken since this was asked last.
    fn woken(&self) -> usize {
        self.woken.swap(0, Ordering::Relaxed)
    }
}

/// A moment for the pool's own tasks.
async fn pause() {
    sleep(Duration::from_millis(1)).await;
}

/// Tasks that wait for a lease, an answer, or the end of an operation are woken and dropped without
/// the pool's lock.
#[test]
fn a_task_that_waits_may_look_at_the_pool() {
    resolves(async || {
        let sim = Sim::default();
        let pool = pool(&sim, 1).build().unwrap();
        until(&pool, |status| status.serving() == 1).await;
        let tasks = Tasks::of(&pool);
        let held = pool.checkout().await.unwrap();
        let mut gives_up = Box::pin(pool.checkout());
        assert!(tasks.poll(&mut gives_up).is_pending());
        assert!(tasks.poll(&mut gives_up).is_pending());
        drop(gives_up);
        tasks.woken();
        let mut granted = Box::pin(pool.checkout());
        assert!(tasks.poll(&mut granted).is_pending());
        drop(held);
        assert_eq!(tasks.woken(), 1);
        let Poll::Ready(Ok(mut lease)) = tasks.poll(&mut granted) else {
            panic!("it was woken");
        };
        let mut answered = Box::pin(lease.call(b"hello"));
        assert!(tasks.poll(&mut answered).is_pending());
        pause().await;
        assert_eq!(tasks.woken(), 1);
        assert!(tasks.poll(&mut answered).is_ready());
        drop(answered);
        let mut refused = Box::pin(pool.checkout());
        assert!(tasks.poll(&mut refused).is_pending());
        let mut drained = Box::pin(pool.drain().into_future());
        assert!(tasks.poll(&mut drained).is_pending());
        let mut gone = Box::pin(pool.drain().into_future());
        assert!(tasks.poll(&mut gone).is_pending());
        drop(gone);
        pool.resume();
        assert_eq!(tasks.woken(), 1);
        assert_eq!(tasks.poll(&mut drained), Poll::Ready(DrainEnd::Resumed));
        let mut restarted = Box::pin(pool.recycle_all().into_future());
        assert!(tasks.poll(&mut restarted).is_pending());
        let mut ended = Box::pin(pool.shutdown().into_future());
        assert!(tasks.poll(&mut ended).is_pending());
        assert_eq!(tasks.woken(), 2, "the restart and the waiting client");
        assert!(tasks.poll(&mut restarted).is_ready());
        assert!(tasks.poll(&mut refused).is_ready());
        let mut abandoned = Box::pin(lease.call(b"hang"));
        assert!(tasks.poll(&mut abandoned).is_pending());
        drop(abandoned);
        pause().await;
        assert!(tasks.poll(&mut ended).is_ready());
        assert_eq!(sim.stats().open, 0);
    });
}

/// A reader of events is woken, replaced and dropped without the pool's lock. Only the task that
/// polled last is woken.
#[test]
fn a_reader_of_events_may_look_at_the_pool() {
    resolves(async || {
        let sim = Sim::default();
        let pool = pool(&sim, 1).build().unwrap();
        until(&pool, |status| status.serving() == 1).await;
        let (first, second) = (Tasks::of(&pool), Tasks::of(&pool));
        let mut readers = [pool.events(), pool.events()];
        let next = |tasks: &Tasks, events: &mut Events| {
            let waker = tasks.waker();
            Pin::new(events).poll_next(&mut Context::from_waker(&waker))
        };
        for events in &mut readers {
            assert!(next(&first, events).is_pending());
            assert!(next(&second, events).is_pending());
        }
        let lease = pool.checkout().await.unwrap();
        assert_eq!((first.woken(), second.woken()), (0, 2));
        for events in &mut readers {
            assert!(next(&first, events).is_ready());
            assert!(next(&second, events).is_pending());
        }
        let [mut stays, goes] = readers;
        drop(goes);
        drop(lease);
        assert_eq!((first.woken(), second.woken()), (0, 1));
        while next(&second, &mut stays).is_ready() {}
        pool.shutdown().await;
        while !matches!(next(&second, &mut stays), Poll::Ready(None)) {}
        assert!(second.woken() > 0);
    });
}

/// Calls the closure when it is woken.
struct OnWake<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

/// A map wakes its client without holding its own lock, so the client may poll the map at once.
#[test]
fn a_client_of_a_map_may_look_into_it() {
    resolves(async || {
        let sim = Sim::default();
        let pool = pool(&sim, 1).build().unwrap();
        let map = Arc::new(Mutex::new(pool.map(["hello"])));
        let (sender, found) = channel();
        let looks = {
            let map = Arc::clone(&map);
            OnWake(move || {
                let mut idle = Context::from_waker(Waker::noop());
                let reply = Pin::new(&mut *map.lock().unwrap()).poll_next(&mut idle);
                sender.send(reply).unwrap();
            })
        };
        let waker = Waker::from(Arc::new(looks));
        let first = Pin::new(&mut *map.lock().unwrap()).poll_next(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        pause().await;
        let Poll::Ready(Some(Ok(reply))) = found.try_recv().unwrap() else {
            panic!("it was woken");
        };
        assert_eq!(reply, b"hello");
        drop(map);
        end(&pool, &sim).await;
    });
}

/// Dropping a call or a stream drops the waker of the task that polled it.
#[tokio::test(start_paused = true)]
async fn an_abandoned_call_keeps_no_task() {
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    for stream in [false, true] {
        let mut lease = pool.checkout().await.unwrap();
        let (pool, woken) = (pool.clone(), Arc::default());
        let task = Arc::new(Task { pool, woken });
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        if stream {
            let mut parts = lease.stream(b"hang a").unwrap();
            while Pin::new(&mut parts).poll_next(&mut cx).is_ready() {}
            drop(parts);
        } else {
            let mut call = Box::pin(lease.call(b"hang"));
            assert!(call.as_mut().poll(&mut cx).is_pending());
            drop(call);
        }
        // The worker's task had no turn yet.
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
    }
    pool.shutdown().await;
}

/// A caller that is woken by the exit of its worker finds a pool that has counted it.
#[tokio::test(start_paused = true)]
async fn a_caller_finds_the_exit_that_woke_it() {
    let puppets = Puppets::default();
    let pool = Pool::builder(puppets.clone()).size(1).build().unwrap();
    let mut lease = pool.checkout().await.unwrap();
    let mut call = Box::pin(lease.call(b"hold"));
    let exits = Arc::new(Mutex::new(Vec::new()));
    let (found, looks) = (Arc::clone(&exits), pool.clone());
    let caller = Waker::from(Arc::new(OnWake(move || {
        found.lock().unwrap().push(looks.status().counters.exited);
    })));
    let polled = call.as_mut().poll(&mut Context::from_waker(&caller));
    assert!(polled.is_pending());
    until(&pool, |_| puppets.kinds(0).last() == Some(&kind::CALL)).await;
    puppets.exit(0, 3);
    until(&pool, |status| status.counters.released == 1).await;
    assert_eq!(*exits.lock().unwrap(), [1]);
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(&caller))
            .is_ready()
    );
    pool.shutdown().await;
}

/// A reader that is woken by the end of the pool finds that end.
#[tokio::test(start_paused = true)]
async fn a_reader_finds_the_end_that_woke_it() {
    let opener = SlowClose(Sim::default());
    let pool = Pool::builder(opener).size(1).build().unwrap();
    let events = Arc::new(Mutex::new(pool.events()));
    pool.shutdown();
    until(&pool, |status| status.counters.released == 1).await;
    while events.lock().unwrap().try_recv().is_ok() {}
    // A second later, the opener is closed and the pool has ended.
    let found = Arc::new(Mutex::new(Vec::new()));
    let (all, woken) = (Arc::clone(&events), Arc::clone(&found));
    let reader = Waker::from(Arc::new(OnWake(move || {
        woken.lock().unwrap().push(all.lock().unwrap().try_recv());
    })));
    let next = Pin::new(&mut *events.lock().unwrap()).poll_next(&mut Context::from_waker(&reader));
    assert!(next.is_pending());
    pool.shutdown().await;
    assert_eq!(*found.lock().unwrap(), [Err(TryRecvError::Closed)]);
}
