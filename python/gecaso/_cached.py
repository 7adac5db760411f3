"""The decorator: what its words mean, and what a decorated function can do."""

import asyncio
import copy as copying
import difflib
import functools
import inspect
import types

from gecaso import _far, _forks, _gecaso, _lifetimes, _storages
from gecaso._info import CacheInfo, Stats
from gecaso._receipt import Receipt

WORDS = ("_loop", "_hash_key", "_key", "_skip", "_name", "_version", "_copy", "_deadline")


class Cached(_gecaso.Function):
    """A decorated function. It is called as the function itself is."""

    __slots__ = ()

    def invalidate(self, *args, **kwargs):
        """Forgets the result of a call. Calls from now on run the function anew, and what runs now
        is not kept."""
        part = self._part
        if part is not None:
            # The storage is not believed before the flights of this process are superseded.
            receipt = part.invalidate(part.arguments_of(args, kwargs))
            self._invalidate(args, kwargs)
            return receipt
        self._invalidate(args, kwargs)
        return Receipt()

    def insert(self, value, /, *args, **kwargs):
        """Keeps `value` as the result of a call."""
        part = self._part
        if part is not None:
            receipt = part.insert(part.arguments_of(args, kwargs), value)
            self._invalidate(args, kwargs)
            return receipt
        self._insert(value, args, kwargs)
        return Receipt()

    def refresh(self, *args, **kwargs):
        """Runs the function now and keeps its result; until then callers get the old one. Of an
        asynchronous function: something to await."""
        if self._part is not None:
            return self._refresh_far(args, kwargs)
        return self._refresh(args, kwargs)

    def _refresh_far(self, args, kwargs):
        if self._is_async:

            async def refreshed():
                value = await self.__wrapped__(*args, **kwargs)
                await self.insert(value, *args, **kwargs)
                return value

            return refreshed()
        value = self.__wrapped__(*args, **kwargs)
        self.insert(value, *args, **kwargs)
        return value

    def peek(self, *args, **kwargs):
        """The result that is kept for a call, without running the function, counting, or changing
        what is evicted next; raises KeyError if there is none. Only over storages in this
        process."""
        if self._part is not None:
            raise TypeError(
                "peek() looks into this process only: ask the storage itself, by "
                "storage.get(function.key(...))"
            )
        found = self._peek(args, kwargs)
        if found is None:
            raise KeyError(self.key(*args, **kwargs))
        return found[0]

    def key(self, *args, **kwargs):
        """The key of a call in storages outside of this process: 65 symbols, or readable with
        _hash_key=False."""
        if self._part is not None:
            return self._part.key(self._part.arguments_of(args, kwargs))
        parts = _parts(self, self._words.get("_key"), args, kwargs)
        arguments = _gecaso._encode_arguments(parts, self._names)
        return _gecaso._storage_key(self._name, self._version, arguments, self._hash_key)

    def stats(self):
        """How the cache has done so far."""
        stats = Stats(*self._stats())
        part = self._part
        if part is None:
            return stats
        hits = stats.hits + part.hits
        return stats._replace(
            hits=hits, misses=stats.misses - part.hits, loads=stats.loads - part.hits
        )

    def cache_info(self):
        """Hits, misses, bound and size, as functools names them."""
        stats = self.stats()
        maxsize = getattr(self._storage, "maxsize", None)
        return CacheInfo(stats.hits, stats.misses, maxsize, stats.entries)

    def cache_clear(self):
        """Forgets every result of this function; others on the same storage keep theirs."""
        receipt = self._part.clear() if self._part is not None else Receipt()
        self._clear()
        return receipt

    clear = cache_clear

    def cache_parameters(self):
        """How the function was decorated."""
        return {"maxsize": getattr(self._storage, "maxsize", None), "typed": True, **self._words}

    def __repr__(self):
        return f"<gecaso.cached {self.__wrapped__!r}>"

    def __reduce__(self):
        return self.__qualname__

    # For annotations: Cached[[int], str] is a function of an int that returns a str.
    __class_getitem__ = classmethod(types.GenericAlias)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


_gecaso.install(Cached)


def cached(cache_storage=None, _loop=None, _hash_key=True, *, loop=None, **params):
    """Keeps the results of a function, sync or async, in `cache_storage`.

    `cache_storage` is an instance of a BaseStorage; by default a MemoryStorage of its own. Words
    with a leading underscore are the decorator's own:

    - `_hash_key=False`: readable keys, not those of 65 symbols
    - `_key`: a function of the arguments that returns what calls are told apart by
    - `_skip`: names of parameters that calls are not told apart by
    - `_name`, `_version`: what entries are found by, in place of module and qualified name
    - `_copy=True`: everybody gets a deep copy of their own (or `_copy=function`)
    - `_deadline`: seconds that a storage of your own may take
    - `_loop` (or `loop`): where a storage that waits is driven for synchronous functions, if that
      loop runs in another thread

    Every other word reaches each `set` of the storage as it is; storages of gecaso know `ttl`:
    seconds, a timedelta or a text such as "1h 30m".
    """
    if isinstance(cache_storage, types.FunctionType):
        return cached()(cache_storage)  # `@gecaso.cached`, nothing more
    storage = _storages.MemoryStorage() if cache_storage is None else cache_storage
    if not isinstance(storage, _storages.BaseStorage):
        what = "a class: give it an instance" if isinstance(storage, type) else repr(storage)
        raise ValueError(
            f"cached() takes an instance of a class derived from BaseStorage, not {what}"
        )
    loop = loop if loop is not None else _loop
    if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
        raise TypeError(f"loop must be an event loop, not {loop!r}")
    own, params = _split(params)
    near = _storages.near_of(storage)
    ttl = None
    if near is not None:
        unknown = [word for word in params if word != "ttl"]
        if unknown:
            raise TypeError(
                f"{type(storage).__name__} knows no parameter {unknown[0]!r}; it knows: ttl"
            )
        if params.get("ttl") is not None:
            ttl = float(_lifetimes.seconds(params["ttl"]))
    words = {**own, **params, "_hash_key": _hash_key}

    def decorate(function):
        return _decorated(function, storage, near, ttl, loop, bool(_hash_key), own, params, words)

    return decorate


def _split(params):
    """The decorator's words and the storage's parameters."""
    own = {}
    for word in [word for word in params if word.startswith("_")]:
        if word not in WORDS:
            close = difflib.get_close_matches(word, WORDS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it knows: {', '.join(WORDS)}"
            raise TypeError(f"cached() knows no word {word!r}{hint}")
        own[word] = params.pop(word)
    if own.get("_key") is not None and not callable(own["_key"]):
        raise TypeError("_key is a function of the arguments that returns the key")
    if own.get("_key") is not None and own.get("_skip"):
        raise TypeError("_key makes the whole key: _skip beside it does nothing")
    if isinstance(own.get("_skip"), str):
        own["_skip"] = (own["_skip"],)
    version = own.get("_version", 0)
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**32:
        raise TypeError(f"_version is a number from 0 to 2**32 - 1, not {version!r}")
    if not isinstance(own.get("_name", ""), str):
        raise TypeError(f"_name is a text, not {own['_name']!r}")
    if own.get("_name") == "":
        raise ValueError("_name cannot be empty")
    return own, params


def _decorated(function, storage, near, ttl, loop, hash_key, own, params, words):
    if isinstance(function, (classmethod, staticmethod, property)):
        kind = type(function).__name__
        raise TypeError(f"put @{kind} above @gecaso.cached(..), not below it")
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"cached() decorates functions, not {function!r}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{function!r} is a generator, which can be gone through only once: return a list or "
            "a tuple"
        )
    is_async = inspect.iscoroutinefunction(function)
    name = own.get("_name") or _name_of(function)
    version = own.get("_version", 0)
    part, body = None, function
    if near is None:
        near = _gecaso.Near(0, False)
        deadline = _lifetimes.seconds(own.get("_deadline", 5.0), "_deadline")
        part = _far.Part(storage, name, version, hash_key, params, is_async, deadline, loop)
        body = _through(part, function, is_async)
    copy = own.get("_copy") or None
    signature = _signature(function, own.get("_skip") or ())
    names = [name for name, _, skipped in signature["parameters"] if not skipped]
    cached_function = Cached(
        body,
        near,
        **signature,
        make_key=own.get("_key"),
        # What is one call there is one flight here, whatever Python's `==` says.
        encoded=None if part is None else names,
        copy=copying.deepcopy if copy is True else copy,
        ttl=ttl,
        is_async=is_async,
    )
    if part is not None:
        part.arguments_of = cached_function._encode
    functools.update_wrapper(cached_function, function)
    _forks.renew_after(cached_function)
    attributes = cached_function.__dict__
    attributes["_part"] = part
    attributes["_storage"] = storage
    attributes["_is_async"] = is_async
    attributes["_name"] = name
    attributes["_version"] = version
    attributes["_hash_key"] = hash_key
    attributes["_names"] = names
    attributes["_words"] = words
    if is_async:
        _mark_as_coroutine_function(attributes, function)
    return cached_function


def _parts(cached_function, make_key, args, kwargs):
    """What a call is told apart by."""
    if make_key is not None:
        return (make_key(*args, **kwargs),)
    return cached_function._bind(args, kwargs)


def _name_of(function):
    module = getattr(function, "__module__", None) or "?"
    return f"{module}.{getattr(function, '__qualname__', None) or type(function).__qualname__}"


def _signature(function, skip):
    """The parameters of a function, as the core wants them."""
    described = {"parameters": [], "by_position_only": 0, "by_position": 0}
    described.update(rest=None, more=None)
    skip = set(skip)
    for name, parameter in inspect.signature(function).parameters.items():
        skipped = name in skip
        skip.discard(name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            described["rest"] = not skipped
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            described["more"] = not skipped
            continue
        default = None if parameter.default is parameter.empty else (parameter.default,)
        described["parameters"].append((name, default, skipped))
        if parameter.kind is parameter.POSITIONAL_ONLY:
            described["by_position_only"] += 1
        if parameter.kind is not parameter.KEYWORD_ONLY:
            described["by_position"] += 1
    if skip:
        raise TypeError(f"_skip names no parameter of the function: {', '.join(sorted(skip))}")
    return described


def _mark_as_coroutine_function(attributes, function):
    """Makes inspect and asyncio see a coroutine function, as it is one."""
    for name in ("__code__", "__defaults__", "__kwdefaults__"):
        if hasattr(function, name):
            attributes[name] = getattr(function, name)
    attributes.setdefault("__annotations__", getattr(function, "__annotations__", {}))
    for module, mark in ((asyncio.coroutines, "_is_coroutine"), (inspect, "_is_coroutine_mark")):
        if hasattr(module, mark):
            attributes[mark] = getattr(module, mark)


def _through(part, function, is_async):
    """The body of a function over a storage of users'. It is also given the key of the call."""
    load = part.load if is_async else part.load_here

    def through(arguments, /, *args, **kwargs):
        return load(arguments, function, args, kwargs)

    return functools.update_wrapper(through, function)
