//! Does a Python worker find the interpreter and the packages that the user means?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ostler_pool::{Pool, Program, Python};
use tokio::runtime::Runtime;

use crate::resources::scratch;
use crate::rig::interpreter;

/// Says where its interpreter thinks it is installed, and what a package of the environment says.
const MODULE: &str = "import sys, packaged\ndef f(_):\n    return [sys.prefix, packaged.says]\n";

/// Makes a virtual environment with a package, and returns its directory.
fn virtual_environment(at: &Path) -> PathBuf {
    let made = Command::new(interpreter())
        .args(["-m", "venv", "--without-pip"])
        .arg(at)
        .status();
    assert!(made.unwrap().success());
    let lib = fs::read_dir(at.join("lib")).unwrap().next().unwrap();
    let packages = lib.unwrap().path().join("site-packages");
    fs::write(packages.join("packaged.py"), "says = 'installed'\n").unwrap();
    at.to_owned()
}

/// A project as `uv` lays it out: `.venv` and `src` in one directory.
fn project(name: &str) -> PathBuf {
    let project = scratch(name);
    fs::create_dir_all(project.join("src")).unwrap();
    fs::write(project.join("src/project_module.py"), MODULE).unwrap();
    virtual_environment(&project.join(".venv"));
    project
}

/// What the function returns, in a worker that is spawned and in one that is forked.
async fn answers(python: Python) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for python in [python.clone().json(), python.json().zygote()] {
        let pool = Pool::builder(python)
            .size(1)
            .checkout_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        answers.push(pool.call_json(&()).await.unwrap());
        pool.shutdown().await;
    }
    answers
}

fn twice(prefix: &Path, says: &str) -> Vec<(String, String)> {
    let prefix = prefix.to_str().unwrap().to_owned();
    vec![(prefix, says.to_owned()); 2]
}

/// `Python::venv` uses the packages of an environment, and keeps what else is set for the
/// interpreter.
#[tokio::test]
async fn the_packages_of_an_environment_are_used() {
    let project = project("venv");
    let venv = project.join(".venv");
    let python = || Python::function("project_module:f").path("src");
    let set = Program::new("python3").current_dir(&project);
    let used = answers(python().interpreter(set).venv(&venv)).await;
    assert_eq!(used, twice(&venv, "installed"));
    // The environment's own interpreter, given by its path, uses them too.
    let set = Program::new(venv.join("bin/python")).current_dir(&project);
    assert_eq!(
        answers(python().interpreter(set)).await,
        twice(&venv, "installed")
    );
    fs::remove_dir_all(project).unwrap();
}

/// An environment that is activated needs no option: its `bin` is first in `PATH`.
#[test]
fn an_activated_environment_is_used() {
    const PROJECT: &str = "OSTLER_TEST_PROJECT";
    if let Some(project) = std::env::var_os(PROJECT) {
        let project = Path::new(&project);
        Runtime::new().unwrap().block_on(async {
            let python = Python::function("project_module:f").path(project.join("src"));
            assert_eq!(
                answers(python).await,
                twice(&project.join(".venv"), "installed")
            );
        });
        return;
    }
    let project = project("activated");
    let venv = project.join(".venv");
    let path = std::env::var_os("PATH").unwrap();
    let paths = [venv.join("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interpreters::an_activated_environment_is_used"])
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("VIRTUAL_ENV", &venv)
        .env(PROJECT, &project)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    fs::remove_dir_all(project).unwrap();
}

/// `PYTHONPATH` is searched, also that of an environment's interpreter, after `Python::path`.
#[tokio::test]
async fn the_python_path_is_searched() {
    let project = project("pythonpath");
    let added = project.join("added");
    fs::create_dir(&added).unwrap();
    fs::write(added.join("packaged.py"), "says = 'added'\n").unwrap();
    let venv = project.join(".venv");
    let python = Python::function("project_module:f").path(project.join("src"));
    let set = Program::new("python3").env("PYTHONPATH", &added);
    let used = answers(python.clone().interpreter(set.clone()).venv(&venv)).await;
    assert_eq!(used, twice(&venv, "added"));
    fs::write(project.join("src/packaged.py"), "says = 'in front'\n").unwrap();
    let used = answers(python.interpreter(set).venv(&venv)).await;
    assert_eq!(used, twice(&venv, "in front"));
    fs::remove_dir_all(project).unwrap();
}

/// L20: options that no worker could start with fail the build, and the error says what to do.
#[tokio::test]
async fn options_that_cannot_work_fail_the_build() {
    let scratch = scratch("options");
    let venv = scratch.join(".venv");
    fs::create_dir_all(&venv).unwrap();
    fs::write(scratch.join("file"), "").unwrap();
    let (dir, venv) = (scratch.display(), venv.display());
    let python = || Python::function("os:getenv");
    let at_root = Program::new("python3").current_dir("/");
    for (python, problem) in [
        (
            python().interpreter(venv.to_string()),
            format!(
                "option `interpreter` of the Python function: `{venv}` is a directory: use \
                 `.venv(\"{venv}\")` for a virtual environment, or name the interpreter in it"
            ),
        ),
        (
            python().interpreter("no-such-python"),
            "option `interpreter` of the Python function: `no-such-python` was not found: install \
             Python 3.9 or later, give the interpreter's path, or choose an environment with \
             `Python::venv`"
                .to_owned(),
        ),
        (
            python().interpreter(format!("{dir}/file")),
            format!("program `{dir}/file` is not an executable file"),
        ),
        (
            python().venv(venv.to_string()),
            format!(
                "option `venv` of the Python function: `{venv}` is not a virtual environment, \
                 because it has no `bin/python`: create one with `python3 -m venv {venv}`"
            ),
        ),
        (
            python().venv(format!("{dir}/none")),
            format!(
                "option `venv` of the Python function: `{dir}/none` does not exist: create it with \
                 `python3 -m venv {dir}/none`"
            ),
        ),
        (
            python().venv(format!("{dir}/file")),
            format!(
                "option `venv` of the Python function: `{dir}/file` is a file: name the \
                 environment's directory, or use `interpreter` for an interpreter"
            ),
        ),
        (
            python().path("/").path("/no/such"),
            "option `path` of the Python function: `/no/such` does not exist".to_owned(),
        ),
        (
            python().path("no/such").interpreter(at_root),
            "option `path` of the Python function: `no/such` does not exist in the worker's working \
             directory, `/`"
                .to_owned(),
        ),
        (
            python().path("no/such"),
            format!(
                "option `path` of the Python function: `no/such` does not exist in the worker's \
                 working directory, `{}`",
                std::env::current_dir().unwrap().display()
            ),
        ),
        (
            python().path("no/such").interpreter(Program::new("python3").current_dir("/none")),
            "working directory `/none` is not a directory".to_owned(),
        ),
        (
            Python::module("os:getenv"),
            "option `module` of the Python function: `os:getenv` is a function: use \
             `Python::function`"
                .to_owned(),
        ),
        (
            Python::module("os."),
            "option `module` of the Python function: `os.` is not a module: write it as \
             `package.module`"
                .to_owned(),
        ),
        (
            Python::module("os").batch(2, Duration::ZERO),
            "option `batch` of the Python function: the functions of a module take one request \
             each: use `Python::function`"
                .to_owned(),
        ),
    ] {
        let refused = Pool::builder(python).build().unwrap_err();
        assert_eq!(refused.to_string(), problem);
    }
    fs::remove_dir_all(scratch).unwrap();
}
