//! The fuzz targets, on mutations of what is right: what `make fuzz` does for longer, and by
//! coverage.
//!
//! A run prints its seed if it fails; `GECASO_SEED=n` runs it again.

use crate::event::{Dice, rounds};
use crate::far_codec::seed;
use crate::far_hostile::{messages, mutated};
use crate::samples::Record;
use crate::targets;
use gecaso::{KeyEncoder, Params, pack};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that a target accepts.
fn samples(target: &str) -> Vec<Vec<u8>> {
    let params = Params::new().with("a", vec![1, 2]).with("b", "c");
    match target {
        "envelope" => vec![
            pack(&Record::example(), &params).unwrap(),
            pack(&7_u64, &params).unwrap(),
            include_bytes!("../../../../fixtures/envelopes/v1/rust.bin").to_vec(),
        ],
        "key" => vec![
            KeyEncoder::encoded(&(1_u8, "a b", [1_u64, 300], Some(-1), 0.5_f64)),
            KeyEncoder::encoded(&vec![(true, 'x', vec![0_u8, 255])]),
        ],
        _ => messages(),
    }
}

#[test]
fn every_target_takes_any_bytes() {
    let seed = seed();
    for (name, target) in targets::ALL {
        let (mut dice, samples) = (Dice(seed), samples(name));
        for round in 0..rounds(100_000) {
            let bytes = mutated(&mut dice, &samples);
            let taken = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
            assert!(taken.is_ok(), "GECASO_SEED={seed}: {name}, round {round}: {bytes:02x?}");
        }
    }
}
