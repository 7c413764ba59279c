//! Would the specification notice if it were wrong?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::spec_support::{Checked, Model, beside_the_spec, spec_dir};

/// Each small wrong variant in `spec/mutants` is rejected, by the property that it was made for.
#[test]
fn each_mutant_is_rejected_by_the_property_it_names() {
    let mutants = mutants();
    assert!(mutants.len() >= 8, "{} mutants", mutants.len());
    let wrong: Vec<String> = mutants
        .iter()
        .filter_map(|path| try_out(path).err())
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// No property is there for decoration: each one that is listed rejects at least one mutant.
#[test]
fn each_property_has_a_mutant() {
    let named: BTreeSet<String> = mutants()
        .iter()
        .filter_map(|path| property_of(path).ok())
        .collect();
    let model = Model::of("WorkerLifecycle");
    let listed: BTreeSet<String> = model.listed().map(str::to_owned).collect();
    assert_eq!(named, listed);
}

/// A mutant must say what is wrong with it, and who says so.
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

fn try_out(path: &Path) -> Result<(), String> {
    let mutant = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = property_of(path).map_err(|e| format!("{mutant}: {e}"))?;
    let model = Model::load(&beside_the_spec(path)).map_err(|e| format!("{mutant}: {e}"))?;
    // Only the named property is looked at, so that no other one can reject the mutant before it.
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
