//! `Chaos` does what it is told to, the same way for the same seed, and nothing else.

use crate::elsewhere::Elsewhere;
use crate::event::{Dice, Driven};
use gecaso::testing::{Chaos, Operation};
use gecaso::{ManualClock, Params, Result, Storage};
use pollster::block_on;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

fn chaos() -> Chaos<Elsewhere> {
    Chaos::new(Elsewhere::new())
}

fn get(storage: &Chaos<Elsewhere>, key: &str) -> Result<Option<Vec<u8>>> {
    block_on(storage.get(key))
}

fn set(storage: &Chaos<Elsewhere>, key: &str, value: &[u8]) -> Result<()> {
    block_on(storage.set(key, value, &Params::new()))
}

fn remove(storage: &Chaos<Elsewhere>, keys: &[&str]) -> Result<()> {
    block_on(storage.remove(keys))
}

#[test]
fn it_does_nothing_wrong_until_told() -> Result<()> {
    let chaos = chaos();
    set(&chaos, "a", b"1")?;
    assert_eq!(get(&chaos, "a")?, Some(b"1".to_vec()));
    remove(&chaos, &["a"])?;
    assert_eq!(get(&chaos, "a")?, None);
    let counts = chaos.counts();
    assert_eq!((counts.gets, counts.sets, counts.removes), (2, 1, 1));
    assert_eq!((counts.operations(), counts.faults(), counts.delays), (4, 0, 0));
    Ok(())
}

/// What 400 operations with many kinds of faults gave.
fn trace(chaos: &Chaos<Elsewhere>) -> Vec<String> {
    let mut dice = Dice(5);
    let one = |n: u64| {
        let key = ["a", "b", "c"][dice.roll(3) as usize];
        match dice.roll(3) {
            0 => format!("{:?}", set(chaos, key, format!("{key} {n}").as_bytes()).is_ok()),
            1 => format!("{:?}", get(chaos, key).ok()),
            _ => format!("{:?}", remove(chaos, &[key]).is_ok()),
        }
    };
    (0..400).map(one).collect()
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let with = |seed| {
        let chaos = chaos().seed(seed).errors(0.1).corruption(0.2).old_values(0.2);
        let chaos = chaos.lost_sets(0.1).late_sets(0.2).lost_removes(0.1);
        (trace(&chaos), chaos.counts())
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1).0, with(2).0);
    let counts = with(1).1;
    for (fault, count) in [
        ("errors", counts.errors),
        ("corrupted", counts.corrupted),
        ("old values", counts.old_values),
        ("lost sets", counts.lost_sets),
        ("late sets", counts.late_sets),
        ("lost removes", counts.lost_removes),
    ] {
        assert!(count > 3, "{fault}: {count}");
    }
}

#[test]
fn raising_one_probability_moves_no_other_fault() {
    let failed = |chaos: Chaos<Elsewhere>| -> Vec<bool> {
        (0..500).map(|_| get(&chaos, "a").is_err()).collect()
    };
    let alone = failed(chaos().seed(3).errors(0.2));
    let no_time = Duration::ZERO..=Duration::from_nanos(1);
    let among = failed(chaos().seed(3).errors(0.2).corruption(0.9).delays(0.9, no_time));
    assert_eq!(alone, among);
    let lied = |chaos: Chaos<Elsewhere>| -> Vec<bool> {
        chaos.inner().put("a", b"value");
        (0..500).map(|_| get(&chaos, "a").unwrap() != Some(b"value".to_vec())).collect()
    };
    let alone = lied(chaos().seed(3).corruption(0.2));
    let no_time = Duration::ZERO..=Duration::from_nanos(1);
    assert_eq!(alone, lied(chaos().seed(3).corruption(0.2).delays(0.5, no_time)));
}

#[test]
fn probabilities_are_probabilities() {
    let chaos = chaos().errors(0.25);
    let failed = (0..4_000).filter(|_| get(&chaos, "a").is_err()).count();
    assert!((800..1_200).contains(&failed), "{failed} of 4000 at 0.25");
    assert_eq!(chaos.counts().errors, failed as u64);
    chaos.set_errors(0.0);
    assert!((0..1_000).all(|_| get(&chaos, "a").is_ok()));
    chaos.set_errors(1.0);
    assert!((0..1_000).all(|_| get(&chaos, "a").is_err()));
    for wrong in [-0.1, 1.1, f64::NAN] {
        let refused = catch_unwind(AssertUnwindSafe(|| chaos.set_stalls(wrong))).unwrap_err();
        let message = refused.downcast_ref::<String>().unwrap();
        assert!(message.contains("stalls") && message.contains("from 0 to 1"), "{message}");
    }
}

#[test]
fn who_gets_an_error_does_not_know_whether_it_took_effect() {
    let chaos = chaos().errors(1.0);
    for n in 0..100 {
        let error = set(&chaos, &n.to_string(), b"v").unwrap_err().to_string();
        let took_effect = chaos.inner().look(&n.to_string()).is_some();
        assert_eq!(error.contains("after it had taken effect"), took_effect, "{error}");
    }
    assert!((25..75).contains(&chaos.inner().len()), "{} of 100", chaos.inner().len());
}

#[test]
fn a_stall_lasts_until_healed() {
    let chaos = chaos().stalls(1.0);
    let other = chaos.clone();
    let params = Params::new();
    let mut stalled: Vec<_> =
        (0..20).map(|n| (n, Driven::new(chaos.set(["a", "b"][n % 2], b"v", &params)))).collect();
    stalled.iter_mut().for_each(|(_, set)| set.pends());
    stalled.iter_mut().for_each(|(_, set)| set.pends());
    assert_eq!((other.stalled(), other.counts().stalls), (20, 20));

    stalled.pop().unwrap().1.cancel();
    assert_eq!(other.stalled(), 19);

    other.heal();
    for (_, set) in &mut stalled {
        assert!(set.is_woken());
        set.ready().unwrap();
    }
    assert_eq!(other.stalled(), 0);
    set(&chaos, "c", b"v").unwrap();

    other.break_again();
    Driven::new(chaos.get("c")).pends();
}

#[test]
fn a_delay_is_as_long_as_asked_for() {
    let clock = ManualClock::new();
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(4));
    let chaos = chaos().with_clock(&clock).delays(1.0, least..=most);
    for _ in 0..100 {
        let mut asked = Driven::new(chaos.get("a"));
        asked.pends();
        clock.advance(least - Duration::from_nanos(1));
        asked.pends();
        clock.advance(most - least + Duration::from_nanos(1));
        assert!(asked.is_woken());
        assert_eq!(asked.ready().unwrap(), None);
    }
    assert_eq!((chaos.counts().delays, chaos.counts().faults()), (100, 0));
}

#[test]
fn a_delay_needs_no_runtime() {
    let chaos = chaos().delays(1.0, Duration::from_micros(1)..=Duration::from_millis(1));
    set(&chaos, "a", b"1").unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_panic_says_whose_it_is() {
    let chaos = chaos().panics(1.0);
    let panic = catch_unwind(AssertUnwindSafe(|| get(&chaos, "a"))).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().starts_with("Chaos: this Get was made to"));
    assert_eq!(chaos.counts().panics, 1);
    chaos.heal();
    assert_eq!(get(&chaos, "a").unwrap(), None);
}

#[test]
fn corruption_is_never_a_value_of_the_key() {
    let values: [&[u8]; 5] = [b"", b"x", b"xy", b"other", &[7; 300]];
    let mut lengths = BTreeSet::new();
    for seed in 0..40 {
        let chaos = chaos().seed(seed).corruption(1.0);
        set(&chaos, "other", b"other's").unwrap();
        set(&chaos, "twin", b"x").unwrap();
        for value in values {
            set(&chaos, "a", value).unwrap();
            for _ in 0..10 {
                let given = get(&chaos, "a").unwrap().expect("something");
                assert_ne!(given, value, "seed {seed}");
                lengths.insert((value.len(), given.len()));
            }
        }
        assert_eq!(chaos.counts().corrupted, 50);
        // Also where there is nothing: only another key's value can be given then.
        let lie = get(&chaos, "nothing").unwrap();
        assert!([&b"other's"[..], b"x", &[7; 300]].contains(&&*lie.unwrap()), "seed {seed}");
    }
    let of_long = |length| lengths.contains(&(300, length));
    assert!(of_long(300) && of_long(7) && lengths.len() > 50, "of every kind: {lengths:?}");
}

#[test]
fn corruption_is_no_old_value_either() {
    for seed in 0..100 {
        let chaos = chaos().seed(seed).corruption(1.0);
        set(&chaos, "other", b"other's").unwrap();
        set(&chaos, "twin", &[1]).unwrap();
        // One bit apart.
        for byte in [1, 2, 4, 0] {
            set(&chaos, "a", &[byte]).unwrap();
        }
        for _ in 0..10 {
            let given = get(&chaos, "a").unwrap().expect("something");
            assert!(![[0], [1], [2], [4]].iter().any(|old| given == old), "seed {seed}: {given:?}");
        }
        remove(&chaos, &["a"]).unwrap();
        set(&chaos, "twin", &[2]).unwrap();
        assert_eq!(get(&chaos, "a").unwrap(), Some(b"other's".to_vec()), "seed {seed}");
    }
}

#[test]
fn an_old_value_was_the_keys_own() {
    let chaos = chaos().old_values(1.0);
    set(&chaos, "a", b"1").unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"1".to_vec()), "there is no older one");
    assert_eq!(chaos.counts().old_values, 0);
    set(&chaos, "a", b"2").unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"1".to_vec()));
    remove(&chaos, &["a"]).unwrap();
    let back = get(&chaos, "a").unwrap().expect("it is back");
    assert!(back == b"1" || back == b"2");
    assert_eq!(chaos.counts().old_values, 2);
}

#[test]
fn lost_sets_and_removes_say_ok() {
    let chaos = chaos().lost_sets(1.0);
    set(&chaos, "a", b"1").unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), None);
    chaos.set_lost_sets(0.0);
    chaos.set_lost_removes(1.0);
    set(&chaos, "a", b"1").unwrap();
    remove(&chaos, &["a"]).unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"1".to_vec()));
    assert_eq!((chaos.counts().lost_sets, chaos.counts().lost_removes), (1, 1));
    // Who fails tells no lies.
    chaos.set_lost_sets(1.0);
    chaos.set_errors(1.0);
    (0..20).for_each(|n| drop(set(&chaos, &n.to_string(), b"1").unwrap_err()));
    assert_eq!(chaos.counts().lost_sets, 1);
    assert!(chaos.inner().len() > 3, "some took effect");
}

#[test]
fn a_late_set_comes_behind_the_removal_that_was_to_forget_it() {
    let chaos = chaos().late_sets(1.0);
    set(&chaos, "a", b"1").unwrap();
    assert_eq!(chaos.inner().len(), 0);
    remove(&chaos, &["a"]).unwrap();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"1".to_vec()));

    // Or some operations later, whatever they are.
    set(&chaos, "b", b"2").unwrap();
    let waited = (0..20).position(|_| get(&chaos, "b").unwrap().is_some()).expect("it comes");
    assert!(waited <= 16, "{waited}");
    assert_eq!(chaos.counts().late_sets, 2);

    // Healed, what is still to come comes first.
    set(&chaos, "a", b"3").unwrap();
    chaos.heal();
    assert_eq!(get(&chaos, "a").unwrap(), Some(b"3".to_vec()));
}

#[test]
fn only_the_operations_named_are_struck() {
    let chaos = chaos().errors(1.0).only(&[Operation::Remove]);
    set(&chaos, "a", b"1").unwrap();
    assert!(get(&chaos, "a").unwrap().is_some());
    remove(&chaos, &["a"]).unwrap_err();
    chaos.set_only(&[]);
    get(&chaos, "a").unwrap_err();
}

#[test]
fn it_prints_its_seed() {
    let text = format!("{:?}", chaos().seed(1234).errors(0.5));
    assert!(text.contains("seed: 1234") && text.contains("errors: 0.5"), "{text}");
}
