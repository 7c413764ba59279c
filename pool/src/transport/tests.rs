//! The transport on an in-memory pipe, whose other end is the worker.

#[path = "batches.rs"]
mod batches;
#[path = "moments.rs"]
mod moments;
#[path = "shared.rs"]
mod shared;
#[path = "told.rs"]
mod told;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::*;

fn transport() -> (Transport, DuplexStream) {
    transport_of(1024)
}

fn transport_of(max_frame: u32) -> (Transport, DuplexStream) {
    let (host, worker) = tokio::io::duplex(1024);
    let (reader, writer) = tokio::io::split(host);
    let transport = Transport::new(max_frame);
    transport.connect(Pipe::new(reader, writer));
    (transport, worker)
}

/// Reads a frame without a body and answers it. Returns the kind and id of the frame.
async fn answer(worker: &mut DuplexStream, kind: u8, body: &[u8]) -> (u8, u32) {
    assert_eq!(worker.read_u32().await.unwrap(), 5);
    let asked = (
        worker.read_u8().await.unwrap(),
        worker.read_u32().await.unwrap(),
    );
    let mut bytes = Vec::new();
    frame::encode(kind, asked.1, body, &mut bytes);
    worker.write_all(&bytes).await.unwrap();
    asked
}

/// A ping is an exchange like any other: it has an id of its own and leaves the transport clean,
/// whatever the answer.
#[tokio::test]
async fn a_ping_is_an_exchange() {
    let (transport, mut worker) = transport();
    let strings: Vec<u8> = ["ValueError", "not well", ""]
        .iter()
        .flat_map(|text| {
            [
                &u32::try_from(text.len()).unwrap().to_be_bytes(),
                text.as_bytes(),
            ]
            .concat()
        })
        .collect();
    let error = RemoteError {
        kind: "ValueError".to_owned(),
        message: "not well".to_owned(),
        traceback: String::new(),
        place: None,
        is_final: false,
    };
    let exchanges = [
        (kind::PING, kind::PONG, vec![], Answer::Done(vec![])),
        (
            kind::CALL,
            kind::REPLY,
            b"reply".to_vec(),
            Answer::Done(b"reply".to_vec()),
        ),
        (kind::PING, kind::ERROR, strings, Answer::Error(error)),
    ];
    let mut ids = Vec::new();
    for (asks, kind, body, expected) in exchanges {
        let ask = async {
            match asks {
                kind::PING => transport.ping().await,
                _ => {
                    transport.begin(asks, b"", &[])?;
                    transport.answer().await
                }
            }
        };
        let (got, (asked, id)) = tokio::join!(ask, answer(&mut worker, kind, &body));
        assert_eq!(asked, asks);
        assert!(!ids.contains(&id) && id != 0, "{id} after {ids:?}");
        ids.push(id);
        assert_eq!(got.unwrap(), expected);
        assert!(transport.is_clean());
    }
}

/// A dropped ping stays under way, so that its late answer cannot be taken for another.
#[tokio::test]
async fn an_abandoned_ping_leaves_the_transport_unclean() {
    let (transport, mut worker) = transport();
    {
        let ping = std::pin::pin!(transport.ping());
        let asked = tokio::select! {
            answer = ping => panic!("{answer:?}"),
            length = worker.read_u32() => length.unwrap(),
        };
        assert_eq!(asked, 5);
    }
    assert!(!transport.is_clean());
}

/// A ping to a worker that is being stopped resolves with the reason.
#[tokio::test]
async fn a_ping_ends_with_its_transport() {
    let (transport, mut worker) = transport();
    let closing = async {
        worker.read_u32().await.unwrap();
        transport.close(Closed::Stopped(Reason::Shutdown), false);
    };
    let (answer, ()) = tokio::join!(transport.ping(), closing);
    let stopped = TransportError::Closed(Closed::Stopped(Reason::Shutdown));
    assert_eq!(format!("{:?}", answer.unwrap_err()), format!("{stopped:?}"));
}

/// C1: a call can be cancelled once the pipe took its whole request, even if the pipe has no
/// room for the `CANCEL`. The call still ends with its answer, and the transport is clean once
/// the `CANCEL` is out.
#[tokio::test]
async fn a_cancel_waits_for_room() {
    let (transport, mut worker) = transport();
    transport.begin(kind::CALL, &[b'x'; 1016], &[]).unwrap();
    assert!(transport.answer().now_or_never().is_none());
    assert!(!transport.can_cancel(), "a byte of the request is missing");
    worker.read_u8().await.unwrap();
    assert!(transport.answer().now_or_never().is_none());
    assert!(transport.can_cancel());
    let mut cancel = Box::pin(transport.cancel());
    assert!(cancel.as_mut().now_or_never().is_none());
    // The worker knows the id from the first bytes of the request, and then the pipe is full
    // again.
    let mut head = [0; 8];
    worker.read_exact(&mut head).await.unwrap();
    let id = u32::from_be_bytes(head[4..].try_into().unwrap());
    assert!(cancel.as_mut().now_or_never().is_none());
    let mut bytes = Vec::new();
    frame::encode(kind::REPLY, id, b"late", &mut bytes);
    worker.write_all(&bytes).await.unwrap();
    assert!(cancel.as_mut().now_or_never().is_none(), "the pipe is full");
    let mut request = [0; 1016];
    worker.read_exact(&mut request).await.unwrap();
    assert_eq!(cancel.await, Some(true));
    let mut frame = [0; 9];
    worker.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[..5], [0, 0, 0, 5, kind::CANCEL]);
    assert_eq!(frame[5..], id.to_be_bytes());
    assert!(!transport.can_cancel(), "no exchange is under way");
    assert_eq!(transport.cancel().await, Some(false));
}

/// Reads a request. Returns its id and its body.
async fn request(worker: &mut DuplexStream) -> (u32, Vec<u8>) {
    let length = worker.read_u32().await.unwrap();
    let mut frame = vec![0; length as usize];
    worker.read_exact(&mut frame).await.unwrap();
    let body = frame.split_off(5);
    (u32::from_be_bytes(frame[1..].try_into().unwrap()), body)
}

/// The id of the request that the worker receives.
async fn id_of_request(worker: &mut DuplexStream) -> u32 {
    request(worker).await.0
}

fn frame_of(kind: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, id, body, &mut bytes);
    bytes
}

/// C6: what a worker sends between two exchanges fails the next one, which sends nothing.
#[tokio::test]
async fn a_request_is_not_sent_to_a_worker_that_has_sent_something() {
    let (transport, mut worker) = transport();
    let (answer, _) = tokio::join!(transport.ping(), answer(&mut worker, kind::PONG, b""));
    answer.unwrap();
    assert!(transport.is_clean() && !transport.is_broken());
    worker.write_u8(7).await.unwrap();
    let refused = transport.begin(kind::CALL, b"request", &[]).unwrap_err();
    assert!(matches!(
        refused,
        TransportError::Protocol(ProtocolError::Unsolicited)
    ));
    assert!(!transport.request_written());
    assert!(!transport.is_clean() && transport.is_broken());
    assert!(worker.read_u8().now_or_never().is_none(), "nothing is sent");
}

/// C6: the task that watches is woken for what comes between two exchanges, and for nothing else.
#[tokio::test]
async fn the_watcher_is_woken_between_exchanges() {
    let (transport, mut worker) = transport();
    let mut watch = Box::pin(transport.unsolicited());
    let woken = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    assert!(watch.as_mut().poll(&mut cx).is_pending());
    for _ in 0..3 {
        let (answer, _) = tokio::join!(transport.ping(), answer(&mut worker, kind::PONG, b""));
        answer.unwrap();
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    worker.write_u8(7).await.unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(
        watch.as_mut().poll(&mut cx),
        Poll::Ready(ProtocolError::Unsolicited)
    );
}

/// C6: the task that watches is woken also for what comes together with an answer.
#[tokio::test]
async fn the_watcher_is_woken_for_what_follows_an_answer() {
    let (transport, mut worker) = transport();
    let woken = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut watch = Box::pin(transport.unsolicited());
    let _ = watch.as_mut().poll(&mut Context::from_waker(&waker));
    transport.begin(kind::CALL, b"", &[]).unwrap();
    transport.send_at_once(&[]);
    let mut answer = Box::pin(transport.answer());
    assert!(answer.as_mut().now_or_never().is_none());
    let reply = frame_of(kind::REPLY, id_of_request(&mut worker).await, b"");
    worker
        .write_all(&[reply.clone(), reply].concat())
        .await
        .unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    answer.await.unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// M1: a transport copies neither a large request nor a large reply, and both arrive.
#[tokio::test]
async fn a_large_call_takes_no_large_buffer() {
    let (transport, mut worker) = transport_of(u32::MAX);
    let body: Vec<u8> = (0..3 << 20).map(|index| (index % 251) as u8).collect();
    transport.begin(kind::CALL, &body, &[]).unwrap();
    let answer = poll_fn(|cx| transport.poll_answer(cx, &body, false));
    let echo = async {
        let (id, received) = request(&mut worker).await;
        assert!(received == body);
        let memory = transport.lock().memory();
        assert!(memory <= 2 * outgoing::KEPT, "{memory} bytes");
        let reply = frame_of(kind::REPLY, id, &received);
        worker.write_all(&reply).await.unwrap();
    };
    let (answer, ()) = tokio::join!(answer, echo);
    assert!(answer.unwrap() == Answer::Done(body));
    let memory = transport.lock().memory();
    assert!(memory <= 2 * outgoing::KEPT, "{memory} bytes");
}

/// M1: what the pipe does not take at once of the request of a stream is copied, until the exchange
/// ends or is cancelled.
#[tokio::test]
async fn a_large_stream_keeps_no_large_buffer() {
    let (transport, mut worker) = transport_of(u32::MAX);
    let body: Vec<u8> = (0..3 << 20).map(|index| (index % 251) as u8).collect();
    for cancels in [false, true] {
        transport.begin(kind::STREAM, &body, &[]).unwrap();
        transport.send_at_once(&body);
        let (id, received) = tokio::select! {
            answer = transport.answer() => panic!("{answer:?}"),
            request = request(&mut worker) => request,
        };
        assert!(received == body);
        let reply = frame_of(kind::REPLY, id, b"");
        if cancels {
            let mut cancel = Box::pin(transport.cancel());
            assert!(cancel.as_mut().now_or_never().is_none());
            let memory = transport.lock().memory();
            assert!(memory <= 2 * outgoing::KEPT, "{memory} bytes");
            worker.write_all(&reply).await.unwrap();
            assert_eq!(cancel.await, Some(true));
        } else {
            worker.write_all(&reply).await.unwrap();
            assert_eq!(transport.answer().await.unwrap(), Answer::Done(vec![]));
        }
        let memory = transport.lock().memory();
        assert!(memory <= 2 * outgoing::KEPT, "{memory} bytes");
    }
}

/// A worker that writes faster than the host reads. It counts what was read.
struct Endless(Arc<AtomicUsize>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = buffer.initialize_unfilled().len();
        buffer.advance(count);
        let read = self.0.fetch_add(count, Ordering::Relaxed) + count;
        assert!(read < 64 << 20, "it reads on");
        Poll::Ready(Ok(()))
    }
}

/// P22: closing reads what a pipe can hold, and no more, however fast the worker writes.
#[test]
fn closing_does_not_wait_for_a_fast_writer() {
    for kind in [kind::CALL, kind::STREAM] {
        let read = Arc::new(AtomicUsize::new(0));
        let transport = Transport::new(u32::MAX);
        transport.begin(kind, b"", &[]).unwrap();
        // The first frame claims 3 GiB.
        let prefix = io::Cursor::new([0xc0, 0, 0, 0]);
        transport.connect(Pipe::new(
            prefix.chain(Endless(Arc::clone(&read))),
            tokio::io::sink(),
        ));
        transport.close(Closed::Stopped(Reason::Shutdown), false);
        let read = read.load(Ordering::Relaxed);
        assert!(read < 4 << 20, "{read} bytes");
    }
}

/// A caller's task. When it is woken and when its last waker is dropped, it looks at the transport,
/// as a task would that holds a lease.
struct Caller(Arc<Transport>);

impl Caller {
    fn look(&self) {
        assert!(self.0.exchange.try_lock().is_ok(), "under the lock");
        assert!(self.0.wakers.is_unlocked(), "under the lock");
    }
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.look();
    }
}

/// P22: a transport keeps no waker of a call that has ended or was given up, and wakes and drops
/// each without a lock.
#[tokio::test]
async fn wakers_are_dropped_without_a_lock() {
    let (transport, mut worker) = transport();
    let transport = Arc::new(transport);
    let poll = || {
        let caller = Arc::new(Caller(Arc::clone(&transport)));
        let waker = Waker::from(Arc::clone(&caller));
        let polled = transport.poll_answer(&mut Context::from_waker(&waker), &[], false);
        (Arc::downgrade(&caller), polled)
    };
    transport.begin(kind::CALL, b"", &[]).unwrap();
    let (first, _) = poll();
    assert_eq!(first.strong_count(), 1, "it waits");
    let (second, _) = poll();
    assert_eq!((first.strong_count(), second.strong_count()), (0, 1));
    let id = id_of_request(&mut worker).await;
    worker
        .write_all(&frame_of(kind::REPLY, id, b""))
        .await
        .unwrap();
    let (third, polled) = poll();
    assert!(polled.is_ready());
    assert_eq!((second.strong_count(), third.strong_count()), (0, 0));
    transport.begin(kind::CALL, b"", &[]).unwrap();
    let (fourth, _) = poll();
    transport.forget_caller();
    assert_eq!(fourth.strong_count(), 0);
    assert!(
        transport
            .poll_answer(&mut Context::from_waker(Waker::noop()), &[], false)
            .is_pending()
    );
    let id = id_of_request(&mut worker).await;
    worker
        .write_all(&frame_of(kind::REPLY, id, b""))
        .await
        .unwrap();
    transport.answer().await.unwrap();
    transport.begin(kind::STREAM, b"", &[]).unwrap();
    let (part, _) = poll();
    let id = id_of_request(&mut worker).await;
    worker
        .write_all(&frame_of(kind::PART, id, b""))
        .await
        .unwrap();
    let (more, polled) = poll();
    assert!(polled.is_ready());
    assert_eq!((part.strong_count(), more.strong_count()), (0, 0));
    let (fifth, _) = poll();
    transport.close(Closed::Stopped(Reason::Shutdown), false);
    assert_eq!(fifth.strong_count(), 0);
}
