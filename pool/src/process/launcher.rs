//! Starts the workers of one pool: a zygote forks them, or they are spawned.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::child::{Child, Ends, Frames};
use super::find;
use super::leader::Leader;
use super::proc::fds;
use super::proc::signals;
use super::program::Program;
use super::release::Parent;
use super::scope::Scope;
use super::spawn::Spawner;
use super::system::IS_LINUX;
use super::tree::{Cgroup, EnvTag};
use super::zygote::Zygote;
use crate::port::{BoxFuture, OpenError, Opener, Port, Start, StderrSink};
use crate::stderr::Source;

#[derive(Debug)]
struct Launcher {
    spawner: Spawner,
    zygote: Option<Zygote>,
}

impl Launcher {
    /// Checks the program, and finds everything that a worker needs.
    fn new(program: &Program) -> Result<Self, OpenError> {
        if let Some(directory) = &program.current_dir
            && !directory.is_dir()
        {
            return Err(OpenError::NoDirectory {
                directory: directory.display().to_string(),
            });
        }
        program.limits.check()?;
        let path = find::program(&program.program)?;
        fds::warn_inherited();
        if program.zygote.is_some() && !IS_LINUX {
            return Err(OpenError::Unsupported { option: "zygote" });
        }
        if program.subreaper && !IS_LINUX {
            return Err(OpenError::Unsupported {
                option: "subreaper",
            });
        }
        program.check_shared_memory()?;
        let sentinel = program.sentinel && IS_LINUX;
        let (cgroup, subreaper) = (program.cgroup.clone(), program.subreaper);
        let stderr = program.stderr.clone();
        let scope = Arc::new(Scope::new(path, cgroup, sentinel, subreaper, stderr)?);
        let zygote = program.zygote.map(|argument| {
            let program = program.clone().arg(argument);
            Zygote::new(Spawner::new(program, Arc::clone(&scope)))
        });
        let spawner = Spawner::new(program.clone(), scope);
        Ok(Self { spawner, zygote })
    }

    async fn launch(&self, start: Start) -> Result<Child, OpenError> {
        let scope = self.spawner.scope();
        // Checked before a process exists, because everything after the spawn needs a runtime.
        Handle::try_current().map_err(|error| scope.refused(io::Error::other(error)))?;
        scope.keep_sentinel()?;
        let tag = scope.tag.of_worker(start.worker);
        let mut cgroup = scope.create_cgroup(&tag)?;
        let name = Source::Worker(start.worker);
        let env = self.spawner.env_of(start.position);
        if let Some(zygote) = &self.zygote {
            let forked = self.fork(zygote, name, &tag, &env, &mut cgroup).await;
            if let Some(child) = forked.map_err(|error| scope.refused(error))? {
                return Ok(child);
            }
        }
        self.spawner.spawn(name, tag, cgroup, env)
    }

    /// Has the zygote fork a worker. `None`, with the control group still there, if no zygote runs.
    async fn fork(
        &self,
        zygote: &Zygote,
        name: Source,
        tag: &EnvTag,
        env: &[(OsString, OsString)],
        cgroup: &mut Option<Cgroup>,
    ) -> io::Result<Option<Child>> {
        let (scope, shared) = (self.spawner.scope(), self.spawner.shared_memory()?);
        let ((worker_in, stdin), (stdout, worker_out)) = (io::pipe()?, io::pipe()?);
        let (stderr, worker_err) = io::pipe()?;
        let pipes = [worker_in.into(), worker_out.into(), worker_err.into()];
        let Some(forked) = zygote.fork(pipes, tag.clone(), env).await else {
            return Ok(None);
        };
        let parent = Parent::Other(Box::new(forked?));
        let releaser = scope.releaser.clone();
        let frames = Frames {
            stdin: stdin.into(),
            stdout: stdout.into(),
            // The zygote has read it.
            preamble: Vec::new(),
            shared,
        };
        let ends = Ends {
            stderr: stderr.into(),
            frames: Some(frames),
        };
        let (tag, listen) = (Some(tag.clone()), || ends.listen());
        let (leader, pipes) = Leader::new(parent, tag, cgroup.take(), releaser, listen)?;
        Ok(Some(Child::new(name, leader, Arc::clone(scope), pipes)))
    }
}

impl Opener for Launcher {
    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        Box::pin(async move { Ok(Box::new(self.launch(start).await?) as Box<dyn Port>) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let scope = self.spawner.scope();
            if let Some(zygote) = &self.zygote {
                zygote.close().await;
                // A process that a forked worker forked, and that executed no other program, has
                // the environment of the zygote, which does not tell whose it is. Now no worker is
                // left, so all of these processes can be killed.
                scope.sweep().await;
            }
            scope.close().await;
            scope.stderr.flush().await;
        })
    }
}

impl Opener for Program {
    fn stderr_to(&mut self, sink: StderrSink) {
        self.stderr = sink;
    }

    fn prepare(&mut self) -> Result<(), OpenError> {
        signals::check_sigpipe()?;
        self.launcher = Some(Arc::new(Launcher::new(self)?));
        Ok(())
    }

    fn open(&self, start: Start) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let launcher = self.launcher.as_ref();
        launcher.expect("`prepare` comes first").open(start)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        match &self.launcher {
            Some(launcher) => launcher.close(),
            None => Box::pin(std::future::ready(())),
        }
    }
}
