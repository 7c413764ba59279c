//! The timer of the calls on one transport.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::coop::unconstrained;

use super::wakers::Wakers;
use crate::rt::{Mutex, Sleep};

/// Wakes the caller when its call may have timed out.
///
/// To make, arm and drop a timer takes about 800 instructions. So the timer stays armed when its
/// call has ended. Almost all calls have the same timeout, so the deadline of a later call is
/// later: the timer elapses early and wakes its caller, which then arms one for its own deadline. A
/// call with another timeout disarms the timer when it begins and when it ends. The timer of an
/// idle worker elapses once, and wakes no task.
pub(crate) struct Alarm {
    bell: Arc<Bell>,
    /// The waker that the timer gets: `bell`.
    waker: Waker,
    timer: Mutex<Option<Pin<Box<Sleep>>>>,
}

/// What the timer wakes. It does not own the timer, because the timer owns a waker of it.
struct Bell {
    is_armed: AtomicBool,
    wakers: Arc<Wakers>,
}

impl Alarm {
    pub(super) fn new(wakers: Arc<Wakers>) -> Self {
        let bell = Arc::new(Bell {
            is_armed: AtomicBool::new(false),
            wakers,
        });
        Self {
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            timer: Mutex::new(None),
        }
    }

    /// Whether a timer will wake the task that waits for an answer, at its deadline or earlier.
    pub(crate) fn is_armed(&self) -> bool {
        self.bell.is_armed.load(Ordering::Acquire)
    }

    /// Arms `timer`, which `poll` polls. Ready if it has elapsed already.
    pub(crate) fn arm(
        &self,
        mut timer: Pin<Box<Sleep>>,
        poll: impl Fn(Pin<&mut Sleep>, &mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        // Before the poll, because the timer may elapse at once.
        self.bell.is_armed.store(true, Ordering::Release);
        // Polled only once, so a task that has used up its budget must arm it, too.
        let mut once = unconstrained(poll_fn(|cx| poll(timer.as_mut(), cx)));
        let elapsed = Pin::new(&mut once).poll(&mut Context::from_waker(&self.waker));
        match elapsed {
            Poll::Ready(()) => self.bell.is_armed.store(false, Ordering::Release),
            Poll::Pending => self.keep(Some(timer)),
        }
        elapsed
    }

    /// Drops the timer. If it elapses just now, it may seem to be disarmed once more later. Then a
    /// caller arms one too many.
    pub(crate) fn disarm(&self) {
        self.bell.is_armed.store(false, Ordering::Release);
        self.keep(None);
    }

    fn keep(&self, timer: Option<Pin<Box<Sleep>>>) {
        let mut kept = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = std::mem::replace(&mut *kept, timer);
        drop(kept);
        drop(previous);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First, so that a caller that registers too late to be woken finds no timer armed.
        self.is_armed.store(false, Ordering::Release);
        if let Some(caller) = self.wakers.take_caller() {
            caller.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use ostler::supervisor::Reason;
    use tokio::task::coop::consume_budget;
    use tokio::time;

    use super::super::frame::kind;
    use super::super::{Closed, Transport};
    use super::*;
    use crate::port::Pipe;

    const LIMIT: Duration = Duration::from_secs(7);

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn arm(transport: &Transport) -> Poll<()> {
        let timer = Box::pin(time::sleep(LIMIT));
        transport.alarm().arm(timer, |timer, cx| timer.poll(cx))
    }

    /// C12: a timer wakes the waiting task once, even if the task had used up its budget when it
    /// armed the timer. If no task waits, none is woken, not even the worker's own.
    #[tokio::test(start_paused = true)]
    async fn a_timer_wakes_the_task_that_waits() {
        let (host, _worker) = tokio::io::duplex(1024);
        let (reader, writer) = tokio::io::split(host);
        let transport = Transport::new(1024);
        transport.connect(Pipe::new(reader, writer));
        let (watcher, caller) = (Arc::<Count>::default(), Arc::<Count>::default());
        let woken = || [&watcher, &caller].map(|count| count.0.load(Ordering::Relaxed));
        let waker = Waker::from(Arc::clone(&watcher));
        let mut watch = Box::pin(transport.unsolicited());
        assert!(
            watch
                .poll_unpin(&mut Context::from_waker(&waker))
                .is_pending()
        );
        while consume_budget().now_or_never().is_some() {}
        assert!(arm(&transport).is_pending());
        assert!(transport.alarm().is_armed());
        time::sleep(2 * LIMIT).await;
        assert!(!transport.alarm().is_armed());
        assert_eq!(woken(), [0, 0]);
        transport.begin(kind::CALL, b"", &[]).unwrap();
        let waker = Waker::from(Arc::clone(&caller));
        let mut cx = Context::from_waker(&waker);
        assert!(transport.poll_answer(&mut cx, &[], false).is_pending());
        assert!(arm(&transport).is_pending());
        time::sleep(2 * LIMIT).await;
        assert!(!transport.alarm().is_armed());
        assert_eq!(woken(), [0, 1]);
    }

    /// C12: closing or dropping a transport drops its timer.
    #[tokio::test(start_paused = true)]
    async fn a_timer_goes_with_its_transport() {
        for closes in [false, true] {
            let transport = Transport::new(1024);
            assert!(arm(&transport).is_pending());
            let bell = Arc::downgrade(&transport.alarm().bell);
            // The transport has two, and the timer the third.
            assert_eq!(bell.strong_count(), 3);
            if closes {
                transport.close(Closed::Stopped(Reason::Shutdown), false);
                assert_eq!(bell.strong_count(), 2);
            }
            drop(transport);
            assert_eq!(bell.strong_count(), 0);
        }
    }
}
