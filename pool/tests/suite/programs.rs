//! Does a program that cannot be a worker fail with a clear error, and leak nothing?

use std::time::Duration;
use std::{env, fs};

use ostler_pool::{CheckoutError, OpenError, Pool, Program, StartError};

use crate::resources::{isolated, leaks_nothing, modules, scratch};

/// P6: a program that cannot run fails the build or each start, with the cause, and leaks nothing.
#[test]
fn a_program_that_cannot_run_leaks_nothing() {
    if !isolated("programs::a_program_that_cannot_run_leaks_nothing") {
        return;
    }
    let build = |program: Program| {
        Pool::builder(program)
            .size(1)
            .build()
            .unwrap_err()
            .to_string()
    };
    leaks_nothing(async || {
        assert_eq!(
            build(Program::new("no-such-program")),
            "program `no-such-program` was not found: give its path, or install it in a \
             directory of PATH"
        );
        let text = modules().join("hostile.py");
        assert_eq!(
            build(Program::new(&text)),
            format!("program `{}` is not an executable file", text.display())
        );
        assert_eq!(
            build(Program::new("sh").current_dir("/no/such")),
            "working directory `/no/such` is not a directory"
        );
        // The file is executable and no program, which only the kernel notices.
        let file = scratch("no-program");
        fs::write(&file, [0; 64]).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let moment = Duration::from_millis(1);
        let pool = Pool::builder(Program::new(&file))
            .size(1)
            .crash_loop(2)
            .restart_backoff(moment)
            .restart_backoff_max(moment)
            .build()
            .unwrap();
        match pool.checkout().await {
            Err(CheckoutError::CrashLoop { last }) => match &last {
                StartError::Open {
                    source: OpenError::Spawn { source, .. },
                    ..
                } => {
                    assert_eq!(source.to_string(), "Exec format error (os error 8)");
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        pool.shutdown().await;
        fs::remove_file(&file).unwrap();
    });
}

/// A program that does not speak the protocol fails its start, with its output in the error, and is
/// stopped.
#[test]
fn a_program_that_does_not_answer_leaks_nothing() {
    if !isolated("programs::a_program_that_does_not_answer_leaks_nothing") {
        return;
    }
    leaks_nothing(async || {
        let (moment, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        let fails = async |script: &str, start_timeout: Duration| {
            let program = Program::new("sh").args(["-c", script]);
            let pool = Pool::builder(program)
                .size(1)
                .crash_loop(1)
                .restart_backoff(moment)
                .restart_backoff_max(moment)
                .start_timeout(start_timeout)
                .checkout_timeout(Duration::from_secs(60))
                .build()
                .unwrap();
            let Err(CheckoutError::CrashLoop { last }) = pool.checkout().await else {
                panic!("`{script}` started")
            };
            pool.shutdown().await;
            last.report().to_string()
        };
        let exits = fails("echo 'no licence' >&2; exit 7", minute).await;
        assert!(
            exits.ends_with(
                "exited while it was starting: exit code 7\n\
                             the worker's stderr ended:\n  no licence"
            ),
            "{exits}"
        );
        let talks = fails("echo hello world; cat > /dev/null", minute).await;
        assert!(
            talks.ends_with(
                "broke the protocol in its handshake\n  caused by: its output begins with \"hell...\", \
                 which is no frame: print to stderr, and see PROTOCOL.md for frames"
            ),
            "{talks}"
        );
        let mute = fails("exec sleep 1000", moment).await;
        assert!(
            mute.ends_with("raise `start_timeout`, or look at its setup"),
            "{mute}"
        );
    });
}

/// L20: a program gets the arguments, environment and directory that were set, and no others.
#[tokio::test]
async fn a_program_gets_what_it_was_given() {
    let says = async |program: Program| {
        let moment = Duration::from_millis(1);
        let script = r#"echo "$1, $2; ${GIVEN-unset}, ${HOME-unset}; $PWD" >&2; exit 1"#;
        let pool = Pool::builder(
            program
                .args(["-c", script, "sh"])
                .arg("first")
                .arg("second"),
        )
        .size(1)
        .crash_loop(1)
        .restart_backoff(moment)
        .restart_backoff_max(moment)
        .checkout_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
        let Err(CheckoutError::CrashLoop { last }) = pool.checkout().await else {
            panic!("it started")
        };
        pool.shutdown().await;
        match &last {
            StartError::Exited { exit, .. } => exit.stderr.clone(),
            other => panic!("{other:?}"),
        }
    };
    let here = env::current_dir().unwrap();
    let inherited = env::var("HOME").unwrap_or("unset".into());
    let plain = says(Program::new("sh").env("GIVEN", "yes")).await;
    assert_eq!(
        plain,
        format!("first, second; yes, {inherited}; {}\n", here.display())
    );
    let bare = says(
        Program::new("sh")
            .env_clear()
            .env("GIVEN", "no")
            .current_dir("/"),
    )
    .await;
    assert_eq!(bare, "first, second; no, unset; /\n");
}
