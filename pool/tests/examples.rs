//! Do the examples do what they say?
//!
//! `cargo test` builds the examples before it runs this. The examples `service` and `survey` have
//! tests of their own.

// Gives every test a time limit, and is `tokio` otherwise.
#[macro_use(test)]
extern crate ostler_time_limit as tokio;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// Runs an example, with this input.
fn run(example: &str, args: &[&str], input: &str) -> Output {
    // Next to the folder of this test.
    let here = env::current_exe().unwrap();
    let program = here
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(example);
    assert!(
        program.exists(),
        "run `cargo build -p ostler-pool --examples` first"
    );
    let mut process = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    process.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where an example or page may write.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// A batch writes a line for each line, in their order, says which failed and why, and fails then.
#[test]
fn a_batch_has_a_line_for_each_line() {
    let input = scratch("batch").join("input.jsonl");
    let lines = (0..500).map(|n| match n % 100 {
        7 => "[]\n".to_owned(),
        _ => format!("[{n}, {}]\n", n + 2),
    });
    fs::write(&input, lines.collect::<String>()).unwrap();
    let output = run("batch", &["statistics:mean", input.to_str().unwrap()], "");
    let expected = (0..500).map(|n| match n % 100 {
        7 => "null\n".to_owned(),
        _ => format!("{}\n", n + 1),
    });
    assert_eq!(text(&output.stdout), expected.collect::<String>());
    let errors = text(&output.stderr);
    assert!(
        errors.contains("line 8: statistics.StatisticsError: "),
        "{errors}"
    );
    assert!(
        errors.contains("line 408: statistics.StatisticsError: "),
        "{errors}"
    );
    assert!(errors.ends_with("batch: 5 lines failed\n"), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}

/// Code that overflows its stack costs a worker, and neither the host nor the next call.
#[test]
fn isolated_code_may_crash() {
    let deep = "(".repeat(1_000_000);
    let input = format!("(1 + 2) * 3\n{deep}1\n2 +\n7 / 2\n");
    let output = run("isolate", &[], &input);
    let says = text(&output.stdout);
    let lines: Vec<&str> = says.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[3]), (4, "9", "3.5"), "{says}");
    assert!(
        lines[1].contains("exited during the call: signal 6"),
        "{says}"
    );
    assert_eq!(lines[2], "SyntaxError: the expression ends too early");
    assert!(output.status.success(), "{output:?}");
}

/// The Python programs of the page on migration run as they are printed.
#[test]
fn the_programs_of_the_migration_page_run() {
    let page = include_str!("../../docs/guide/migration.md");
    let programs: Vec<&str> = page.split("```python\n").skip(1).collect();
    assert_eq!(programs.len(), 1);
    for (number, program) in programs.into_iter().enumerate() {
        let program = program.split("```").next().unwrap();
        let file = scratch("migrating").join(format!("program_{number}.py"));
        fs::write(&file, program).unwrap();
        let output = Command::new("python3").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "[3, 3, 4]\n");
    }
}
