//! A hasher of the user's: it decides nothing but speed.

use crate::storages::Storage;
use gecaso::{Cache, MemoryStorage};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Numbers are their own hashes; everything else is zero.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[test]
fn keys_are_told_apart_by_any_hasher() {
    for storage in Storage::each(4_096) {
        let hasher = BuildHasherDefault::<AsItIs>::default;
        let numbers: Cache<u64, u64> = storage.builder().hasher(hasher()).build();
        // All of one hash.
        let texts: Cache<String, usize> = storage.builder().hasher(hasher()).build();
        for key in 0..500 {
            numbers.insert(key, key * 2);
            assert_eq!(texts.get_with(&key.to_string(), || key as usize), key as usize);
        }
        for key in 0..500 {
            assert_eq!(numbers.get(&key), Some(key * 2), "{storage:?}");
            assert_eq!(texts.get(key.to_string().as_str()), Some(key as usize));
            numbers.invalidate(&key);
            assert_eq!(numbers.peek(&key), None);
        }
        assert_eq!((numbers.len(), texts.len()), (0, 500));
    }
}

#[test]
fn the_hasher_that_was_given_is_the_one_that_hashes() {
    #[derive(Clone)]
    struct Counting(Arc<AtomicUsize>);
    impl BuildHasher for Counting {
        type Hasher = AsItIs;
        fn build_hasher(&self) -> AsItIs {
            self.0.fetch_add(1, SeqCst);
            AsItIs::default()
        }
    }
    let built = Arc::new(AtomicUsize::new(0));
    let cache: Cache<u64, u64> = Cache::builder().hasher(Counting(built.clone())).build();
    cache.get_with(&1, || 1);
    cache.get_with(&1, || 1);
    assert_eq!(built.load(SeqCst), 2, "once a call");
}

/// Numbers in a row, as they are, use all shards and buckets alike: hashes are mixed.
#[test]
fn a_poor_hasher_does_not_spoil_the_storage() {
    let storage = MemoryStorage::bounded(8_192);
    let cache: Cache<u64, u64> =
        Cache::builder().storage(&storage).hasher(BuildHasherDefault::<AsItIs>::default()).build();
    for key in 0..20_000_u64 {
        cache.insert(key << 40, key);
    }
    assert_eq!(storage.len(), 8_192);
    let recent = (15_000..20_000_u64).filter(|key| cache.peek(&(key << 40)).is_some()).count();
    assert!(recent > 100, "{recent} of the last 5000");
}
