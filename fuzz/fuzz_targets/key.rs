//! Encoded keys. Run by `make fuzz`.

#![no_main]

#[path = "../../crates/gecaso/tests/it/samples.rs"]
mod samples;
#[path = "../../crates/gecaso/tests/it/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::key(bytes));
