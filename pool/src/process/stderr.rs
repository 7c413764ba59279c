//! What a worker writes to its stderr: always drained, logged by line, and its tail kept for errors.

use std::convert::Infallible;
use std::future::pending;
use std::io::ErrorKind;

use tokio::net::unix::pipe;
use tokio::task::yield_now;

use crate::port::STDERR_TAIL;

/// A line longer than this is logged in pieces.
const LINE: usize = 8 * 1024;

/// How much is still read once the worker has exited. A pipe holds less; more can only come from a process that
/// holds on to the pipe and goes on writing.
const LAST_WORDS: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Stderr {
    /// Whose it is, for the log.
    worker: String,
    pid: u32,
    pipe: pipe::Receiver,
    /// The line that is not complete yet, at most [`LINE`] bytes.
    line: Vec<u8>,
    /// The last bytes of all, at most [`STDERR_TAIL`].
    tail: Vec<u8>,
}

enum Taken {
    Bytes(usize),
    Nothing,
    End,
}

impl Stderr {
    pub(super) fn new(worker: String, pid: u32, pipe: pipe::Receiver) -> Self {
        Self {
            worker,
            pid,
            pipe,
            line: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes output as it comes, and goes on waiting after its end: that is no sign of the worker's. Cancel safe.
    pub(super) async fn drain(&mut self) -> Infallible {
        while self.pipe.readable().await.is_ok() && !matches!(self.take(), Taken::End) {
            // There may always be more, and the task has other things to do.
            yield_now().await;
        }
        self.finish();
        pending().await
    }

    /// What is left once the worker has exited, and the tail of it all. Cancel safe.
    pub(super) async fn last_words(&mut self) -> String {
        let mut most = LAST_WORDS;
        while let Taken::Bytes(count) = self.take() {
            most = most.saturating_sub(count);
            if most == 0 {
                break;
            }
            yield_now().await;
        }
        self.finish();
        String::from_utf8_lossy(&self.tail).into_owned()
    }

    /// Logs the line that was not completed.
    fn finish(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.log(&line);
        }
    }

    /// Takes what there is, without waiting.
    fn take(&mut self) -> Taken {
        let mut buffer = [0; LINE];
        match self.pipe.try_read(&mut buffer) {
            Ok(0) => Taken::End,
            Ok(count) => {
                self.keep(&buffer[..count]);
                Taken::Bytes(count)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Taken::Nothing,
                _ => Taken::End,
            },
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.tail
            .drain(..self.tail.len().saturating_sub(STDERR_TAIL));
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE {
                self.finish();
            }
        }
    }

    fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (worker, pid) = (&self.worker, self.pid);
        tracing::info!(target: "ostler::stderr", %worker, pid, "{}", line.trim_end());
    }
}
