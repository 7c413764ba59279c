//! Workers in memory that do what the test tells them, at the moment at which it does.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use ostler_pool::port::{
    BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release, Start,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;

/// The kinds of frames, as `PROTOCOL.md` lists them.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const CALL: u8 = 2;
    pub(crate) const SHUTDOWN: u8 = 3;
    pub(crate) const PING: u8 = 4;
    pub(crate) const CANCEL: u8 = 6;
    pub(crate) const READY: u8 = 128;
    pub(crate) const REPLY: u8 = 129;
    pub(crate) const ERROR: u8 = 130;
    pub(crate) const PONG: u8 = 131;
}

/// Instead of an exit code.
const PANICS: i32 = i32::MIN;

/// Opens workers that answer each request with the request itself, except `hold`, and exit on a
/// shutdown frame, on the end of their input and on every signal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Puppets {
    puppets: Arc<Mutex<Vec<Arc<Strings>>>>,
    are_silent: Arc<watch::Sender<bool>>,
    are_kept: Arc<watch::Sender<bool>>,
}

/// What the test, the worker and its port share.
#[derive(Debug)]
struct Strings {
    output: tokio::sync::Mutex<WriteHalf<DuplexStream>>,
    /// The frames that the worker has read.
    read: Mutex<Vec<Vec<u8>>>,
    last_words: Mutex<Option<(u8, Vec<u8>)>>,
    exited: watch::Sender<Option<i32>>,
    may_go: watch::Sender<bool>,
    found: Mutex<Release>,
    memory: Mutex<Option<u64>>,
    /// Its place, plus 1000.
    pid: u32,
}

impl Strings {
    fn write(&self, bytes: &[u8]) {
        let mut output = self.output.try_lock().expect("the worker does not write");
        let written = output.write_all(bytes).now_or_never();
        written.expect("there is room").expect("the pipe is open");
    }

    fn answer(&self, kind: u8, body: &[u8]) {
        let read = self.read.lock().unwrap().clone();
        let mut requests = read.iter().rev().filter(|frame| frame[0] != kind::CANCEL);
        let request = requests.next().expect("there is a request");
        self.write(&frame_of(kind, &request[1..5], body));
    }
}

impl Puppets {
    /// Writes these bytes as the worker that was opened at this place, and waits for nothing.
    pub(crate) fn write(&self, worker: usize, bytes: &[u8]) {
        self.strings(worker).write(bytes);
    }

    /// Answers the last request that the worker has read.
    pub(crate) fn answer(&self, worker: usize, kind: u8, body: &[u8]) {
        self.strings(worker).answer(kind, body);
    }

    /// Ends the worker with this exit code. Its answer is in the pipe when the pool sees the exit,
    /// and no earlier.
    pub(crate) fn exit_with_last_words(&self, worker: usize, code: i32, kind: u8, body: &[u8]) {
        let strings = self.strings(worker);
        *strings.last_words.lock().unwrap() = Some((kind, body.to_vec()));
        exit(&strings.exited, code);
    }

    /// Closes the output of the worker, which runs on.
    pub(crate) fn close_output(&self, worker: usize) {
        let strings = self.strings(worker);
        let mut output = strings
            .output
            .try_lock()
            .expect("the worker does not write");
        let closed = output.shutdown().now_or_never();
        closed.expect("it does not wait").expect("the pipe is open");
    }

    /// Ends the worker with this exit code. Its output stays open.
    pub(crate) fn exit(&self, worker: usize, code: i32) {
        exit(&self.strings(worker).exited, code);
    }

    /// Panics in the port of the worker.
    pub(crate) fn panic(&self, worker: usize) {
        exit(&self.strings(worker).exited, PANICS);
    }

    /// Whether workers answer nothing from now on.
    pub(crate) fn silence(&self, are_silent: bool) {
        self.are_silent.send_replace(are_silent);
    }

    /// The ports that are opened from now on are not released before [`release`](Self::release).
    pub(crate) fn keep_ports(&self) {
        self.are_kept.send_replace(true);
    }

    pub(crate) fn release(&self, worker: usize) {
        self.strings(worker).may_go.send_replace(true);
    }

    /// What the release of the worker will find.
    pub(crate) fn will_find(&self, worker: usize, found: Release) {
        *self.strings(worker).found.lock().unwrap() = found;
    }

    /// What the worker uses from now on. Before that, it is unknown.
    pub(crate) fn uses(&self, worker: usize, bytes: u64) {
        *self.strings(worker).memory.lock().unwrap() = Some(bytes);
    }

    pub(crate) fn opened(&self) -> usize {
        self.puppets.lock().unwrap().len()
    }

    /// The frames that the worker has read, without their lengths.
    pub(crate) fn frames(&self, worker: usize) -> Vec<Vec<u8>> {
        self.strings(worker).read.lock().unwrap().clone()
    }

    /// The kinds of these frames.
    pub(crate) fn kinds(&self, worker: usize) -> Vec<u8> {
        let frames = self.frames(worker);
        frames.iter().map(|frame| frame[0]).collect()
    }

    fn strings(&self, worker: usize) -> Arc<Strings> {
        Arc::clone(&self.puppets.lock().unwrap()[worker])
    }
}

impl Opener for Puppets {
    fn open(&self, _: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let (host, worker) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(worker);
        let mut puppets = self.puppets.lock().unwrap();
        let strings = Arc::new(Strings {
            output: tokio::sync::Mutex::new(output),
            read: Mutex::default(),
            last_words: Mutex::default(),
            exited: watch::Sender::new(None),
            may_go: watch::Sender::new(!*self.are_kept.borrow()),
            found: Mutex::default(),
            memory: Mutex::default(),
            pid: 1000 + u32::try_from(puppets.len()).unwrap(),
        });
        puppets.push(Arc::clone(&strings));
        let (worker, are_silent) = (Arc::clone(&strings), Arc::clone(&self.are_silent));
        tokio::spawn(async move {
            serve(input, &worker, &are_silent).await;
            exit(&worker.exited, 0);
        });
        let host = Some(host);
        Box::pin(async { Ok(Box::new(Puppet { host, strings }) as Box<dyn Port>) })
    }
}

#[derive(Debug)]
struct Puppet {
    host: Option<DuplexStream>,
    strings: Arc<Strings>,
}

impl Port for Puppet {
    fn pid(&self) -> Option<u32> {
        Some(self.strings.pid)
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("it is taken once"));
        Pipe::new(reader, writer)
    }

    fn memory(&self) -> Option<u64> {
        *self.strings.memory.lock().unwrap()
    }

    fn terminate(&mut self) {
        exit(&self.strings.exited, 0);
    }

    fn kill(&mut self) {
        exit(&self.strings.exited, 0);
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        let strings = Arc::clone(&self.strings);
        Box::pin(async move {
            let mut exited = strings.exited.subscribe();
            let code = *exited.wait_for(Option::is_some).await.expect("it is kept");
            assert_ne!(code, Some(PANICS), "a scripted panic");
            if let Some((kind, body)) = strings.last_words.lock().unwrap().take() {
                strings.answer(kind, &body);
            }
            Exit::new(ExitStatus::Code(code.expect("it has exited")), "")
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        let strings = Arc::clone(&self.strings);
        Box::pin(async move {
            let mut may_go = strings.may_go.subscribe();
            let _ = may_go.wait_for(|may_go| *may_go).await;
            *strings.found.lock().unwrap()
        })
    }
}

/// The first exit counts.
fn exit(exited: &watch::Sender<Option<i32>>, code: i32) {
    exited.send_if_modified(|exited| exited.replace(exited.unwrap_or(code)).is_none());
}

/// Answers until a shutdown frame or the end of the input.
async fn serve(
    mut input: ReadHalf<DuplexStream>,
    strings: &Strings,
    are_silent: &watch::Sender<bool>,
) {
    while let Ok(length) = input.read_u32().await {
        let mut frame = vec![0; length as usize];
        if input.read_exact(&mut frame).await.is_err() {
            return;
        }
        strings.read.lock().unwrap().push(frame.clone());
        let (head, body) = frame.split_at(5);
        let id = &head[1..];
        let answer = match (head[0], body) {
            (kind::CALL, b"hold") | (kind::CANCEL, _) => continue,
            (kind::SHUTDOWN, _) => return,
            _ if *are_silent.borrow() => continue,
            (kind::HELLO, _) => frame_of(kind::READY, id, &[0, 0, 0, 1]),
            (kind::CALL, body) => frame_of(kind::REPLY, id, body),
            (kind::PING, _) => frame_of(kind::PONG, id, b""),
            (other, _) => panic!("no frame of kind {other} is expected"),
        };
        if strings
            .output
            .lock()
            .await
            .write_all(&answer)
            .await
            .is_err()
        {
            return;
        }
    }
}

fn frame_of(kind: u8, id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(5 + body.len()).unwrap();
    [&length.to_be_bytes()[..], &[kind], id, body].concat()
}
