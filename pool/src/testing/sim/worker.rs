//! The task that plays a simulated worker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler::WorkerId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;

use super::answer::Request;
use super::answering::{Answers, Played, play};
use super::port::{ExitSender, exit, report};
use super::{Script, SimStats, lock};
use crate::port::{Exit, ExitStatus};
use crate::transport::details::{Known, read_milliseconds};
use crate::transport::frame::{self, kind};

/// A simulated worker.
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) pipe: DuplexStream,
    pub(super) script: Script,
    pub(super) answers: Answers,
    pub(super) functions: Arc<[String]>,
    pub(super) stats: Arc<Mutex<SimStats>>,
}

impl Worker {
    /// Runs until it exits by itself or its port reports an exit.
    pub(super) async fn run(self, exit_sender: ExitSender) {
        let mut ended = exit_sender.subscribe();
        let script = self.script;
        tokio::select! {
            biased;
            _ = ended.wait_for(Option::is_some) => {}
            own = serve(self) => {
                if let Some(own) = own {
                    report(&exit_sender, own);
                } else if !script.ignores_stop() {
                    exit(&exit_sender, ExitStatus::Code(0));
                }
            }
        }
    }
}

/// Serves until the worker exits by itself. `None`: it received a shutdown frame or the end of its
/// input.
async fn serve(worker: Worker) -> Option<Exit> {
    let Worker {
        id: worker,
        mut pipe,
        script,
        answers,
        functions,
        stats,
    } = worker;
    let exits = |code| Some(Exit::new(ExitStatus::Code(code), ""));
    if script == Script::ExitsAtStart {
        return exits(3);
    }
    // The last request, for the cancel that may follow it.
    let mut last_request = Vec::new();
    // The other requests of its batch, which wait while it has no reply.
    let mut batch = VecDeque::new();
    let mut hangs = false;
    // What is known of the request with this id.
    let mut told = (Vec::new(), Known::default());
    let mut call_timeout = Duration::ZERO;
    loop {
        let frame = match batch.pop_front() {
            Some(request) if !hangs => request,
            first => {
                if let Some(request) = first {
                    batch.push_front(request);
                }
                match read(&mut pipe).await {
                    Ok(frame) => frame,
                    Err(_) => break,
                }
            }
        };
        let (head, body) = frame.split_at(5);
        let id = &head[1..];
        if head[0] == kind::BATCH {
            batch = calls(id, body);
            continue;
        }
        if head[0] == kind::CANCEL {
            match cancel(&mut pipe, id, &last_request).await {
                Ok(true) => {}
                Ok(false) => return exits(3),
                Err(_) => break,
            }
            cancel_rest(&mut pipe, id, &mut batch).await;
            continue;
        }
        match head[0] {
            kind::DETAILS => {
                told = (
                    id.to_vec(),
                    Known::read(body).expect("the details are whole"),
                );
                continue;
            }
            kind::SESSION_ENDED => continue,
            _ => {}
        }
        hangs = false;
        if matches!(head[0], kind::CALL | kind::STREAM) {
            lock(&stats).requests += 1;
            let known = match told.0 == id {
                true => told.1.clone(),
                false => Known::default(),
            };
            let request = Request::new(body, head[0] == kind::STREAM, known, call_timeout);
            if let Some(answer) = answers.next(worker, &request) {
                // Without its body, so that a late cancel finds no command.
                last_request = head.to_vec();
                match play(&mut pipe, id, &request, answer).await {
                    Ok(Played::Answered) => {}
                    Ok(Played::Cancelled) => cancel_rest(&mut pipe, id, &mut batch).await,
                    Ok(Played::Exited(exit)) => return Some(exit),
                    Ok(Played::Dismissed) | Err(_) => break,
                }
                continue;
            }
        }
        last_request = frame.clone();
        let delay_ms = match (head[0], script, body) {
            (kind::HELLO, Script::SlowStart, _) => 60,
            (kind::CALL, _, b"think") => 15,
            _ => 0,
        };
        if delay_ms > 0 {
            sleep(Duration::from_millis(delay_ms)).await;
        }
        let sent = match (head[0], script, body) {
            (kind::HELLO, Script::NoHandshake, _)
            | (
                kind::CALL,
                _,
                b"hang" | b"heed" | b"finish" | b"late" | b"stray" | b"twice over" | b"leave",
            )
            | (kind::PING, Script::IgnoresPings, _) => {
                hangs = true;
                continue;
            }
            (kind::PING, Script::Unhealthy, _) => {
                send(
                    &mut pipe,
                    kind::ERROR,
                    id,
                    &error("RuntimeError", "scripted"),
                )
                .await
            }
            (kind::PING, Script::DoublePong, _) => {
                let pong = frame_of(kind::PONG, id, b"");
                pipe.write_all(&[pong.clone(), pong].concat()).await
            }
            (kind::PING, Script::WrongPong, _) => send(&mut pipe, kind::REPLY, id, b"what?").await,
            (kind::PING, _, _) => send(&mut pipe, kind::PONG, id, b"").await,
            (kind::HELLO, Script::StartFails, _) => {
                send(
                    &mut pipe,
                    kind::ERROR,
                    id,
                    &error("RuntimeError", "scripted"),
                )
                .await
            }
            (kind::HELLO, _, _) => {
                // After the version and the frame limit come the flags, and the call timeout last.
                let flags = body.get(8..12).and_then(|flags| flags.try_into().ok());
                let flags = flags.map_or(0, u32::from_be_bytes);
                let mut accepted = flags & frame::BATCHES;
                if answers.has_closure() || !functions.is_empty() {
                    accepted |= flags & frame::DETAILS;
                }
                if accepted & frame::DETAILS != 0 {
                    let timeout = body.last_chunk::<8>();
                    let timeout = timeout.and_then(|bytes| read_milliseconds(bytes));
                    call_timeout = timeout.expect("the host says how long it waits");
                }
                send(&mut pipe, kind::READY, id, &ready(accepted, &functions)).await
            }
            (kind::CALL, _, b"raise") => {
                send(&mut pipe, kind::ERROR, id, &error("ValueError", "no")).await
            }
            (kind::CALL, _, b"wrong id") => send(&mut pipe, kind::REPLY, &[9; 4], b"late").await,
            (kind::CALL, _, b"twice") => {
                let _ = send(&mut pipe, kind::REPLY, id, b"once").await;
                send(&mut pipe, kind::REPLY, id, b"twice").await
            }
            (kind::CALL, _, b"exit") => return exits(3),
            (kind::CALL, _, b"answer and exit") => {
                let _ = send(&mut pipe, kind::REPLY, id, b"farewell").await;
                return exits(0);
            }
            (kind::CALL, _, b"part") => send(&mut pipe, kind::PART, id, b"of a call").await,
            (kind::STREAM, _, request) => match stream(&mut pipe, id, request).await {
                Ok(true) => continue,
                Ok(false) => return exits(3),
                Err(error) => Err(error),
            },
            (kind::CALL, _, b"garbage") => pipe.write_all(&[0xff; 32]).await,
            (kind::CALL, _, echo) => send(&mut pipe, kind::REPLY, id, echo).await,
            _ => break,
        };
        if sent.is_err() {
            break;
        }
    }
    None
}

/// The body of `READY` with these flags.
fn ready(flags: u32, functions: &[String]) -> Vec<u8> {
    let mut body = frame::VERSION.to_be_bytes().to_vec();
    if flags != 0 {
        body.extend(flags.to_be_bytes());
    }
    if flags & frame::DETAILS != 0 {
        body.extend((functions.len() as u32).to_be_bytes());
        body.extend(functions.iter().flat_map(|name| string(name)));
    }
    body
}

/// Confirms the cancel of the other requests of a batch.
async fn cancel_rest(pipe: &mut DuplexStream, id: &[u8], batch: &mut VecDeque<Vec<u8>>) {
    for _ in batch.drain(..) {
        let cancelled = error("Cancelled", "scripted");
        if send(pipe, kind::ERROR, id, &cancelled).await.is_err() {
            break;
        }
    }
}

/// Reads a frame, and returns it without its length.
pub(super) async fn read(pipe: &mut DuplexStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; pipe.read_u32().await? as usize];
    pipe.read_exact(&mut frame).await?;
    Ok(frame)
}

/// The requests of a batch as calls.
fn calls(id: &[u8], batch: &[u8]) -> VecDeque<Vec<u8>> {
    let number = |place: usize| {
        let bytes = batch[4 * place..]
            .first_chunk()
            .expect("it has all lengths");
        u32::from_be_bytes(*bytes) as usize
    };
    let mut rest = &batch[4 + 4 * number(0)..];
    let calls = (1..=number(0)).map(|place| {
        let (request, others) = rest.split_at(number(place));
        rest = others;
        [&[kind::CALL], id, request].concat()
    });
    calls.collect()
}

/// Handles the cancel of `request`. A request that was already answered ignores it. False: the
/// worker exits.
async fn cancel(pipe: &mut DuplexStream, id: &[u8], request: &[u8]) -> std::io::Result<bool> {
    assert_eq!(
        id,
        &request[1..5],
        "a cancel names another request than the last"
    );
    let cancelled = frame_of(kind::ERROR, id, &error("Cancelled", "scripted"));
    match (request[0], &request[5..]) {
        (kind::CALL, b"heed") => pipe.write_all(&cancelled).await?,
        (kind::CALL, b"finish") => send(pipe, kind::REPLY, id, b"finished").await?,
        (kind::CALL, b"late") => {
            sleep(Duration::from_secs(10)).await;
            send(pipe, kind::REPLY, id, b"late").await?;
        }
        (kind::CALL, b"stray") => send(pipe, kind::REPLY, &[9; 4], b"stray").await?,
        (kind::CALL, b"twice over") => {
            pipe.write_all(&[cancelled.clone(), cancelled].concat())
                .await?
        }
        (kind::CALL, b"leave") => return Ok(false),
        (kind::STREAM, request) if request.starts_with(b"heed ") => {
            send(pipe, kind::PART, id, b"one more").await?;
            pipe.write_all(&cancelled).await?;
        }
        _ => {}
    }
    Ok(true)
}

/// Sends the letters of the second word as parts, then does what the first word says. False: the
/// worker exits.
async fn stream(pipe: &mut DuplexStream, id: &[u8], request: &[u8]) -> std::io::Result<bool> {
    let request = std::str::from_utf8(request).expect("the request is UTF-8");
    let (verb, letters) = request
        .split_once(' ')
        .expect("the request is a verb and letters");
    for letter in letters.bytes() {
        if verb == "ponder" {
            sleep(Duration::from_secs(5)).await;
        }
        send(pipe, kind::PART, id, &[letter]).await?;
    }
    match verb {
        "spell" | "ponder" => send(pipe, kind::REPLY, id, b"").await?,
        "raise" => send(pipe, kind::ERROR, id, &error("ValueError", "no")).await?,
        "talk" => send(pipe, kind::REPLY, id, b"the end").await?,
        "encore" => {
            send(pipe, kind::REPLY, id, b"").await?;
            send(pipe, kind::PART, id, b"more").await?;
        }
        "pong" => send(pipe, kind::PONG, id, b"").await?,
        "hang" | "heed" => {}
        "flood" => loop {
            send(pipe, kind::PART, id, b"more").await?;
        },
        "exit" => return Ok(false),
        other => panic!("`{other}` is not a verb of a simulated stream"),
    }
    Ok(true)
}

pub(super) async fn send(
    pipe: &mut DuplexStream,
    kind: u8,
    id: &[u8],
    body: &[u8],
) -> std::io::Result<()> {
    pipe.write_all(&frame_of(kind, id, body)).await
}

fn frame_of(kind: u8, id: &[u8], body: &[u8]) -> Vec<u8> {
    let id = u32::from_be_bytes(id.try_into().expect("an id has four bytes"));
    let mut frame = Vec::new();
    frame::encode(kind, id, body, &mut frame);
    frame
}

pub(super) fn error(kind: &str, message: &str) -> Vec<u8> {
    [string(kind), string(message), string("Traceback")].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}
