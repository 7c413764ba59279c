#![no_main]

#[path = "../bodies/supervisor_events.rs"]
mod supervisor_events;

// The surroundings that the random tests of the core use.
#[allow(dead_code)]
#[path = "../../tests/suite/world.rs"]
mod world;
#[path = "../../tests/suite/world_actions.rs"]
mod world_actions;
#[path = "../../tests/suite/world_checks.rs"]
mod world_checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    supervisor_events::run(data);
});
