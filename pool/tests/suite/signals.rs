//! Does a signal that a worker causes end its host?

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ostler_pool::{BuildError, OpenError, Pool, Program, Python};

use crate::languages::has;

/// Set in the process that has `SIGPIPE` at its default.
const HOST: &str = "OSTLER_TEST_DEFAULT_SIGPIPE";

/// A library that keeps Rust's runtime from ignoring `SIGPIPE` when it is loaded before it, so that
/// a test binary is a host as a program in C is one.
fn library() -> PathBuf {
    const SOURCE: &str = "
        #include <signal.h>
        void (*signal(int number, void (*action)(int)))(int) {
            (void)number;
            (void)action;
            return SIG_DFL;
        }";
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = directory.join(format!("sigpipe-{}.c", std::process::id()));
    let library = source.with_extension("so");
    fs::write(&source, SOURCE).unwrap();
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
    assert!(compile.arg(&source).status().unwrap().success());
    fs::remove_file(source).unwrap();
    library
}

/// C7: a host that `SIGPIPE` would end is refused when the pool is built, with what to do.
#[test]
fn a_host_with_the_default_sigpipe_is_refused() {
    if std::env::var_os(HOST).is_some() {
        return in_the_host();
    }
    if !cfg!(target_os = "linux") || !has("cc") {
        return;
    }
    let library = library();
    let name = "signals::a_host_with_the_default_sigpipe_is_refused";
    let host = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(HOST, "1")
        .env("LD_PRELOAD", &library)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    fs::remove_file(library).unwrap();
    let said = String::from_utf8_lossy(&host.stdout);
    assert!(
        host.status.success() && said.contains("1 passed"),
        "{host:?}"
    );
}

fn in_the_host() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let pools = [
        Pool::builder(Program::new("cat")),
        Pool::builder(Python::function("base64:b64encode")),
        Pool::builder(Python::function("base64:b64encode").zygote()),
    ];
    for builder in pools {
        match builder.build() {
            Err(BuildError::Program(error @ OpenError::SigPipe)) => {
                let advice = "ignore that signal, as with `signal(SIGPIPE, SIG_IGN)`";
                assert!(error.to_string().contains(advice), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// C7: a host that ignores the signal, as Rust's runtime does, is not.
#[tokio::test]
async fn a_host_that_ignores_sigpipe_is_not_refused() {
    let pool = Pool::builder(Program::new("cat")).size(1).build().unwrap();
    pool.shutdown().await;
}
