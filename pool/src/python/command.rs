//! The command of a worker.

use std::ffi::OsString;

use super::{Python, checks, runtime};
use crate::port::OpenError;
use crate::process::Program;

impl Python {
    /// The interpreter with its arguments and the runtime, if the options can work.
    pub(super) fn program(&self) -> Result<Program, OpenError> {
        checks::target(&self.target, self.several)?;
        if self.several && self.batching.is_some() {
            return Err(OpenError::Python {
                option: "batch",
                problem: "the functions of a module take one request each: use `Python::function`"
                    .to_owned(),
            });
        }
        checks::paths(&self.path, &self.interpreter)?;
        if let bytes @ 1.. = self.interpreter.preamble_len() {
            return Err(OpenError::OutOfRange {
                option: "preamble",
                value: format!("{bytes} bytes"),
                allowed: "empty for a Python function".to_owned(),
            });
        }
        let runtime = runtime::preamble(self.zygote);
        let mut program = checks::interpreter(&self.interpreter, self.venv.as_deref())?
            .args(["-u", "-c", runtime::BOOTSTRAP])
            .arg(runtime.len().to_string())
            .arg(&self.target)
            .position_env(self.position_env.clone())
            .preamble(runtime);
        if let Some(form) = self.form {
            program = program.arg(form);
        }
        if let Some(batching) = self.batching {
            program = program.arg(format!("--batch={}", batching.max));
        }
        for directory in &self.path {
            let mut option = OsString::from("--path=");
            option.push(directory);
            program = program.arg(option);
        }
        if let Some(limit) = self.shared_memory {
            program = program.shared_memory(limit);
        }
        if self.zygote {
            program = program.zygote("--zygote");
        }
        Ok(program)
    }
}
