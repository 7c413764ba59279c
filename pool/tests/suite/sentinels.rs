//! Does the sentinel kill what its host leaves behind, and nothing else, wherever the host runs?
//!
//! The hosts are this test's program, started again in the role of a host.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs, thread};

use ostler_pool::port::{Opener as _, Port, Start};
use ostler_pool::testing::Process;
use ostler_pool::{Program, WorkerId};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use tokio::runtime::{self, Runtime};

use crate::resources::{Resources, is_alive, isolated, scratch, tag_of, until};
use crate::rig::signal;

/// Tells a process that it is a host.
pub(crate) const ROLE: &str = "OSTLER_TEST_SENTINEL_HOST";

/// Tells a host to limit its stack, in bytes, and with it the arguments of its children.
const STACK: &str = "OSTLER_TEST_STACK";

/// The absolute path of a program, for hosts that have another `PATH`.
pub(crate) fn path_of(program: &str) -> PathBuf {
    let path = env::var_os("PATH").expect("there is a PATH");
    let mut candidates = env::split_paths(&path).map(|directory| directory.join(program));
    let found = candidates.find(|candidate| candidate.exists());
    found.expect("the program is installed")
}

/// A program whose workers end only when they are killed.
pub(crate) fn immortal() -> Program {
    let sleep = env::var_os(ROLE).map_or_else(|| path_of("sleep"), PathBuf::from);
    let mut program = Program::new(sleep).arg("1000").env_clear();
    program.prepare().unwrap();
    program
}

pub(crate) fn runtime() -> Runtime {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap()
}

pub(crate) async fn open(program: &Program) -> Box<dyn Port> {
    let worker = WorkerId {
        slot: 0,
        generation: 1,
    };
    program.open(Start::new(worker, 0)).await.unwrap()
}

/// The children of this process, without those in `known`.
pub(crate) fn children(known: &[u32]) -> Vec<u32> {
    let mut children: Vec<u32> = Resources::snapshot()
        .children
        .iter()
        .map(|child| child.pid)
        .collect();
    children.retain(|child| !known.contains(child));
    children
}

/// If this process is a host: opens a worker, prints the process ids of it, of its sentinel and of
/// a copy that `fork` makes, and waits to be killed.
pub(crate) fn ran_as_host(fork: impl FnOnce()) -> bool {
    if env::var_os(ROLE).is_none() {
        return false;
    }
    if let Ok(stack) = env::var(STACK) {
        let stack = Some(stack.parse().unwrap());
        let (current, maximum) = (stack, stack);
        setrlimit(Resource::Stack, Rlimit { current, maximum }).unwrap();
    }
    let program = immortal();
    runtime().block_on(async {
        let port = open(&program).await;
        let worker = port.pid().unwrap();
        let sentinel = children(&[worker])[0];
        fork();
        let copy = children(&[worker, sentinel]);
        println!("host {worker} {sentinel} {}", copy.first().unwrap_or(&0));
        std::future::pending::<()>().await;
    });
    true
}

pub(crate) struct Host {
    process: Child,
    pub(crate) worker: u32,
    pub(crate) sentinel: u32,
    pub(crate) copy: u32,
}

impl Host {
    /// Runs `test`, given by its full path, as a host.
    pub(crate) fn start(test: &str, set_up: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args([test, "--exact", "--nocapture"])
            .env(ROLE, path_of("sleep"))
            .stdout(Stdio::piped());
        set_up(&mut command);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let pids = lines.find_map(|line| Some(line.unwrap().split_once("host ")?.1.to_owned()));
        let pids = pids.expect("the host opens a worker");
        let mut pids = pids.split(' ').map(|pid| pid.parse().unwrap());
        let mut pid = || pids.next().unwrap();
        let (worker, sentinel, copy) = (pid(), pid(), pid());
        let host = Self {
            process,
            worker,
            sentinel,
            copy,
        };
        assert!(is_alive(worker) && is_alive(sentinel));
        host
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Kills the host, and waits until the sentinel has killed the worker and has exited.
    fn ends_cleanly(mut self) {
        self.kill();
        until("the worker's end", || !is_alive(self.worker));
        until("the sentinel's end", || !is_alive(self.sentinel));
    }
}

/// Leaves nothing behind when a test fails.
impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            self.kill();
            for pid in [self.worker, self.sentinel, self.copy] {
                if is_alive(pid) {
                    signal(pid, Signal::KILL);
                }
            }
        }
    }
}

/// Processes that belong to no pool. They are killed on drop.
struct Strangers(Vec<Child>);

impl Strangers {
    fn start(count: usize) -> Self {
        let start = || Command::new("sleep").arg("1000").spawn().unwrap();
        Self((0..count).map(|_| start()).collect())
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        for stranger in &mut self.0 {
            let killed = stranger.kill().and_then(|()| stranger.wait());
            assert!(thread::panicking() || killed.is_ok());
        }
    }
}

/// A directory with the programs that a sentinel needs, and a `grep` of the test's own. It is
/// removed on drop.
struct Tools(PathBuf);

impl Tools {
    /// `grep`: the lines of a shell script, in which `$real` is the real one.
    fn new(name: &str, grep: &str) -> Self {
        let directory = scratch(name);
        fs::create_dir_all(&directory).unwrap();
        for program in ["sh", "sleep", "rmdir"] {
            symlink(path_of(program), directory.join(program)).unwrap();
        }
        let (sh, real) = (path_of("sh"), path_of("grep"));
        let script = format!("#!{}\nreal={}\n{grep}\n", sh.display(), real.display());
        let path = directory.join("grep");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Self(directory)
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(thread::panicking() || removed.is_ok());
    }
}

/// P14: a program that is dropped when its runtime is gone ends its sentinel, which first kills
/// what is left of the pool.
#[test]
fn a_dropped_program_ends_its_sentinel() {
    if !isolated("sentinels::a_dropped_program_ends_its_sentinel") {
        return;
    }
    // Before the snapshot: the first runtime opens descriptors that stay open.
    let runtime = runtime();
    let before = Resources::snapshot();
    let program = immortal();
    let port = runtime.block_on(open(&program));
    let tag = tag_of(port.pid().unwrap());
    let (pool, _) = tag.split_once(':').unwrap();
    // The end of the worker does not end this process, which carries the tag of the pool only.
    let mut left = Command::new("sleep");
    let left = left.arg("1000").env("OSTLER_TAG", format!("{pool}:"));
    let mut left = left.spawn().unwrap();
    drop(runtime);
    drop(port);
    drop(program);
    until("the end of what is left", || {
        left.try_wait().unwrap().is_some()
    });
    before.assert_no_leaks(&[]);
}

/// P21: the sentinel works in a host whose environment leaves 3 KiB for arguments, among hundreds
/// of processes.
#[test]
fn a_full_environment_stops_no_sentinel() {
    if ran_as_host(|| ()) {
        return;
    }
    let _strangers = Strangers::start(300);
    // The least that the kernel leaves for arguments and environment, whatever the stack's limit.
    let mut spare = 128 * 1024 - 3 * 1024;
    for (name, value) in env::vars_os() {
        spare -= name.len() + value.len() + 2 + size_of::<usize>();
    }
    let host = Host::start("sentinels::a_full_environment_stops_no_sentinel", |host| {
        host.env(STACK, (256 * 1024).to_string());
        host.env("FILL", "x".repeat(spare - 256));
    });
    host.ends_cleanly();
}

/// P21: a failed search does not count as an empty one.
#[test]
fn a_failed_search_is_no_empty_one() {
    if ran_as_host(|| ()) {
        return;
    }
    let tools = Tools::new("no-grep", "exit 126");
    let host = Host::start("sentinels::a_failed_search_is_no_empty_one", |host| {
        host.env("PATH", &tools.0);
    });
    host.ends_cleanly();
}

/// P21: the search also works with a `grep` that reads an environment up to the end of the first
/// variable unless it is told what ends a variable, as that of busybox does.
#[test]
fn each_variable_is_searched() {
    if ran_as_host(|| ()) {
        return;
    }
    let grep = "case $1 in *z*) exec $real \"$@\" ;; *) exit 1 ;; esac";
    let tools = Tools::new("first-grep", grep);
    let host = Host::start("sentinels::each_variable_is_searched", |host| {
        host.env("PATH", &tools.0);
    });
    host.ends_cleanly();
}

/// P21: of the host's environment, a sentinel inherits only the tag of a pool whose worker the host
/// is. That pool finds the sentinel by it.
#[test]
fn a_sentinel_belongs_to_the_pool_above() {
    if ran_as_host(|| ()) {
        return;
    }
    let host = Host::start("sentinels::a_sentinel_belongs_to_the_pool_above", |host| {
        host.env("OSTLER_TAG", "7-above:0.1;").env("OTHER", "no");
    });
    assert_eq!(tag_of(host.sentinel), "7-above:0.1;");
    let environment = fs::read(format!("/proc/{}/environ", host.sentinel)).unwrap();
    assert!(!String::from_utf8(environment).unwrap().contains("OTHER"));
    host.ends_cleanly();
}

/// P27: a process that does not carry the tag any more when it is to be killed, because another one
/// has taken over its id, is spared.
#[test]
fn a_process_that_took_over_an_id_is_spared() {
    if ran_as_host(|| ()) {
        return;
    }
    let strangers = Strangers::start(30);
    // One of those that are searched together with many others.
    let pids = strangers.0.iter().map(|stranger| stranger.id().to_string());
    let stranger = pids.min().unwrap();
    // A search of many processes finds the stranger too, as if it had found another process whose
    // id became the stranger's.
    let grep = format!(
        "$real \"$@\"\n[ $# -lt 20 ] && exit\n\
         for file; do case $file in */{stranger}/environ) echo $file; touch \"$0-found\" ;; esac; done"
    );
    let tools = Tools::new("late-grep", &grep);
    let host = Host::start(
        "sentinels::a_process_that_took_over_an_id_is_spared",
        |host| {
            let path = [tools.0.clone(), path_of("touch").parent().unwrap().into()];
            host.env("PATH", env::join_paths(path).unwrap());
        },
    );
    host.ends_cleanly();
    assert!(tools.0.join("grep-found").exists());
    assert!(is_alive(stranger.parse().unwrap()));
}

/// P28: entries of `PATH` that are relative to the host's directory, or empty, are found from the
/// sentinel's directory too.
#[test]
fn a_relative_path_is_the_hosts() {
    if ran_as_host(|| ()) {
        return;
    }
    let tools = Tools::new("relative", "exec $real \"$@\"");
    let (parent, name) = (tools.0.parent().unwrap(), tools.0.file_name().unwrap());
    let start = |directory: &Path, path: &OsStr| {
        Host::start("sentinels::a_relative_path_is_the_hosts", |host| {
            host.env("PATH", path).current_dir(directory);
        })
    };
    start(parent, name).ends_cleanly();
    start(&tools.0, OsStr::new(":/nowhere")).ends_cleanly();
}

/// P29: the tag is in no command line, neither while the sentinel waits nor while it searches.
#[test]
fn the_tag_is_in_no_command_line() {
    if ran_as_host(|| ()) {
        return;
    }
    let tools = Tools::new(
        "log-grep",
        "echo \"$@\" >> \"$0-arguments\"\nexec $real \"$@\"",
    );
    let host = Host::start("sentinels::the_tag_is_in_no_command_line", |host| {
        host.env("PATH", &tools.0);
    });
    let tag = tag_of(host.worker);
    let (tag, _) = tag.split_once(':').unwrap();
    let (_, tag) = tag.rsplit_once('-').unwrap();
    assert_eq!(tag.len(), 16);
    for process in Process::all() {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(tag), "{process}");
    }
    host.ends_cleanly();
    let arguments = fs::read_to_string(tools.0.join("grep-arguments")).unwrap();
    assert!(arguments.contains("/environ") && !arguments.contains(tag));
}
