//! The queue of steps, and the thread that passes them on.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ostler::policy::Policy;
use ostler::trace::{Head, Step, VERSION};
use tokio::sync::oneshot;

use crate::rt::{self, Instant, Receiver, SyncSender, ThreadBuilder, sync_channel};

/// The most steps that may wait to be written, a few megabytes. When the queue is full, the trace
/// ends: the pool does not wait for the file.
const MAX_QUEUED: usize = 1 << 16;

/// Gets every step of a pool, on the recorder's thread.
pub(crate) trait Listener: Send {
    /// The trace begins now. `started`: how long ago the Unix epoch was.
    fn begin(&mut self, head: &Head, started: Duration) -> io::Result<()>;
    /// The next step, taken this long after the beginning.
    fn take(&mut self, at: Duration, step: &Step) -> io::Result<()>;
    /// No step is queued now.
    fn flush(&mut self) -> io::Result<()>;
}

/// Where the steps go. The mutex is never contended; it makes the builder that holds the sink
/// `Sync`.
#[derive(Default)]
pub(crate) struct Sink(Mutex<Vec<Box<dyn Listener>>>);

impl Sink {
    pub(crate) fn add(&mut self, listener: impl Listener + 'static) {
        let listeners = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// Queues steps under the pool's lock and writes them on its own thread. After a drop, the thread
/// still writes what is queued; [`finish`](Self::finish) waits for that.
///
/// The thread is not one of the runtime's, which could not end before the user's writer returns.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// `None` once the queue was full and the trace ended.
    steps: Option<SyncSender<(Duration, Step)>>,
    since: Instant,
    /// Resolves when the thread has written everything and dropped the user's writer.
    written: oneshot::Receiver<()>,
}

impl Recorder {
    pub(crate) fn start(policy: Policy, sink: Sink) -> io::Result<Self> {
        let (sender, steps) = sync_channel(MAX_QUEUED);
        let (done, written) = oneshot::channel::<()>();
        let head = Head {
            ostler_trace: VERSION,
            policy,
        };
        let started = rt::unix_time();
        let write = move || {
            // Dropped last, also by a panic of the user's writer.
            let _done = done;
            pass_on(&head, started, &steps, sink);
        };
        ThreadBuilder::new()
            .name("ostler-recorder".to_owned())
            .spawn(write)?;
        Ok(Self {
            steps: Some(sender),
            since: Instant::now(),
            written,
        })
    }

    /// Queues the next step. Does not block.
    pub(crate) fn take(&mut self, step: Step) {
        if let Some(steps) = &self.steps
            && steps.try_send((self.since.elapsed(), step)).is_err()
        {
            // A trace with a gap cannot be checked, but the steps before the gap can, so end it
            // here.
            self.steps = None;
        }
    }

    /// Waits until every queued step is written. Waits for ever if the user's writer hangs.
    pub(crate) async fn finish(self) {
        drop(self.steps);
        // Nothing is ever sent. The user's writer may have panicked: the panic hook has printed
        // that, and it must not reach the pool.
        let _ = self.written.await;
    }
}

/// Passes on the head, then each step as it arrives.
fn pass_on(head: &Head, started: Duration, steps: &Receiver<(Duration, Step)>, sink: Sink) {
    let mut listeners = sink.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    tell(&mut listeners, |listener| listener.begin(head, started));
    while let Ok(step) = steps.recv() {
        for (at, step) in std::iter::once(step).chain(steps.try_iter()) {
            tell(&mut listeners, |listener| listener.take(at, &step));
        }
        // The file of an idle pool is complete.
        tell(&mut listeners, |listener| listener.flush());
        if listeners.is_empty() {
            return;
        }
    }
    tell(&mut listeners, |listener| listener.flush());
}

/// Drops a listener that fails. The others go on.
fn tell(
    listeners: &mut Vec<Box<dyn Listener>>,
    what: impl Fn(&mut dyn Listener) -> io::Result<()>,
) {
    listeners.retain_mut(|listener| match what(&mut **listener) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(
                target: "ostler::pool",
                %error,
                "cannot write the trace; it ends here"
            );
            false
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};

    use ostler::WaiterId;
    use ostler::supervisor::Input;

    use super::*;
    use crate::recorder::JsonLines;

    /// Hangs in its first write until it is told to go on.
    struct Gated {
        gate: Option<Receiver<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = self.gate.take() {
                let _ = gate.recv();
            }
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn recorder() -> (Recorder, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = channel();
        let (gate, written) = (Some(gate), Arc::<Mutex<Vec<u8>>>::default());
        let to = Gated {
            gate,
            written: Arc::clone(&written),
        };
        let mut sink = Sink::default();
        sink.add(JsonLines::new(to));
        let recorder = Recorder::start(Policy::new(1), sink).unwrap();
        (recorder, open, written)
    }

    fn step(waiter: u64) -> Step {
        let waiter = WaiterId(waiter);
        Step {
            input: Some(Input::GaveUp { waiter }),
            effects: Vec::new(),
        }
    }

    /// The steps that were written, after the head.
    fn steps(written: &Mutex<Vec<u8>>) -> Vec<Step> {
        let written = written.lock().unwrap();
        let lines = std::str::from_utf8(&written).unwrap().lines().skip(1);
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Polls until this holds. Panics after a time that no passing run takes.
    fn until(holds: impl Fn() -> bool) {
        let since = Instant::now();
        while !holds() {
            assert!(since.elapsed() < Duration::from_secs(60), "it never holds");
            std::thread::yield_now();
        }
    }

    /// The trace of an idle pool is complete, and every step that was queued is written when the
    /// recorder has finished.
    #[tokio::test]
    async fn every_step_is_written() {
        let (mut recorder, open, written) = recorder();
        open.send(()).unwrap();
        recorder.take(step(1));
        until(|| steps(&written) == [step(1)]);
        recorder.take(step(2));
        recorder.take(step(3));
        recorder.finish().await;
        assert_eq!(steps(&written), [step(1), step(2), step(3)]);
        let (mut recorder, open, written) = self::recorder();
        recorder.take(step(1));
        let mut finished = Box::pin(recorder.finish());
        tokio::select! {
            biased;
            () = &mut finished => panic!("the writer hangs"),
            () = std::future::ready(()) => {}
        }
        open.send(()).unwrap();
        finished.await;
        assert_eq!(steps(&written), [step(1)]);
    }

    /// L19: when the queue is full, the trace ends: no step is written after the first missing
    /// step. The pool waits for nothing.
    #[tokio::test]
    async fn a_full_queue_ends_the_trace() {
        let (mut recorder, open, written) = recorder();
        let queued = MAX_QUEUED as u64;
        assert_eq!(queued, 65_536, "as the documentation of `record` says");
        // The writer's own buffer takes a few hundred.
        for waiter in 1..=queued + 10_000 {
            recorder.take(step(waiter));
        }
        open.send(()).unwrap();
        until(|| !written.lock().unwrap().is_empty());
        recorder.take(step(0));
        recorder.finish().await;
        let steps = steps(&written);
        assert!(steps.len() as u64 >= queued, "{}", steps.len());
        assert!((steps.len() as u64) < queued + 10_000);
        for (index, written) in (1..).zip(&steps) {
            assert_eq!(*written, step(index));
        }
    }
}
