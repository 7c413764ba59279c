#![no_main]

#[path = "../bodies/worker_inputs.rs"]
mod worker_inputs;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    worker_inputs::run(data);
});
