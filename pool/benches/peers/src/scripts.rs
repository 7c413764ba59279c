//! The programs in other languages.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use ostler_pool::Python;
use serde_json::Value;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// Python itself, for all subjects: `python3` may be a script that looks for it at each start.
static PYTHON: LazyLock<String> = LazyLock::new(|| python("import sys; print(sys.executable)"));

/// What Python prints for this code.
pub(crate) fn python(code: &str) -> String {
    let output = Command::new("python3").args(["-c", code]).output();
    let output = output.expect("Python can be started").stdout;
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// A worker that runs a function of the scripts.
pub(crate) fn function(name: &str) -> Python {
    Python::function(name).interpreter(&*PYTHON).path(SCRIPTS)
}

/// A script, to be started.
pub(crate) fn command(name: &str) -> Command {
    let program = match name.ends_with(".py") {
        true => &*PYTHON,
        false => "node",
    };
    let mut command = Command::new(program);
    command.arg(format!("{SCRIPTS}/{name}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Another pool, in a process that runs a round each time it is told to.
pub(crate) struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Script {
    /// `request` is what calls send.
    pub(crate) fn start(name: &str, arguments: &[&str], request: &Value) -> Self {
        let child = command(name).args(arguments).spawn();
        let mut child = child.expect("the script can be started");
        let mut stdin = child.stdin.take().expect("piped");
        writeln!(stdin, "{request}").expect("the script reads");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdin: Some(stdin),
            stdout,
        }
    }

    /// The time of one of `calls` calls.
    pub(crate) fn calls(&mut self, callers: usize, calls: usize) -> f64 {
        self.measure(&format!("{callers} {calls}"))
    }

    /// The time of one of `items` items.
    pub(crate) fn map(&mut self, items: usize) -> f64 {
        self.measure(&format!("map {items}"))
    }

    fn measure(&mut self, what: &str) -> f64 {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{what}").expect("the script reads");
        let mut line = String::new();
        self.stdout
            .read_line(&mut line)
            .expect("the script answers");
        line.trim().parse().expect("the script prints a time")
    }
}

impl Drop for Script {
    /// The script ends with its input, and its workers with it.
    fn drop(&mut self) {
        self.stdin = None;
        self.child.wait().expect("the script ends");
    }
}
