//! What is wrong with the options of a Python function, before a worker is started.

use std::path::{Path, PathBuf};

use crate::port::OpenError;
use crate::process::Program;

/// The interpreter, if none is set.
pub(super) const DEFAULT: &str = "python3";

fn refused(option: &'static str, problem: String) -> OpenError {
    OpenError::Python { option, problem }
}

/// Checks the form of a target: `module:function`, or `module` if it has `several` functions.
pub(super) fn target(target: &str, several: bool) -> Result<(), OpenError> {
    let named = |name: &str| name.split('.').all(is_identifier);
    if several {
        return match target.split_once(':') {
            None if named(target) => Ok(()),
            None => Err(refused(
                "module",
                format!("`{target}` is not a module: write it as `package.module`"),
            )),
            Some(_) => Err(refused(
                "module",
                format!("`{target}` is a function: use `Python::function`"),
            )),
        };
    }
    match target.split_once(':') {
        Some((module, function)) if named(module) && named(function) => Ok(()),
        _ => Err(OpenError::BadTarget {
            target: target.to_owned(),
        }),
    }
}

/// Whether `name` looks like an identifier. Catches typing mistakes; Python itself decides the
/// rest.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|char| char.is_alphanumeric() || char == '_')
}

/// Checks that the added directories exist, as the worker will see them.
pub(super) fn paths(paths: &[PathBuf], interpreter: &Program) -> Result<(), OpenError> {
    let base = std::path::absolute(interpreter.directory().unwrap_or(Path::new(".")));
    // A working directory that is missing has an error of its own.
    let Some(base) = base.ok().filter(|base| base.is_dir()) else {
        return Ok(());
    };
    let Some(missing) = paths.iter().find(|path| !base.join(path).exists()) else {
        return Ok(());
    };
    let mut problem = format!("`{}` does not exist", missing.display());
    if missing.is_relative() {
        let within = format!(" in the worker's working directory, `{}`", base.display());
        problem.push_str(&within);
    }
    Err(refused("path", problem))
}

/// The program that runs the function.
pub(super) fn interpreter(program: &Program, venv: Option<&Path>) -> Result<Program, OpenError> {
    if let Some(venv) = venv {
        return in_venv(program, venv);
    }
    let (found, path) = (program.find(), Path::new(program.name()));
    let shown = path.display();
    match found {
        Err(OpenError::NotExecutable { .. } | OpenError::NotFound { .. }) if path.is_dir() => {
            Err(refused(
                "interpreter",
                format!(
                    "`{shown}` is a directory: use `.venv(\"{shown}\")` for a virtual environment, \
                     or name the interpreter in it"
                ),
            ))
        }
        Err(OpenError::NotFound { .. }) => Err(refused(
            "interpreter",
            format!(
                "`{shown}` was not found: install Python 3.9 or later, give the interpreter's path, \
                 or choose an environment with `Python::venv`"
            ),
        )),
        _ => Ok(program.clone()),
    }
}

fn in_venv(program: &Program, venv: &Path) -> Result<Program, OpenError> {
    let shown = venv.display();
    let interpreter = venv.join("bin/python");
    let problem = if interpreter.is_file() {
        return Ok(program.clone().named(interpreter));
    } else if venv.is_file() {
        format!(
            "`{shown}` is a file: name the environment's directory, or use `interpreter` for an \
             interpreter"
        )
    } else if venv.is_dir() {
        format!(
            "`{shown}` is not a virtual environment, because it has no `bin/python`: create one with \
             `python3 -m venv {shown}`"
        )
    } else {
        format!("`{shown}` does not exist: create it with `python3 -m venv {shown}`")
    };
    Err(refused("venv", problem))
}
