//! What a worker is told besides requests.

use super::details::Details;
use super::*;

/// A transport whose worker takes details, and a pipe that holds this many bytes.
fn telling(room: usize) -> (Transport, DuplexStream) {
    let (host, worker) = tokio::io::duplex(room);
    let (reader, writer) = tokio::io::split(host);
    let transport = Transport::new(1024);
    transport.connect(Pipe::new(reader, writer));
    transport.agreed(frame::DETAILS, Arc::from([]));
    (transport, worker)
}

/// The next frame: its kind, its id and its body.
pub(super) async fn next(worker: &mut DuplexStream) -> (u8, u32, Vec<u8>) {
    let length = worker.read_u32().await.unwrap();
    let (kind, id) = (
        worker.read_u8().await.unwrap(),
        worker.read_u32().await.unwrap(),
    );
    let mut body = vec![0; length as usize - 5];
    worker.read_exact(&mut body).await.unwrap();
    (kind, id, body)
}

fn ended(session: u64, name: &str) -> (u8, u32, Vec<u8>) {
    let body = [&session.to_be_bytes(), name.as_bytes()].concat();
    (kind::SESSION_ENDED, 0, body)
}

/// Details precede their request with its id, and only for a worker that takes them.
#[tokio::test]
async fn details_precede_their_request() {
    let mut details = Details::default();
    details.function("f");
    details.session(7, "user");
    details.timeout(Duration::from_millis(1500));
    details.traceparent("00-1-2-00");
    let expected = [
        &b"\x01\0\0\0\x01f\x02\0\0\0\x04user\x05\0\0\0\x08\0\0\0\0\0\0\0\x07"[..],
        b"\x03\0\0\0\x08\0\0\0\0\0\0\x05\xdc\x04\0\0\0\x0900-1-2-00",
    ];
    for takes in [true, false] {
        let (transport, mut worker) = match takes {
            true => telling(1024),
            false => transport(),
        };
        transport
            .begin(kind::CALL, b"body", details.bytes())
            .unwrap();
        let mut answer = Box::pin(transport.answer());
        assert!(answer.as_mut().now_or_never().is_none());
        let mut told = None;
        if takes {
            let (kind, id, body) = next(&mut worker).await;
            assert_eq!((kind, body), (kind::DETAILS, expected.concat()));
            told = Some(id);
        }
        let (kind, id, body) = next(&mut worker).await;
        assert_eq!((kind, &body[..]), (kind::CALL, &b"body"[..]));
        assert!(told.is_none_or(|told| told == id));
        let mut bytes = Vec::new();
        frame::encode(kind::REPLY, id, b"", &mut bytes);
        worker.write_all(&bytes).await.unwrap();
        assert_eq!(answer.await.unwrap(), Answer::Done(vec![]));
        // They concern one request.
        transport.begin(kind::CALL, b"", &[]).unwrap();
        assert!(transport.answer().now_or_never().is_none());
        assert_eq!(next(&mut worker).await.0, kind::CALL);
    }
}

/// An idle worker is told of the end of a session at once, a busy one before its next request.
#[tokio::test]
async fn the_end_of_a_session_comes_between_requests() {
    let (transport, mut worker) = telling(1024);
    transport.session_ended(1, "idle");
    assert_eq!(next(&mut worker).await, ended(1, "idle"));
    assert!(transport.is_clean());

    let pong = answer(&mut worker, kind::PONG, b"");
    let (got, _) = tokio::join!(transport.ping(), async {
        transport.session_ended(2, "busy");
        pong.await
    });
    assert_eq!(got.unwrap(), Answer::Done(vec![]));
    assert!(transport.is_clean());
    transport.begin(kind::CALL, b"", &[]).unwrap();
    assert!(transport.answer().now_or_never().is_none());
    assert_eq!(next(&mut worker).await, ended(2, "busy"));
    assert_eq!(next(&mut worker).await.0, kind::CALL);
}

/// A pipe that is full gets the rest of the frame later, and no worker waits for it.
#[tokio::test]
async fn the_rest_of_a_note_comes_before_the_next_request() {
    let (transport, mut worker) = telling(10);
    transport.session_ended(1, "longer than the pipe");
    transport.session_ended(2, "another");
    assert!(transport.is_clean(), "a note is no exchange");
    transport.begin(kind::CALL, b"", &[]).unwrap();
    let mut call = Box::pin(transport.answer());
    let read = async {
        let read = [next(&mut worker).await, next(&mut worker).await];
        (read, next(&mut worker).await.0)
    };
    tokio::select! {
        (read, kind) = read => {
            assert_eq!(read, [ended(1, "longer than the pipe"), ended(2, "another")]);
            assert_eq!(kind, kind::CALL);
        }
        answer = &mut call => panic!("{answer:?}"),
    }
}

/// A worker that does not take details is told nothing.
#[tokio::test]
async fn an_old_worker_is_told_nothing() {
    let (transport, mut worker) = transport();
    transport.session_ended(1, "user");
    let (got, asked) = tokio::join!(transport.ping(), answer(&mut worker, kind::PONG, b""));
    assert_eq!((got.unwrap(), asked.0), (Answer::Done(vec![]), kind::PING));
}
