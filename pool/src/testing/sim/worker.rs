//! What a simulated worker does.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Script, exit};
use crate::port::ExitStatus;
use crate::transport::frame::{self, kind};

/// The life of a simulated worker, until it exits by itself or is made to.
pub(super) async fn live(
    pipe: DuplexStream,
    script: Script,
    alive: Arc<watch::Sender<Option<ExitStatus>>>,
) {
    let mut killed = alive.subscribe();
    tokio::select! {
        biased;
        _ = killed.wait_for(Option::is_some) => {}
        status = serve(pipe, script) => {
            if let Some(status) = status {
                exit(&alive, status);
            } else if script != Script::Stubborn {
                exit(&alive, ExitStatus::Code(0));
            }
        }
    }
}

/// `None`: it was told to end.
async fn serve(mut pipe: DuplexStream, script: Script) -> Option<ExitStatus> {
    if script == Script::ExitsAtOnce {
        return Some(ExitStatus::Code(3));
    }
    // The last request, which a cancel may follow.
    let mut asked = Vec::new();
    while let Ok(length) = pipe.read_u32().await {
        let mut frame = vec![0; length as usize];
        if pipe.read_exact(&mut frame).await.is_err() {
            break;
        }
        let (head, body) = frame.split_at(5);
        let id = &head[1..];
        if head[0] == kind::CANCEL {
            match cancelled(&mut pipe, id, &asked).await {
                Ok(true) => continue,
                Ok(false) => return Some(ExitStatus::Code(3)),
                Err(_) => break,
            }
        }
        asked = frame.clone();
        let pause = match (head[0], script, body) {
            (kind::HELLO, Script::Slow, _) => 60,
            (kind::CALL, _, b"think") => 15,
            _ => 0,
        };
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
        let answered = match (head[0], script, body) {
            (kind::HELLO, Script::Mute, _)
            | (
                kind::CALL,
                _,
                b"hang" | b"heed" | b"finish" | b"late" | b"stray" | b"twice over" | b"leave",
            )
            | (kind::PING, Script::Deaf, _) => continue,
            (kind::PING, Script::Unhealthy, _) => {
                answer(
                    &mut pipe,
                    kind::ERROR,
                    id,
                    &error("RuntimeError", "scripted"),
                )
                .await
            }
            (kind::PING, Script::Stammering, _) => {
                let once = frame_of(kind::PONG, id, b"");
                pipe.write_all(&[once.clone(), once].concat()).await
            }
            (kind::PING, Script::Babbling, _) => answer(&mut pipe, kind::REPLY, id, b"what?").await,
            (kind::PING, _, _) => answer(&mut pipe, kind::PONG, id, b"").await,
            (kind::HELLO, Script::Refuses, _) => {
                answer(
                    &mut pipe,
                    kind::ERROR,
                    id,
                    &error("RuntimeError", "scripted"),
                )
                .await
            }
            (kind::HELLO, _, _) => answer(&mut pipe, kind::READY, id, &[0, 0, 0, 1]).await,
            (kind::CALL, _, b"raise") => {
                answer(&mut pipe, kind::ERROR, id, &error("ValueError", "no")).await
            }
            (kind::CALL, _, b"wrong id") => answer(&mut pipe, kind::REPLY, &[9; 4], b"late").await,
            (kind::CALL, _, b"twice") => {
                let _ = answer(&mut pipe, kind::REPLY, id, b"once").await;
                answer(&mut pipe, kind::REPLY, id, b"twice").await
            }
            (kind::CALL, _, b"exit") => return Some(ExitStatus::Code(3)),
            (kind::CALL, _, b"answer and exit") => {
                let _ = answer(&mut pipe, kind::REPLY, id, b"farewell").await;
                return Some(ExitStatus::Code(0));
            }
            (kind::CALL, _, b"part") => answer(&mut pipe, kind::PART, id, b"of a call").await,
            (kind::STREAM, _, request) => match stream(&mut pipe, id, request).await {
                Ok(true) => continue,
                Ok(false) => return Some(ExitStatus::Code(3)),
                Err(error) => Err(error),
            },
            (kind::CALL, _, b"garbage") => pipe.write_all(&[0xff; 32]).await,
            (kind::CALL, _, echo) => answer(&mut pipe, kind::REPLY, id, echo).await,
            _ => break,
        };
        if answered.is_err() {
            break;
        }
    }
    None
}

/// What the cancel of `asked` makes the worker do, if that is not answered yet. False: it exits.
async fn cancelled(pipe: &mut DuplexStream, id: &[u8], asked: &[u8]) -> std::io::Result<bool> {
    assert_eq!(
        id,
        &asked[1..5],
        "only what was asked last can be cancelled"
    );
    let cancelled = frame_of(kind::ERROR, id, &error("Cancelled", "scripted"));
    match (asked[0], &asked[5..]) {
        (kind::CALL, b"heed") => pipe.write_all(&cancelled).await?,
        (kind::CALL, b"finish") => answer(pipe, kind::REPLY, id, b"finished").await?,
        (kind::CALL, b"late") => {
            sleep(Duration::from_secs(10)).await;
            answer(pipe, kind::REPLY, id, b"late").await?;
        }
        (kind::CALL, b"stray") => answer(pipe, kind::REPLY, &[9; 4], b"stray").await?,
        (kind::CALL, b"twice over") => {
            pipe.write_all(&[cancelled.clone(), cancelled].concat())
                .await?
        }
        (kind::CALL, b"leave") => return Ok(false),
        (kind::STREAM, request) if request.starts_with(b"heed ") => {
            answer(pipe, kind::PART, id, b"one more").await?;
            pipe.write_all(&cancelled).await?;
        }
        _ => {}
    }
    Ok(true)
}

/// Answers a request in parts: the letters of its second word, and then what its first word says. False: it exits.
async fn stream(pipe: &mut DuplexStream, id: &[u8], request: &[u8]) -> std::io::Result<bool> {
    let request = std::str::from_utf8(request).expect("a text");
    let (verb, letters) = request.split_once(' ').expect("two words");
    for letter in letters.bytes() {
        if verb == "ponder" {
            sleep(Duration::from_secs(5)).await;
        }
        answer(pipe, kind::PART, id, &[letter]).await?;
    }
    match verb {
        "spell" | "ponder" => answer(pipe, kind::REPLY, id, b"").await?,
        "raise" => answer(pipe, kind::ERROR, id, &error("ValueError", "no")).await?,
        "talk" => answer(pipe, kind::REPLY, id, b"the end").await?,
        "encore" => {
            answer(pipe, kind::REPLY, id, b"").await?;
            answer(pipe, kind::PART, id, b"more").await?;
        }
        "pong" => answer(pipe, kind::PONG, id, b"").await?,
        "hang" | "heed" => {}
        "flood" => loop {
            answer(pipe, kind::PART, id, b"more").await?;
        },
        "exit" => return Ok(false),
        other => panic!("there is no {other}"),
    }
    Ok(true)
}

async fn answer(pipe: &mut DuplexStream, kind: u8, id: &[u8], body: &[u8]) -> std::io::Result<()> {
    pipe.write_all(&frame_of(kind, id, body)).await
}

fn frame_of(kind: u8, id: &[u8], body: &[u8]) -> Vec<u8> {
    let id = u32::from_be_bytes(id.try_into().expect("an id is four bytes"));
    let mut frame = Vec::new();
    frame::encode(kind, id, body, &mut frame);
    frame
}

fn error(kind: &str, message: &str) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    [string(kind), string(message), string("Traceback")].concat()
}
