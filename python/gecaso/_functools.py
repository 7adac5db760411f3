"""Drop-ins for `functools.lru_cache` and `functools.cache`."""

import functools

from gecaso import _gecaso
from gecaso._info import CacheInfo


class LruCached(_gecaso.LruCache):
    """A function under `lru_cache`. It is called as the function itself is."""

    __slots__ = ()

    def cache_info(self):
        """Hits, misses, bound and size."""
        hits, misses, size = self._counts()
        return CacheInfo(hits, misses, self._maxsize, size)

    def cache_clear(self):
        """Forgets every result and every count."""
        self._clear()

    def __reduce__(self):
        return self.__qualname__

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


_gecaso.install_lru_cache(LruCached)


def lru_cache(maxsize=128, typed=False):
    """`functools.lru_cache`, with its semantics: keys are the arguments as they are given, and
    bodies of one key may run side by side. For more than that there is `gecaso.cached`."""
    if isinstance(maxsize, int):
        maxsize = max(maxsize, 0)
    elif callable(maxsize) and isinstance(typed, bool):
        function, maxsize = maxsize, 128
        return _wrapped(function, maxsize, typed)
    elif maxsize is not None:
        raise TypeError("Expected first argument to be an integer, a callable, or None")

    def decorate(function):
        return _wrapped(function, maxsize, typed)

    return decorate


def cache(user_function, /):
    """`functools.cache`: keeps everything."""
    return lru_cache(maxsize=None)(user_function)


def _wrapped(function, maxsize, typed):
    if not callable(function):
        raise TypeError("the first argument must be callable")
    wrapped = LruCached(function, maxsize, bool(typed))
    functools.update_wrapper(wrapped, function)
    wrapped.__dict__["_maxsize"] = maxsize
    wrapped.__dict__["cache_parameters"] = lambda: {"maxsize": maxsize, "typed": typed}
    return wrapped
