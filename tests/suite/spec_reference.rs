//! Does the reference checker, TLC, agree?
//!
//! It needs Java and `tla2tools.jar`, so these tests are ignored by default:
//! `TLA2TOOLS_JAR=/path/to/tla2tools.jar cargo test --test suite spec_reference -- --ignored`

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::spec_checks::STATES;
use crate::spec_mutants::{mutants, property_of};
use crate::spec_pool::{LIVES, SLICES};
use crate::spec_support::{beside_the_spec, spec_dir};

/// TLC accepts the specifications, finds no violation, and counts as many distinct states.
#[test]
#[ignore = "needs Java and TLA2TOOLS_JAR"]
fn tlc_accepts_the_specification() {
    let accepts = |module: &str, configuration: &str, states: usize| {
        let said = tlc(
            &spec_dir().join(module).with_extension("tla"),
            configuration,
        );
        assert!(said.contains("No error has been found."), "{said}");
        let states = format!(" {states} distinct states found, 0 states left on queue.");
        assert!(said.contains(&states), "{said}");
    };
    accepts("WorkerLifecycle", "WorkerLifecycle", STATES);
    accepts("WorkerPoolLives", "WorkerPoolLives", LIVES);
    for (slice, states) in SLICES {
        accepts("WorkerPool", slice, states);
    }
}

/// TLC rejects every mutant, by the same property.
#[test]
#[ignore = "needs Java and TLA2TOOLS_JAR"]
fn tlc_rejects_every_mutant() {
    for path in mutants() {
        let property = property_of(&path).expect("the mutant names its property");
        let module = beside_the_spec(&path);
        let said = tlc(
            &module,
            &module.file_stem().expect("a name").to_string_lossy(),
        );
        // TLC does not name a violated temporal property. A mutant's configuration lists only one.
        let rejects = [
            format!("Invariant {property} is violated"),
            format!("Action property {property} is violated"),
            "Action property line ".to_owned(),
            "Temporal properties were violated".to_owned(),
        ];
        let rejected = rejects.iter().any(|rejection| said.contains(rejection));
        assert!(rejected, "{}: {said}", path.display());
    }
}

fn tlc(module: &Path, configuration: &str) -> String {
    let jar = env::var_os("TLA2TOOLS_JAR").expect("TLA2TOOLS_JAR names tla2tools.jar");
    let name = module.file_stem().expect("a module has a name");
    let states = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("tlc")
        .join(name);
    fs::create_dir_all(&states).expect("a directory for its states can be made");
    let output = Command::new("java")
        .arg("-XX:+UseParallelGC")
        .arg("-cp")
        .arg(jar)
        .args(["tlc2.TLC", "-cleanup", "-noGenerateSpecTE", "-metadir"])
        .arg(states)
        .args(["-config", &format!("{configuration}.cfg")])
        .arg(name)
        .current_dir(module.parent().expect("a module lies in a directory"))
        .output()
        .expect("java can be started");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
