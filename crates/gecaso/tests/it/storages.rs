//! Every storage of this process as one type, for tests that hold on all of them.

use gecaso::{Cache, CacheBuilder, LruStorage, ManualClock, MemoryStorage, NearKey, Value};

#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Memory(MemoryStorage),
    Lru(LruStorage),
}

impl Storage {
    /// One of each kind.
    pub(crate) fn each(capacity: usize) -> [Storage; 2] {
        [Storage::Memory(MemoryStorage::bounded(capacity)), Storage::Lru(LruStorage::new(capacity))]
    }

    /// One of each kind, on a clock.
    pub(crate) fn each_on(clock: &ManualClock, capacity: usize) -> [Storage; 2] {
        [
            Storage::Memory(MemoryStorage::bounded(capacity).with_clock(clock)),
            Storage::Lru(LruStorage::new(capacity).with_clock(clock)),
        ]
    }

    pub(crate) fn builder<K: NearKey, V: Value>(&self) -> CacheBuilder<K, V> {
        match self {
            Storage::Memory(storage) => Cache::builder().storage(storage),
            Storage::Lru(storage) => Cache::builder().storage(storage),
        }
    }

    pub(crate) fn cache<K: NearKey, V: Value>(&self) -> Cache<K, V> {
        self.builder().build()
    }

    pub(crate) fn reclaim(&self) -> usize {
        match self {
            Storage::Memory(storage) => storage.reclaim(),
            Storage::Lru(storage) => storage.reclaim(),
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Storage::Memory(storage) => storage.weight(),
            Storage::Lru(storage) => storage.weight(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Storage::Memory(storage) => storage.len(),
            Storage::Lru(storage) => storage.len(),
        }
    }
}
