"""gecaso caches the results of any function, sync or async, in any storage, in one line.

    import gecaso

    @gecaso.cached(gecaso.LRUStorage(maxsize=16), ttl=100)
    def long_and_boring_function(time_to_sleep):
        return f'I have slept for {time_to_sleep} second(s)!'

One body runs per key at a time, and those who come meanwhile share its result. What was loaded
before an invalidation is never given to a call that starts after it.
"""

from gecaso._cached import Cached, cached
from gecaso._functools import cache, lru_cache
from gecaso._gecaso import PickleCodec, UnpackError, __version__, pack, unpack
from gecaso._info import CacheInfo, Stats
from gecaso._receipt import Receipt
from gecaso._storages import BaseStorage, LRUStorage, MemoryStorage

__all__ = [
    "BaseStorage",
    "CacheInfo",
    "Cached",
    "LRUStorage",
    "MemoryStorage",
    "PickleCodec",
    "Receipt",
    "Stats",
    "UnpackError",
    "__version__",
    "cache",
    "cached",
    "lru_cache",
    "pack",
    "unpack",
]
