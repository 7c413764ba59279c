//! Does the specification have its properties, and would the checker notice if it did not?

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use crate::spec_files::MODULES;
use crate::spec_support::{Checked, Model, beside_the_spec, elements, spec_dir, text};

/// Distinct states of a worker and its environment. The reference checker finds as many.
///
/// A change of the specification changes this number, or nothing; its review checks which.
pub(crate) const STATES: usize = 512;

/// Every property listed in `WorkerLifecycle.cfg` holds in every behaviour (T4).
#[test]
fn every_property_holds() {
    match Model::of("WorkerLifecycle").check() {
        Ok(Checked::Holds { states }) => assert_eq!(states, STATES),
        Ok(Checked::Violated { property, trace }) => panic!("{property} is violated:\n{trace}"),
        Err(problem) => panic!("{problem}"),
    }
}

/// The configuration lists every property that the module defines.
#[test]
fn every_property_is_listed() {
    let model = Model::of("WorkerLifecycle");
    let listed = model.listed().map(str::to_owned).collect();
    assert_same(
        &listed,
        &properties_of("WorkerLifecycle"),
        "listed properties",
    );
}

/// Neither the search nor `Nat` ends at 100: states beyond would count as unreachable.
#[test]
fn the_search_has_no_bounds_of_its_own() {
    let counter = |limit: u32, property: &str| {
        try_out(
            "Counter",
            &format!(
                "VARIABLE n\nInit == n = 0\nNext == n < {limit} /\\ n' = n + 1 \\/ n = {limit} /\\ n' = n\n\
                 Spec == Init /\\ [][Next]_n\nIsNat == n \\in Nat\nIsSmall == n < 150"
            ),
            &format!("SPECIFICATION Spec\nINVARIANT {property}"),
        )
    };
    assert!(matches!(
        counter(149, "IsSmall"),
        Ok(Checked::Holds { states: 150 })
    ));
    assert!(matches!(
        counter(150, "IsNat"),
        Ok(Checked::Holds { states: 151 })
    ));
    assert!(matches!(
        counter(150, "IsSmall"),
        Ok(Checked::Violated { .. })
    ));
}

/// Properties of steps are checked as one. Each of them counts, and the violated one is named.
#[test]
fn each_property_of_steps_is_checked() {
    let cfg = "SPECIFICATION Spec\nCHECK_DEADLOCK FALSE\nPROPERTIES First Second Third Other";
    for (n, (step, expected)) in [
        ("n < 4 /\\ n' = n + 1 /\\ m' = m", "Ok(Holds { states: 5 })"),
        ("n < 4 /\\ n' = n - 1 /\\ m' = m", "property: \"First\""),
        ("n < 4 /\\ n' = n + 2 /\\ m' = m", "property: \"Second\""),
        ("n < 5 /\\ n' = n + 1 /\\ m' = m", "property: \"Third\""),
        ("n < 4 /\\ n' = n + 1 /\\ m' = 1", "property: \"Other\""),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(
            "VARIABLES n, m\nvars == << n, m >>\nInit == n = 0 /\\ m = 0\nNext == {step}\n\
             Spec == Init /\\ [][Next]_vars\nFirst == [][n' > n]_vars\nOther == [][m' = m]_m\n\
             Second == [][n' <= n + 1]_vars\nThird == [][n' # 5]_vars"
        );
        let found = format!("{:?}", try_out(&format!("Steps{n}"), &body, cfg));
        assert!(found.contains(expected), "{step}: {found}");
    }
}

/// What the checker itself lets pass is rejected: each of these would otherwise be a passing test
/// that checks nothing.
#[test]
fn nothing_passes_unchecked() {
    let behaviour = "VARIABLE n\nInit == n = 0\nNext == n' = n\nSpec == Init /\\ [][Next]_n\n";
    let cfg = "SPECIFICATION Spec\nINVARIANT Holds";
    let cases = [
        ("n = 0", cfg, "Ok(Holds { states: 1 })"),
        ("n = 0\nASSUME 1 = 2", cfg, "AssumeViolation"),
        ("n = 0 /\\ /\\ )", cfg, "did not parse"),
        ("n = \"zero\"", cfg, "Ok(Violated"),
        ("Nought = 0", cfg, "no verdict: InvariantError"),
        ("n = 0", "SPECIFICATION Spec", "lists no property"),
        ("n = 0", "SPECIFICATION Spec\nINVARIANT Hold", "not found"),
        (
            "n = 0",
            "INIT Never\nNEXT Next\nINVARIANT Holds",
            "no verdict: NoInitialStates",
        ),
    ];
    for (n, (holds, cfg, expected)) in cases.into_iter().enumerate() {
        let body = format!("{behaviour}Never == FALSE /\\ Init\nHolds == {holds}");
        let found = format!("{:?}", try_out(&format!("Lenient{n}"), &body, cfg));
        assert!(found.contains(expected), "{holds}, {cfg}: {found}");
    }
}

/// The same in an extended module: its ASSUMEs, and unused definitions.
#[test]
fn nothing_passes_unchecked_in_an_extended_module() {
    let cases = [
        ("ASSUME 1 = 1", "Ok(Holds { states: 1 })"),
        ("ASSUME 1 = 2", "an ASSUME of Table is false"),
        ("ASSUME Nought", "an ASSUME of Table has no value"),
        ("Unused == 1 + )", "did not parse"),
    ];
    for (n, (line, expected)) in cases.into_iter().enumerate() {
        let dir = format!("Extended{n}");
        write_module(&dir, "Table", "Naturals", line, "");
        let body = "VARIABLE n\nInit == n = 0\nNext == n' = n\nSpec == Init /\\ [][Next]_n\nHolds == n = 0";
        let cfg = "SPECIFICATION Spec\nINVARIANT Holds";
        let path = write_module(&dir, "Extending", "Table", body, cfg);
        let found = match Model::load(&path) {
            Ok(model) => format!("{:?}", model.check()),
            Err(problem) => problem,
        };
        assert!(found.contains(expected), "{line}: {found}");
    }
}

/// A counterexample lists each action and what it changed. `spec/README.md` explains this one.
#[test]
fn the_readme_explains_a_counterexample() {
    let path = beside_the_spec(&spec_dir().join("mutants/LadderNeverKills.tla"));
    let model = Model::load(&path).expect("the mutant is a module");
    let Ok(Checked::Violated { property, trace }) = model.check() else {
        panic!("the mutant is not rejected");
    };
    let readme = fs::read_to_string(spec_dir().join("README.md")).unwrap_or_default();
    let printed = format!("{property} is violated:\n{trace}");
    assert!(
        readme.contains(&printed),
        "spec/README.md does not contain:\n{printed}"
    );
}

/// The properties that a module defines: its definitions below their headings.
pub(crate) fn properties_of(module: &str) -> BTreeSet<String> {
    properties_by_kind(module).into_iter().flatten().collect()
}

/// The properties in every state, in every step, and of liveness.
pub(crate) fn properties_by_kind(module: &str) -> [BTreeSet<String>; 3] {
    let text = fs::read_to_string(spec_dir().join(module).with_extension("tla"));
    let text = text.expect("the specification can be read");
    let headings = [
        "(* Safety: in every state.",
        "(* Safety: in every step.",
        "(* Liveness",
    ];
    let begins = headings.map(|heading| text.find(heading).expect("the properties have headings"));
    let ends = [begins[1], begins[2], text.len()];
    [0, 1, 2].map(|kind| {
        let lines = text[begins[kind]..ends[kind]].lines();
        let defined = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
        let names = defined.filter_map(|line| Some(line.split_once("==")?.0.trim().to_owned()));
        names.collect()
    })
}

fn try_out(name: &str, body: &str, cfg: &str) -> Result<Checked, String> {
    Model::load(&write_module(name, name, "Naturals", body, cfg))?.check()
}

pub(crate) fn write_module(dir: &str, name: &str, extends: &str, body: &str, cfg: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(dir);
    fs::create_dir_all(&dir).expect("a directory for the module can be made");
    let path = dir.join(name).with_extension("tla");
    let module = format!("---- MODULE {name} ----\nEXTENDS {extends}\n{body}\n====\n");
    fs::write(&path, module).expect("the module can be written");
    fs::write(path.with_extension("cfg"), cfg).expect("the configuration can be written");
    path
}

/// The program that checks traces contains every module of the specification but the proof.
#[test]
fn the_trace_checker_contains_the_specification() {
    let files = fs::read_dir(spec_dir()).expect("spec/ can be read");
    let names = files.map(|file| file.expect("spec/ can be read").file_name());
    let names = names.map(|name| name.into_string().expect("a name is text"));
    let mut modules: BTreeSet<String> = names.filter(|name| name.ends_with(".tla")).collect();
    assert!(modules.remove("WorkerPoolProof.tla"));
    let contained = MODULES.map(|(name, _)| name.to_owned());
    assert_eq!(modules, contained.into());
}

/// Panics with the elements that are in only one of two sets.
pub(crate) fn assert_same<T: Ord + Debug>(found: &BTreeSet<T>, expected: &BTreeSet<T>, of: &str) {
    let missing: Vec<&T> = expected.difference(found).collect();
    let extra: Vec<&T> = found.difference(expected).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{of}: missing {missing:?}, unexpected {extra:?}"
    );
}

/// The strings of a sequence that the specification defines.
pub(crate) fn names(model: &Model, sequence: &str) -> Vec<String> {
    elements(&model.eval(sequence)).iter().map(text).collect()
}
