//! Do log events and spans have the names that dashboards rely on?
//!
//! The real driver on simulated ports: see `ostler_pool::testing::Sim`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex};

use ostler_pool::Program;
use ostler_pool::port::Opener as _;
use ostler_pool::testing::{Script, Sim};
use rustix::io::{FdFlags, fcntl_setfd};
use tracing::callsite::rebuild_interest_cache;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default, with_default};
use tracing::{Event, Instrument as _, Metadata, Subscriber};

use crate::resources::{isolated, modules};
use crate::rig::{end, pool, until};

/// Records each event and span: target, message or name, and fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

pub(crate) type Line = (String, BTreeMap<&'static str, String>);

#[derive(Default)]
pub(crate) struct Fields(pub(crate) BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ostler::")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let metadata = span.metadata();
        let name = format!("{} span {}", metadata.target(), metadata.name());
        self.0.lock().unwrap().push((name, fields.0));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let name = format!("{} {message}", event.metadata().target());
        self.0.lock().unwrap().push((name, fields.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Hands each event of a worker's stderr to a function.
pub(crate) struct OnStderr<F>(pub(crate) F);

impl<F: Fn(&Event<'_>) + 'static> Subscriber for OnStderr<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ostler::stderr"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        (self.0)(event);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log {
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }
}

/// Sends this thread's spans and events to the subscriber.
///
/// A callsite that another test's thread registers at this moment could be cached as disabled for
/// good, so this rebuilds the cache.
pub(crate) fn listen(to: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    let kept = set_default(to);
    rebuild_interest_cache();
    kept
}

/// Each worker has a span, each transition an event, and their fields have the names of the
/// specification.
#[tokio::test(start_paused = true)]
async fn spans_and_events_have_stable_names() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    pool.recycle(pool.status().workers[0].worker);
    until(&pool, |status| status.counters.released == 1).await;
    end(&pool, &sim).await;
    let lines = log.lines();
    let line = |name: &str, fields: &[(&'static str, &str)]| {
        let fields = fields.iter().map(|(n, v)| (*n, (*v).to_owned()));
        (name.to_owned(), fields.collect::<BTreeMap<_, _>>())
    };
    let worker = [("worker", "0.1"), ("slot", "0"), ("generation", "1")];
    let expected = [
        line("ostler::worker opened", &worker),
        line("ostler::worker span worker", &worker),
        line(
            "ostler::worker transition",
            &[
                &worker[..],
                &[
                    ("from", "\"Initializing\""),
                    ("input", "\"Started\""),
                    ("to", "\"Ready\""),
                ],
            ]
            .concat(),
        ),
        line(
            "ostler::worker to be replaced",
            &[&worker[..], &[("reason", "it was recycled")]].concat(),
        ),
        line(
            "ostler::worker transition",
            &[
                &worker[..],
                &[
                    ("from", "\"Ready\""),
                    ("input", "\"Retire\""),
                    ("to", "\"Lingering\""),
                    ("reason", "it was recycled"),
                ],
            ]
            .concat(),
        ),
    ];
    let of_the_first: Vec<_> = (lines.into_iter())
        .filter(|(_, fields)| fields.get("worker").is_some_and(|worker| worker == "0.1"))
        .collect();
    assert_eq!(of_the_first[..5], expected);
}

/// Follows spans as a registry does: each keeps its parent open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Arc<Mutex<Vec<Span>>>);

#[derive(Debug)]
struct Span {
    name: &'static str,
    parent: Option<Id>,
    handles: usize,
    entered: bool,
    outcome: String,
}

impl Spans {
    fn with<T>(&self, id: &Id, change: impl FnOnce(&mut Span) -> T) -> T {
        let mut spans = self.0.lock().unwrap();
        change(&mut spans[usize::try_from(id.into_u64()).unwrap() - 1])
    }

    /// The spans that were opened in the first span of this name, each with its outcome.
    pub(crate) fn children(&self, of: &str) -> Vec<(&'static str, String)> {
        let spans = self.0.lock().unwrap();
        let parent = spans.iter().position(|span| span.name == of).unwrap();
        let parent = Some(Id::from_u64(parent as u64 + 1));
        let children = spans.iter().filter(|span| span.parent == parent);
        children
            .map(|span| (span.name, span.outcome.clone()))
            .collect()
    }

    /// The names of the spans that are open.
    pub(crate) fn open(&self) -> Vec<&'static str> {
        let spans = self.0.lock().unwrap();
        let open = spans.iter().filter(|span| span.handles > 0);
        open.map(|span| span.name).collect()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ostler::")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let entered = spans.iter().rposition(|span| span.entered);
        let current = entered.map(|index| Id::from_u64(index as u64 + 1));
        let parent = if span.is_contextual() {
            current
        } else {
            span.parent().cloned()
        };
        spans.push(Span {
            name: span.metadata().name(),
            parent: parent.clone(),
            handles: 1,
            entered: false,
            outcome: String::new(),
        });
        let id = Id::from_u64(spans.len() as u64);
        drop(spans);
        if let Some(parent) = parent {
            self.clone_span(&parent);
        }
        id
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(outcome) = fields.0.remove("outcome") {
            self.with(id, |span| span.outcome = outcome);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.with(id, |span| span.entered = true);
    }

    fn exit(&self, id: &Id) {
        self.with(id, |span| span.entered = false);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.with(id, |span| span.handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let parent = self.with(&id, |span| {
            span.handles -= 1;
            (span.handles == 0).then(|| span.parent.clone())
        });
        let closes = parent.is_some();
        if let Some(parent) = parent.flatten() {
            self.try_close(parent);
        }
        closes
    }
}

/// O1: a worker's span has no parent, so it keeps open neither the span in which the pool was built
/// nor that of a call, nor those of the workers before it.
#[tokio::test(start_paused = true)]
async fn a_worker_keeps_no_span_open() {
    let spans = Spans::default();
    let _kept = listen(spans.clone());
    let sim = Sim::default();
    let building = tracing::info_span!(target: "ostler::test", "building");
    let pool = building.in_scope(|| pool(&sim, 1).build().unwrap());
    drop(building);
    until(&pool, |status| status.serving() == 1).await;
    assert_eq!(spans.open(), ["worker"]);
    for _ in 0..10 {
        let request = tracing::info_span!(target: "ostler::test", "request");
        let calling = pool.call(b"exit").instrument(request);
        calling.await.unwrap_err();
        until(&pool, |status| status.serving() == 1).await;
        assert_eq!(spans.open(), ["worker"]);
    }
    end(&pool, &sim).await;
    assert_eq!(spans.open(), [""; 0]);
}

/// P16: an abandoned port is an error in the log, with what holds it up, and its release is told.
#[tokio::test(start_paused = true)]
async fn an_abandoned_port_is_logged() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::new([Script::NeverReleased]);
    let pool = pool(&sim, 1).build().unwrap();
    pool.call(b"exit").await.unwrap_err();
    until(&pool, |status| status.abandoned.len() == 1).await;
    sim.let_go();
    until(&pool, |status| status.abandoned.is_empty()).await;
    end(&pool, &sim).await;
    let lines = log.lines();
    let of = |message: &str| {
        let name = format!("ostler::worker {message}");
        let found = lines.iter().filter(|(found, _)| *found == name);
        let mut fields = found.map(|(_, fields)| fields.clone());
        (fields.next(), fields.count())
    };
    let (abandoned, more) =
        of("not released within `release_timeout`; abandoned, and released in the background");
    let abandoned = abandoned.expect("it is logged");
    assert_eq!((&*abandoned["worker"], more), ("0.1", 0));
    let survivors = "\"process 4711: in an uninterruptible sleep\"";
    assert_eq!(abandoned["survivors"], survivors);
    let (released, more) = of("released after it was abandoned");
    assert_eq!((released.is_some(), more), (true, 0));
}

/// L15: a worker that a failed rolling restart keeps is in the log.
#[tokio::test(start_paused = true)]
async fn a_kept_worker_is_logged() {
    let log = Log::default();
    let _kept = listen(log.clone());
    let sim = Sim::new([Script::Good, Script::StartFails]);
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    pool.recycle_all().await.unwrap_err();
    end(&pool, &sim).await;
    let mut lines = log.lines();
    lines.retain(|(name, _)| name == "ostler::worker kept after all");
    let workers = lines.iter().map(|(_, fields)| &*fields["worker"]);
    assert_eq!(workers.collect::<Vec<_>>(), ["0.1"]);
}

/// P7: building a pool logs each descriptor that every worker would inherit, and no other
/// descriptor.
#[test]
fn an_inheritable_descriptor_is_logged() {
    if !isolated("tracing::an_inheritable_descriptor_is_logged") {
        return;
    }
    let log = Log::default();
    let inheritable = File::open(modules()).unwrap();
    fcntl_setfd(&inheritable, FdFlags::empty()).unwrap();
    let _close_on_exec = File::open(modules()).unwrap();
    with_default(log.clone(), || Program::new("sh").prepare().unwrap());
    let fields = BTreeMap::from([
        ("fd", inheritable.as_raw_fd().to_string()),
        ("file", modules().display().to_string()),
    ]);
    let warning = "ostler::pool descriptor is not close-on-exec: every worker inherits it";
    let mut lines = log.lines();
    lines.retain(|(_, line)| line.get("file") == fields.get("file"));
    assert_eq!(lines, [(warning.to_owned(), fields)]);
}
