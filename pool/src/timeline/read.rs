//! Reads a recorded trace.

use std::io::{self, BufRead};

use ostler::supervisor::{Effect, Input};
use ostler::trace::{Step, VERSION};
use serde::Deserialize;

use super::history::History;

/// Why a trace cannot be read. The first line of a trace is line 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The reader failed.
    #[error("cannot read the trace")]
    Io(#[from] io::Error),
    /// The first line is not the head of a trace, or there is none.
    #[error("line 1 is not the head of a trace: give a file that `Builder::record` wrote")]
    Head(#[source] serde_json::Error),
    /// Another version of ostler wrote it.
    #[error("the trace is of version {found}, and this ostler reads version {VERSION}")]
    Version {
        /// The version of the trace.
        found: u32,
    },
    /// A line is not a step of a pool.
    #[error("line {line} is not a step of a pool")]
    Step {
        /// The line.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line has no time: an ostler that did not record times wrote the trace.
    #[error("line {line} has no `at_us`: record the trace with this version of ostler")]
    NoTime {
        /// The line.
        line: usize,
    },
}

/// What a timeline needs of the head. The rest of the policy may differ between versions.
#[derive(Deserialize)]
struct Head {
    ostler_trace: u32,
    policy: Size,
    started_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Size {
    size: usize,
}

/// A [`Step`] with its time.
#[derive(Deserialize)]
struct Line {
    at_us: Option<u64>,
    input: Option<Input>,
    effects: Vec<Effect>,
}

pub(super) fn read(mut trace: impl BufRead, history: &mut History) -> Result<(), TraceError> {
    let mut line = String::new();
    trace.read_line(&mut line)?;
    let head: Head = serde_json::from_str(&line).map_err(TraceError::Head)?;
    if head.ostler_trace != VERSION {
        let found = head.ostler_trace;
        return Err(TraceError::Version { found });
    }
    history.begin(head.policy.size, head.started_ms);
    for number in 2.. {
        line.clear();
        trace.read_line(&mut line)?;
        // The last line of a killed host is incomplete.
        if !line.ends_with('\n') {
            break;
        }
        let parsed = serde_json::from_str(&line);
        let Line {
            at_us,
            input,
            effects,
        } = parsed.map_err(|source| TraceError::Step {
            line: number,
            source,
        })?;
        let at = at_us.ok_or(TraceError::NoTime { line: number })?;
        history.take(at, &Step { input, effects });
    }
    Ok(())
}
