//! What is to be run in each worker.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostler::WorkerId;
use tokio::runtime::Handle;

use super::child::Child;
use crate::port::{OpenError, Opener, Port};

/// A program that speaks the frame protocol on its stdin and stdout. One process of it runs for each worker.
///
/// ```
/// use ostler_pool::Program;
///
/// let program = Program::new("./thumbnailer").arg("--frames").env("OMP_NUM_THREADS", "1");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_clear: bool,
    current_dir: Option<PathBuf>,
    preamble: Vec<u8>,
    /// The program's path, once it has been found.
    path: Option<PathBuf>,
}

impl Program {
    /// A program, by its path or by a name to be looked up in the `PATH` of this process: once, when the pool is
    /// built.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            env_clear: false,
            current_dir: None,
            preamble: Vec::new(),
            path: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the workers' environment. The others they inherit.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Lets the workers inherit no variable: their environment is what [`env`](Self::env) sets.
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// The directory that the workers run in. Default: that of this process.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// Bytes that each worker finds on its stdin before the first frame.
    pub fn preamble(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.preamble = bytes.into();
        self
    }

    fn find(&self) -> Result<PathBuf, OpenError> {
        let name = || self.program.to_string_lossy().into_owned();
        let candidates: Vec<PathBuf> = if self.program.as_encoded_bytes().contains(&b'/') {
            vec![PathBuf::from(&self.program)]
        } else {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path)
                .map(|directory| directory.join(&self.program))
                .collect()
        };
        if let Some(found) = candidates.iter().find(|candidate| is_executable(candidate)) {
            // Absolute, because the worker may run in another directory.
            return std::path::absolute(found).map_err(|error| OpenError::Spawn {
                program: name(),
                reason: error.to_string(),
            });
        }
        match candidates.iter().find(|candidate| candidate.exists()) {
            Some(found) => Err(OpenError::NotExecutable {
                program: found.display().to_string(),
            }),
            None => Err(OpenError::NotFound { program: name() }),
        }
    }

    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command.args(&self.args);
        if self.env_clear {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.current_dir {
            command.current_dir(directory);
        }
        // A group of its own, and no `pre_exec`: with it std would fork, which takes 80 ms in a host of 1 GiB where
        // `posix_spawn` takes under one.
        command.process_group(0);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl Opener for Program {
    fn prepare(&mut self) -> Result<(), OpenError> {
        if let Some(directory) = &self.current_dir
            && !directory.is_dir()
        {
            return Err(OpenError::NoDirectory {
                directory: directory.display().to_string(),
            });
        }
        self.path = Some(self.find()?);
        Ok(())
    }

    fn open(&self, worker: WorkerId) -> Result<Box<dyn Port>, OpenError> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => self.find()?,
        };
        let failed = |error: std::io::Error| OpenError::Spawn {
            program: path.display().to_string(),
            reason: error.to_string(),
        };
        // Checked before there is a process: what comes after the spawn needs a runtime.
        Handle::try_current().map_err(|error| failed(std::io::Error::other(error)))?;
        let child = self.command(&path).spawn().map_err(failed)?;
        let child = Child::adopt(worker, child, self.preamble.clone()).map_err(failed)?;
        Ok(Box::new(child))
    }
}
