//! Does the driver keep its promises whatever the order in which its threads come? Only under `cargo schedules`, which
//! builds the pool on shuttle's simulated threads: see `pool/src/rt/`.

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
/// Says in `cargo test` that there is more.
#[test]
#[ignore = "the schedules need a build of their own: `cargo schedules`"]
fn schedules() {
    panic!("run `cargo schedules`");
}
