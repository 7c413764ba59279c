//! Looks up programs.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::port::OpenError;

/// The absolute path of a program that is given as a path, or as a name to be looked up in `PATH`.
pub(super) fn program(program: &OsStr) -> Result<PathBuf, OpenError> {
    let name = || program.to_string_lossy().into_owned();
    let candidates: Vec<PathBuf> = if program.as_encoded_bytes().contains(&b'/') {
        vec![PathBuf::from(program)]
    } else {
        // Without the variable, what `execvp` takes for it. An empty entry means the current
        // directory.
        let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        env::split_paths(&path)
            .map(|directory| directory.join(program))
            .collect()
    };
    if let Some(found) = candidates.iter().find(|candidate| is_executable(candidate)) {
        // Absolute, because the worker may run in another directory.
        return std::path::absolute(found).map_err(|error| OpenError::spawn(name(), error));
    }
    match candidates.iter().find(|candidate| candidate.exists()) {
        Some(found) => Err(OpenError::NotExecutable {
            program: found.display().to_string(),
        }),
        None => Err(OpenError::NotFound { program: name() }),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
