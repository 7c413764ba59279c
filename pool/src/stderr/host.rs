//! Writes lines to the stderr of this process, on a thread of its own.
//!
//! A write to stderr blocks while its reader is stopped: a held terminal, a full pipe. The tasks
//! that drain the stderr of workers must not block, so they hand their lines over here.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How many lines wait for the thread. The next ones are dropped.
const MOST: usize = 1024;

/// How long a [`flush`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// This process has one stderr, so all pools share one queue.
static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    lines: VecDeque::new(),
    dropped: 0,
    thread: Thread::None,
    flushes: Vec::new(),
});

/// Notified when the queue is no longer empty.
static MORE: Condvar = Condvar::new();

struct Queue {
    lines: VecDeque<String>,
    /// Lines dropped since the thread last said so.
    dropped: u64,
    thread: Thread,
    /// Notified when everything is written.
    flushes: Vec<oneshot::Sender<()>>,
}

#[derive(PartialEq)]
enum Thread {
    /// The first line starts it.
    None,
    Idle,
    Writes,
}

/// Has a line written, which brings its end.
pub(super) fn write(line: String) {
    let mut queue = queue();
    if queue.lines.len() == MOST {
        queue.dropped += 1;
        return;
    }
    if queue.thread == Thread::None {
        let started = thread::Builder::new()
            .name("ostler-stderr".to_owned())
            .spawn(run);
        if started.is_err() {
            queue.dropped += 1;
            return;
        }
        queue.thread = Thread::Idle;
    }
    queue.lines.push_back(line);
    MORE.notify_one();
}

/// Waits until everything is written, for [`FLUSH_TIMEOUT`] at most.
pub(super) async fn flush() {
    let written = {
        let mut queue = queue();
        if queue.lines.is_empty() && queue.thread != Thread::Writes {
            return;
        }
        let (flush, written) = oneshot::channel();
        queue.flushes.push(flush);
        written
    };
    // Late or not: it was tried.
    let _ = timeout(FLUSH_TIMEOUT, written).await;
}

fn run() {
    loop {
        let text = next();
        // There is nowhere to say that it failed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Waits for the next line.
fn next() -> String {
    let mut queue = queue();
    loop {
        if let Some(mut line) = queue.lines.pop_front() {
            queue.thread = Thread::Writes;
            if queue.lines.is_empty() && queue.dropped > 0 {
                let dropped = std::mem::take(&mut queue.dropped);
                line.push_str(&format!(
                    "[ostler] dropped {dropped} lines of workers' stderr: this process's stderr is \
                     not read fast enough\n"
                ));
            }
            return line;
        }
        queue.thread = Thread::Idle;
        for flush in queue.flushes.drain(..) {
            let _ = flush.send(());
        }
        queue = MORE.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
