//! Writes a trace as JSON Lines: one object for the head and one for each step.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use ostler::trace::{Head, Step};
use serde::Serialize;

use super::Listener;

/// Writes each step as a line. The times beside the core's own fields are for readers that draw;
/// those that check a trace ignore them.
pub(crate) struct JsonLines(BufWriter<Box<dyn Write + Send>>);

impl JsonLines {
    pub(crate) fn new(to: impl Write + Send + 'static) -> Self {
        Self(BufWriter::new(Box::new(to)))
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        writeln!(self.0)
    }
}

#[derive(Serialize)]
struct TimedHead<'a> {
    #[serde(flatten)]
    head: &'a Head,
    /// Milliseconds from the Unix epoch to the start of the record.
    started_ms: u128,
}

#[derive(Serialize)]
struct TimedStep<'a> {
    /// Microseconds from the start of the record.
    at_us: u128,
    #[serde(flatten)]
    step: &'a Step,
}

impl Listener for JsonLines {
    fn begin(&mut self, head: &Head, started: Duration) -> io::Result<()> {
        let started_ms = started.as_millis();
        self.line(&TimedHead { head, started_ms })
    }

    fn take(&mut self, at: Duration, step: &Step) -> io::Result<()> {
        let at_us = at.as_micros();
        self.line(&TimedStep { at_us, step })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
