//! Is the house in order? The rules of `ARCHITECTURE.md`, read from it, and those that no other
//! tool checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, iter};

/// Dependencies point inward only: no file uses a module that its row in `ARCHITECTURE.md` does not
/// name.
#[test]
fn files_use_only_what_they_may() {
    let rows = rows(&read("ARCHITECTURE.md"));
    let mut faults = Vec::new();
    for file in rust_files(&["src", "pool/src"]) {
        if file.ends_with("lib.rs") {
            continue;
        }
        let row = rows
            .iter()
            .find(|(prefix, _)| file.starts_with(prefix.as_str()));
        let Some((_, allowed)) = row else {
            faults.push(format!("{file} has no row"));
            continue;
        };
        for used in used_modules(&read(&file)) {
            // A folder's files use one another.
            if !allowed.contains(&used) && !file.contains(&format!("src/{used}/")) {
                faults.push(format!("{file} uses `{used}`"));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "against ARCHITECTURE.md:\n{}",
        faults.join("\n")
    );
}

/// Every row of the table is about something, and allows nothing that is not used.
#[test]
fn the_table_of_the_house_is_not_wider_than_the_house() {
    let mut unused = Vec::new();
    for (prefix, allowed) in rows(&read("ARCHITECTURE.md")) {
        let files: Vec<String> = rust_files(&["src", "pool/src"])
            .into_iter()
            .filter(|file| file.starts_with(&prefix))
            .collect();
        assert!(!files.is_empty(), "there is no {prefix}");
        let used: BTreeSet<String> = files
            .iter()
            .flat_map(|file| used_modules(&read(file)))
            .collect();
        unused.extend(
            allowed
                .difference(&used)
                .map(|module| format!("{prefix}: `{module}`")),
        );
    }
    assert!(
        unused.is_empty(),
        "allowed and not used:\n{}",
        unused.join("\n")
    );
}

/// The house has one import cycle: a pool makes its builder, and a builder makes its pool.
#[test]
fn only_pool_and_builder_depend_on_each_other() {
    let rows = rows(&read("ARCHITECTURE.md"));
    let name = |path: &str| {
        let crate_prefix = if path.starts_with("pool/") {
            ""
        } else {
            "ostler::"
        };
        let module = path.split("src/").nth(1).expect("a row is below src/");
        format!(
            "{crate_prefix}{}",
            module.trim_end_matches('/').trim_end_matches(".rs")
        )
    };
    let inner = |path: &str, used: &str| match path.starts_with("pool/") {
        true => used.to_owned(),
        false => format!("ostler::{used}"),
    };
    let mut reaches: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|(path, used)| {
            (
                name(path),
                used.iter().map(|used| inner(path, used)).collect(),
            )
        })
        .collect();
    for _ in 0..reaches.len() {
        let before = reaches.clone();
        for used in reaches.values_mut() {
            let beyond = used
                .iter()
                .filter_map(|module| before.get(module))
                .flatten();
            let beyond: Vec<String> = beyond.cloned().collect();
            used.extend(beyond);
        }
    }
    let in_cycle = |(module, used): &(&String, &BTreeSet<String>)| used.contains(*module);
    let cyclic: Vec<&str> = (reaches.iter().filter(in_cycle))
        .map(|(module, _)| module.as_str())
        .collect();
    assert_eq!(cyclic, ["builder", "pool"]);
}

/// Comments wrap at 100 columns.
#[test]
fn comments_wrap() {
    let mut long = Vec::new();
    let folders = ["src", "pool", "check_trace", "tests", "fuzz/bodies"];
    for file in rust_files(&folders) {
        for (number, line) in read(&file).lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            // A link or a line of code in an example cannot wrap.
            let can_wrap = line.trim_start_matches(['/', '!', ' ']).contains(' ')
                && !line.contains("](")
                && !line.contains(';');
            if is_comment && can_wrap && line.chars().count() > 100 {
                long.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert_eq!(long, [""; 0]);
}

/// What the check above reads out of a file: modules, wherever they are named, and not what
/// comments say.
#[test]
fn uses_are_found_wherever_they_are() {
    let text = "use crate::port::{A, B};\n//! crate::doc\nuse ostler::{LeaseId, Clients, supervisor::Input};\n\
                fn f(x: crate::wire::Wire) {} // crate::comment\nuse ostler::worker;\n\
                #[cfg(test)]\nmod tests {\nuse crate::pool::Pool;\n}\n";
    let core = ["clients", "ids", "supervisor", "worker"].map(|module| format!("ostler::{module}"));
    let expected = core.into_iter().chain(["port", "wire"].map(String::from));
    assert_eq!(used_modules(text), expected.collect());
}

/// One idea a file: none is much longer than 400 lines.
#[test]
fn files_are_short() {
    let folders = [
        "src",
        "pool/src",
        "pool/examples",
        "pool/tests",
        "check_trace",
        "tests",
    ];
    let long: Vec<String> = rust_files(&folders)
        .into_iter()
        .filter(|file| read(file).lines().count() > 420)
        .collect();
    assert_eq!(long, [""; 0]);
}

/// Each test says in its doc line what it shows.
#[test]
fn every_test_says_what_it_shows() {
    let mut silent = Vec::new();
    for file in rust_files(&["tests", "pool/tests"]) {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let test = line.trim_start();
            let is_test = test.starts_with("#[test]") || test.starts_with("#[tokio::test");
            if is_test && !lines[number - 1].trim_start().starts_with("///") {
                silent.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert_eq!(silent, [""; 0]);
}

/// T5: every test has a time limit, because its binary replaces `#[test]` and `#[tokio::test]`.
#[test]
fn every_test_has_a_time_limit() {
    let limited = [
        ("pool/simulation/tests/", "pool/simulation/tests/main.rs"),
        ("pool/src/", "pool/src/lib.rs"),
        ("src/", "src/lib.rs"),
        ("pool/tests/allocations.rs", "pool/tests/allocations.rs"),
        ("pool/tests/examples.rs", "pool/tests/examples.rs"),
        ("pool/tests/metrics/", "pool/tests/metrics/main.rs"),
        (
            "pool/examples/service/tests/",
            "pool/examples/service/tests/service.rs",
        ),
        ("pool/tests/suite/", "pool/tests/suite/main.rs"),
        ("tests/suite/", "tests/suite/main.rs"),
    ];
    let mut faults = Vec::new();
    for file in rust_files(&["src", "pool", "tests", "fuzz", "check_trace"]) {
        let text = read(&file);
        let lines = text.lines().map(|line| line.trim_start());
        let attributes = lines.filter_map(|line| line.strip_prefix("#["));
        let names = attributes.map(|line| line.split(['(', ']', ' ']).next().unwrap_or_default());
        let mut tests = names.filter(|name| name.rsplit("::").next() == Some("test"));
        let Some(test) = tests.next() else {
            continue;
        };
        for other in iter::once(test).chain(tests) {
            if !["test", "tokio::test"].contains(&other) {
                faults.push(format!("{file}: `#[{other}]` has no time limit"));
            }
        }
        let root = limited.iter().find(|(folder, _)| file.starts_with(folder));
        let is_limited = |(_, root): &&(&str, &str)| {
            read(root).contains("#[macro_use(test)]\nextern crate ostler_time_limit as tokio;\n")
        };
        if root.filter(is_limited).is_none() {
            faults.push(format!("{file}: its binary gives tests no time limit"));
        }
    }
    assert_eq!(faults, [""; 0]);
}

/// P1, P10: nothing runs between fork and exec, which would cost a copy of the host's page tables,
/// and no death signal is tied to the thread that happened to spawn a worker.
#[test]
fn nothing_runs_between_fork_and_exec() {
    let sources = rust_files(&["pool/src"]);
    let forks = |file: &&String| {
        let text = read(file);
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        code.into_iter()
            .any(|line| line.contains("pre_exec") || line.contains("parent_process_death"))
    };
    assert_eq!(sources.iter().find(forks), None);
}

/// The minimum Rust version that the README promises equals the one in the manifest.
#[test]
fn the_readme_states_the_minimum_rust_version() {
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("the manifest states one")
        .trim_matches('"');
    let promise = format!("Rust {version}");
    assert!(
        read("README.md").contains(&promise),
        "README.md does not say `{promise}`"
    );
}

/// The rows of the table: a path's beginning, and the modules that files below it may use.
fn rows(architecture: &str) -> BTreeMap<String, BTreeSet<String>> {
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    architecture
        .lines()
        .skip_while(|line| !line.starts_with("| files "))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let path = quoted(cells[1]).pop_first().expect("a row names its files");
            (path, quoted(cells[2]))
        })
        .collect()
}

/// The modules that a file names after `crate::` and `ostler::`. A type of the core's root counts
/// as `ids`, and `Clients` as `clients`. The file's own tests, at its end, are no part of the
/// house: they drive it from outside.
fn used_modules(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let code = text.split("\nmod tests {\n").next();
    for line in code.unwrap_or_default().lines() {
        let code = line.split("//").next().unwrap_or_default();
        for (root, prefix) in [("crate::", ""), ("ostler::", "ostler::")] {
            for (at, _) in code.match_indices(root) {
                // Not the end of a longer name, such as `ostler_pool::`, nor a log target.
                if code[..at].ends_with(|c: char| c.is_alphanumeric() || ":_\"".contains(c)) {
                    continue;
                }
                let rest = &code[at + root.len()..];
                let names = match rest.strip_prefix('{') {
                    Some(list) => list.split_once('}').map_or(list, |(list, _)| list),
                    None => rest,
                };
                let count = if rest.starts_with('{') { usize::MAX } else { 1 };
                for name in names.split(',').take(count) {
                    let name: String = name
                        .trim()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    used.insert(match name.chars().next() {
                        Some(first) if first.is_lowercase() => format!("{prefix}{name}"),
                        Some(_) if name == "Clients" => format!("{prefix}clients"),
                        Some(_) => format!("{prefix}ids"),
                        None => continue,
                    });
                }
            }
        }
    }
    used
}

fn rust_files(folders: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    let mut unread: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = unread.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder can be read");
            unread.extend(entries.map(|entry| entry.expect("a folder can be read").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).expect("it lies below the root");
            files.push(relative.display().to_string());
        }
    }
    files.sort();
    files
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each promise has a mutation that was seen to turn a test red, that test exists, and the table of
/// `tests/README.md` says so.
#[test]
fn every_promise_has_a_mutation() {
    let (mutations, readme) = (read("tests/mutations.toml"), read("tests/README.md"));
    let values = |key: &str| -> Vec<String> {
        let prefix = format!("{key} = \"");
        let lines = mutations
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix));
        lines
            .map(|line| line.trim_end_matches('"').to_owned())
            .collect()
    };
    let (promises, tests) = (values("promise"), values("test"));
    // T2 and T3 are ways to work, and P10 goes with P1.
    let rows = [
        ("L", 20),
        ("C", 21),
        ("P", 49),
        ("M", 2),
        ("O", 10),
        ("T", 5),
        ("R", 33),
        ("Y", 18),
        ("S", 16),
    ];
    let all = rows.map(|(row, count)| (1..=count).map(move |n| format!("{row}{n}")));
    let all = all
        .into_iter()
        .flatten()
        .filter(|row| !["T2", "T3", "P10"].contains(&&**row));
    // One at least, in this order.
    let mut held = promises.clone();
    held.dedup();
    assert_eq!(held, all.collect::<Vec<_>>());
    for (promise, test) in promises.iter().zip(tests) {
        let of_promise = format!("| {promise} |");
        let mut rows = readme.lines().filter(|line| line.starts_with(&of_promise));
        assert!(
            rows.any(|row| row.contains(&format!("`{test}`"))),
            "{promise}: no row names {test}"
        );
    }
}

/// T4: the text that each mutation replaces is in its file, once.
#[test]
fn every_mutation_fits_the_sources() {
    let mutations = read("tests/mutations.toml");
    let values = |key: &str| -> Vec<String> {
        let lines = mutations.lines();
        let values = lines.filter_map(|line| line.strip_prefix(key)?.strip_suffix('"'));
        values.map(str::to_owned).collect()
    };
    let (files, texts) = (values("file = \""), values("from = \""));
    assert_eq!(files.len(), texts.len());
    for (file, text) in files.iter().zip(texts) {
        let text = text.replace("\\\\", "\0").replace("\\n", "\n");
        let text = text.replace("\\\"", "\"").replace('\0', "\\");
        assert_eq!(read(file).matches(&text).count(), 1, "{file}: {text}");
    }
}

/// T4: every test that the guide to the suites names is there.
#[test]
fn every_test_that_is_named_is_there() {
    let code: String = rust_files(&["tests", "pool/tests", "pool/simulation", "pool/src"])
        .iter()
        .map(|file| read(file))
        .collect();
    let readme = read("tests/README.md");
    let in_code_font = readme.split('`').skip(1).step_by(2);
    let named = in_code_font.filter_map(|text| text.rsplit_once("::"));
    let missing: Vec<&str> = named
        .map(|(_, test)| test)
        .filter(|test| !code.contains(&format!("fn {test}(")))
        .collect();
    assert_eq!(missing, [""; 0]);
}
