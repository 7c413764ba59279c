//! Simulated pipes: bounded, and moved by as many bytes at a time as the plan likes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use shuttle::rand::{Rng as _, thread_rng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::plan::PipePlan;

/// The open ends of all pipes, as descriptors would be counted.
pub(crate) type Ends = Arc<AtomicUsize>;

/// The end that is read. Clones are the same descriptor in several processes.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Arc<End>);

/// The end that is written.
#[derive(Clone, Debug)]
pub(crate) struct Writer(Arc<End>);

#[derive(Debug)]
struct End {
    pipe: Arc<Mutex<Pipe>>,
    reads: bool,
    ends: Ends,
}

#[derive(Debug)]
struct Pipe {
    plan: PipePlan,
    bytes: VecDeque<u8>,
    has_reader: bool,
    has_writer: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub(crate) fn pipe(plan: PipePlan, ends: &Ends) -> (Reader, Writer) {
    let pipe = Arc::new(Mutex::new(Pipe {
        plan,
        bytes: VecDeque::new(),
        has_reader: true,
        has_writer: true,
        reader: None,
        writer: None,
    }));
    let end = |reads| {
        ends.fetch_add(1, Ordering::Relaxed);
        Arc::new(End {
            pipe: Arc::clone(&pipe),
            reads,
            ends: Arc::clone(ends),
        })
    };
    (Reader(end(true)), Writer(end(false)))
}

impl Pipe {
    /// How many of `available` bytes are moved at once.
    fn chunk(&self, available: usize) -> usize {
        if self.plan.chunks && available > 1 {
            thread_rng().gen_range(1..=available)
        } else {
            available
        }
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let writer = {
            let mut pipe = lock(&self.0.pipe);
            if pipe.bytes.is_empty() && pipe.has_writer {
                pipe.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let count = pipe.chunk(buffer.remaining().min(pipe.bytes.len()));
            for byte in pipe.bytes.drain(..count) {
                buffer.put_slice(&[byte]);
            }
            pipe.writer.take()
        };
        wake(writer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (reader, count) = {
            let mut pipe = lock(&self.0.pipe);
            if !pipe.has_reader {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = pipe.plan.capacity - pipe.bytes.len();
            if room == 0 {
                pipe.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let count = pipe.chunk(room.min(bytes.len()));
            pipe.bytes.extend(&bytes[..count]);
            (pipe.reader.take(), count)
        };
        wake(reader);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.ends.fetch_sub(1, Ordering::Relaxed);
        let other = {
            let mut pipe = lock(&self.pipe);
            if self.reads {
                pipe.has_reader = false;
                pipe.writer.take()
            } else {
                pipe.has_writer = false;
                pipe.reader.take()
            }
        };
        wake(other);
    }
}
