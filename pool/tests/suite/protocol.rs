//! Do all workers speak the protocol of `PROTOCOL.md`?
//!
//! The conversations are read from that document.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::{Command, Stdio};

use ostler_pool::port::{Opener as _, Start};
use ostler_pool::{Python, WorkerId};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::languages::{native, node};
use crate::resources::modules;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/PROTOCOL.md");

/// What a conversation may need.
const ABILITIES: [&str; 5] = ["errors", "lines", "batches", "shared", "details"];

/// One frame of a conversation.
#[derive(Debug, Default)]
struct Line {
    from_host: bool,
    bytes: Vec<u8>,
    kind: String,
}

/// A conversation, and the ability that a worker needs for it.
#[derive(Debug)]
struct Conversation {
    needs: String,
    lines: Vec<Line>,
}

fn document() -> String {
    fs::read_to_string(DOCUMENT).unwrap()
}

fn conversations() -> Vec<Conversation> {
    let document = document();
    let blocks = document.split("```frames").skip(1).map(|block| {
        let (needs, rest) = block.split_once('\n').unwrap();
        let (body, _) = rest.split_once("```").unwrap();
        let needs = needs.trim().to_owned();
        assert!(needs.is_empty() || ABILITIES.contains(&&*needs), "{needs}");
        Conversation {
            needs,
            lines: lines(body),
        }
    });
    blocks.collect()
}

/// The conversations of a worker with these abilities. There must be as many as `expected`.
fn conversations_with(abilities: &[&str], expected: usize) -> Vec<Conversation> {
    let mut conversations = conversations();
    conversations.retain(|it| it.needs.is_empty() || abilities.contains(&&*it.needs));
    assert_eq!(conversations.len(), expected);
    conversations
}

fn lines(block: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for text in block.lines() {
        let (direction, rest) = text.split_at(1);
        let mut words = rest.split_whitespace().peekable();
        let mut bytes = Vec::new();
        while let Some(byte) = words.peek().and_then(|word| hex(word)) {
            bytes.push(byte);
            words.next();
        }
        match direction {
            ">" | "<" => lines.push(Line {
                from_host: direction == ">",
                bytes,
                kind: words.next().expect("the frame's kind").to_owned(),
            }),
            // A continuation line: more bytes of the same frame.
            _ => lines.last_mut().unwrap().bytes.extend(bytes),
        }
    }
    lines
}

fn hex(word: &str) -> Option<u8> {
    (word.len() == 2).then(|| u8::from_str_radix(word, 16).ok())?
}

/// The kinds in the document's table: their names and numbers, and whether the host sends them.
fn kinds() -> BTreeMap<String, (u8, bool)> {
    let document = document();
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, number, from, ..] = cells[..] else {
            return None;
        };
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), (number.parse().ok()?, from == "host")))
    });
    rows.collect()
}

/// The shared memory of a conversation.
#[derive(Debug)]
struct Memory(File);

impl Memory {
    const AREA: u64 = 128 << 10;

    fn create() -> Self {
        let file = memfd_create("conversation", MemfdFlags::CLOEXEC).unwrap();
        let file = File::from(file);
        file.set_len(2 * Self::AREA + (64 << 10)).unwrap();
        file.write_all_at(&Self::request(), 0).unwrap();
        Self(file)
    }

    fn request() -> Vec<u8> {
        (0..64 << 10).map(|at: u32| at.to_le_bytes()[1]).collect()
    }

    /// The frame of the host, with the place of this memory if it offers one.
    fn offered(&self, line: &Line) -> Vec<u8> {
        let mut bytes = line.bytes.clone();
        if line.kind == "HELLO" && bytes.len() > 29 {
            let descriptor = u32::try_from(self.0.as_raw_fd()).unwrap();
            bytes[21..25].copy_from_slice(&std::process::id().to_be_bytes());
            bytes[25..29].copy_from_slice(&descriptor.to_be_bytes());
            bytes[29..37].copy_from_slice(&self.0.metadata().unwrap().ino().to_be_bytes());
        }
        bytes
    }

    /// Checks that the result is where the frame says.
    fn check(&self, line: &Line) {
        if line.kind == "SHARED_REPLY" {
            let mut result = vec![0; 64 << 10];
            self.0.read_exact_at(&mut result, Self::AREA).unwrap();
            assert!(result == Self::request());
        }
    }
}

/// The document and the code have the same kinds, by name and number.
#[test]
fn every_kind_is_documented() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/frame.rs");
    let source = fs::read_to_string(source).unwrap();
    let constants = source.lines().filter_map(|line| {
        let (name, number) = line
            .trim()
            .strip_prefix("pub(crate) const ")?
            .split_once(": u8 = ")?;
        let number: u8 = number.strip_suffix(';')?.parse().ok()?;
        Some((name.to_owned(), (number, number < 128)))
    });
    let in_code: BTreeMap<_, _> = constants.collect();
    assert_eq!(in_code.len(), 16);
    assert_eq!(kinds(), in_code);
}

/// Each example frame has the right length and the kind that is written beside it, and every kind
/// has an example.
#[test]
fn every_example_is_a_frame() {
    let kinds = kinds();
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for line in conversations().iter().flat_map(|c| &c.lines) {
        let (number, from_host) = kinds[&line.kind];
        let length = u32::try_from(line.bytes.len() - 4).unwrap().to_be_bytes();
        assert_eq!(line.bytes[..4], length, "{line:?}");
        assert_eq!(
            (line.bytes[4], line.from_host),
            (number, from_host),
            "{line:?}"
        );
        *shown.entry(line.kind.clone()).or_default() += 1;
    }
    let missing: Vec<_> = kinds
        .keys()
        .filter(|kind| !shown.contains_key(*kind))
        .collect();
    assert_eq!(missing, [""; 0], "kinds without an example");
}

/// Plays the conversations that a worker has the abilities for, and checks every byte that it sends
/// and that it exits with 0.
fn play(command: impl Fn() -> Command, abilities: &[&str], expected: usize) {
    for conversation in conversations_with(abilities, expected) {
        let mut worker = command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = worker.stdin.take().unwrap();
        let mut stdout = worker.stdout.take().unwrap();
        for line in &conversation.lines {
            if line.from_host {
                stdin.write_all(&line.bytes).unwrap();
            } else {
                let mut said = vec![0; line.bytes.len()];
                stdout.read_exact(&mut said).unwrap();
                assert_eq!(said, line.bytes, "instead of {line:?}");
            }
        }
        // Its input is still open: it exits because of the `SHUTDOWN` frame.
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        assert_eq!(worker.wait().unwrap().code(), Some(0));
        drop(stdin);
    }
}

/// `echo.py`, the smallest worker, speaks the protocol.
#[test]
fn the_smallest_worker_speaks_the_protocol() {
    let echo = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/echo.py");
    play(
        || {
            let mut command = Command::new("python3");
            command.arg(echo);
            command
        },
        &[],
        4,
    );
}

/// The worker in C speaks the protocol.
#[test]
fn the_worker_in_c_speaks_the_protocol() {
    if let Some(program) = native() {
        let abilities = ["lines", "errors", "batches"];
        play(|| Command::new(program), &abilities, 7);
    }
}

/// The worker in JavaScript speaks the protocol. Its errors have a traceback, so the example of an
/// error is left out.
#[test]
fn the_worker_in_javascript_speaks_the_protocol() {
    if let Some(script) = node() {
        play(
            || {
                let mut command = Command::new("node");
                command.arg(&script);
                command
            },
            &["lines", "batches"],
            6,
        );
    }
}

/// The runtime for Python functions speaks the protocol.
#[tokio::test]
async fn the_python_runtime_speaks_the_protocol() {
    for conversation in conversations_with(&["batches", "shared", "details"], 7) {
        let memory = Memory::create();
        let mut python = Python::function("shared:copy_any").path(modules());
        python.prepare().unwrap();
        let worker = WorkerId {
            slot: 0,
            generation: 1,
        };
        let mut port = python.open(Start::new(worker, 0)).await.unwrap();
        let mut pipe = port.take_pipe();
        let preamble = std::mem::take(&mut pipe.preamble);
        pipe.writer.write_all(&preamble).await.unwrap();
        for line in &conversation.lines {
            if line.from_host {
                let bytes = memory.offered(line);
                pipe.writer.write_all(&bytes).await.unwrap();
            } else {
                let mut said = vec![0; line.bytes.len()];
                pipe.reader.read_exact(&mut said).await.unwrap();
                assert_eq!(said, line.bytes, "instead of {line:?}");
                memory.check(line);
            }
        }
        let mut rest = Vec::new();
        pipe.reader.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        assert_eq!(port.exited().await.status, ostler_pool::ExitStatus::Code(0));
        port.released().await;
    }
}
