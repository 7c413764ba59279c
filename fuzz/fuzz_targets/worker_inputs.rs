#![no_main]

#[path = "../bodies/worker_inputs.rs"]
mod worker_inputs;

#[allow(dead_code)]
#[path = "../../tests/suite/derived_table.rs"]
mod derived_table;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    worker_inputs::run(data);
});
