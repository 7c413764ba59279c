//! Snapshots of this process's resources, read from `/proc` and not from the pool.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use super::Process;

/// How long [`Resources::assert_no_leaks`] polls before it fails. What it waits for takes
/// milliseconds, so a passing test never comes near it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A snapshot of this process's children and open descriptors. Linux only.
///
/// Take it after the tokio runtime is built and before the pool is, because the runtime opens
/// descriptors of its own. Compare after [`Pool::shutdown`](crate::Pool::shutdown) has resolved, in
/// a test that runs [`isolated`]: other tests of the same process open and close things, too.
///
/// A live pool has one more child than it has workers, its sentinel (see
/// [`Program::sentinel`](crate::Program::sentinel)).
///
/// ```
/// use ostler_pool::testing::Resources;
/// use ostler_pool::{Pool, Python};
///
/// // The runtime's own descriptors belong to the first snapshot, so start it before.
/// let runtime = tokio::runtime::Runtime::new()?;
/// let before = Resources::snapshot();
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
    /// The direct children, zombies included, sorted by pid.
    pub children: Vec<Process>,
    /// The target of each open descriptor: the path of a file, or a name such as `pipe:[4711]`.
    pub descriptors: Vec<String>,
}

impl Resources {
    /// Takes a snapshot. It covers the whole process, including what other threads open and close
    /// meanwhile; a test that needs exact counts runs [`isolated`].
    ///
    /// # Panics
    ///
    /// If there is no `/proc`.
    #[must_use]
    pub fn snapshot() -> Self {
        let me = std::process::id();
        let mut children = Process::all();
        children.retain(|process| process.parent == me);
        let descriptors = fs::read_dir("/proc/self/fd").expect("this process has descriptors");
        let target = |path| Some(fs::read_link(path).ok()?.display().to_string());
        let mut descriptors: Vec<String> = descriptors
            .filter_map(|entry| target(entry.ok()?.path()))
            // The directory that this loop itself has open.
            .filter(|target| !target.starts_with("/proc/"))
            .collect();
        descriptors.sort();
        Self {
            children,
            descriptors,
        }
    }

    /// What exists now and did not at this snapshot, plus every process in the process groups of
    /// `leaders`: pass the pids of the workers to find processes that they started.
    ///
    /// # Panics
    ///
    /// If there is no `/proc`.
    #[must_use]
    pub fn leaks(&self, leaders: &[u32]) -> Leaks {
        let now = Self::snapshot();
        let is_new = |child: &Process| self.children.iter().all(|old| old.pid != child.pid);
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
        Leaks {
            children: now.children.into_iter().filter(is_new).collect(),
            members,
            zombies,
            descriptors,
        }
    }

    /// Polls [`leaks`](Self::leaks) every 5 ms until there are none, for up to 30 s. Blocks the
    /// thread.
    ///
    /// # Panics
    ///
    /// With the leaks, if some remain after 30 s, or if there is no `/proc`.
    pub fn assert_no_leaks(&self, leaders: &[u32]) {
        let since = Instant::now();
        loop {
            let leaks = self.leaks(leaders);
            if leaks.is_empty() {
                return;
            }
            assert!(
                since.elapsed() < DEADLINE,
                "leaked for {DEADLINE:?}:\n{leaks}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What [`Resources::leaks`] found. `Display` lists it, one process or descriptor a line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Leaks {
    /// New children of this process, zombies included.
    pub children: Vec<Process>,
    /// Live members of the leaders' process groups.
    pub members: Vec<Process>,
    /// Zombies in the leaders' process groups.
    pub zombies: Vec<Process>,
    /// New descriptors of this process.
    pub descriptors: Vec<String>,
}

impl Leaks {
    /// Whether there is no leak.
    ///
    /// [`zombies`](Self::zombies) do not count: they belong to another parent, and pid 1 of a
    /// container often never reaps them. A zombie of this process is in
    /// [`children`](Self::children), which do count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.members.is_empty() && self.descriptors.is_empty()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = [
            ("child", &self.children),
            ("group member", &self.members),
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

/// Runs the rest of a test in a process of its own, so that no other test's processes and
/// descriptors are counted with its own.
///
/// The first call starts the test binary again with only this test, passes its output on, waits for
/// it and returns `false`. In the new process, the call returns `true`. `name` is the full path of
/// the test, as `cargo test` prints it.
///
/// ```no_run
/// #[test]
/// fn my_pool_leaks_nothing() {
///     if !ostler_pool::testing::isolated("my_pool_leaks_nothing") {
///         return;
///     }
///     // Only this test runs in this process.
/// }
/// ```
///
/// # Panics
///
/// If the test fails in the new process, or if no test has this name.
#[must_use]
pub fn isolated(name: &str) -> bool {
    // The time limit of ostler's own tests finds the processes of a test by this variable.
    const ISOLATED: &str = "OSTLER_TEST_ISOLATED";
    if std::env::var_os(ISOLATED).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(ISOLATED, format!("{name} {}", std::process::id()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary can be started");
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let stderr_reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    // Line by line, so that a test that runs for hours shows its progress.
    let mut stdout = String::new();
    let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).split(b'\n');
    for line in lines {
        let line = line.expect("stdout can be read");
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        stdout.push_str(&line);
    }
    let status = child.wait().expect("the child can be waited for");
    let stderr = stderr_reader.join().expect("the reader does not panic");
    let stderr = stderr.expect("stderr can be read");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}\n{stderr}");
    assert!(
        stdout.contains("1 passed"),
        "`{name}` is not the name of a test; pass its full path, as `cargo test` prints it"
    );
    false
}
