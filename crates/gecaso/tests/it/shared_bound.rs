//! Functions that share a full storage: who goes when one of them stores.

use gecaso::{Cache, LruStorage, MemoryStorage};

/// A key that is foreign to gecaso: compared outside of the locks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Name(u32);

/// Replacing a value needs no place, so nobody loses one for it.
#[test]
fn a_replaced_value_pushes_nobody_out() {
    let storage = LruStorage::new(2);
    let numbers: Cache<u32, u32> = Cache::new(&storage);
    let names: Cache<Name, u32> = Cache::new(&storage);
    numbers.insert(1, 10);
    names.insert(Name(1), 10);
    for value in 11..20 {
        names.insert(Name(1), value);
        assert_eq!(names.refresh(&Name(1), || value + 100), value + 100);
        assert_eq!((numbers.peek(&1), storage.len()), (Some(10), 2));
    }
    numbers.insert(1, 20);
    assert_eq!((names.peek(&Name(1)), numbers.peek(&1)), (Some(119), Some(20)));
    let evictions = numbers.stats().evictions + names.stats().evictions;
    assert_eq!(evictions, 0);
}

/// A new entry takes the place of the oldest one, whosever that is.
#[test]
fn a_new_entry_pushes_the_oldest_out_whosever_it_is() {
    let storage = LruStorage::new(3);
    let numbers: Cache<u32, u32> = Cache::new(&storage);
    let names: Cache<Name, u32> = Cache::new(&storage);
    numbers.insert(1, 1);
    names.insert(Name(1), 1);
    numbers.insert(2, 2);
    assert_eq!(numbers.get(&1), Some(1)); // names' 1 is the oldest now
    numbers.insert(3, 3);
    assert_eq!((names.peek(&Name(1)), storage.len()), (None, 3));
    names.insert(Name(2), 2);
    assert_eq!(numbers.peek(&2), None, "then the one of numbers that was not asked for");
    assert_eq!((numbers.stats().evictions, names.stats().evictions), (1, 1));
}

/// The same for a storage in shards, where the oldest is told per shard.
#[test]
fn a_full_storage_stays_full_while_values_are_replaced() {
    let storage = MemoryStorage::bounded(1_000);
    let numbers: Cache<u32, u32> = Cache::new(&storage);
    let names: Cache<Name, u32> = Cache::new(&storage);
    for n in 0..500 {
        numbers.insert(n, n);
        names.insert(Name(n), n);
    }
    assert_eq!(storage.len(), 1_000);
    for n in 0..500 {
        names.insert(Name(n), n + 1);
        numbers.refresh(&n, || n + 1);
    }
    assert_eq!(storage.len(), 1_000);
    assert_eq!(numbers.stats().evictions + names.stats().evictions, 0);
    for n in 0..500 {
        assert_eq!((numbers.peek(&n), names.peek(&Name(n))), (Some(n + 1), Some(n + 1)));
    }
}
