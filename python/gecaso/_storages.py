"""Storages: what users write, and the two that are ready made."""

import abc
import collections
import threading
import time

from gecaso import _forks, _gecaso
from gecaso._lifetimes import seconds


class BaseStorage(abc.ABC):
    """What every storage inherits from: three asynchronous methods to write.

    `get(key)` returns the value and must raise KeyError if there is none. `set(key, value,
    **params)` keeps a value; `params` are the decorator's extra parameters. `remove(*keys)` removes
    the keys that are there.
    """

    @abc.abstractmethod
    async def get(self, key):
        """The value of a key; raises KeyError if there is none."""

    @abc.abstractmethod
    async def set(self, key, value, **params):
        """Keeps a value."""

    @abc.abstractmethod
    async def remove(self, *keys):
        """Removes the keys that are there."""


def _checked(maxsize):
    if maxsize is not None:
        if isinstance(maxsize, bool) or not isinstance(maxsize, int):
            raise TypeError(f"maxsize is a number of entries or None, not {maxsize!r}")
        if maxsize < 0:
            raise ValueError(f"maxsize cannot be negative: {maxsize}")
    return maxsize


def _absent(key):
    raise KeyError(key)


class _Native(BaseStorage):
    """A storage of the core, in this process."""

    _lru = False

    def _open(self, maxsize):
        self._near = _gecaso.Near(_checked(maxsize), self._lru)
        self._maxsize = maxsize
        self._own = None
        self._after_fork()
        _forks.renew_after(self)

    def _after_fork(self):
        # A collection or a signal may run anything while it is held, in the thread that holds it.
        self._lock = threading.RLock()

    @property
    def maxsize(self):
        """The most entries at any moment, of all functions together; None: no bound."""
        return self._maxsize

    def __len__(self):
        return len(self._near)

    def __repr__(self):
        return f"{type(self).__name__}(maxsize={self._maxsize})"

    def _entries(self):
        """What is kept under texts, beside the functions' own entries: values, and until when."""
        with self._lock:
            if self._own is None:
                self._own = _gecaso.Function(
                    _absent,
                    self._near,
                    parameters=[("key", None, False)],
                    by_position_only=1,
                    by_position=1,
                    rest=None,
                    more=None,
                    make_key=None,
                    encoded=None,
                    copy=None,
                    ttl=None,
                    is_async=False,
                )
            return self._own

    async def get(self, key):
        """The value that was set under a key; raises KeyError if there is none."""
        entries = self._entries()
        if not entries._peek((key,), None):
            raise KeyError(key)
        value, until = entries(key)  # is a use, which a look is not
        if until is not None and time.monotonic() >= until:
            raise KeyError(key)
        return value

    async def set(self, key, value, *, ttl=None):
        """Keeps a value, for `ttl` seconds if that is given."""
        ttl = None if ttl is None else seconds(ttl)
        if ttl == 0:
            self._entries()._invalidate((key,), None)
            return
        until = None if ttl is None else time.monotonic() + ttl
        self._entries()._insert((value, until), (key,), None)

    async def remove(self, *keys):
        """Removes the keys that are there."""
        for key in keys:
            self._entries()._invalidate((key,), None)


class MemoryStorage(_Native):
    """Keeps results in this process, by default the 10,000 that are worth most.

    A full storage keeps what is asked for again, and finds out while it runs what that is.
    `maxsize=None` keeps everything: only for functions with few different calls.
    """

    def __init__(self, maxsize=10_000):
        self._open(maxsize)


class LRUStorage(_Native):
    """Keeps the results that were used last, in this process or in any storage.

    LRUStorage(maxsize=16) keeps them here. LRUStorage(storage, maxsize=16) keeps them in `storage`,
    of which it knows the last 16 keys that it has seen, and removes the others.
    """

    _lru = True

    def __init__(self, storage=None, maxsize=128):
        self._storage = storage
        if storage is None:
            self._open(maxsize)
            return
        if not isinstance(storage, BaseStorage):
            raise ValueError(
                f"LRUStorage is put around an instance of a BaseStorage, not around {storage!r}"
            )
        if maxsize is None:
            raise ValueError("LRUStorage around a storage needs a maxsize")
        self._maxsize = _checked(maxsize)
        self._keys = collections.OrderedDict()
        self._after_fork()
        _forks.renew_after(self)

    def __len__(self):
        return len(self._keys) if self._storage is not None else super().__len__()

    def __repr__(self):
        if self._storage is None:
            return super().__repr__()
        return f"LRUStorage({self._storage!r}, maxsize={self._maxsize})"

    def _touch(self, key):
        """Makes a key the last one used; the keys that have to go."""
        gone = []
        with self._lock:
            self._keys.pop(key, None)
            self._keys[key] = None
            while len(self._keys) > self._maxsize:
                gone.append(self._keys.popitem(last=False)[0])
        return gone

    def _forget(self, *keys):
        with self._lock:
            for key in keys:
                self._keys.pop(key, None)

    async def get(self, key):
        """The value of a key; raises KeyError if there is none."""
        if self._storage is None:
            return await super().get(key)
        try:
            value = await self._storage.get(key)
        except KeyError:
            self._forget(key)
            raise
        if gone := self._touch(key):
            await self._storage.remove(*gone)
        return value

    async def set(self, key, value, **params):
        """Keeps a value, and removes the key that was used longest ago if there are too many."""
        if self._storage is None:
            return await super().set(key, value, **params)
        # Room is made first: there are never more than fit.
        if gone := self._touch(key):
            await self._storage.remove(*gone)
        if key not in gone:
            await self._storage.set(key, value, **params)

    async def remove(self, *keys):
        """Removes the keys that are there."""
        if self._storage is None:
            return await super().remove(*keys)
        self._forget(*keys)
        await self._storage.remove(*keys)


def near_of(storage):
    """The core's storage, if this is one of ours whose methods are still our own."""
    kind = type(storage)
    if not isinstance(storage, _Native) or getattr(storage, "_storage", None) is not None:
        return None
    if not hasattr(storage, "_near"):
        raise TypeError(f"{kind.__name__}.__init__ did not call super().__init__()")
    for name in ("get", "set", "remove"):
        if getattr(kind, name) not in (getattr(_Native, name), getattr(LRUStorage, name)):
            return None
    return storage._near
