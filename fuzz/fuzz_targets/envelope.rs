//! Stored entries: whole envelopes. Run by `make fuzz`.

#![no_main]

// Each target is one of several.
#[allow(dead_code)]
#[path = "../../crates/gecaso/tests/it/samples.rs"]
mod samples;
#[allow(dead_code)]
#[path = "../../crates/gecaso/tests/it/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::envelope(bytes));
