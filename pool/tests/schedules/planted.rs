//! Would the schedules find what is wrong? Five bugs, each planted into a copy of the sources, must turn them red.
//!
//! So the product knows nothing of them. An edit that does not fit any more fails the test as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Planted {
    bug: &'static str,
    /// The test that is to find it, and one of the words that it may do so in.
    test: &'static str,
    says: &'static [&'static str],
    edits: &'static [Edit],
}

/// A file of the pool's sources, what stands there once, and what is to stand there instead.
type Edit = (&'static str, &'static str, &'static str);

const PLANTED: [Planted; 5] = [
    Planted {
        bug: "a lost wake-up: a task that is not waiting yet does not hear of its order",
        test: "managed",
        says: &["deadlock!"],
        edits: &[(
            "driver/perform.rs",
            "mail.notify_one()",
            "mail.notify_waiters()",
        )],
    },
    Planted {
        bug: "a worker for two: a lease ends while its worker is still at what was given up",
        test: "impatient",
        says: &["two at once", "which was not asked"],
        edits: &[(
            "lease/mod.rs",
            "self.over = true;\n                let mercy",
            "self.settle(None);\n                let mercy",
        )],
    },
    Planted {
        bug: "a leak: a lease whose client is gone stays out",
        test: "impatient",
        says: &["deadlock!"],
        edits: &[(
            "driver/perform.rs",
            "drop(sender.send(answer))",
            "std::mem::forget(sender.send(answer))",
        )],
    },
    Planted {
        bug: "a deadlock: the pool's lock and a worker's, taken in two orders",
        test: "managed",
        says: &["deadlock!"],
        edits: &[
            (
                "driver/inner.rs",
                "pid: record.and_then(",
                "pid: record.filter(|record| record.wire.is_clean()).and_then(",
            ),
            (
                "wire/state.rs",
                "pub(super) struct State",
                "pub(crate) struct State",
            ),
            (
                "wire/mod.rs",
                "    fn lock(&self)",
                "    pub(crate) fn lock(&self)",
            ),
            (
                "lease/mod.rs",
                "        self.settle(fault);\n    }\n}\n",
                "        let wire = Arc::clone(&self.wire);\n        let _held = wire.lock();\n        self.settle(fault);\n    }\n}\n",
            ),
        ],
    },
    Planted {
        bug: "overtaken orders: they are queued after the lock is released",
        test: "hostile",
        says: &["the first order of worker", "is to be"],
        edits: &[
            (
                "driver/perform.rs",
                "deferred.push(inner.queue(worker, order, self))",
                "deferred.push(Deferred::Order(worker, order))",
            ),
            (
                "driver/perform.rs",
                "    Wake(Arc<Notify>),",
                "    Wake(Arc<Notify>),\n    Order(WorkerId, ostler::supervisor::Order),",
            ),
            (
                "driver/perform.rs",
                "                Deferred::Close => self.close(),",
                "                Deferred::Close => self.close(),
                Deferred::Order(worker, order) => {
                    let queued = self.lock().queue(worker, order, self);
                    self.perform(vec![queued]);
                }",
            ),
        ],
    },
];

/// Each planted bug is found, by the test and in the words that are made for it.
#[test]
fn planted_bugs_are_found() {
    let copy = Copy::of_the_workspace();
    for planted in &PLANTED {
        let output = copy.play(planted);
        let (found, said) = (
            output.lines().find(|line| line.starts_with("found after ")),
            planted.says.iter().any(|says| output.contains(says)),
        );
        let Some(found) = found.filter(|_| said) else {
            panic!("{}\nis not found as it is to be:\n{output}", planted.bug);
        };
        println!("{}\n    {found}", planted.bug);
    }
}

/// A copy of what the pool is built from.
struct Copy(PathBuf);

impl Copy {
    fn of_the_workspace() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        if copy.exists() {
            fs::remove_dir_all(&copy).expect("an old copy");
        }
        fs::create_dir_all(&copy).expect("a folder");
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
        // A version of its own, or cargo, which builds both in one place, would take the copy for the original.
        let manifest = copy.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let version = concat!('"', env!("CARGO_PKG_VERSION"), '"');
        fs::write(&manifest, text.replace(version, "\"0.0.0\"")).expect("it can be written");
        Self(copy)
    }

    /// Plants a bug, plays the schedules that are to find it, and digs it up again.
    fn play(&self, planted: &Planted) -> String {
        let sources = self.0.join("pool/src");
        let mut sound = Vec::new();
        for (file, right, wrong) in planted.edits {
            let path = sources.join(file);
            let text = fs::read_to_string(&path).expect("a source");
            assert_eq!(text.matches(right).count(), 1, "{file}: {right}");
            fs::write(&path, text.replace(right, wrong)).expect("it can be written");
            sound.push((path, text));
        }
        // The same command as the alias.
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
            .env("OSTLER_TEST_SEED", "1")
            .output()
            .expect("cargo runs");
        for (path, text) in sound.into_iter().rev() {
            fs::write(path, text).expect("it can be written");
        }
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("a folder");
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("a file");
    }
}
