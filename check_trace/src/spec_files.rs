//! The files of the specification as text, for what the checker does not report about a loaded
//! module.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

use tla_checker::{parser, stdlib};

/// The modules of the specification. The package contains them, so that the installed program needs
/// no checkout.
pub(crate) const MODULES: [(&str, &str); 5] = [
    (
        "WorkerLifecycle.tla",
        include_str!("../spec/WorkerLifecycle.tla"),
    ),
    ("WorkerPool.tla", include_str!("../spec/WorkerPool.tla")),
    (
        "WorkerPoolLives.tla",
        include_str!("../spec/WorkerPoolLives.tla"),
    ),
    (
        "WorkerPoolTrace.tla",
        include_str!("../spec/WorkerPoolTrace.tla"),
    ),
    ("WorkerTable.tla", include_str!("../spec/WorkerTable.tla")),
];

/// All values of a parameter of this name, where `Next` ranges over a set that depends on the
/// state.
pub(crate) fn every(parameter: &str) -> Option<&str> {
    let sets = [("w", "Workers"), ("c", "Clients"), ("s", "Sessions")];
    let found = sets.into_iter().find(|(name, _)| *name == parameter);
    found.map(|(_, set)| set)
}

/// The disjuncts of a definition. A disjunct that is `Settle` or `Notice`, or such a name after a
/// condition, is unfolded.
pub(crate) fn disjuncts(texts: &[(String, String)], name: &str) -> Option<Vec<String>> {
    let head = format!("\n{name} ==");
    let text = texts
        .iter()
        .find_map(|(_, text)| Some(text.split_once(&head)?.1))?;
    let text = text.split("\n\n").next().unwrap_or_default();
    let parts = text.split("\\/").map(str::trim).filter(|d| !d.is_empty());
    let unfold = |part: &str| match part.strip_prefix("(Settled /\\ ") {
        Some(inputs) => disjuncts(texts, inputs.trim_end_matches(')')),
        None if matches!(part, "Settle" | "Notice") => disjuncts(texts, part),
        None => Some(vec![part.to_owned()]),
    };
    parts
        .map(unfold)
        .collect::<Option<Vec<_>>>()
        .map(|all| all.concat())
}

/// The text of the module at `path` and of all that it extends, standard modules left out.
pub(crate) fn module_texts(path: &Path) -> Result<Vec<(String, String)>, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut modules = VecDeque::from([name.into_owned()]);
    while let Some(module) = modules.pop_front() {
        if stdlib::is_stdlib_module(&module) || texts.iter().any(|(seen, _)| *seen == module) {
            continue;
        }
        let text = read(&path.with_file_name(&module).with_extension("tla"))?;
        let parsed = parser::parse(&text).map_err(|error| format!("{module}: {error}"))?;
        modules.extend(parsed.extends.iter().map(ToString::to_string));
        texts.push((module, text));
    }
    Ok(texts)
}

/// The directory of the specification in the repository, for tests.
pub(crate) fn spec_dir() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|directory| directory.join("spec").exists());
    root.expect("the repository has a spec/").join("spec")
}

/// Puts a copy of the module at `path` and the specification's modules into a directory of its own.
///
/// The checker looks for extended modules only where it found the first one.
pub(crate) fn beside_the_spec(path: &Path) -> PathBuf {
    let name = path.file_stem().expect("a module has a name");
    let dir = scratch().join(name);
    fs::create_dir_all(&dir).expect("a directory for the module can be made");
    for (module, text) in MODULES {
        fs::write(dir.join(module), text).expect("the module can be written");
    }
    for file in [path.to_owned(), path.with_extension("cfg")] {
        let to = dir.join(file.file_name().expect("a file has a name"));
        fs::copy(&file, to).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    dir.join(name).with_extension("tla")
}

/// A directory for generated modules: below the target directory in a test, a new temporary one in
/// the installed program.
pub(crate) fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        if let Some(directory) = option_env!("CARGO_TARGET_TMPDIR") {
            fs::create_dir_all(directory).expect("a directory for modules can be made");
            return directory.into();
        }
        // A new one: what another user has put there would be read as the specification.
        let name = |n: u32| format!("ostler-spec-{}-{n}", std::process::id());
        let mut own = (0..100).map(|n| env::temp_dir().join(name(n)));
        let made = own.find(|directory| fs::create_dir(directory).is_ok());
        made.expect("a directory can be made in the directory for temporary files")
    })
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
