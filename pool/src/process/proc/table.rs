//! The list of all processes, for searches that must work in a host that is out of descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::fs::{self, AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::process::{Pid, getpid};

use super::stat::Stat;

/// The most bytes of an environment that are read. The kernel lets `execve` pass 6 MiB.
const MAX_ENVIRON: usize = 8 * 1024 * 1024;

/// More than `stat` ever has.
const MAX_STAT: usize = 4096;

/// The buffer that is kept between two searches, in bytes.
const KEPT: usize = 64 * 1024;

/// How often an environment is read that is not there yet, and the first pause between, which
/// doubles each time. A process that hangs in `execve` costs a search 0.1 s.
const EXEC_READS: u32 = 11;
const EXEC_PAUSE: Duration = Duration::from_micros(100);

/// How often an environment is read again that is empty. An empty one costs a search 1.5 ms.
const EMPTY_READS: u32 = 4;

/// How a directory is opened, to be read.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// How many descriptors a check of one process opens at the same time: its pidfd, and the file that
/// is read.
const SPARE: usize = 2;

/// `/proc`, opened once.
#[derive(Debug)]
pub(in crate::process) struct Table {
    directory: Dir,
    /// Closed to make room when the host is out of descriptors, and opened again before the next
    /// search.
    spare: Vec<OwnedFd>,
    buffer: Vec<u8>,
    /// The processes of which a file was read.
    #[cfg(test)]
    pub(in crate::process) read_about: Vec<Pid>,
}

/// The environment of a process.
#[derive(Debug)]
pub(in crate::process) enum Environ<'a> {
    /// Empty if the process has exited.
    Is(&'a [u8]),
    /// This process may not read it, or it was never there.
    Hidden,
}

impl Table {
    /// `None` if there is no `/proc`, or an empty directory in its place.
    pub(in crate::process) fn open() -> io::Result<Option<Self>> {
        let directory = match fs::openat(CWD, "/proc", DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if fs::statat(&directory, "self/stat", AtFlags::empty()).is_err() {
            return Ok(None);
        }
        let mut table = Self {
            directory: Dir::new(directory)?,
            spare: Vec::new(),
            buffer: Vec::new(),
            #[cfg(test)]
            read_about: Vec::new(),
        };
        table.make_spare()?;
        Ok(Some(table))
    }

    /// Opens the spare descriptors that are missing.
    fn make_spare(&mut self) -> io::Result<()> {
        while self.spare.len() < SPARE {
            let spare = fcntl_dupfd_cloexec(self.directory.fd()?, 0)?;
            self.spare.push(spare);
        }
        Ok(())
    }

    /// The ids of all processes that this process can see.
    pub(in crate::process) fn pids(&mut self) -> io::Result<Vec<Pid>> {
        // Without them the search goes on, until it lacks a descriptor.
        let _ = self.make_spare();
        self.buffer.truncate(KEPT);
        self.buffer.shrink_to(KEPT);
        self.directory.rewind();
        let mut pids = Vec::new();
        while let Some(entry) = self.directory.read() {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            pids.extend(name.and_then(|name| Pid::from_raw(name.parse().ok()?)));
        }
        Ok(pids)
    }

    /// The children of this process, of all its threads, zombies included.
    pub(in crate::process) fn children(&mut self) -> io::Result<Vec<Pid>> {
        let me = getpid();
        let mut children = Vec::new();
        for pid in self.pids()? {
            let stat = self.stat(pid)?;
            let parent = stat.and_then(|stat| Pid::from_raw(stat.parent.cast_signed()));
            children.extend((parent == Some(me)).then_some(pid));
        }
        Ok(children)
    }

    /// The effective user of a process. `None` if it is gone.
    pub(in crate::process) fn user(&self, pid: Pid) -> io::Result<Option<u32>> {
        let status = fs::statat(
            self.directory.fd()?,
            pid.to_string(),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        match status {
            Ok(status) => Ok(Some(status.st_uid)),
            Err(error) if is_shortage(error) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// `None` if the process is gone, its zombie included.
    pub(in crate::process) fn stat(&mut self, pid: Pid) -> io::Result<Option<Stat>> {
        match self.read(pid, "stat", MAX_STAT) {
            Ok(line) => Ok(Stat::parse(&String::from_utf8_lossy(line))),
            Err(error) if is_shortage(error) => Err(error.into()),
            // It is gone, or `/proc` is mounted with `hidepid` and it is another user's.
            Err(_) => Ok(None),
        }
    }

    /// The environment with which the process last executed a program. A zombie has none.
    pub(in crate::process) fn environ(&mut self, pid: Pid) -> io::Result<Environ<'_>> {
        for attempt in 0..EXEC_READS {
            let length = self.read(pid, "environ", MAX_ENVIRON).map(<[u8]>::len);
            let length = match length {
                // It is inside `execve`, or was when the file was opened.
                Ok(0) if (self.stat(pid)?).is_some_and(|stat| may_have_environ(&stat, attempt)) => {
                    thread::sleep(EXEC_PAUSE * 2_u32.pow(attempt));
                    continue;
                }
                // It is gone, or a zombie. Newer kernels answer `SRCH` for a zombie.
                Ok(0) | Err(Errno::NOENT | Errno::SRCH) => self.environ_of_threads(pid)?,
                Ok(length) => length,
                Err(error) if is_shortage(error) => return Err(error.into()),
                Err(_) => return Ok(Environ::Hidden),
            };
            return Ok(Environ::Is(&self.buffer[..length]));
        }
        Ok(Environ::Hidden)
    }

    /// Reads the environment of a process whose first thread has ended, through another thread.
    /// Returns its length, 0 if it has none.
    fn environ_of_threads(&mut self, pid: Pid) -> io::Result<usize> {
        let path = format!("{pid}/task");
        // The number of links is that of an empty directory, 2, and one for each thread. This is
        // asked first, because it costs less, and a host that is root sees many kernel threads.
        let status = fs::statat(self.directory.fd()?, &path, AtFlags::empty());
        if !status.is_ok_and(|status| status.st_nlink > 3) {
            return Ok(0);
        }
        let open = |proc: &Dir| fs::openat(proc.fd()?, &path, DIRECTORY, Mode::empty());
        let threads = match self.descriptor(open) {
            Ok(threads) => Dir::new(threads)?,
            Err(error) if is_shortage(error) => return Err(error.into()),
            Err(_) => return Ok(0),
        };
        for thread in threads.flatten() {
            let name = format!("task/{}/environ", thread.file_name().to_string_lossy());
            // An error means that this thread has ended, or is no thread but `.` or `..`.
            if let Ok(environ @ [_, ..]) = self.read(pid, &name, MAX_ENVIRON) {
                return Ok(environ.len());
            }
        }
        Ok(0)
    }

    fn read(&mut self, pid: Pid, name: &str, most: usize) -> Result<&[u8], Errno> {
        #[cfg(test)]
        self.read_about.push(pid);
        let path = format!("{pid}/{name}");
        let open = |proc: &Dir| fs::openat(proc.fd()?, &path, OFlags::CLOEXEC, Mode::empty());
        let file = self.descriptor(open)?;
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize((2 * length).clamp(MAX_STAT, most), 0);
            }
            match read(&file, &mut self.buffer[length..]) {
                Ok(0) => return Ok(&self.buffer[..length]),
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            if length >= most {
                return Ok(&self.buffer[..length]);
            }
        }
    }

    /// Opens a descriptor, in place of a spare one if the host is out of them.
    pub(in crate::process) fn descriptor<T>(
        &mut self,
        open: impl Fn(&Dir) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match open(&self.directory) {
            Err(Errno::MFILE | Errno::NFILE) if self.spare.pop().is_some() => open(&self.directory),
            opened => opened,
        }
    }
}

/// Whether an environment that was read as empty may not be so. Near its end, `execve` shows an
/// empty one for a moment, so that is believed only if it is seen again and again.
fn may_have_environ(stat: &Stat, attempt: u32) -> bool {
    stat.has_environ || (attempt < EMPTY_READS && stat.has_memory)
}

/// Whether the host lacks what the call needed, so that the call says nothing about the process.
fn is_shortage(error: Errno) -> bool {
    matches!(
        error,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::NOBUFS
    )
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// P18: a process that is gone is no failure of a search.
    #[test]
    fn a_process_that_is_gone_is_no_failure() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (pid, mut table) = (Pid::from_child(&child), Table::open().unwrap().unwrap());
        assert_eq!(table.user(pid).unwrap(), None);
        assert_eq!(table.stat(pid).unwrap(), None);
        assert!(matches!(table.environ(pid).unwrap(), Environ::Is([])));
        assert!(table.pids().unwrap().contains(&getpid()));
        assert!(table.pids().unwrap().contains(&getpid()));
        assert_eq!(table.spare.len(), SPARE);
    }

    /// M1: the memory that a large environment took is released at the next search.
    #[test]
    fn a_large_environment_leaves_no_memory() {
        let mut table = Table::open().unwrap().unwrap();
        table.buffer.resize(MAX_ENVIRON, 0);
        table.pids().unwrap();
        assert_eq!(table.buffer.capacity(), KEPT);
    }

    /// P18: when the host is out of descriptors, no process is taken to be gone.
    #[cfg(feature = "testing")]
    #[test]
    fn a_shortage_is_no_end_of_a_process() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let name = "process::proc::table::tests::a_shortage_is_no_end_of_a_process";
        if !crate::testing::isolated(name) {
            return;
        }
        let mut table = Table::open().unwrap().unwrap();
        let none = Rlimit {
            current: Some(1),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        setrlimit(Resource::Nofile, none).unwrap();
        // One more than the spare descriptors.
        for _ in 0..=SPARE {
            let shortage = Some(Errno::MFILE.raw_os_error());
            let stat = table.stat(getpid()).unwrap_err();
            assert_eq!(stat.raw_os_error(), shortage);
            let environ = table.environ(getpid()).unwrap_err();
            assert_eq!(environ.raw_os_error(), shortage);
        }
    }

    /// P48: an environment that is read as empty is believed after a few reads, and not while the
    /// process is inside `execve`. One without memory has none.
    #[test]
    fn an_empty_environment_is_read_again() {
        let reads = |has_environ: bool, has_memory| {
            let mut stat = Stat::read(std::process::id()).unwrap();
            (stat.has_environ, stat.has_memory) = (has_environ, has_memory);
            (0..EXEC_READS)
                .filter(|&attempt| may_have_environ(&stat, attempt))
                .count()
        };
        assert_eq!(reads(true, true), EXEC_READS as usize);
        assert_eq!(reads(false, true), EMPTY_READS as usize);
        assert_eq!(reads(false, false), 0);
    }

    /// P18: the space for an environment doubles, so that a large one takes few reads.
    #[test]
    fn the_space_for_an_environment_doubles() {
        let mut child = Command::new("sleep")
            .arg("60")
            .env_clear()
            .env("FILL", "x".repeat(5 * MAX_STAT))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is_filled = |table: &mut Table| match table.environ(Pid::from_child(&child)) {
            Ok(Environ::Is(environ)) => environ.starts_with(b"FILL="),
            _ => false,
        };
        // Before `execve` is done, it has the environment of this process.
        while !is_filled(&mut Table::open().unwrap().unwrap()) {
            thread::yield_now();
        }
        let mut table = Table::open().unwrap().unwrap();
        assert!(is_filled(&mut table));
        assert_eq!(table.buffer.len(), 8 * MAX_STAT);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// P48: an environment may be empty.
    #[test]
    fn an_empty_environment_is_read() {
        let mut child = Command::new("sleep")
            .arg("60")
            .env_clear()
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (pid, mut table) = (Pid::from_child(&child), Table::open().unwrap().unwrap());
        // Before `execve` is done, it has the environment of this process.
        while !matches!(table.environ(pid).unwrap(), Environ::Is([])) {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// P48: a process that executes programs all the time does not hide its environment.
    #[test]
    fn the_environment_of_a_process_that_executes_is_read() {
        // Ends by itself if the test fails.
        let again = "exec sh -c \"$0\" \"$0\"";
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -t 30; {again}"), again])
            .env("MARK", "here")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut table = Table::open().unwrap().unwrap();
        let mut has_mark = || match table.environ(Pid::from_child(&child)).unwrap() {
            Environ::Is(environ) => environ
                .split(|&byte| byte == 0)
                .any(|it| it == b"MARK=here"),
            Environ::Hidden => false,
        };
        // Before the first `execve` is done, it has the environment of this process.
        while !has_mark() {
            thread::yield_now();
        }
        let found = (0..5_000).filter(|_| has_mark()).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, 5_000);
    }
}
