//! Batches on a transport.

use super::*;

/// Big enough for `bytes`.
fn wide(bytes: usize) -> (Transport, DuplexStream) {
    let (host, worker) = tokio::io::duplex(bytes);
    let (reader, writer) = tokio::io::split(host);
    let transport = Transport::new(1 << 20);
    transport.connect(Pipe::new(reader, writer));
    (transport, worker)
}

/// A batch of this many requests without a body.
fn empty(count: u32) -> Vec<u8> {
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 4 * count as usize, 0);
    body
}

/// C15: all answers that a worker has written before it exits are read, however long they are. The
/// next one is the exit.
#[tokio::test]
async fn every_answer_before_an_exit_is_read() {
    let (transport, mut worker) = wide(1 << 20);
    transport.begin(kind::BATCH, &empty(5), &[]).unwrap();
    transport.send_at_once(&[]);
    let id = id_of_request(&mut worker).await;
    let text = ["KeyError", "", ""].map(|text| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    });
    // One read takes less than any two of them.
    let reply = frame_of(kind::REPLY, id, &[7; 60_000]);
    let error = frame_of(kind::ERROR, id, &text.concat());
    let answers = [&reply[..], &error, &reply, &reply].concat();
    worker.write_all(&answers).await.unwrap();
    transport.close(Closed::Stopped(Reason::Exited), false);
    for is_reply in [true, false, true, true] {
        match transport.answer().await {
            Ok(Answer::Item(Ok(body))) => assert!(is_reply && body == [7; 60_000]),
            Ok(Answer::Item(Err(error))) => assert!(!is_reply && error.kind == "KeyError"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        transport.answer().await,
        Err(TransportError::Closed(Closed::Stopped(Reason::Exited)))
    ));
}

/// C6: a batch ends with its last answer. Another kind of frame does not answer it, and another
/// answer is no part of it.
#[tokio::test]
async fn a_batch_ends_with_its_last_answer() {
    for (kind, is_answer) in [
        (kind::REPLY, true),
        (kind::PART, false),
        (kind::PONG, false),
    ] {
        let (transport, mut worker) = wide(1024);
        transport.begin(kind::BATCH, &empty(2), &[]).unwrap();
        transport.send_at_once(&[]);
        let id = id_of_request(&mut worker).await;
        let first = frame_of(kind::REPLY, id, b"one");
        worker.write_all(&first).await.unwrap();
        let answer = transport.answer().await.unwrap();
        assert_eq!(answer, Answer::Item(Ok(b"one".to_vec())));
        assert!(!transport.is_clean());
        worker.write_all(&frame_of(kind, id, b"two")).await.unwrap();
        match transport.answer().await {
            Ok(Answer::Done(body)) => assert!(is_answer && body == b"two"),
            Err(TransportError::Protocol(ProtocolError::UnexpectedKind { kind: found })) => {
                assert!(!is_answer && found == kind);
                continue;
            }
            other => panic!("{other:?}"),
        }
        assert!(transport.is_clean());
        worker.write_all(&first).await.unwrap();
        assert!(transport.is_broken());
    }
}

/// C5: a batch that was not written to its last byte was not seen, whatever the worker answers.
#[tokio::test]
async fn an_early_answer_breaks_the_protocol() {
    let (transport, mut worker) = wide(64);
    transport.begin(kind::BATCH, &empty(100), &[]).unwrap();
    assert!(transport.answer().now_or_never().is_none());
    assert!(!transport.request_written());
    let mut head = [0; 9];
    worker.read_exact(&mut head).await.unwrap();
    let id = u32::from_be_bytes(head[5..].try_into().unwrap());
    worker
        .write_all(&frame_of(kind::REPLY, id, b""))
        .await
        .unwrap();
    assert!(matches!(
        transport.answer().await,
        Err(TransportError::Protocol(ProtocolError::EarlyAnswer))
    ));
    assert!(!transport.request_written());
}
