"""Nothing is left behind by hits, misses, exceptions, cancellations and forgotten calls.

Counts the blocks that Python has allocated, and the memory of the process. `--soak` runs a million
of each.
"""

import asyncio
import contextlib
import gc
import sys

import pytest
from storages import Plain, Waiting

import gecaso
from gecaso import _far

FEW, MANY = 20_000, 1_000_000


def memory():
    """What the process holds, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def blocks():
    gc.collect()
    return sys.getallocatedblocks()


@pytest.fixture
def is_flat(soak, monkeypatch):
    """Runs something over and over, and asserts that it leaves nothing behind.

    One object a round, or one in ten of many rounds, is a leak; the interpreter's own caches and
    tables that grow by steps are not.
    """

    # What a function remembers of a storage is bounded: here by so little that it is full at once.
    monkeypatch.setattr(_far, "MOST_KNOWN", 20)

    def check(once, share=1.0):
        rounds = int((MANY if soak else FEW) * share)
        for _ in range(rounds // 4):
            once()
        before, held = blocks(), memory()
        for _ in range(rounds):
            once()
        grown = blocks() - before
        assert grown < min(300 + rounds / 10, 1000), f"{grown} blocks after {rounds} rounds"
        assert memory() - held < 8 << 20, f"{memory() - held} bytes after {rounds} rounds"

    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    return check


@pytest.fixture(params=["memory", "lru", "lru_cache", "plain"])
def decorate(request):
    return {
        "memory": gecaso.cached(gecaso.MemoryStorage(maxsize=50), ttl=100),
        "lru": gecaso.cached(gecaso.LRUStorage(maxsize=50)),
        "lru_cache": gecaso.lru_cache(maxsize=50),
        "plain": gecaso.cached(gecaso.LRUStorage(Plain(), maxsize=50)),
    }[request.param]


class Value:
    pass


def counter():
    number = 0
    while True:
        number += 1
        yield number


def test_hits(decorate, is_flat):
    f = decorate(lambda a, b=1, **more: Value())
    f(1), f("x", b=(1, 2))

    def once():
        f(1)
        f("x", b=(1, 2))

    is_flat(once)


def test_misses(decorate, is_flat):
    numbers = counter()
    f = decorate(lambda a, b=None: (Value(), a))

    def once():
        number = next(numbers)
        f(number)
        f(str(number), b=(number, 1.5))

    is_flat(once, 0.25)


def test_exceptions(decorate, is_flat):
    @decorate
    def f(x):
        raise ValueError(Value())

    def once():
        try:
            f(1)
        except ValueError:
            pass

    is_flat(once, 0.25)


def test_arguments_that_do_not_fit(decorate, is_flat):
    f = decorate(lambda a: a)

    def once():
        for args, kwargs in (((), {}), ((1, 2), {}), ((1,), {"b": 1}), (([],), {})):
            try:
                f(*args, **kwargs)
            except TypeError:
                pass

    is_flat(once, 0.02)


def test_handles(is_flat):
    f = gecaso.cached(gecaso.LRUStorage(maxsize=5))(lambda a: Value())
    numbers = counter()

    def once():
        number = next(numbers)
        f.insert(Value(), number)
        f.peek(number)
        f.refresh(number)
        f.key(number)
        f.stats(), f.cache_info()
        f.invalidate(number)
        f.cache_clear()

    is_flat(once, 0.25)


def test_functions(is_flat):
    def once():
        f = gecaso.cached(gecaso.MemoryStorage(), ttl=5)(lambda a: Value())
        f(1), f(2)

    is_flat(once, 0.05)


def test_instances(is_flat):
    class C:
        @gecaso.cached(gecaso.MemoryStorage())
        def method(self, x):
            return Value()

    shared, numbers = C(), counter()

    def once():
        one = C()
        one.method(1), one.method(2)
        shared.method(next(numbers) % 100)
        C.method.invalidate(shared, 5)

    is_flat(once, 0.25)


def test_instances_that_stay(is_flat):
    """A call that is loaded again and again is remembered once."""

    class C:
        @gecaso.cached(gecaso.MemoryStorage())
        def method(self, x):
            return Value()

        @gecaso.cached(gecaso.MemoryStorage())
        async def asynchronous(self, x):
            return Value()

    shared = C()

    def once():
        shared.method(1)
        C.method.invalidate(shared, 1)
        with contextlib.suppress(StopIteration):
            shared.asynchronous(1).send(None)
        C.asynchronous.cache_clear()
        C.method.insert(1, shared, 2)

    is_flat(once, 0.25)


@pytest.mark.parametrize("storage", [gecaso.LRUStorage, Plain, Waiting])
def test_asynchronous_calls(storage, is_flat, soak):
    numbers = counter()

    @gecaso.cached(gecaso.LRUStorage(storage(), maxsize=20))
    async def f(x):
        await asyncio.sleep(0)
        if x % 5 == 0:
            raise ValueError(Value())
        return Value()

    async def some():
        number = next(numbers)
        calls = [asyncio.ensure_future(f(number)) for _ in range(3)]
        await asyncio.sleep(0)
        calls[number % 3].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        try:
            await f(number)
        except ValueError:
            pass
        forgotten = f(-number)
        forgotten.close()
        begun = f(-number)
        begun.send(None)
        begun.close()

    loop = asyncio.new_event_loop()
    loop.set_debug(False)
    try:
        is_flat(lambda: loop.run_until_complete(some()), 0.05)
    finally:
        loop.close()


def test_asynchronous_hits(is_flat):
    @gecaso.cached(gecaso.LRUStorage(maxsize=20))
    async def f(x):
        return Value()

    async def many():
        for _ in range(1000):
            await f(1)

    loop = asyncio.new_event_loop()
    try:
        is_flat(lambda: loop.run_until_complete(many()), 0.002)
    finally:
        loop.close()


def test_dropped_coroutines(is_flat):
    import types

    @types.coroutine
    def pause():
        yield

    @gecaso.cached(gecaso.LRUStorage(maxsize=20))
    async def f(x):
        await pause()

    def once():
        call = f(1)
        call.send(None)
        del call

    is_flat(once, 0.25)
