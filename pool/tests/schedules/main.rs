//! Runs the real driver under many thread schedules and checks its guarantees in each.
//!
//! The tests exist only under `cargo schedules`, which builds the pool on shuttle's simulated
//! threads. See `pool/src/rt/`.

#[cfg(shuttle)]
mod client;
#[cfg(shuttle)]
mod explore;
#[cfg(shuttle)]
mod plan;
#[cfg(shuttle)]
mod planted;
#[cfg(shuttle)]
mod schedules;
#[cfg(shuttle)]
mod world;

#[cfg(not(shuttle))]
/// Shows in the output of `cargo test` that there are more tests.
#[test]
#[ignore = "the schedules need their own build: `cargo schedules`"]
fn schedules() {
    panic!("run `cargo schedules`");
}
