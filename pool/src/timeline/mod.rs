//! What a pool did, as a picture.

mod chrome;
mod history;
mod page;
mod read;
mod steps;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler::trace::{Head, Step};

use self::history::History;
pub use self::read::TraceError;
use crate::recorder::Listener;

/// What a pool did: the phases and calls of every worker, kills, recycling, and the queue. Written
/// as a page or as a trace for Perfetto.
///
/// A pool that was built with [`Builder::timeline`](crate::Builder::timeline) fills it, and it can
/// be written at any time, as often as wanted. [`from_trace`](Self::from_trace) reads a file of
/// [`Builder::record`](crate::Builder::record) instead. Clones share their contents. A timeline
/// shows one pool: a second pool that is built with it starts it anew.
///
/// It keeps the last 100,000 leases of workers to callers, in about 10 MB, and what else happened
/// meanwhile: see [`with_capacity`](Self::with_capacity). A thread of its own fills it, and the
/// pool never waits for it. If that thread falls behind by 65,536 steps, the timeline ends there.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use ostler_pool::{Pool, Python, Timeline};
///
/// let timeline = Timeline::new();
/// let python = Python::function("math:sqrt").json();
/// let pool = Pool::builder(python).size(2).timeline(&timeline).build()?;
/// let root: f64 = pool.call_json(&81).await?;
/// # assert_eq!(root, 9.0);
/// pool.shutdown().await;
/// # let dir = std::env::temp_dir().join("ostler-timeline");
/// # std::fs::create_dir_all(&dir)?;
/// # let (page, trace) = (dir.join("timeline.html"), dir.join("perfetto.json"));
/// timeline.write_html(std::fs::File::create(page)?)?;
/// timeline.write_chrome_trace(std::fs::File::create(trace)?)?;
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Timeline(Arc<Mutex<History>>);

impl Timeline {
    /// The leases that [`new`](Self::new) keeps.
    const LEASES: usize = 100_000;

    /// An empty timeline, which keeps the last 100,000 leases.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(Self::LEASES)
    }

    /// An empty timeline, which keeps the last `leases` leases, at least one. A call takes one
    /// lease, unless its caller holds a [`Lease`](crate::Lease) for several. An entry takes about
    /// 100 bytes.
    ///
    /// It also keeps at most as many workers that have ended, changes of the queue's length, and
    /// other events; whichever limit is reached, the timeline starts later from then on.
    #[must_use]
    pub fn with_capacity(leases: usize) -> Self {
        Self(Arc::new(Mutex::new(History::new(leases.max(1)))))
    }

    /// Reads a trace that [`Builder::record`](crate::Builder::record) wrote, and keeps all of it. An
    /// incomplete last line, as a killed host leaves it, is skipped.
    ///
    /// # Errors
    ///
    /// [`TraceError`]: the trace cannot be read, is no trace, or comes from another version of
    /// ostler.
    ///
    /// ```
    /// # use ostler_pool::Timeline;
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let file = std::fs::File::open("pool.trace")?;
    /// let timeline = Timeline::from_trace(std::io::BufReader::new(file))?;
    /// timeline.write_html(std::fs::File::create("timeline.html")?)?;
    /// # Ok(())
    /// # }
    /// # let error = Timeline::from_trace(&b"[1]\n"[..]).unwrap_err();
    /// # assert!(error.to_string().starts_with("line 1 is not the head of a trace"), "{error}");
    /// ```
    pub fn from_trace(trace: impl BufRead) -> Result<Self, TraceError> {
        let timeline = Self::with_capacity(usize::MAX);
        read::read(trace, &mut timeline.history())?;
        Ok(timeline)
    }

    /// Writes one HTML page that needs no other file and no network. It shows a lane for each slot
    /// of the pool, and works with 100 workers and 100,000 calls, which take about 3 MB.
    ///
    /// A pool that runs records on meanwhile: the page shows it as it is now.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_html(&self, to: impl Write) -> io::Result<()> {
        // A slow writer must not hold up the recorder.
        let data = page::data(&self.history())?;
        page::write(&data, to)
    }

    /// Writes the trace event format of Chrome, which <https://ui.perfetto.dev> and
    /// `chrome://tracing` read: a thread for each slot, with workers, phases and calls, and a
    /// counter for the queue.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn write_chrome_trace(&self, mut to: impl Write) -> io::Result<()> {
        let text = chrome::trace(&self.history())?;
        to.write_all(&text)?;
        to.flush()
    }

    /// What the recorder tells about each step.
    pub(crate) fn follower(&self) -> Follower {
        Follower(self.clone())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").finish_non_exhaustive()
    }
}

/// Fills a timeline.
pub(crate) struct Follower(Timeline);

impl Listener for Follower {
    fn begin(&mut self, head: &Head, started: Duration) -> io::Result<()> {
        let started_ms = u64::try_from(started.as_millis()).unwrap_or(u64::MAX);
        self.0.history().begin(head.policy.size, Some(started_ms));
        Ok(())
    }

    fn take(&mut self, at: Duration, step: &Step) -> io::Result<()> {
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.0.history().take(at, step);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
