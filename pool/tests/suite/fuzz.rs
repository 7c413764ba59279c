//! Do the bodies of the fuzz targets hold on their corpora and on new random input?
//!
//! `fuzz/` runs the same bodies without a time limit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::fuzz_config::OPTIONS;

/// The committed corpus of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read(file).expect("it can be read"))
        .collect()
}

/// P13: the corpus of `frames` has complete and partial frames, several in a row, and frames that
/// are too long or too short.
#[test]
fn the_corpus_of_frames_has_every_kind() {
    let mut seen = BTreeSet::new();
    for data in corpus("frames") {
        let read = crate::fuzz_frames::run(&data);
        let Some(read) = read else { continue };
        seen.extend((!read.frames.is_empty()).then_some("frame"));
        seen.extend((read.frames.len() > 1).then_some("several"));
        seen.extend(read.incomplete.then_some("half"));
        let error = read.error.unwrap_or_default();
        seen.extend(error.contains("exceeds `max_frame`").then_some("too long"));
        seen.extend(error.contains("too short").then_some("too short"));
    }
    let kinds = ["frame", "half", "several", "too long", "too short"];
    assert_eq!(seen, kinds.into());
}

/// L20: the corpus of `config` has a valid configuration, and each option out of its range.
#[test]
fn the_corpus_of_config_rejects_every_option() {
    let outcomes = corpus("config")
        .iter()
        .map(|data| crate::fuzz_config::run(data))
        .collect();
    // Any value of these two is in range, including 0.
    let any = ["max_waiting", "max_sessions"];
    let rejected = OPTIONS.into_iter().filter(|option| !any.contains(option));
    let expected: BTreeSet<Option<&str>> = rejected.map(Some).chain([None]).collect();
    assert_eq!(expected, outcomes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// P13: any bytes are read as the same frames however they are split, and take no more memory
    /// than their size.
    #[test]
    fn frames(data in prop::collection::vec(any::<u8>(), 0..256)) {
        crate::fuzz_frames::run(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// L20: any options are either rejected, with an error that names one of the wrong options, or
    /// make a pool that works.
    #[test]
    fn config(data in prop::collection::vec(any::<u8>(), 0..48)) {
        crate::fuzz_config::run(&data);
    }
}
