//! Are the published renderings of the transition table those of the machine?

use std::path::{Path, PathBuf};
use std::{env, fs};

use ostler::worker::Phase;

use crate::derived_table::Table;
use crate::render_table::Format;

/// The renderings are committed in `docs/`, so that a review shows each change of the machine as a
/// change of the table.
///
/// After an intended change, run `UPDATE=1 cargo test --test suite table` and read the diff.
#[test]
fn the_snapshots_are_the_derived_table() {
    let table = Table::derive();
    for (file, format) in [
        ("lifecycle.txt", Format::Text),
        ("lifecycle.mmd", Format::Mermaid),
        ("lifecycle.dot", Format::Dot),
    ] {
        expect_file(&root().join("docs").join(file), &table.render(format));
    }
}

/// The diagram in the README is generated from the machine.
#[test]
fn the_diagram_of_the_readme_is_the_derived_table() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md can be read");
    let (begin, end) = ("<!-- lifecycle.mmd -->\n```mermaid\n", "```\n<!-- end -->");
    let start = readme
        .find(begin)
        .expect("README.md has the diagram's opening marker")
        + begin.len();
    let length = readme[start..]
        .find(end)
        .expect("README.md has the diagram's closing marker");
    let diagram = Table::derive().render(Format::Mermaid);
    expect_file(
        &path,
        &[&readme[..start], &diagram, &readme[start + length..]].concat(),
    );
}

/// The machine has six leaves with one state each, and `Stopping` with four rungs: ten states in
/// all.
#[test]
fn the_machine_has_ten_states() {
    let table = Table::derive();
    assert_eq!(table.states().count(), 10);
    let stopping = table
        .states()
        .filter(|(phase, _)| *phase == Phase::Stopping);
    assert_eq!(stopping.count(), 4);
}

fn expect_file(path: &Path, expected: &str) {
    if env::var_os("UPDATE").is_some() {
        fs::write(path, expected).expect("the snapshot can be written");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs from the machine; `UPDATE=1 cargo test --test suite table` updates it. \
         Expected:\n{expected}",
        path.display()
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
