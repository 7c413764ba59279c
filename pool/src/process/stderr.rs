//! A worker's stderr: always drained, passed on line by line, and its tail kept for errors.

use std::convert::Infallible;
use std::future::pending;
use std::io::ErrorKind;

use tokio::net::unix::pipe;
use tokio::task::yield_now;

use super::log_record::LogRecord;
use crate::port::{STDERR_TAIL, StderrSink};
use crate::stderr::Source;

/// The longest line that is passed on as one, in bytes. A longer one is passed on in pieces.
const MAX_LINE: usize = 8 * 1024;

/// The most bytes that are read after the worker's exit. A pipe holds less; more can only come from
/// a process that outlives the worker, holds the pipe and keeps writing.
const MAX_REST: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Stderr {
    source: Source,
    pid: u32,
    pipe: pipe::Receiver,
    /// The incomplete last line, at most [`MAX_LINE`] bytes.
    line: Vec<u8>,
    /// The last bytes of the output's lines, at most [`STDERR_TAIL`]. Log records are as people
    /// read them.
    tail: Vec<u8>,
    /// Where its lines go.
    sink: StderrSink,
}

enum Read {
    Bytes(usize),
    Nothing,
    End,
}

impl Stderr {
    pub(super) fn new(source: Source, pid: u32, pipe: pipe::Receiver, sink: StderrSink) -> Self {
        Self {
            source,
            pid,
            pipe,
            line: Vec::new(),
            tail: Vec::new(),
            sink,
        }
    }

    /// Reads output as it arrives. Never resolves, not even at the end of the output, which does
    /// not mean that the worker has exited. Cancel safe.
    pub(super) async fn drain(&mut self) -> Infallible {
        while self.pipe.readable().await.is_ok() && !matches!(self.read(), Read::End) {
            // A worker that writes without pause must not starve the rest of this task.
            yield_now().await;
        }
        self.end_line();
        pending().await
    }

    /// Reads what is left once the worker has exited, and returns the tail of all its output.
    /// Cancel safe.
    pub(super) async fn read_rest(&mut self) -> String {
        let mut most = MAX_REST;
        while let Read::Bytes(count) = self.read() {
            most = most.saturating_sub(count);
            if most == 0 {
                break;
            }
            yield_now().await;
        }
        self.end_line();
        String::from_utf8_lossy(&self.tail).into_owned()
    }

    /// Passes the current line on, and adds it to the tail.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let (source, pid) = (self.source, self.pid);
        if let Some(record) = LogRecord::parse(&line) {
            let text = record.to_string();
            (self.sink).pass_on(source, &text, |pool| record.log(pool, source, pid));
            self.add_to_tail(format!("{text}\n").as_bytes());
        } else {
            let text = String::from_utf8_lossy(&line);
            (self.sink).line_of(source, Some(pid), text.trim_end());
            self.add_to_tail(&line);
        }
    }

    fn add_to_tail(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.tail
            .drain(..self.tail.len().saturating_sub(STDERR_TAIL));
    }

    /// Reads what is available, without waiting.
    fn read(&mut self) -> Read {
        let mut buffer = [0; MAX_LINE];
        match self.pipe.try_read(&mut buffer) {
            Ok(0) => Read::End,
            Ok(count) => {
                self.keep(&buffer[..count]);
                Read::Bytes(count)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Read::Nothing,
                // Reading a pipe has no other errors, and repeating one would never end.
                _ => Read::End,
            },
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = rest.len().min(MAX_LINE - self.line.len());
            let end = rest[..most].iter().position(|&byte| byte == b'\n');
            let (piece, after) = rest.split_at(end.map_or(most, |end| end + 1));
            self.line.extend_from_slice(piece);
            if end.is_some() || self.line.len() == MAX_LINE {
                self.end_line();
            }
            rest = after;
        }
    }
}
