//! Compares the public API of both crates with the reviewed snapshots in `api/`.
//!
//! `cargo api` prints the difference and fails; `cargo api --update` writes the snapshots.
//!
//! Rustdoc's JSON output is unstable, so this needs the one compiler release whose format the crate
//! `public-api` reads. `RUSTC_BOOTSTRAP` unlocks that output on stable Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use public_api::{Builder, PublicApi};

/// The release whose rustdoc JSON `public-api` reads. See `Cargo.toml`.
const RUST: &str = "1.95";
const PACKAGES: [&str; 2] = ["ostler", "ostler-pool"];
/// Auto traits and compiler-internal traits about which the API promises nothing.
const IGNORED: [&str; 5] = [
    "Freeze",
    "RefUnwindSafe",
    "StructuralPartialEq",
    "UnsafeUnpin",
    "UnwindSafe",
];

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<ExitCode> {
    let update = match env::args().nth(1).as_deref() {
        None => false,
        Some("--update") => true,
        Some(other) => {
            return Err(format!("unknown option `{other}`; the only one is `--update`").into());
        }
    };
    let version = output(Command::new("rustc").arg("--version"))?;
    if !version.starts_with(&format!("rustc {RUST}.")) {
        let problem = format!(
            "the API snapshots need Rust {RUST}, and this is {}",
            version.trim()
        );
        // Contributors may use any compiler. The gate's own runs must not skip the check.
        if update || env::var_os("CI").is_some() {
            return Err(problem.into());
        }
        eprintln!("skipped: {problem}");
        return Ok(ExitCode::SUCCESS);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    env::set_current_dir(root)?;

    let mut changed = false;
    for package in PACKAGES {
        let text = public_api(package)?;
        let snapshot = format!("api/{package}.txt");
        if update {
            fs::create_dir_all("api")?;
            fs::write(&snapshot, text)?;
        } else {
            let current = format!("target/api/{package}.txt");
            fs::write(&current, text)?;
            // `diff` ends with 1 when the files differ, and with 2 when one cannot be read.
            let same = Command::new("diff")
                .args(["-u", &snapshot, &current])
                .status()?
                .success();
            changed |= !same;
        }
    }
    if changed {
        eprintln!("The public API differs from `api/`. If that is intended: `cargo api --update`.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The public items of a package with all features, one a line, and then the traits of each type.
fn public_api(package: &str) -> Result<String> {
    let args = [
        "--package",
        package,
        "--lib",
        "--all-features",
        "--locked",
        "--quiet",
    ];
    // As docs.rs does: `--cfg docsrs` turns on the feature badges.
    let flags = [
        "-Zunstable-options",
        "--output-format=json",
        "--cap-lints=allow",
        "--cfg=docsrs",
    ];
    let status = Command::new("cargo")
        .arg("rustdoc")
        .args(args)
        // RUSTC_BOOTSTRAP makes build scripts rerun, so it gets a target directory of its own.
        .args(["--target-dir", "target/api"])
        .arg("--")
        .args(flags)
        .env("RUSTC_BOOTSTRAP", "1")
        .status()?;
    if !status.success() {
        return Err(format!("rustdoc fails for {package}: {status}").into());
    }
    let json = format!("target/api/doc/{}.json", package.replace('-', "_"));
    let everything = Builder::from_rustdoc_json(&json)
        .omit_blanket_impls(true)
        .build()?;
    let items = Builder::from_rustdoc_json(&json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;

    let mut text = String::from("# Written by `cargo api --update`.\n\n");
    for line in lines(&items) {
        writeln!(text, "{line}")?;
    }
    text.push_str("\n# Derived traits and auto traits\n\n");
    for (subject, traits) in traits(&everything, &items) {
        let traits: Vec<_> = traits.into_iter().collect();
        writeln!(text, "{subject}: {}", traits.join(", "))?;
    }
    Ok(text)
}

/// The traits of each type that `everything` lists and `items` does not: the derived ones and the
/// auto traits, without their methods.
fn traits(everything: &PublicApi, items: &PublicApi) -> BTreeMap<String, BTreeSet<String>> {
    let listed: BTreeSet<_> = lines(items).collect();
    let mut traits = BTreeMap::<_, BTreeSet<_>>::new();
    for line in lines(everything).filter(|line| !listed.contains(line)) {
        let Some((implemented, subject)) = line
            .strip_prefix("impl")
            .and_then(|rest| rest.split_once(" for "))
        else {
            continue;
        };
        // `<'de> serde_core::de::Deserialize<'de>` becomes `Deserialize`, and `!core::marker::Sync`
        // becomes `!Sync`.
        let path = implemented.rsplit(' ').next().unwrap_or(implemented);
        let path = path.split('<').next().unwrap_or(path);
        let name = path.rsplit("::").next().unwrap_or(path);
        let negative = if path.starts_with('!') { "!" } else { "" };
        if !IGNORED.contains(&name) {
            traits
                .entry(subject.to_owned())
                .or_default()
                .insert(format!("{negative}{name}"));
        }
    }
    traits
}

fn lines(api: &PublicApi) -> impl Iterator<Item = String> {
    api.items().map(ToString::to_string)
}

fn output(command: &mut Command) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&command.output()?.stdout).into_owned())
}
