//! What the transport does with what happens in the middle of its own step.

use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;

use tokio::io::AsyncWrite;
use tokio::task::coop::consume_budget;

use super::*;

/// A pipe that seems to get bytes whenever it is looked at: it wakes its reader and is not ready
/// yet. Only what was given to it is there at once.
struct Eager(Arc<StdMutex<VecDeque<Vec<u8>>>>);

impl AsyncRead for Eager {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(piece) = self.0.lock().unwrap().pop_front() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        buffer.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

/// A transport on such a pipe, and what it will read.
fn eager() -> (Transport, Arc<StdMutex<VecDeque<Vec<u8>>>>) {
    let pieces = Arc::<StdMutex<VecDeque<_>>>::default();
    let reader = Eager(Arc::clone(&pieces));
    let transport = Transport::new(1024);
    transport.connect(Pipe::new(reader, tokio::io::sink()));
    (transport, pieces)
}

/// A waker, and how often it was woken.
fn counting() -> (Waker, Arc<Count>) {
    let count = Arc::new(Count::default());
    (Waker::from(Arc::clone(&count)), count)
}

/// The caller is woken for what comes while the transport polls for it, and so is the worker's task
/// for what comes while the pipe is looked at for it, also right after an exchange.
#[test]
fn what_comes_during_a_poll_wakes_the_task() {
    let (transport, pieces) = eager();
    let ((watcher, watched), (caller, called)) = (counting(), counting());
    let times = |count: &Count| count.0.load(Ordering::Relaxed);
    let mut watch = Box::pin(transport.unsolicited());
    let mut watch = |waker: &Waker| watch.as_mut().poll(&mut Context::from_waker(waker));
    assert!(watch(&watcher).is_pending());
    assert_eq!(times(&watched), 1);
    assert!(!transport.is_broken());
    transport.begin(kind::CALL, b"", &[]).unwrap();
    let answer = || transport.poll_answer(&mut Context::from_waker(&caller), &[], false);
    assert!(answer().is_pending());
    assert_eq!(times(&called), 1);
    let id = transport.lock().current_id();
    let reply = frame_of(kind::REPLY, id, b"");
    pieces.lock().unwrap().push_back(reply);
    // During an exchange, it is registered and does not look.
    assert!(watch(&watcher).is_pending());
    let before = times(&watched);
    assert!(answer().is_ready());
    assert_eq!((times(&called), times(&watched)), (1, before + 1));
}

/// Uses up what tokio lets a task do before it must yield.
fn exhaust_budget() {
    while consume_budget().now_or_never().is_some() {}
}

/// C6: a task that has used up its budget still sees what the worker has sent.
#[tokio::test]
async fn an_exhausted_task_sees_what_was_sent() {
    let (transport, mut worker) = transport();
    worker.write_u8(7).await.unwrap();
    exhaust_budget();
    assert!(transport.is_broken());
    assert!(transport.begin(kind::CALL, b"", &[]).is_err());
}

/// C4: a task that has used up its budget still reads an answer out of the pipe that it closes.
#[tokio::test]
async fn an_exhausted_task_reads_the_last_words() {
    for asks in [kind::CALL, kind::STREAM] {
        let (transport, mut worker) = transport();
        transport.begin(asks, b"", &[]).unwrap();
        transport.send_at_once(&[]);
        let id = id_of_request(&mut worker).await;
        // A stream's last words are all of its frames, a call's one.
        let mut words = frame_of(kind::REPLY, id, b"");
        if asks == kind::STREAM {
            words = [frame_of(kind::PART, id, &[1; 500]), words].concat();
        }
        worker.write_all(&words).await.unwrap();
        exhaust_budget();
        // It is told that the pipe has nothing.
        assert!(transport.answer().now_or_never().is_none());
        transport.close(Closed::Stopped(Reason::Shutdown), false);
        tokio::task::yield_now().await;
        if asks == kind::STREAM {
            let part = transport.answer().await.unwrap();
            assert_eq!(part, Answer::Part(vec![1; 500]));
        }
        assert_eq!(transport.answer().await.unwrap(), Answer::Done(vec![]));
    }
}

/// Callers learn the first reason for which a transport was closed. A call that is under way then
/// cannot be cancelled.
#[test]
fn the_first_reason_is_kept() {
    let (transport, _worker) = transport();
    transport.begin(kind::CALL, b"", &[]).unwrap();
    transport.send_at_once(&[]);
    assert!(transport.can_cancel());
    transport.close(Closed::Stopped(Reason::Recycled), false);
    transport.close(Closed::Stopped(Reason::Shutdown), false);
    let told = transport.poll_closed(&Context::from_waker(Waker::noop()));
    assert!(
        matches!(told, Poll::Ready(Closed::Stopped(Reason::Recycled))),
        "{told:?}"
    );
    assert!(!transport.can_cancel());
}

/// A farewell that is sent ends at once, because no worker answers it.
#[tokio::test]
async fn a_farewell_is_not_under_way() {
    let (transport, mut worker) = transport();
    transport.close(Closed::Stopped(Reason::Shutdown), true);
    let mut frame = [0; 9];
    worker.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [0, 0, 0, 5, kind::SHUTDOWN, 0, 0, 0, 0]);
    assert!(transport.is_clean() && !transport.request_written());
}

/// A caller that notes whether the transport is closed when it is woken.
struct Looks(Arc<Transport>, StdMutex<Vec<bool>>);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let is_closed = self.0.lock().closed().is_some();
        self.1.lock().unwrap().push(is_closed);
    }
}

/// A caller that is woken by the end of its transport finds it closed.
#[test]
fn a_caller_finds_the_end_that_woke_it() {
    let (transport, _worker) = transport();
    let transport = Arc::new(transport);
    let caller = Arc::new(Looks(Arc::clone(&transport), StdMutex::default()));
    let waker = Waker::from(Arc::clone(&caller));
    transport.begin(kind::CALL, b"", &[]).unwrap();
    let answer = transport.poll_answer(&mut Context::from_waker(&waker), &[], false);
    assert!(answer.is_pending());
    transport.close(Closed::Stopped(Reason::Shutdown), false);
    assert_eq!(*caller.1.lock().unwrap(), [true]);
}

/// A pipe that cannot be read.
struct Fails;

impl AsyncRead for Fails {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

/// A read error is the end of the worker's output.
#[test]
fn a_read_error_is_an_end() {
    let transport = Transport::new(1024);
    transport.begin(kind::CALL, b"", &[]).unwrap();
    transport.connect(Pipe::new(Fails, tokio::io::sink()));
    let answer = transport.answer().now_or_never();
    assert!(
        matches!(
            answer,
            Some(Err(TransportError::PipeClosed(ProtocolError::OutputClosed)))
        ),
        "{answer:?}"
    );
}

/// An error without its three strings breaks the protocol.
#[tokio::test]
async fn a_malformed_error_is_a_breach() {
    let (transport, mut worker) = transport();
    let (got, _) = tokio::join!(transport.ping(), answer(&mut worker, kind::ERROR, b"?"));
    let malformed = Err(TransportError::Protocol(ProtocolError::MalformedError));
    assert_eq!(
        format!("{got:?}"),
        format!("{:?}", malformed as Result<Answer, _>)
    );
}

/// A pipe whose first read finds its end, and whose later reads wait.
struct EndsOnce(bool);

impl AsyncRead for EndsOnce {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Ok(())),
            true => Poll::Pending,
        }
    }
}

/// An end of output that was noticed between two exchanges stays noticed. It is no breach yet.
#[test]
fn an_end_of_output_is_remembered() {
    let transport = Transport::new(1024);
    transport.connect(Pipe::new(EndsOnce(false), tokio::io::sink()));
    for _ in 0..3 {
        let polled = transport
            .lock()
            .poll_unsolicited(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(ProtocolError::OutputClosed));
        assert!(!transport.is_broken());
    }
}

/// C1: a call that follows a cancelled one must not be answered before it was read, as any other.
#[tokio::test]
async fn a_cancelled_call_excuses_no_later_one() {
    let (transport, mut worker) = transport();
    transport.begin(kind::CALL, b"", &[]).unwrap();
    transport.send_at_once(&[]);
    let id = id_of_request(&mut worker).await;
    let answer = async {
        id_of_request(&mut worker).await;
        worker
            .write_all(&frame_of(kind::REPLY, id, b"late"))
            .await
            .unwrap();
    };
    assert_eq!(tokio::join!(transport.cancel(), answer).0, Some(true));
    transport.begin(kind::CALL, &[b'x'; 1019], &[]).unwrap();
    transport.send_at_once(&[b'x'; 1019]);
    let id = transport.lock().current_id();
    let early = frame_of(kind::REPLY, id, b"early");
    let (got, ()) = tokio::join!(transport.answer(), async {
        worker.write_all(&early).await.unwrap();
    });
    assert!(
        matches!(
            got,
            Err(TransportError::Protocol(ProtocolError::EarlyAnswer))
        ),
        "{got:?}"
    );
}

/// A pipe that takes this many bytes and then is closed.
struct Closes(usize);

impl AsyncWrite for Closes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Poll::Ready(match count {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(count),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// C1, C5: a worker that has read a request and then closed its input may still answer it, although
/// the `CANCEL` does not reach it. It is not clean afterwards. One that closed its input before it
/// had read the request has broken the protocol, whether or not it answers.
#[tokio::test]
async fn a_closed_input_ends_only_what_it_has_not_taken() {
    for (room, answers) in [(9, true), (8, true), (8, false)] {
        let reads_all = room == 9;
        let (reader, mut worker) = tokio::io::duplex(1024);
        let transport = Transport::new(1024);
        transport.connect(Pipe::new(reader, Closes(room)));
        transport.begin(kind::CALL, b"", &[]).unwrap();
        transport.send_at_once(&[]);
        assert_eq!(transport.can_cancel(), reads_all);
        if reads_all {
            let mut cancel = Box::pin(transport.cancel());
            assert!(cancel.as_mut().now_or_never().is_none());
            let id = transport.lock().current_id();
            worker
                .write_all(&frame_of(kind::REPLY, id, b""))
                .await
                .unwrap();
            assert_eq!(cancel.await, Some(false));
        } else {
            if answers {
                let id = transport.lock().current_id();
                let early = frame_of(kind::REPLY, id, b"");
                worker.write_all(&early).await.unwrap();
            }
            match transport.answer().await {
                Err(TransportError::PipeClosed(ProtocolError::InputClosed)) if !answers => {}
                Err(TransportError::Protocol(ProtocolError::EarlyAnswer)) if answers => {}
                other => panic!("{other:?}"),
            }
            assert!(!transport.request_written());
        }
    }
}

/// The preamble is sent before the first frame, and once.
#[tokio::test]
async fn the_preamble_comes_once() {
    let (host, mut worker) = tokio::io::duplex(1024);
    let (reader, writer) = tokio::io::split(host);
    let transport = Transport::new(1024);
    transport.connect(Pipe::new(reader, writer).preamble(*b"once"));
    for round in 0..2 {
        let asks = async {
            if round == 0 {
                let mut preamble = [0; 4];
                worker.read_exact(&mut preamble).await.unwrap();
                assert_eq!(&preamble, b"once");
            }
            answer(&mut worker, kind::PONG, b"").await
        };
        let (got, (asked, _)) = tokio::join!(transport.ping(), asks);
        assert_eq!((got.unwrap(), asked), (Answer::Done(vec![]), kind::PING));
    }
}

/// `HELLO` announces cancels only if the pool may send them, and ends with the call timeout.
#[tokio::test]
async fn the_greeting_announces_cancels() {
    let timeout = Duration::from_micros(1_500_900);
    for may_cancel in [false, true] {
        let (transport, mut worker) = transport();
        assert!(
            transport
                .handshake(may_cancel, timeout)
                .now_or_never()
                .is_none()
        );
        let mut frame = [0; 29];
        worker.read_exact(&mut frame).await.unwrap();
        let flags = frame::BATCHES | frame::DETAILS | u32::from(may_cancel);
        let words = [frame::VERSION, 1024, flags, 0, 1500].map(u32::to_be_bytes);
        assert_eq!(frame[..9], [0, 0, 0, 25, kind::HELLO, 0, 0, 0, 0]);
        assert_eq!(frame[9..], *words.as_flattened());
    }
}

/// `Debug` shows nothing of what is sent.
#[test]
fn a_transport_shows_no_bytes() {
    let (transport, _worker) = transport();
    transport.begin(kind::CALL, b"secret", &[]).unwrap();
    assert_eq!(format!("{transport:?}"), "Transport { .. }");
}
