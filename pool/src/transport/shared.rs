//! Shared memory on a transport, whose other end is the worker.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::told::next;
use super::*;
use crate::port::{Memory, SharedMemory};

const AREA: usize = 1 << 20;
const LEAST: usize = 64 << 10;

/// The memory, as the worker sees it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>, Arc<AtomicBool>);

impl Seen {
    fn read(&self, offset: usize, size: usize) -> Vec<u8> {
        self.0.lock().unwrap()[offset..offset + size].to_vec()
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn is_held_by_the_host(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Memory for Seen {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.1.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.write(usize::try_from(offset).unwrap(), bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, bytes: &mut Vec<u8>, count: usize, offset: u64) -> io::Result<usize> {
        bytes.extend(self.read(usize::try_from(offset).unwrap(), count));
        Ok(count)
    }

    fn free(&self, offset: u64, count: u64) -> io::Result<()> {
        let count = usize::try_from(count).unwrap();
        self.write(usize::try_from(offset).unwrap(), &vec![0; count]);
        Ok(())
    }
}

/// A transport whose worker has answered the handshake with these flags.
async fn agreed(flags: u32) -> (Transport, DuplexStream, Seen) {
    let (host, mut worker) = tokio::io::duplex(2 << 20);
    let (reader, writer) = tokio::io::split(host);
    let seen = Seen::default();
    seen.0.lock().unwrap().resize(2 * AREA + (64 << 10), 0);
    let shared = SharedMemory {
        memory: Box::new(seen.clone()),
        process: 1,
        descriptor: 2,
        inode: 3,
        area: AREA as u64,
    };
    let transport = Transport::new(2 << 20);
    transport.connect(Pipe::new(reader, writer).shared(Some(shared)));
    let mut greeting = Box::pin(transport.handshake(false, Duration::from_secs(60)));
    assert!(greeting.as_mut().now_or_never().is_none());
    let (kind, id, hello) = next(&mut worker).await;
    assert_eq!((kind, id, hello.len()), (kind::HELLO, 0, 44));
    let place = [
        &[0, 0, 0, 1, 0, 0, 0, 2][..],
        &3u64.to_be_bytes(),
        &0x10_0000u64.to_be_bytes(),
        &60_000u64.to_be_bytes(),
    ];
    assert_eq!(hello[11..], [&[14][..], &place.concat()].concat());
    let ready = frame_of(kind::READY, 0, &1u32.to_be_bytes());
    worker.write_all(&ready).await.unwrap();
    assert!(matches!(greeting.await, Ok(Answer::Done(_))));
    transport.agreed(flags, Arc::from([]));
    (transport, worker, seen)
}

fn body(size: usize, seed: u8) -> Vec<u8> {
    (0..size)
        .map(|at| (at >> 8) as u8 ^ at as u8 ^ seed)
        .collect()
}

fn place(offset: usize, size: usize) -> Vec<u8> {
    [offset, size]
        .map(|number| (number as u64).to_be_bytes())
        .concat()
}

/// Sends a call and returns its frame.
async fn call(transport: &Transport, worker: &mut DuplexStream, body: &[u8]) -> (u8, u32, Vec<u8>) {
    transport.begin(kind::CALL, body, &[]).unwrap();
    while !transport.request_written() {
        let answer = poll_fn(|cx| Poll::Ready(transport.poll_answer(cx, body, false))).await;
        assert!(answer.is_pending());
    }
    next(worker).await
}

/// The worker answers the call through the pipe.
async fn answered(transport: &Transport, worker: &mut DuplexStream, id: u32) {
    let reply = frame_of(kind::REPLY, id, b"ok");
    worker.write_all(&reply).await.unwrap();
    let answer = transport.answer().await.unwrap();
    assert_eq!(answer, Answer::Done(b"ok".to_vec()));
    assert!(transport.is_clean());
}

/// R28: a request is in the memory if it is large, fits, and the worker does not use the area.
#[tokio::test]
async fn a_large_request_is_in_the_memory() {
    let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
    for (size, in_use, is_shared) in [
        (LEAST - 1, 0, false),
        (LEAST, 0, true),
        (AREA, 0, true),
        (AREA + 1, 0, false),
        (LEAST, 1, false),
        (AREA, 0, true),
    ] {
        seen.write(2 * AREA, &[in_use]);
        let request = body(size, in_use);
        let (kind, id, sent) = call(&transport, &mut worker, &request).await;
        if is_shared {
            assert_eq!((kind, sent), (kind::SHARED_CALL, place(0, size)));
            assert!(seen.read(0, size) == request);
        } else {
            assert!(kind == kind::CALL && sent == request, "{size}");
        }
        answered(&transport, &mut worker, id).await;
    }
}

/// R28: a stream and a batch leave the memory alone.
#[tokio::test]
async fn only_calls_use_the_memory() {
    let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
    transport.begin(kind::STREAM, &body(LEAST, 1), &[]).unwrap();
    transport.send_at_once(&body(LEAST, 1));
    let (kind, id, sent) = next(&mut worker).await;
    assert!(kind == kind::STREAM && sent == body(LEAST, 1));
    assert!(seen.read(0, LEAST) == vec![0; LEAST]);
    let reply = frame_of(kind::SHARED_REPLY, id, &place(AREA, 1));
    worker.write_all(&reply).await.unwrap();
    assert!(matches!(
        transport.answer().await,
        Err(TransportError::Protocol(ProtocolError::UnexpectedKind {
            kind: kind::SHARED_REPLY
        }))
    ));
}

/// R28: a reply is read from the place that its frame names, if that is in the area for replies or
/// in the request of the call, and if the frame has the id of the call.
#[tokio::test]
async fn a_reply_is_where_it_may_be() {
    let malformed = Some(ProtocolError::MalformedSharedReply);
    let whole = LEAST + 7;
    for (size, place, problem) in [
        (whole, place(AREA, LEAST), None),
        (whole, place(AREA, AREA), None),
        (whole, place(2 * AREA, 0), None),
        (whole, place(2 * AREA - 1, 1), None),
        (whole, place(0, whole), None),
        (whole, place(5, whole - 5), None),
        (3, place(AREA + 5, 7), None),
        (whole, place(0, whole + 1), malformed.clone()),
        (whole, place(1, whole), malformed.clone()),
        (3, place(0, 3), malformed.clone()),
        (whole, place(AREA - 1, 1), malformed.clone()),
        (whole, place(2 * AREA - 1, 2), malformed.clone()),
        (whole, place(2 * AREA + 1, 0), malformed.clone()),
        (whole, place(usize::MAX, 1), malformed.clone()),
        (whole, place(AREA, usize::MAX), malformed.clone()),
        (whole, vec![0; 15], malformed.clone()),
        (whole, vec![0; 17], malformed),
    ] {
        let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
        let (_, id, _) = call(&transport, &mut worker, &body(size, 3)).await;
        seen.write(AREA, &body(AREA, 4));
        let reply = frame_of(kind::SHARED_REPLY, id, &place);
        worker.write_all(&reply).await.unwrap();
        match (transport.answer().await, problem) {
            (Ok(Answer::Done(reply)), None) => {
                let [offset, size] = [&place[..8], &place[8..]]
                    .map(|number| u64::from_be_bytes(number.try_into().unwrap()) as usize);
                assert!(reply == seen.read(offset, size), "{offset}, {size}");
                assert!(transport.is_clean());
            }
            (Err(TransportError::Protocol(found)), Some(problem)) => assert_eq!(found, problem),
            (answer, problem) => panic!("{answer:?} instead of {problem:?}, {place:?}"),
        }
    }
}

/// R28: the limit of a frame is also that of a reply in the memory.
#[tokio::test]
async fn a_reply_is_no_longer_than_a_frame() {
    for (size, is_allowed) in [(1019, true), (1020, false)] {
        let (mut lane, seen) = (super::super::lane::Lane::new(1019), Seen::default());
        seen.0.lock().unwrap().resize(2 * AREA, 0);
        let (memory, area) = (Box::new(seen), AREA as u64);
        lane.connect(Some(SharedMemory {
            memory,
            process: 0,
            descriptor: 0,
            inode: 0,
            area,
        }));
        lane.begin_reply(&place(AREA, size));
        let mut cx = Context::from_waker(Waker::noop());
        match lane.poll_reply(&mut cx) {
            Some(Poll::Ready(reply)) => assert_eq!(reply.is_ok(), is_allowed),
            other => panic!("{other:?}"),
        }
    }
}

/// C1: an answer to an earlier call is no answer, wherever its reply is.
#[tokio::test]
async fn a_late_reply_reaches_no_caller() {
    let (transport, mut worker, _) = agreed(frame::SHARED_MEMORY).await;
    let (_, first, _) = call(&transport, &mut worker, &body(LEAST, 1)).await;
    worker
        .write_all(&frame_of(kind::REPLY, first, b""))
        .await
        .unwrap();
    transport.answer().await.unwrap();
    call(&transport, &mut worker, &body(LEAST, 2)).await;
    let late = frame_of(kind::SHARED_REPLY, first, &place(AREA, LEAST));
    worker.write_all(&late).await.unwrap();
    match transport.answer().await {
        Err(TransportError::Protocol(ProtocolError::UnexpectedId { id })) => assert_eq!(id, first),
        other => panic!("{other:?}"),
    }
}

/// R28: the thread does other work while a large request is written and a large reply is read, and
/// the worker learns of the request after its last byte.
#[tokio::test]
async fn a_copy_pauses() {
    let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
    let request = body(AREA, 5);
    transport.begin(kind::CALL, &request, &[]).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    assert!(transport.poll_answer(&mut cx, &request, false).is_pending());
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1);
    assert!(worker.read_u8().now_or_never().is_none());
    assert!(!transport.request_written());
    assert!(seen.read(0, AREA / 2) == request[..AREA / 2]);
    assert!(seen.read(AREA / 2, AREA / 2) == vec![0; AREA / 2]);
    assert!(transport.poll_answer(&mut cx, &request, false).is_pending());
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 0);
    assert!(transport.request_written());
    let (_, id, _) = next(&mut worker).await;
    seen.write(AREA, &body(AREA, 6));
    let reply = frame_of(kind::SHARED_REPLY, id, &place(AREA, AREA));
    worker.write_all(&reply).await.unwrap();
    woken.0.store(0, Ordering::Relaxed);
    assert!(transport.poll_answer(&mut cx, &[], false).is_pending());
    assert_eq!(woken.0.swap(0, Ordering::Relaxed), 1);
    assert!(!transport.is_clean());
    match transport.poll_answer(&mut cx, &[], false) {
        Poll::Ready(Ok(Answer::Done(reply))) => assert!(reply == body(AREA, 6)),
        other => panic!("{other:?}"),
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// R28: a request for which the system has no memory uses the pipe.
#[tokio::test]
async fn without_memory_the_pipe_is_used() {
    let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
    seen.1.store(true, Ordering::Relaxed);
    let (kind, id, sent) = call(&transport, &mut worker, &body(AREA, 7)).await;
    assert!(kind == kind::CALL && sent == body(AREA, 7));
    answered(&transport, &mut worker, id).await;
}

/// R28: a worker that does not use the memory gets no frame about it and may send none, and the
/// memory is freed at once.
#[tokio::test]
async fn memory_that_is_not_used_is_freed() {
    let (transport, mut worker, seen) = agreed(frame::BATCHES).await;
    assert!(!seen.is_held_by_the_host());
    let (kind, id, sent) = call(&transport, &mut worker, &body(LEAST, 8)).await;
    assert!(kind == kind::CALL && sent == body(LEAST, 8));
    let reply = frame_of(kind::SHARED_REPLY, id, &place(AREA, 1));
    worker.write_all(&reply).await.unwrap();
    assert!(matches!(
        transport.answer().await,
        Err(TransportError::Protocol(ProtocolError::UnexpectedKind {
            kind: kind::SHARED_REPLY
        }))
    ));
}

/// C4: what a worker has answered before its exit is read, and the memory goes with the transport,
/// also in the middle of a request.
#[tokio::test]
async fn a_reply_before_an_exit_is_read() {
    for is_answered in [true, false] {
        let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
        let (_, id, _) = call(&transport, &mut worker, &body(LEAST, 1)).await;
        if is_answered {
            seen.write(AREA, &body(AREA, 2));
            let reply = frame_of(kind::SHARED_REPLY, id, &place(AREA, AREA));
            worker.write_all(&reply).await.unwrap();
        }
        transport.close(Closed::Stopped(Reason::Exited), false);
        assert!(!seen.is_held_by_the_host());
        match transport.answer().await {
            Ok(Answer::Done(reply)) => assert!(is_answered && reply == body(AREA, 2)),
            Err(TransportError::Closed(_)) => assert!(!is_answered),
            other => panic!("{other:?}"),
        }
    }
    let (transport, _worker, seen) = agreed(frame::SHARED_MEMORY).await;
    let request = body(AREA, 1);
    transport.begin(kind::CALL, &request, &[]).unwrap();
    let poll = poll_fn(|cx| Poll::Ready(transport.poll_answer(cx, &request, false)));
    assert!(poll.await.is_pending());
    transport.close(Closed::Stopped(Reason::Exited), false);
    assert!(!seen.is_held_by_the_host());
    let answer = poll_fn(|cx| transport.poll_answer(cx, &request, false)).await;
    assert!(matches!(answer, Err(TransportError::Closed(_))));
    assert!(!transport.request_written());
}

/// M1: the memory is freed at the second health check after a call, apart from a request that the
/// worker still uses.
#[tokio::test]
async fn an_idle_worker_holds_no_memory() {
    let (transport, mut worker, seen) = agreed(frame::SHARED_MEMORY).await;
    let ping = async |worker: &mut DuplexStream| {
        let (ping, _) = tokio::join!(transport.ping(), answer(worker, kind::PONG, b""));
        ping.unwrap();
        [0, AREA].map(|start| seen.read(start, AREA) != vec![0; AREA])
    };
    seen.write(0, b"untouched");
    assert_eq!(ping(&mut worker).await, [true, false]);
    assert_eq!(ping(&mut worker).await, [true, false]);
    for (in_use, held) in [(0, [false, false]), (1, [true, false])] {
        let (_, id, _) = call(&transport, &mut worker, &body(AREA, 9)).await;
        seen.write(AREA, &body(AREA, 9));
        seen.write(2 * AREA, &[in_use]);
        let reply = frame_of(kind::SHARED_REPLY, id, &place(AREA, 1));
        worker.write_all(&reply).await.unwrap();
        transport.answer().await.unwrap();
        assert_eq!(ping(&mut worker).await, [true, true]);
        assert_eq!(ping(&mut worker).await, held);
    }
    seen.write(2 * AREA, &[0]);
    assert_eq!(ping(&mut worker).await, [false, false]);
}
