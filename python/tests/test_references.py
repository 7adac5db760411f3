"""References and cycles, and code of users' that runs where nobody thinks of it."""

import asyncio
import collections
import contextlib
import gc
import threading
import types
import warnings
import weakref

import pytest
from conftest import PATIENCE
from storages import Plain
from test_threads import run_program

import gecaso


@pytest.fixture(params=["memory", "lru"])
def local(request):
    return gecaso.MemoryStorage() if request.param == "memory" else gecaso.LRUStorage()


class Thing:
    """Something to refer to, that a collection may find."""

    def __init__(self, *others):
        self.others = list(others)


@types.coroutine
def pause():
    return (yield "paused")


def begun(coroutine):
    """Runs a coroutine up to where it waits."""
    coroutine.send(None)
    return coroutine


def test_no_arguments_at_all(local):
    """`iter` calls without as much as an empty row of them."""

    @gecaso.cached(local)
    def f():
        return 1

    assert list(iter(f, 1)) == []
    assert list(iter(gecaso.lru_cache(lambda: 1), 1)) == []


def collected(make):
    """Whether what `make` returns goes with the next collection."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = weakref.ref(make())
        gc.collect()
    return seen() is None


def test_a_default_that_refers_to_its_function_goes_with_it(local):
    def make():
        box = Thing()

        @gecaso.cached(local)
        def f(x, box=box):
            return x

        box.others.append(f)
        return box

    assert collected(make)


def test_a_call_that_is_part_of_a_cycle_by_its_arguments(local):
    @gecaso.cached(local, _key=lambda thing: 1)
    async def f(thing):
        await pause()

    def not_begun():
        thing = Thing()
        thing.call = f(thing)
        return thing

    def waits():
        thing = not_begun()
        begun(thing.call)
        return thing

    assert collected(not_begun)
    assert collected(waits)


def test_a_call_that_is_part_of_a_cycle_by_its_body(local):
    @gecaso.cached(local)
    async def f(number, *, at):
        thing = at[0]
        await pause()
        return thing

    def waits():
        thing, at = Thing(), []
        at = Row([thing])
        thing.call = begun(f(1, at=at))
        at.clear()
        return thing

    assert collected(waits)


class Row(list):
    __hash__ = object.__hash__


def test_a_function_that_is_part_of_a_cycle_by_a_call(local):
    def waits():
        @gecaso.cached(local)
        async def f(x):
            await pause()

        f.call = begun(f(1))
        return f

    assert collected(waits)


def test_a_call_that_a_lost_task_waits_in(local):
    """What nobody can wake any more goes, as with a coroutine."""
    told = []

    @gecaso.cached(local)
    async def f(x):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            told.append(x)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        del task
        gc.collect()
        return list(told)

    async def wait():
        await f(1)

    assert asyncio.run(main()) == [1]


def test_arguments_of_an_entry_that_is_gone():
    """An argument goes with the last entry that has it, although the instance stays."""

    class C:
        @gecaso.cached(gecaso.LRUStorage(maxsize=1))
        def method(self, x):
            return None

    class Big:
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    one = C()

    def used():
        big = Big()
        one.method(big)
        return big

    big = weakref.ref(used())
    one.method(1)
    one.method(2)
    gc.collect()
    assert big() is None


def test_an_instance_that_another_argument_refers_to():
    """Goes with the function that has the entry."""

    def make():
        class C:
            @gecaso.cached(gecaso.MemoryStorage())
            def method(self, x):
                return None

        one = C()
        one.method((one,))
        return one

    assert collected(make)


@pytest.mark.parametrize("kind", ["new", "running", "waiting"])
def test_a_call_that_is_dropped_while_something_is_raised(local, kind):
    closed = []

    @gecaso.cached(local)
    async def f(x):
        try:
            await pause()
        finally:
            closed.append(x)

    def call():
        return f(1) if kind == "new" else begun(f(1))

    def raises(*args):
        raise AssertionError

    leader = begun(f(1)) if kind == "waiting" else None
    expected = warnings.catch_warnings(record=True)
    with expected as seen, pytest.raises(ZeroDivisionError) as caught:
        warnings.simplefilter("always")
        if kind == "waiting":
            raises(asyncio.run(dropped(f)), 1 / 0)
        raises(call(), 1 / 0)
    assert caught.value.__context__ is None
    said = [str(one.message) for one in seen]
    assert len(said) == (kind == "new") and all(".f' was never awaited" in one for one in said)
    if kind == "running":
        assert closed == [1]
    if leader:
        leader.close()


async def dropped(f):
    return begun(f(1))


def test_a_function_that_goes_while_its_body_runs(local):
    """Whoever calls it may let go of it: `property` does."""

    def body(self):
        place.__init__(None)
        gc.collect()
        return Thing()

    place = property(gecaso.cached(local)(body))
    get = type(place).__get__
    one = Thing()
    assert type(get(place, one)) is Thing


def test_a_function_that_goes_while_arguments_are_compared(local):
    class Key:
        def __hash__(self):
            place.__init__(None)
            gc.collect()
            return 1

        def __eq__(self, other):
            return self is other

    for decorate in (gecaso.cached(local), gecaso.lru_cache(maxsize=3)):
        place = property(decorate(lambda key: 5))
        assert type(place).__get__(place, Key()) == 5


def test_a_collection_while_sets_are_compared(local):
    """What it calls may use the cache: no lock may be held."""

    @gecaso.cached(local)
    def f(x, y):
        return [x]

    class Loud:
        def __init__(self):
            self.me = self

        def __del__(self):
            seen.append(1)
            f.invalidate(frozenset(range(5)), 4)
            f.insert(3, frozenset(range(5)), 5)

    seen = []
    before = gc.get_threshold()
    try:
        for number in range(1, 100):
            gc.set_threshold(number)
            gc.disable()
            known, asked = frozenset([*range(5)]), frozenset([*range(5)])
            f(known, number % 3)
            Loud()
            gc.enable()
            f.insert(number, asked, number % 3)
            assert f(known, number % 3) == number
            gc.collect()
    finally:
        gc.set_threshold(*before)
        gc.enable()
    assert seen


def test_close_raises_what_the_body_does(local):
    @gecaso.cached(local)
    async def fails():
        try:
            await pause()
        finally:
            raise ValueError("in the end")

    @gecaso.cached(local)
    async def refuses():
        with contextlib.suppress(GeneratorExit):
            await pause()
        await pause()

    call = begun(fails())
    with pytest.raises(ValueError, match="in the end"):
        call.close()
    call.close()
    call = begun(refuses())
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        call.close()


def test_close_keeps_nothing(local):
    @gecaso.cached(local)
    async def f(x):
        with contextlib.suppress(GeneratorExit):
            await pause()
        return x

    begun(f(1)).close()
    assert f.stats().entries == 0


def test_a_call_that_two_await(local):
    """The second one is told so, and the first one does not notice."""

    @gecaso.cached(local)
    async def f(x):
        await asyncio.sleep(0.01)
        return x

    async def wait(call):
        return await call

    async def main():
        call = f(1)
        first = asyncio.create_task(wait(call))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="being awaited already"):
            await call
        return await first

    assert asyncio.run(main()) == 1


def test_bodies_that_return_something_else_to_await(local):
    """Whatever says of itself that it is a coroutine function may return a future."""
    if not hasattr(__import__("inspect"), "markcoroutinefunction"):
        pytest.skip("nothing says so before 3.12")
    import inspect

    @gecaso.cached(local)
    @inspect.markcoroutinefunction
    def f(x):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, [x])
        return future

    async def main():
        return await f(1) is await f(1)

    assert asyncio.run(main())


@pytest.mark.parametrize("kind", ["cached", "lru_cache", "async", "eq"])
def test_an_interpreter_that_ends_while_bodies_run_in_threads(kind):
    """Threads that nobody waits for are stopped wherever they take the interpreter's lock."""
    status, _, err = run_program(
        f"""
        import asyncio, gecaso, threading, time

        begun = threading.Event()

        def busy():
            begun.set()
            while True:
                time.sleep(0.001)

        class Key:
            def __hash__(self):
                busy()

        if {kind!r} == "cached":
            call = gecaso.cached(gecaso.MemoryStorage())(busy)
        elif {kind!r} == "lru_cache":
            call = gecaso.lru_cache(busy)
        elif {kind!r} == "eq":
            call = lambda: gecaso.cached(gecaso.MemoryStorage())(lambda key: 1)(Key())
        else:
            @gecaso.cached(gecaso.MemoryStorage())
            async def f():
                busy()
            call = lambda: asyncio.run(f())
        threading.Thread(target=call, daemon=True).start()
        begun.wait()
        """
    )
    assert status == 0, (status, err)
    assert "panicked" not in err and "fatal" not in err.lower()


def test_what_a_collection_calls_while_a_lock_is_held():
    """It may use the same function, in the thread that holds the lock."""
    once = []

    def collection():
        if not once:
            once.append(1)
            f(7)
            f.invalidate(8)
            f.cache_clear()

    class Keys(collections.OrderedDict):
        def __setitem__(self, key, value):
            collection()
            super().__setitem__(key, value)

    def loads():
        collection()
        return set()

    def ask():
        for number in range(5):
            once.clear()
            assert f(number % 3) == [number % 3]
        done.append(True)

    for kind in ("loads", "keys"):
        storage = gecaso.LRUStorage(Plain(), maxsize=2)
        f = gecaso.cached(storage)(lambda x: [x])
        if kind == "loads":
            f._part._loads.default_factory = loads
        else:
            storage._keys = Keys()
        done = []
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert done and len(storage) <= 2
