//! A simulated port, so that the real driver can be asked what no real process does on command.
//!
//! A simulated worker is a task on an in-memory pipe. It does what the request says, and what the script says at its
//! start. There is no real I/O here, so these tests may run on a paused clock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ostler_pool::{BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release, WorkerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// How one worker of a simulation starts and ends. After the last entry of a script, workers are `Good`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Script {
    /// Starts, serves, and exits when its input ends.
    #[default]
    Good,
    /// The port cannot be opened.
    Unopenable,
    /// `open` panics.
    Panics,
    /// As `Good`, and answers the handshake after 60 ms.
    Slow,
    /// Never answers the handshake.
    Mute,
    /// As `Good`, and never answers a probe.
    Deaf,
    /// As `Good`, and answers each probe with an error.
    Unhealthy,
    /// As `Good`, and answers each probe twice.
    Stammering,
    /// As `Good`, and holds a gibibyte.
    Fat,
    /// As `Good`, and answers a probe with what no probe is answered with.
    Babbling,
    /// Answers the handshake with an error.
    Refuses,
    /// Exits before it answers the handshake.
    ExitsAtOnce,
    /// As `Good`, and does not exit before it is killed.
    Stubborn,
    /// As `Good`, and is never released.
    Unreleasable,
}

/// What the ports of a simulation did, counted by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) opened: usize,
    pub(crate) open: usize,
    pub(crate) most_open: usize,
    pub(crate) terminated: usize,
    pub(crate) killed: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Sim {
    script: Arc<Mutex<VecDeque<Script>>>,
    books: Arc<Mutex<Books>>,
}

impl Sim {
    pub(crate) fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            books: Arc::default(),
        }
    }

    pub(crate) fn books(&self) -> Books {
        *self.books.lock().unwrap()
    }
}

impl Opener for Sim {
    fn prepare(&mut self) -> Result<(), OpenError> {
        Ok(())
    }

    fn open(&self, _: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async { self.open() })
    }
}

impl Sim {
    fn open(&self) -> Result<Box<dyn Port>, OpenError> {
        let script = self.script.lock().unwrap().pop_front().unwrap_or_default();
        match script {
            Script::Panics => panic!("a scripted panic"),
            Script::Unopenable => {
                return Err(OpenError::Spawn {
                    program: "sim".into(),
                    reason: "scripted".into(),
                });
            }
            _ => {}
        }
        let (host, worker) = tokio::io::duplex(64 * 1024);
        let (alive, exit) = watch::channel(None);
        let alive = Arc::new(alive);
        tokio::spawn(live(worker, script, Arc::clone(&alive)));
        let mut books = self.books.lock().unwrap();
        books.opened += 1;
        books.open += 1;
        books.most_open = books.most_open.max(books.open);
        drop(books);
        Ok(Box::new(SimPort {
            host: Some(host),
            script,
            alive,
            exit,
            books: Arc::clone(&self.books),
        }))
    }
}

struct SimPort {
    host: Option<DuplexStream>,
    script: Script,
    alive: Arc<watch::Sender<Option<ExitStatus>>>,
    exit: watch::Receiver<Option<ExitStatus>>,
    books: Arc<Mutex<Books>>,
}

impl fmt::Debug for SimPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPort")
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

impl Port for SimPort {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn memory(&self) -> Option<u64> {
        Some(if self.script == Script::Fat {
            1 << 30
        } else {
            1 << 20
        })
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("taken once"));
        Pipe {
            reader: Box::new(reader),
            writer: Box::new(writer),
            preamble: Vec::new(),
        }
    }

    fn terminate(&mut self) {
        self.books.lock().unwrap().terminated += 1;
        if self.script != Script::Stubborn {
            exit(&self.alive, ExitStatus::Signal(15));
        }
    }

    fn kill(&mut self) {
        self.books.lock().unwrap().killed += 1;
        exit(&self.alive, ExitStatus::Signal(9));
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            let status = self
                .exit
                .wait_for(Option::is_some)
                .await
                .expect("the port holds the sender");
            Exit {
                status: status.expect("waited for"),
                stderr: String::new(),
            }
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async {
            if self.script == Script::Unreleasable {
                std::future::pending::<()>().await;
            }
            Release::default()
        })
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        exit(&self.alive, ExitStatus::Signal(9));
        self.books.lock().unwrap().open -= 1;
    }
}

/// The first exit counts.
fn exit(alive: &watch::Sender<Option<ExitStatus>>, status: ExitStatus) {
    alive.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(status);
        first
    });
}

/// The life of a simulated worker, until it exits by itself or is made to.
async fn live(pipe: DuplexStream, script: Script, alive: Arc<watch::Sender<Option<ExitStatus>>>) {
    let mut killed = alive.subscribe();
    tokio::select! {
        biased;
        _ = killed.wait_for(Option::is_some) => {}
        status = serve(pipe, script) => {
            if script == Script::Stubborn {
                return;
            }
            exit(&alive, status);
        }
    }
}

async fn serve(mut pipe: DuplexStream, script: Script) -> ExitStatus {
    if script == Script::ExitsAtOnce {
        return ExitStatus::Code(3);
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
        if head[0] == 6 {
            match cancelled(&mut pipe, id, &asked).await {
                Ok(true) => continue,
                Ok(false) => return ExitStatus::Code(3),
                Err(_) => break,
            }
        }
        asked = frame.clone();
        let pause = match (head[0], script, body) {
            (1, Script::Slow, _) => 60,
            (2, _, b"think") => 15,
            _ => 0,
        };
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
        let answered = match (head[0], script, body) {
            (1, Script::Mute, _)
            | (
                2,
                _,
                b"hang" | b"heed" | b"finish" | b"late" | b"stray" | b"twice over" | b"leave",
            )
            | (4, Script::Deaf, _) => continue,
            (4, Script::Unhealthy, _) => {
                answer(&mut pipe, 130, id, &error("RuntimeError", "scripted")).await
            }
            (4, Script::Stammering, _) => {
                let once = frame_of(131, id, b"");
                pipe.write_all(&[once.clone(), once].concat()).await
            }
            (4, Script::Babbling, _) => answer(&mut pipe, 129, id, b"what?").await,
            (4, _, _) => answer(&mut pipe, 131, id, b"").await,
            (1, Script::Refuses, _) => {
                answer(&mut pipe, 130, id, &error("RuntimeError", "scripted")).await
            }
            (1, _, _) => answer(&mut pipe, 128, id, &[0, 0, 0, 1]).await,
            (2, _, b"raise") => answer(&mut pipe, 130, id, &error("ValueError", "no")).await,
            (2, _, b"wrong id") => answer(&mut pipe, 129, &[9; 4], b"late").await,
            (2, _, b"twice") => {
                let _ = answer(&mut pipe, 129, id, b"once").await;
                answer(&mut pipe, 129, id, b"twice").await
            }
            (2, _, b"exit") => return ExitStatus::Code(3),
            (2, _, b"answer and exit") => {
                let _ = answer(&mut pipe, 129, id, b"farewell").await;
                return ExitStatus::Code(0);
            }
            (2, _, b"part") => answer(&mut pipe, 132, id, b"of a call").await,
            (5, _, request) => match stream(&mut pipe, id, request).await {
                Ok(true) => continue,
                Ok(false) => return ExitStatus::Code(3),
                Err(error) => Err(error),
            },
            (2, _, b"garbage") => pipe.write_all(&[0xff; 32]).await,
            (2, _, echo) => answer(&mut pipe, 129, id, echo).await,
            _ => break,
        };
        if answered.is_err() {
            break;
        }
    }
    ExitStatus::Code(0)
}

/// What the cancel of `asked` makes the worker do, if that is not answered yet. False: it exits.
async fn cancelled(pipe: &mut DuplexStream, id: &[u8], asked: &[u8]) -> std::io::Result<bool> {
    assert_eq!(
        id,
        &asked[1..5],
        "only what was asked last can be cancelled"
    );
    let cancelled = frame_of(130, id, &error("Cancelled", "scripted"));
    match (asked[0], &asked[5..]) {
        (2, b"heed") => pipe.write_all(&cancelled).await?,
        (2, b"finish") => answer(pipe, 129, id, b"finished").await?,
        (2, b"late") => {
            sleep(Duration::from_secs(10)).await;
            answer(pipe, 129, id, b"late").await?;
        }
        (2, b"stray") => answer(pipe, 129, &[9; 4], b"stray").await?,
        (2, b"twice over") => {
            pipe.write_all(&[cancelled.clone(), cancelled].concat())
                .await?
        }
        (2, b"leave") => return Ok(false),
        (5, request) if request.starts_with(b"heed ") => {
            answer(pipe, 132, id, b"one more").await?;
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
        answer(pipe, 132, id, &[letter]).await?;
    }
    match verb {
        "spell" | "ponder" => answer(pipe, 129, id, b"").await?,
        "raise" => answer(pipe, 130, id, &error("ValueError", "no")).await?,
        "talk" => answer(pipe, 129, id, b"the end").await?,
        "encore" => {
            answer(pipe, 129, id, b"").await?;
            answer(pipe, 132, id, b"more").await?;
        }
        "pong" => answer(pipe, 131, id, b"").await?,
        "hang" | "heed" => {}
        "flood" => loop {
            answer(pipe, 132, id, b"more").await?;
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
    let length = u32::try_from(5 + body.len()).expect("a short body");
    [&length.to_be_bytes(), &[kind][..], id, body].concat()
}

fn error(kind: &str, message: &str) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    [string(kind), string(message), string("Traceback")].concat()
}
