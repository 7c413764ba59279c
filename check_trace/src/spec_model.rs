//! `spec/WorkerPool.tla`, configured for the pool of a test.

use std::collections::BTreeSet;
use std::fs;

use ostler::Policy;

use crate::spec_files::scratch;
use crate::spec_support::{Model, beside_the_spec};

/// The environment of the pool.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) workers: usize,
    pub(crate) clients: usize,
    pub(crate) sessions: usize,
    /// The sizes that the pool may be resized to.
    pub(crate) sizes: BTreeSet<usize>,
}

/// A module that has the constants of `WorkerPool`, with the values of a policy and a world. `name`
/// must be unique.
pub(crate) fn model(name: &str, module: &str, policy: &Policy, world: &World) -> Model {
    let path = scratch().join(name).with_extension("tla");
    let named = |prefix: &str, count| {
        let names = (1..=count).map(|n| format!("\"{prefix}{n}\""));
        format!("{{{}}}", names.collect::<Vec<_>>().join(", "))
    };
    let sizes: Vec<String> = world.sizes.iter().map(ToString::to_string).collect();
    let text = format!(
        "---- MODULE {name} ----\nEXTENDS {module}\nThere == 1..{}\n====\n",
        world.workers
    );
    let constants = [
        "Cell <- Table".into(),
        "EntryRung <- EntryRungs".into(),
        "NextRung <- NextRungs".into(),
        format!("Size = {}", policy.size),
        format!("Surge = {}", policy.surge),
        format!("MaxStarting = {}", policy.max_starting),
        format!("MaxWaiting = {}", policy.max_waiting),
        format!("MaxSessions = {}", policy.max_sessions),
        format!("CrashLoop = {}", policy.crash_loop),
        "Workers <- There".into(),
        format!("Clients = {}", named("c", world.clients)),
        format!("Sessions = {}", named("s", world.sessions)),
        format!("Sizes = {{{}}}", sizes.join(", ")),
        "Happens <- Kinds".into(),
    ];
    let cfg = format!(
        "SPECIFICATION Spec\nCONSTANTS\n{}\nINVARIANT TypeOK\n",
        constants.join("\n")
    );
    fs::write(&path, text).expect("the module can be written");
    fs::write(path.with_extension("cfg"), cfg).expect("the configuration can be written");
    let copy = beside_the_spec(&path);
    let model = Model::load(&copy).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    // The model is in memory. A long run makes thousands.
    for file in [&path, &path.with_extension("cfg")] {
        fs::remove_file(file).expect("the file can be removed");
    }
    fs::remove_dir_all(copy.with_file_name("")).expect("the copy can be removed");
    model
}
