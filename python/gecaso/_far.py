"""Functions over storages that users wrote: the steps of a load, inside a flight of the core.

The storage gets values as they are. It may fail, stall or be out of reach: then the call runs its
body, and the storage is left alone for a while. What is told it here is told in order: a load that
began before an invalidation may still write, so until that write has ended and been undone, this
process does not believe the storage about that key.
"""

import collections
import contextlib
import contextvars
import functools
import threading
import time
import warnings
from asyncio import CancelledError, current_task
from asyncio.events import _get_running_loop

from gecaso import _forks, _gecaso, _loops
from gecaso._receipt import Receipt

_NONE = {}

FAILURES = 5
"""After so many failures in a row a storage is left alone."""
PAUSE = 1.0
"""For so many seconds."""
MOST_KNOWN = 10_000
"""Keys that are remembered, so that `cache_clear` can remove them."""
AT_ONCE = 500
"""Keys that one `remove` is given."""
MOST_OWED = 10_000
"""Removals that are repeated later; beyond them nothing in the storage is believed."""


class Part:
    """One function's part of a storage."""

    def __init__(self, storage, name, version, hash_key, params, is_async, deadline, loop):
        self.storage = storage
        self.name = name
        self.version = version
        # The key of a call in the storage, of the canonical bytes of its arguments.
        self.key = _gecaso._Keys(name, version, hash_key).of
        self.params = params
        self.is_async = is_async
        self.deadline = deadline
        self.loop = loop
        # Set with the function: the canonical bytes of a call's arguments.
        self.arguments_of = None
        self.errors = self.hits = self.sets = 0
        self._waits = False
        # In the loop that was last seen.
        self._late = None
        # A collection or a signal may run anything while it is held, in the thread that holds it.
        self._lock = threading.RLock()
        self._loads = collections.defaultdict(set)
        # Keys about which the storage is not believed: how many writes are under way.
        self._doubtful = collections.Counter()
        # Keys to be removed, and by which change.
        self._owed = {}
        self._changes = 0
        self._tasks = set()
        self._known = {}
        # After a clear: the keys that the storage is believed about, because they came later.
        self._since_clear = None
        self._failures = 0
        self._closed_until = 0.0
        self._warned = False
        # Whether this context is inside of the storage now.
        self._asking = contextvars.ContextVar("gecaso._asking", default=False)
        _forks.renew_after(self)

    def _after_fork(self):
        """The threads of the other process are not here; what it owes, it pays."""
        self._lock = threading.RLock()
        self._loads.clear()
        self._doubtful = collections.Counter(dict.fromkeys(self._owed, 1))

    # What is asked of the storage.

    async def _ask(self, operation, args, params=_NONE):
        """Does something with the storage, wherever this function's calls run."""
        if not self.is_async:
            return self._ask_here(operation, args, params)
        asking = self._asking.set(True)
        try:
            loop = _get_running_loop()
            if loop is not None:
                late = self._late
                if late is None or late.loop() is not loop:
                    late = self._late_in(loop)
                task = current_task(loop)
                late.begin(task)
                try:
                    answer = await (operation(*args, **params) if params else operation(*args))
                except CancelledError:
                    if late.has_ended(task):
                        raise self._timed_out() from None
                    raise
                finally:
                    late.end(task)
            elif _in_trio():
                answer = await operation(*args, **params)
            else:
                answer = self._ask_now(operation, args, params)
        except KeyError:
            self._failures = 0
            raise
        except Exception as error:
            self._failed(operation, error)
            raise
        finally:
            self._asking.reset(asking)
        self._failures = 0
        return answer

    def _late_in(self, loop):
        self._late = _loops.Late(loop, self.deadline)
        return self._late

    def _timed_out(self):
        return TimeoutError(f"no answer within {self.deadline:g} s")

    def _ask_here(self, operation, args, params=_NONE):
        """The same for a function whose calls cannot wait."""
        asking = self._asking.set(True)
        try:
            answer = self._ask_now(operation, args, params)
        except KeyError:
            self._failures = 0
            raise
        except Exception as error:
            self._failed(operation, error)
            raise
        finally:
            self._asking.reset(asking)
        self._failures = 0
        return answer

    def _ask_now(self, operation, args, params):
        """The same where there is no loop to wait in."""
        if not self._waits:
            try:
                return _loops.step(operation(*args, **params) if params else operation(*args))
            except _loops.Waits:
                self._waits = True
        make = functools.partial(operation, *args, **params)
        return _loops.in_background(make, self.deadline, self.loop)

    def _failed(self, operation, error):
        self.errors += 1
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_until = time.monotonic() + PAUSE
        if not self._warned:
            self._warned = True
            text = f"{self.name}: {operation.__qualname__} failed, and calls go on without: "
            warnings.warn(f"{text}{type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    def _is_open(self):
        """Whether the storage is left alone for now."""
        return self._failures >= FAILURES and time.monotonic() < self._closed_until

    # The steps of a load.

    async def load(self, arguments, function, args, kwargs):
        """What the storage has, or what the function brings."""
        if self._asking.get():
            # The storage itself has called the function.
            return await function(*args, **kwargs)
        key = self.key(arguments)
        believed = not (self._failures and self._is_open())
        calm = self._since_clear is None and not self._doubtful
        if believed and (calm or await self._settled(key)):
            loop = _get_running_loop()
            try:
                if loop is None:
                    value = await self._ask(self.storage.get, (key,))
                else:
                    # As `_ask`, without a coroutine more: most calls that find something.
                    late = self._late
                    if late is None or late.loop() is not loop:
                        late = self._late_in(loop)
                    task, asking = current_task(loop), self._asking.set(True)
                    try:
                        late.begin(task)
                        value = await self.storage.get(key)
                    except CancelledError:
                        if late.has_ended(task):
                            raise self._timed_out() from None
                        raise
                    finally:
                        late.end(task)
                        self._asking.reset(asking)
            except KeyError:
                self._failures = 0
            except Exception as error:
                if loop is not None:
                    with contextlib.suppress(Exception):  # a warning may be made an error
                        self._failed(self.storage.get, error)
            else:
                self._failures = 0
                self.hits += 1
                if key not in self._known:
                    self._know(key)
                return value
        load = self._begin(key)
        try:
            begun, clock = time.time_ns(), time.perf_counter_ns()
            value = await function(*args, **kwargs)
            took = time.perf_counter_ns() - clock
            if believed and not self._is_open():
                await self._store(load, key, arguments, value, begun, took)
            return value
        finally:
            self._end(key, load)

    def load_here(self, arguments, function, args, kwargs):
        """The same for a function that cannot wait."""
        if self._asking.get():
            return function(*args, **kwargs)
        key = self.key(arguments)
        believed = not (self._failures and self._is_open())
        if believed and (self._is_calm() or _loops.step(self._settled(key))):
            try:
                value = self._ask_here(self.storage.get, (key,))
            except Exception:
                pass
            else:
                self._found(key)
                return value
        load = self._begin(key)
        try:
            begun, clock = time.time_ns(), time.perf_counter_ns()
            value = function(*args, **kwargs)
            took = time.perf_counter_ns() - clock
            if believed and not self._is_open():
                _loops.step(self._store(load, key, arguments, value, begun, took))
            return value
        finally:
            self._end(key, load)

    def _found(self, key):
        self.hits += 1
        if key not in self._known:
            self._know(key)

    def _begin(self, key):
        """From here on a change from the side makes the load invalid: its body may have begun."""
        load = _Load()
        with self._lock:
            self._loads[key].add(load)
        return load

    def _end(self, key, load):
        with self._lock:
            loads = self._loads[key]
            loads.discard(load)
            if not loads:
                del self._loads[key]

    async def _store(self, load, key, arguments, value, begun, took):
        with self._lock:
            if not load.is_valid:
                return
            self._doubtful[key] += 1
        try:
            await self._set(key, arguments, value, begun, took)
        except Exception:
            pass
        else:
            self._came(key, load)
        finally:
            # The removal that came meanwhile may have been overtaken by this write.
            if not load.is_valid:
                await self._remove(key)
            self._believe(key)

    def _know(self, key):
        """Remembers a key that is in the storage."""
        with self._lock:
            self._known[key] = None
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def _came(self, key, load=None):
        """An entry has come into the storage; after a clear it may be believed."""
        self._know(key)
        with self._lock:
            cleared = self._since_clear
            if cleared is not None and len(cleared) < MOST_KNOWN:
                if load is None or load.is_valid:
                    cleared.add(key)

    async def _set(self, key, arguments, value, begun, took):
        sealing = _gecaso._sealing(self.name, self.version, arguments, value, begun, took)
        with sealing:
            await self._ask(self.storage.set, (key, value), self.params)
        self.sets += 1

    def _owe(self, key):
        """From now on the storage is not believed about a key, until a removal that begins later
        has succeeded. Under the lock."""
        if key not in self._owed:
            self._doubtful[key] += 1
        self._changes += 1
        self._owed[key] = self._changes

    def _paid(self, key, change):
        """What was owed since that change is paid, unless there was another one. Under the lock."""
        if change is not None and self._owed.get(key) == change:
            del self._owed[key]
            self._less_doubtful(key)

    def _less_doubtful(self, key):
        self._doubtful[key] -= 1
        if not self._doubtful[key]:
            del self._doubtful[key]

    async def _remove(self, *keys):
        """Removes keys; the error if they could not be, which are then owed."""
        with self._lock:
            changes = [self._owed.get(key) for key in keys]
        try:
            if self._is_open():
                raise ConnectionError("it has failed too often and was not asked")
            await self._ask(self.storage.remove, keys)
        except BaseException as error:
            with self._lock:
                for key in keys:
                    self._owe(key)
            if not isinstance(error, Exception):
                raise  # a cancellation: nobody knows how far it came
            return error
        with self._lock:
            for key, change in zip(keys, changes, strict=True):
                self._paid(key, change)
        return None

    def _believe(self, key):
        with self._lock:
            self._less_doubtful(key)

    def _is_calm(self):
        """Whether the storage is believed about every key."""
        return self._since_clear is None and not self._doubtful

    async def _settled(self, key):
        """Whether the storage is believed about a key; pays what is owed first."""
        if self._since_clear is not None and key not in self._since_clear:
            return False
        if not self._doubtful:
            return True
        if key in self._owed:
            await self._remove(key)
        with self._lock:
            return len(self._owed) <= MOST_OWED and key not in self._doubtful

    # What comes from the side.

    def _begin_change(self, key):
        """Loads that run now are not valid any more, and the storage is not believed. What is to
        be told it may be cancelled, or never begin: so the key is owed first."""
        with self._lock:
            for load in tuple(self._loads.get(key, ())):
                load.is_valid = False
            self._owe(key)
            return self._owed[key]

    def invalidate(self, arguments):
        """Removes an entry; loads that run now are not believed afterwards."""
        key = self.key(arguments)
        self._begin_change(key)
        return self._tell(lambda: self._remove(key))

    def insert(self, arguments, value):
        """Puts an entry in."""
        key = self.key(arguments)
        change = self._begin_change(key)

        async def put():
            try:
                await self._set(key, arguments, value, time.time_ns(), 0)
            except Exception as error:
                # What is there now is not right any more.
                await self._remove(key)
                return error
            self._came(key)
            with self._lock:
                self._paid(key, change)

        return self._tell(put)

    def clear(self):
        """Forgets every entry. Those that this process knows of are removed; of others the storage
        is not believed any more, until they have been written anew."""
        with self._lock:
            for loads in tuple(self._loads.values()):
                for load in tuple(loads):
                    load.is_valid = False
            self._since_clear = set()
            keys, self._known = list(self._known), {}

        async def remove():
            errors = [
                await self._remove(*keys[at : at + AT_ONCE]) for at in range(0, len(keys), AT_ONCE)
            ]
            return next((error for error in errors if error is not None), None)

        return self._tell(remove)

    def _tell(self, change):
        """Does `change()` with the storage: at once, or in the running loop."""
        loop = _get_running_loop()
        if self.is_async and loop is not None:
            task = loop.create_task(change())
            # A loop does not keep its tasks, and a receipt may be dropped.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return Receipt(task=task)
        if self.is_async:
            try:
                return Receipt(error=_loops.step(change()))
            except _loops.Waits:
                return Receipt(error=_loops.in_background(change, self.deadline, self.loop))
        return Receipt(error=_loops.step(change()))


class _Load:
    """A load under way."""

    __slots__ = ("is_valid",)

    def __init__(self):
        self.is_valid = True


def _in_trio():
    import sys

    if "trio" not in sys.modules:
        return False
    import trio

    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return False
    return True
