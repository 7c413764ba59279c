//! Lines of JSON.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use ostler::policy::Policy;
use ostler::trace::{Head, Step, VERSION};

/// Steps that may be waiting to be written: some megabytes. A pool that is ahead of its file by more does not wait for it, and
/// the trace ends there.
const AHEAD: usize = 1 << 16;

/// Where a trace goes. The lock is never contended: it makes a builder that holds this `Sync`.
pub(crate) struct Sink(Mutex<Box<dyn Write + Send>>);

impl Sink {
    pub(crate) fn new(to: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(to)))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// Takes steps under the lock of the pool, and writes them on a thread of its own. Dropped, it lets the thread write on; see
/// [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Recorder {
    /// `None` once the trace has ended before the pool.
    steps: Option<SyncSender<Step>>,
    writer: JoinHandle<()>,
}

impl Recorder {
    pub(crate) fn start(policy: Policy, sink: Sink) -> io::Result<Self> {
        let (sender, steps) = sync_channel(AHEAD);
        let head = Head {
            ostler_trace: VERSION,
            policy,
        };
        let write = move || {
            if let Err(error) = write_all(&head, &steps, sink) {
                tracing::error!(target: "ostler::pool", %error, "the trace cannot be written and ends here");
            }
        };
        let thread = Builder::new().name("ostler-recorder".to_owned());
        Ok(Self {
            steps: Some(sender),
            writer: thread.spawn(write)?,
        })
    }

    /// Takes the next step, without waiting.
    pub(crate) fn take(&mut self, step: Step) {
        if let Some(steps) = &self.steps
            && steps.try_send(step).is_err()
        {
            // A trace with a gap would prove nothing. What was written up to here does.
            self.steps = None;
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) {
        drop(self.steps);
        // A panic of the user's writer is printed, and is not the pool's.
        let _ = self.writer.join();
    }
}

/// A line for the head and each step.
fn write_all(head: &Head, steps: &Receiver<Step>, sink: Sink) -> io::Result<()> {
    let sink = sink.0.into_inner();
    let mut out = BufWriter::new(sink.unwrap_or_else(PoisonError::into_inner));
    serde_json::to_writer(&mut out, head)?;
    writeln!(out)?;
    while let Ok(step) = steps.recv() {
        for step in std::iter::once(step).chain(steps.try_iter()) {
            serde_json::to_writer(&mut out, &step)?;
            writeln!(out)?;
        }
        // Whoever looks at the file of a pool that rests finds all of it.
        out.flush()?;
    }
    out.flush()
}
