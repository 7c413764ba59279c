//! Do the fuzz bodies pass on their corpora and on new random inputs?
//!
//! `fuzz/` runs the same bodies without a limit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::derived_table::{Table, Verdict};
use crate::{fuzz_supervisor_events as supervisor_events, fuzz_worker_inputs as worker_inputs};

/// The committed corpus of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
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

/// The corpus of `worker_inputs` makes every transition of the table.
#[test]
fn the_corpus_of_worker_inputs_makes_every_transition() {
    let mut made = BTreeSet::new();
    for data in corpus("worker_inputs") {
        made.extend(worker_inputs::run(&data).transitions);
    }
    let table = Table::derive();
    let inputs = ostler::worker::Input::ALL;
    for state in table.states() {
        for input in inputs {
            let cell = table.cell(state, *input).expect("the table has every cell");
            let moves = matches!(cell.verdict, Verdict::Moves(_));
            assert_eq!(
                made.contains(&(state.0, state.1, *input)),
                moves,
                "{state:?} x {input}"
            );
        }
    }
}

/// The corpus of `supervisor_events` contains every kind of action.
#[test]
fn the_corpus_of_supervisor_events_has_every_action() {
    let mut seen = BTreeSet::new();
    for data in corpus("supervisor_events") {
        seen.extend(supervisor_events::run(&data).actions);
    }
    assert_eq!(seen, (0..supervisor_events::KINDS).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Any bytes are a sequence of inputs under which workers follow the table.
    #[test]
    fn worker_inputs(data in prop::collection::vec(any::<u8>(), 0..256)) {
        crate::fuzz_worker_inputs::run(&data);
    }

    /// Any bytes are a sequence of events that the pool handles as the model predicts, or a hostile
    /// driver that it survives.
    #[test]
    fn supervisor_events(data in prop::collection::vec(any::<u8>(), 0..512)) {
        crate::fuzz_supervisor_events::run(&data);
    }
}
