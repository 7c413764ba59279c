//! Does each error that a beginner meets say what happened and what to do, as `docs/errors.md`
//! shows it?

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use ostler_pool::{Builder, Pool, Program, Python, Resource};
use serde_json::{Value, json};

use crate::resources::scratch;
use crate::rig::{begin, interpreter, until};

const MODEL: &str = "\
import math
import os
import time

def lookup(key):
    return {'cat': 'animal'}[key]

def killed(_):
    os.kill(os.getpid(), 9)

def slow(_):
    time.sleep(600)

def not_a_number(_):
    return [1.5, math.nan]

def no_json(_):
    return object()

def allocate(size):
    return len(bytearray(size))
";

/// The blocks of the page by their headings.
fn page() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    let page = fs::read_to_string(page).unwrap();
    let sections = page.split("\n### ").skip(1);
    let block = |section: &str| {
        let heading = section.lines().next().unwrap().to_owned();
        let block = section.split("```text\n").nth(1).expect("a block");
        (heading, block.split("\n```").next().unwrap().to_owned())
    };
    sections.map(block).collect()
}

/// The error and its sources, as `report` shows them before the traceback.
fn shown(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += &format!("\n  caused by: {source}");
        next = source.source();
    }
    text
}

struct Met {
    directory: PathBuf,
    errors: BTreeMap<String, String>,
}

impl Met {
    fn module(&self, name: &str, source: &str) {
        fs::write(self.directory.join(name), source).unwrap();
    }

    fn python(&self, target: &str) -> Python {
        let python = Python::function(target).json().interpreter(interpreter());
        python.path(&self.directory)
    }

    /// Records what the page must show under this heading.
    fn meets(&mut self, heading: &str, error: &(dyn Error + 'static)) {
        let text = shown(error)
            .replace(self.directory.to_str().unwrap(), "/srv/app")
            .replace(interpreter(), "/usr/bin/python3")
            // As Python 3.9 says.
            .replace("invalid syntax (typo", "expected ':' (typo");
        // Which directories there are besides depends on the machine.
        let text = match (text.split_once("'/srv/app', "), text.split_once(". Add")) {
            (Some((before, _)), Some((_, after))) => {
                format!("{before}'/srv/app', ... . Add{after}")
            }
            _ => text,
        };
        self.errors.insert(heading.to_owned(), text);
    }

    /// Records the error of one call.
    async fn calls(&mut self, heading: &str, builder: Builder, request: Value) {
        let pool = builder.size(1).build().unwrap();
        let error = pool.call_json::<_, String>(&request).await.unwrap_err();
        self.meets(heading, &error);
        pool.shutdown().await;
    }

    async fn model(&mut self, heading: &str, function: &str, request: Value) {
        let python = self.python(&format!("model:{function}"));
        self.calls(heading, Pool::builder(python), request).await;
    }
}

/// Every error of the page has exactly the text that the page shows.
#[tokio::test]
async fn the_page_shows_every_error() {
    let mut met = Met {
        directory: scratch("beginner"),
        errors: BTreeMap::new(),
    };
    fs::create_dir(&met.directory).unwrap();
    met.module("model.py", MODEL);
    met.module("typo.py", "def predict(x)\n    return x\n");
    met.module("needs.py", "import a_package_that_is_not_there\n");
    met.module("raises.py", "raise RuntimeError('no weights')\n");

    // Starts.
    let python = met.python("model:lookup").interpreter("python3.99");
    met.meets("No Python", &Pool::builder(python).build().unwrap_err());
    let python = met.python("model:lookup").interpreter(Program::new("/tmp"));
    met.meets(
        "A directory as interpreter",
        &Pool::builder(python).build().unwrap_err(),
    );
    let python = met.python("model:lookup").path("/srv/no/such/directory");
    met.meets(
        "A path that does not exist",
        &Pool::builder(python).build().unwrap_err(),
    );
    for (heading, target) in [
        ("The module does not exist", "modle:lookup"),
        ("The function does not exist", "model:look_up"),
        ("A syntax error", "typo:predict"),
        ("A package is missing", "needs:predict"),
        ("An exception at import", "raises:predict"),
    ] {
        let builder = Pool::builder(met.python(target));
        met.calls(heading, builder.crash_loop(1), json!("cat"))
            .await;
    }
    let printer = Program::new("/bin/sh").args(["-c", "echo Loading the model...; sleep 600"]);
    let builder = Pool::builder(printer).crash_loop(1);
    met.calls("A program that prints", builder, json!("cat"))
        .await;

    // Calls.
    met.model("An exception in the call", "lookup", json!("absent"))
        .await;
    met.model("The worker was killed", "killed", json!(null))
        .await;
    met.model("NaN", "not_a_number", json!(null)).await;
    met.model("A result that is no JSON", "no_json", json!(null))
        .await;
    met.model("A reply of another type", "allocate", json!(1))
        .await;
    let model = met.python("model:slow");
    let short = Pool::builder(model).call_timeout(Duration::from_millis(200));
    met.calls("The call took too long", short, json!(null))
        .await;
    let bytes = Python::function("model:lookup").path(&met.directory);
    met.calls(
        "JSON to a function of bytes",
        Pool::builder(bytes),
        json!("cat"),
    )
    .await;
    let limited = Program::new(interpreter()).limit(Resource::AddressSpace, 1 << 30);
    let python = met.python("model:allocate").interpreter(limited);
    met.calls("The memory limit", Pool::builder(python), json!(2u64 << 30))
        .await;
    let module = Python::module("model").json().path(&met.directory);
    let pool = Pool::builder(module).size(1).build().unwrap();
    let find = pool.function_json::<str, String>("find");
    met.meets(
        "A function that the module does not have",
        &find.call("cat").await.unwrap_err(),
    );
    pool.shutdown().await;

    // The pool.
    let pool = Pool::builder(met.python("model:slow"))
        .size(1)
        .max_waiting(0);
    let pool = pool.build().unwrap();
    until(&pool, |status| status.serving() == 1).await;
    let mut first = pin!(pool.call_json::<_, Value>(&()));
    begin(&mut first).await;
    met.meets(
        "The queue is full",
        &pool.call_json::<_, Value>(&()).await.unwrap_err(),
    );
    pool.shutdown_now().await;
    met.meets(
        "The pool is shut down",
        &pool.call_json::<_, Value>(&()).await.unwrap_err(),
    );
    let python = met.python("model:lookup");
    let build = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { Pool::builder(python).size(1).build().unwrap() })
    };
    let pool = std::thread::spawn(build).join().unwrap();
    met.meets(
        "The runtime of the pool has ended",
        &pool.call_json::<_, Value>(&()).await.unwrap_err(),
    );
    let pool = Pool::builder(met.python("model:lookup")).size(0).build();
    met.meets("An option out of range", &pool.unwrap_err());
    let outside = std::thread::spawn(|| Pool::builder(Python::function("a:b")).build().map(drop));
    met.meets("Outside a runtime", &outside.join().unwrap().unwrap_err());

    fs::remove_dir_all(&met.directory).unwrap();
    let page = page();
    for (heading, text) in &met.errors {
        assert_eq!(page.get(heading), Some(text), "{heading}");
    }
    assert_eq!(page.len(), met.errors.len(), "a block that no error has");
}
