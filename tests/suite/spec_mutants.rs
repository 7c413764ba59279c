//! Does each property reject a wrong specification?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::spec_checks::{assert_same, names};
use crate::spec_support::{Checked, Model, beside_the_spec, spec_dir, text};

/// The modules that have mutants, each with a configuration that lists its properties.
const CHECKED: [(&str, &str); 3] = [
    ("WorkerLifecycle", "WorkerLifecycle"),
    ("WorkerPool", "PoolKept"),
    ("WorkerPoolLives", "WorkerPoolLives"),
];

/// Each mutant of a worker is rejected by the property that it names.
#[test]
fn each_mutant_of_a_worker_is_rejected_by_the_property_it_names() {
    assert_rejected(&mutants_of("WorkerLifecycle"));
}

/// Each mutant of a pool is rejected by the property that it names.
#[test]
fn each_mutant_of_a_pool_is_rejected_by_the_property_it_names() {
    assert_rejected(&mutants_of("WorkerPool"));
    assert_rejected(&mutants_of("WorkerPoolLives"));
}

/// Every mutant extends a module that is checked.
#[test]
fn each_mutant_extends_a_module_that_is_checked() {
    let modules = CHECKED.map(|(module, _)| mutants_of(module).len());
    assert_eq!(modules.iter().sum::<usize>(), mutants().len());
    assert!(modules[0] >= 8 && modules[1] >= 12, "{modules:?} mutants");
}

/// Each listed property rejects at least one mutant.
#[test]
fn each_property_has_a_mutant() {
    for (module, cfg) in CHECKED {
        let mutants = mutants_of(module);
        let named = mutants.iter().filter_map(|path| property_of(path).ok());
        let model = Model::with(module, cfg);
        let listed: BTreeSet<String> = model.listed().map(str::to_owned).collect();
        assert_same(
            &named.collect(),
            &listed,
            &format!("{module}: properties with a mutant"),
        );
    }
}

/// A mutant must name its property and say what is wrong.
#[test]
fn a_mutant_without_a_named_property_is_refused() {
    let named = property_named_in("\\* Rejected by TypeOK: a rung is misspelt.");
    assert_eq!(named.as_deref(), Ok("TypeOK"));
    for line in [
        "---- MODULE Mutant ----",
        "\\* A rung is misspelt.",
        "\\* Rejected by TypeOK:",
        "\\* Rejected by: a rung is misspelt.",
    ] {
        assert!(property_named_in(line).is_err(), "{line}");
    }
}

/// The properties determine the table: any other content of a reached cell is rejected by some
/// property.
///
/// One exception: no property distinguishes a stale cell from a transition to the same phase.
#[test]
#[ignore = "takes minutes: 390 mutants, made one by one"]
fn no_reached_cell_can_be_changed_unnoticed() {
    let model = Model::of("WorkerLifecycle");
    let (phases, inputs) = (names(&model, "PhaseOrder"), names(&model, "InputOrder"));
    let contents: Vec<&str> = phases.iter().map(|p| &**p).chain(["~", "-"]).collect();
    let (mut made, mut unnoticed) = (0, Vec::new());
    for phase in &phases {
        for input in &inputs {
            let cell = text(&model.eval(&format!("Cell[\"{phase}\"][\"{input}\"]")));
            for other in contents.iter().filter(|_| cell != "-") {
                if *other == cell || (*other == phase && cell == "~") {
                    continue;
                }
                made += 1;
                if let Ok(Checked::Holds { .. }) = change_cell(phase, input, other) {
                    unnoticed.push(format!("{phase} x {input}: {other} instead of {cell}"));
                }
            }
        }
    }
    assert!(unnoticed.is_empty(), "of {made}:\n{}", unnoticed.join("\n"));
}

/// Checks every property with one cell changed. An error counts as a rejection: the change led to
/// an undefined value.
fn change_cell(phase: &str, input: &str, content: &str) -> Result<Checked, String> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join("ChangedCell.tla");
    let cfg = fs::read_to_string(spec_dir().join("WorkerLifecycle.cfg"));
    let cfg = cfg.expect("the configuration can be read");
    let module = format!(
        "---- MODULE ChangedCell ----\nEXTENDS WorkerLifecycle\n\
         Changed == [Table EXCEPT ![\"{phase}\"][\"{input}\"] = \"{content}\"]\n====\n"
    );
    fs::write(&path, module).expect("the module can be written");
    let bound = "Cell      <- Table";
    assert!(cfg.contains(bound), "the configuration binds the table");
    fs::write(
        path.with_extension("cfg"),
        cfg.replace(bound, "Cell <- Changed"),
    )
    .expect("the configuration can be written");
    Model::load(&beside_the_spec(&path))?.check()
}

fn assert_rejected(mutants: &[PathBuf]) {
    let wrong = mutants.iter().filter_map(|path| try_out(path).err());
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The mutants that are variants of `module`.
pub(crate) fn mutants_of(module: &str) -> Vec<PathBuf> {
    let extends = format!("EXTENDS {module}");
    let is_variant = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("the mutant can be read");
        text.lines().any(|line| line == extends)
    };
    mutants().into_iter().filter(is_variant).collect()
}

fn try_out(path: &Path) -> Result<(), String> {
    let mutant = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = property_of(path).map_err(|e| format!("{mutant}: {e}"))?;
    let model = Model::load(&beside_the_spec(path)).map_err(|e| format!("{mutant}: {e}"))?;
    // Only the named property is checked, so that no other one rejects the mutant first.
    if model.listed().ne([named.as_str()]) {
        return Err(format!(
            "{mutant}: its configuration must list {named} and nothing else"
        ));
    }
    match model.check() {
        Ok(Checked::Violated { property, .. }) if property == named => Ok(()),
        other => Err(format!("{mutant}: {named} must reject it, but: {other:?}")),
    }
}

fn property_named_in(first_line: &str) -> Result<String, String> {
    first_line
        .strip_prefix("\\* Rejected by ")
        .and_then(|rest| rest.split_once(": "))
        .filter(|(name, why)| name.chars().all(char::is_alphanumeric) && !why.trim().is_empty())
        .map(|(name, _)| name.to_owned())
        .ok_or_else(|| format!("`{first_line}` is not `\\* Rejected by PROPERTY: what is wrong`"))
}

/// The property that the mutant at `path` says it is rejected by.
pub(crate) fn property_of(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    property_named_in(text.lines().next().unwrap_or_default())
}

/// Every mutant.
pub(crate) fn mutants() -> Vec<PathBuf> {
    let files = fs::read_dir(spec_dir().join("mutants")).expect("spec/mutants can be read");
    let mut mutants: Vec<PathBuf> = files
        .map(|entry| entry.expect("spec/mutants can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tla"))
        .collect();
    mutants.sort();
    mutants
}
