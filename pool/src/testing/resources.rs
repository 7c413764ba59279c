//! The operating system's own books: processes and descriptors, not what the pool thinks of them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use super::Process;

/// How long something may take that takes moments. No test passes sooner or later because of it.
const DEADLINE: Duration = Duration::from_secs(30);

/// What this process has: its children, zombies included, and its open descriptors: what they are, not their numbers.
///
/// A pool has a child of its own beside its workers, so that not every child is one while a pool lives.
///
/// ```
/// use ostler_pool::testing::Resources;
/// use ostler_pool::{Pool, Python};
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// let before = Resources::take();
/// runtime.block_on(async {
///     let pool = Pool::builder(Python::function("builtins:bytes")).size(1).build()?;
///     pool.call(b"hello").await?;
///     pool.shutdown().await;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// before.assert_no_leaks(&[]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Resources {
    /// The children, by their ids.
    pub children: Vec<Process>,
    /// What each open descriptor is: the path of a file, or such as `pipe:[4711]`.
    pub descriptors: Vec<String>,
}

impl Resources {
    /// Reads them. Of a host whose other threads open and close things, only a part is of interest: see [`isolated`].
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[must_use]
    pub fn take() -> Self {
        let me = std::process::id();
        let mut children = Process::all();
        children.retain(|process| process.parent == me);
        let descriptors = fs::read_dir("/proc/self/fd").expect("this process has descriptors");
        let target = |path| Some(fs::read_link(path).ok()?.display().to_string());
        let mut descriptors: Vec<String> = descriptors
            .filter_map(|entry| target(entry.ok()?.path()))
            // This listing's own.
            .filter(|target| !target.starts_with("/proc/"))
            .collect();
        descriptors.sort();
        Self {
            children,
            descriptors,
        }
    }

    /// What is there now and was not when these books were taken, with what is in the process groups of `leaders`.
    #[must_use]
    pub fn left(&self, leaders: &[u32]) -> Left {
        let now = Self::take();
        let was_there = |child: &Process| self.children.iter().any(|old| old.pid == child.pid);
        let mut descriptors = now.descriptors;
        for known in &self.descriptors {
            if let Some(at) = descriptors.iter().position(|found| found == known) {
                descriptors.swap_remove(at);
            }
        }
        let members = Process::all()
            .into_iter()
            .filter(|process| leaders.contains(&process.group));
        let (members, zombies) = members.partition(Process::is_alive);
        Left {
            children: now
                .children
                .into_iter()
                .filter(|child| !was_there(child))
                .collect(),
            members,
            zombies,
            descriptors,
        }
    }

    /// Polls until everything is as when these books were taken, and nothing of the groups of `leaders` is alive.
    ///
    /// # Panics
    ///
    /// With what is left, if something is for 30 s.
    pub fn assert_no_leaks(&self, leaders: &[u32]) {
        let since = Instant::now();
        loop {
            let left = self.left(leaders);
            if left.is_nothing() {
                return;
            }
            assert!(since.elapsed() < DEADLINE, "left behind:\n{left}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What something has left behind.
#[derive(Debug)]
#[non_exhaustive]
pub struct Left {
    /// New children of this process, zombies included.
    pub children: Vec<Process>,
    /// Of the groups, alive.
    pub members: Vec<Process>,
    /// Of the groups, ended and not collected.
    pub zombies: Vec<Process>,
    /// New descriptors of this process.
    pub descriptors: Vec<String>,
}

impl Left {
    /// A zombie of a group that is no child of this process does not count: whose it is may never collect it, as the
    /// first process of a container often does not.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.children.is_empty() && self.members.is_empty() && self.descriptors.is_empty()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = [
            ("child", &self.children),
            ("member", &self.members),
            ("zombie", &self.zombies),
        ];
        for (what, processes) in processes {
            for process in processes {
                writeln!(f, "  {what}: {process}")?;
            }
        }
        for descriptor in &self.descriptors {
            writeln!(f, "  descriptor: {descriptor}")?;
        }
        Ok(())
    }
}

/// Runs the rest of a test in a process of its own, where it counts everything there is and finds no other test's:
/// true in that process; false, after it has ended well, in the one that runs all tests.
///
/// `name` is the test's path, as `cargo test` prints it.
///
/// ```no_run
/// #[test]
/// fn my_pool_leaves_nothing() {
///     if !ostler_pool::testing::isolated("my_pool_leaves_nothing") {
///         return;
///     }
///     // What this finds left is this test's own.
/// }
/// ```
///
/// # Panics
///
/// As the test does.
#[must_use]
pub fn isolated(name: &str) -> bool {
    const ALONE: &str = "OSTLER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test has a program"))
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(ALONE, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test's program can be run");
    let mut stderr = child.stderr.take().expect("it is piped");
    let complaints = thread::spawn(move || {
        let mut complained = Vec::new();
        stderr.read_to_end(&mut complained).map(|_| complained)
    });
    // Line by line, for those who watch a test that takes hours.
    let mut said = String::new();
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).split(b'\n');
    for line in lines {
        let line = line.expect("the output can be read");
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        said.push_str(&line);
    }
    let status = child.wait().expect("it is a child");
    let complained = complaints.join().expect("it does not panic");
    let complained = complained.expect("the complaints can be read");
    let complained = String::from_utf8_lossy(&complained);
    assert!(status.success(), "{status}\n{complained}");
    assert!(
        said.contains("1 passed"),
        "`{name}` is not the name of a test"
    );
    false
}
