//! Checks that the schedules find bugs: each of eight bugs, planted into a copy of the sources,
//! must fail a test.
//!
//! The copy keeps the bugs out of the product. The test also fails when an edit no longer matches
//! the sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Planted {
    bug: &'static str,
    /// The test that must find the bug.
    test: &'static str,
    /// The first of the seeds with which it does, so that the outcome is always the same.
    seed: &'static str,
    /// The output must contain one of these texts.
    says: &'static [&'static str],
    edits: &'static [Edit],
}

/// A file of the pool's sources, a text that occurs in it exactly once, and its replacement.
type Edit = (&'static str, &'static str, &'static str);

const PLANTED: [Planted; 8] = [
    Planted {
        bug: "a lost wake-up: an order does not wake a task that is not waiting yet",
        test: "impatient",
        seed: "1",
        says: &["deadlock!"],
        edits: &[(
            "driver/effects.rs",
            "wakeup.notify_one()",
            "wakeup.notify_waiters()",
        )],
    },
    Planted {
        bug: "a lost wake-up: the clock sleeps on when an earlier deadline comes",
        test: "hostile",
        seed: "1",
        says: &["deadlock!"],
        edits: &[(
            "driver/effects.rs",
            "next.is_some_and(|next| before.is_none_or(|before| next < before))",
            "next.is_some() && before.is_none()",
        )],
    },
    Planted {
        bug: "a lost wake-up: a reader of events looks into the log before it registers its waker",
        test: "managed",
        seed: "101",
        says: &["deadlock!"],
        edits: &[(
            "events.rs",
            "        self.driver.wake_reader(self.reader, cx.waker());
        match self.try_recv() {",
            "        let read = self.try_recv();
        self.driver.wake_reader(self.reader, cx.waker());
        match read {",
        )],
    },
    Planted {
        bug: "a double grant: a lease ends while its worker still serves the dropped call",
        test: "impatient",
        seed: "1",
        says: &["two requests at once", "UnexpectedId"],
        edits: &[(
            "driver/grant.rs",
            "LeaseEnd::Cancellable(fault)",
            "LeaseEnd::Clean",
        )],
    },
    Planted {
        bug: "a leaked lease: a lease granted to a client that is gone is never returned",
        test: "impatient",
        seed: "1",
        says: &["deadlock!"],
        edits: &[(
            "driver/effects.rs",
            "drop(sender.send(answer))",
            "std::mem::forget(sender.send(answer))",
        )],
    },
    Planted {
        bug: "a deadlock: the pool's lock and a worker's lock are taken in both orders",
        test: "managed",
        seed: "1",
        says: &["deadlock!", "deadlock: a thread locks"],
        edits: &[
            (
                "driver/state.rs",
                "pid: entry.and_then(",
                "pid: entry.filter(|entry| entry.transport.is_clean()).and_then(",
            ),
            (
                "transport/exchange.rs",
                "pub(super) struct Exchange",
                "pub(crate) struct Exchange",
            ),
            (
                "transport/mod.rs",
                "    fn lock(&self)",
                "    pub(crate) fn lock(&self)",
            ),
            (
                "driver/grant.rs",
                "        self.end(if self.transport.is_clean() {
            LeaseEnd::Clean
        } else {
            LeaseEnd::Fault(Fault::ProtocolBroken)
        });",
                "        let end = if self.transport.is_clean() {
            LeaseEnd::Clean
        } else {
            LeaseEnd::Fault(Fault::ProtocolBroken)
        };
        let transport = Arc::clone(&self.transport);
        let _held = transport.lock();
        self.end(end);",
            ),
        ],
    },
    Planted {
        bug: "a late drop: a worker's port outlives the report of its release",
        test: "calm",
        seed: "1",
        says: &["left: (1, 0)"],
        edits: &[(
            "driver/worker/mod.rs",
            "                drop(port);
                self.released(Some(exit), release)",
            "                let stage = self.released(Some(exit), release);
                drop(port);
                stage",
        )],
    },
    Planted {
        bug: "reordered orders: they are queued after the lock is released",
        test: "hostile",
        seed: "1",
        says: &["the first order of worker", "ordered after"],
        edits: &[
            (
                "driver/effects.rs",
                "                    deferred.push(match state.queue(worker, order) {
                        Some(wakeup) => Deferred::Wake(wakeup),
                        None => {
                            Deferred::Spawn(state.add_worker(worker, order, self.limits.max_frame))
                        }
                    });",
                "                    deferred.push(Deferred::Order(worker, order));",
            ),
            (
                "driver/effects.rs",
                "    Spawn(NewTask),",
                "    Spawn(NewTask),\n    Order(WorkerId, ostler::supervisor::Order),",
            ),
            (
                "driver/effects.rs",
                "                Deferred::Close => self.close(),",
                "                Deferred::Close => self.close(),
                Deferred::Order(worker, order) => {
                    let max_frame = self.limits.max_frame;
                    let mut state = self.lock();
                    let queued = match state.queue(worker, order) {
                        Some(wakeup) => Deferred::Wake(wakeup),
                        None => Deferred::Spawn(state.add_worker(worker, order, max_frame)),
                    };
                    drop(state);
                    self.perform(vec![queued]);
                }",
            ),
        ],
    },
];

/// Each planted bug is found by its test, with the expected message.
#[test]
fn planted_bugs_are_found() {
    let copy = SourceCopy::create();
    let mut missed = String::new();
    for planted in &PLANTED {
        let output = copy.test_with(planted);
        let found = output.lines().find(|line| line.starts_with("found after "));
        let is_expected = planted.says.iter().any(|says| output.contains(says));
        match found.filter(|_| is_expected) {
            Some(found) => println!("{}\n    {found}", planted.bug),
            None => missed += &format!("not found as expected: {}\n{output}\n", planted.bug),
        }
    }
    assert!(missed.is_empty(), "{missed}");
}

/// A copy of the sources that the pool is built from.
struct SourceCopy(PathBuf);

impl SourceCopy {
    fn create() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        if copy.exists() {
            fs::remove_dir_all(&copy).expect("the old copy can be removed");
        }
        fs::create_dir_all(&copy).expect("the directory can be created");
        for entry in [
            "Cargo.toml",
            "Cargo.lock",
            "README.md",
            "src",
            "docs",
            "tests",
            "pool",
        ] {
            copy_all(&root.join(entry), &copy.join(entry));
        }
        // Both build in one target directory. Without a version of its own, cargo would take the
        // copy for the original.
        let manifest = copy.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("the manifest can be read");
        let version = concat!('"', env!("CARGO_PKG_VERSION"), '"');
        fs::write(&manifest, text.replace(version, "\"0.0.0\"")).expect("the file can be written");
        Self(copy)
    }

    /// Plants a bug, runs the test that must find it, removes the bug, and returns the output.
    fn test_with(&self, planted: &Planted) -> String {
        let sources = self.0.join("pool/src");
        let mut originals = Vec::new();
        for (file, original, planted) in planted.edits {
            let path = sources.join(file);
            let text = fs::read_to_string(&path).expect("the source can be read");
            assert_eq!(text.matches(original).count(), 1, "{file}: {original}");
            fs::write(&path, text.replace(original, planted)).expect("the file can be written");
            originals.push((path, text));
        }
        // The same command as the alias `schedules` in `.cargo/config.toml`.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
        let test = format!("schedules::{}", planted.test);
        let output = Command::new(env!("CARGO"))
            .current_dir(&self.0)
            .args([
                "test",
                "--offline",
                "--package",
                "ostler-pool",
                "--test",
                "schedules",
            ])
            .args([
                "--config",
                "build.rustflags = ['--cfg', 'shuttle']",
                "--target-dir",
            ])
            .arg(target)
            .args(["--", "--nocapture", "--exact", &test])
            .env("OSTLER_TEST_SEED", planted.seed)
            .output()
            .expect("cargo can be started");
        for (path, text) in originals.into_iter().rev() {
            fs::write(path, text).expect("the file can be written");
        }
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("the directory can be created");
        for entry in fs::read_dir(from).expect("the directory can be read") {
            let entry = entry.expect("the directory can be read");
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("the file can be copied");
    }
}
