#![no_main]

#[path = "../bodies/supervisor_events.rs"]
mod supervisor_events;

// The environment and the reference model of the core's random tests.
#[allow(dead_code)]
#[path = "../../tests/suite/beside.rs"]
mod beside;
#[allow(dead_code)]
#[path = "../../tests/suite/derived_table.rs"]
mod derived_table;
#[allow(dead_code)]
#[path = "../../tests/suite/model.rs"]
mod model;
#[allow(dead_code)]
#[path = "../../tests/suite/model_actions.rs"]
mod model_actions;
#[path = "../../tests/suite/model_effects.rs"]
mod model_effects;
#[path = "../../tests/suite/model_inputs.rs"]
mod model_inputs;
#[path = "../../tests/suite/model_leases.rs"]
mod model_leases;
#[path = "../../tests/suite/model_positions.rs"]
mod model_positions;
#[path = "../../tests/suite/model_settle.rs"]
mod model_settle;
#[allow(dead_code)]
#[path = "../../tests/suite/world.rs"]
mod world;
#[path = "../../tests/suite/world_checks.rs"]
mod world_checks;
#[path = "../../tests/suite/world_port.rs"]
mod world_port;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    supervisor_events::run(data);
});
