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
use ostler_pool::testing::Sim;
use rustix::io::{FdFlags, fcntl_setfd};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{set_default, with_default};
use tracing::{Event, Metadata, Subscriber};

use crate::resources::{isolated, modules};
use crate::rig::{end, pool, until};

/// Records each event and span: target, message or name, and fields.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

type Line = (String, BTreeMap<&'static str, String>);

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

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

/// Each worker has a span, each transition an event, and their fields have the names of the
/// specification.
#[tokio::test(start_paused = true)]
async fn spans_and_events_have_stable_names() {
    let log = Log::default();
    let _kept = set_default(log.clone());
    let sim = Sim::default();
    let pool = pool(&sim, 1).build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    pool.recycle(pool.status().workers[0].worker);
    until(&pool, |status| status.counters.released == 1).await;
    end(&pool, &sim).await;
    let lines = log.0.lock().unwrap().clone();
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
    let mut lines = log.0.lock().unwrap().clone();
    lines.retain(|(_, line)| line.get("file") == fields.get("file"));
    assert_eq!(lines, [(warning.to_owned(), fields)]);
}
