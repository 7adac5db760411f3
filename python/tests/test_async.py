"""An asynchronous function stays one: coroutines by the book, under every kind of loop."""

import asyncio
import gc
import inspect
import sys
import types
import warnings

import pytest
from conftest import PATIENCE
from storages import Plain, Waiting

import gecaso


@pytest.fixture(params=[gecaso.MemoryStorage, gecaso.LRUStorage, Plain, Waiting])
def storage(request):
    return request.param()


@pytest.fixture(params=[gecaso.MemoryStorage, gecaso.LRUStorage])
def local(request):
    return request.param()


@types.coroutine
def yields(*values):
    """Something to await that does not need any loop; returns what was sent."""
    sent = []
    for value in values:
        sent.append((yield value))
    return sent


# What it is.


def test_it_is_a_coroutine_function(storage):
    @gecaso.cached(storage)
    async def f(x):
        return x

    @gecaso.cached(storage)
    def g(x):
        return x

    assert inspect.iscoroutinefunction(f)
    assert not inspect.iscoroutinefunction(g)
    if sys.version_info < (3, 14):
        assert asyncio.iscoroutinefunction(f)
        assert not asyncio.iscoroutinefunction(g)

    class C:
        @gecaso.cached(storage)
        async def method(self):
            return 1

    assert inspect.iscoroutinefunction(C.method)
    assert inspect.iscoroutinefunction(C().method)


def test_what_it_returns_is_a_coroutine(storage):
    @gecaso.cached(storage)
    async def f(x):
        return x

    async def main():
        for _ in range(2):  # a miss, a hit
            call = f(1)
            assert inspect.isawaitable(call)
            assert asyncio.iscoroutine(call)
            assert await call == 1
            task = asyncio.create_task(f(1))
            assert await task == 1
            assert await asyncio.ensure_future(f(1)) == 1
            assert await asyncio.wait_for(f(1), PATIENCE) == 1
            assert await asyncio.shield(f(1)) == 1
            assert await asyncio.gather(f(1), f(1)) == [1, 1]
            done, pending = await asyncio.wait({asyncio.create_task(f(1))})
            assert not pending and done.pop().result() == 1
            f.invalidate(2)
            assert await f(2) == 2

    asyncio.run(main())
    assert asyncio.run(f(1)) == 1, "a hit, too"
    assert asyncio.run(f(3)) == 3


def test_run_coroutine_threadsafe(storage):
    @gecaso.cached(storage)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        loop = asyncio.get_running_loop()

        def elsewhere():
            return [asyncio.run_coroutine_threadsafe(f(1), loop).result(PATIENCE) for _ in "ab"]

        assert await asyncio.to_thread(elsewhere) == [1, 1]

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with 3.11")
def test_task_groups_and_timeouts(local):
    @gecaso.cached(local)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            tasks = [group.create_task(f(x % 3)) for x in range(9)]
        assert [task.result() for task in tasks] == [0, 1, 2] * 3

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks(local):
    @gecaso.cached(local)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert await asyncio.gather(*(f(1) for _ in range(5))) == [1] * 5
        task = asyncio.create_task(f(1))
        assert task.done(), "a hit does not wait"
        assert f.stats().loads == 1

    asyncio.run(main())


def test_a_hit_does_not_yield(local):
    @gecaso.cached(local)
    async def f(x):
        await asyncio.sleep(0)
        return x

    async def main():
        await f(1)
        with pytest.raises(StopIteration) as stop:
            f(1).send(None)
        assert stop.value.value == 1

    asyncio.run(main())


def test_wait_for_that_gives_up(storage):
    """Who waits no longer does not harm who still does."""
    release = None

    @gecaso.cached(storage)
    async def f(x):
        await release.wait()
        return x

    async def main():
        nonlocal release
        release = asyncio.Event()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(f(1), 0.01)
        waiting = [asyncio.create_task(f(1)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(f(1), 0.01)
        release.set()
        assert await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE) == [1, 1, 1]

    asyncio.run(main())


def test_a_shielded_call_goes_on(local):
    release = None

    @gecaso.cached(local)
    async def f(x):
        await release.wait()
        return x

    async def main():
        nonlocal release
        release = asyncio.Event()
        call = asyncio.create_task(f(1))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(call), 0.01)
        release.set()
        assert await call == 1
        assert f.peek(1) == 1

    asyncio.run(main())


def test_cleanup_of_a_cancelled_body(storage):
    steps = []

    @gecaso.cached(storage)
    async def f(x):
        try:
            steps.append("begun")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            steps.append("cancelled")
            await asyncio.sleep(0)
            steps.append("cleaned")
            raise
        finally:
            steps.append("left")

    async def main():
        task = asyncio.create_task(f(1))
        while not steps:
            await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert steps == ["begun", "cancelled", "cleaned", "left"]


def test_a_body_that_refuses_to_be_cancelled(local):
    begun = []

    @gecaso.cached(local)
    async def f(x):
        try:
            begun.append(x)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "anyway"

    async def main():
        task = asyncio.create_task(f(1))
        while not begun:
            await asyncio.sleep(0)
        task.cancel()
        assert await task == "anyway"
        assert await f(1) == "anyway"

    asyncio.run(main())


def test_the_warning_of_what_was_never_awaited(storage):
    @gecaso.cached(storage)
    async def forgotten(x):
        return x

    with pytest.warns(RuntimeWarning, match="forgotten.* was never awaited"):
        forgotten(1)
        gc.collect()
    assert asyncio.run(forgotten(1)) == 1
    # Nothing is left of the first call, and a hit that is dropped warns of nothing lost.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(forgotten(1)) == 1


# By hand.


def test_send_throw_and_close_as_a_coroutine_has_them(local):
    log = []

    @gecaso.cached(local)
    async def f(x):
        try:
            log.append(await yields("a", "b"))
            return x
        except ValueError as error:
            log.append(error.args)
            return (await yields("c")), "after"
        finally:
            log.append("left")

    call = f(1)
    assert call.send(None) == "a"
    assert call.send(10) == "b"
    with pytest.raises(StopIteration) as stop:
        call.send(20)
    assert stop.value.value == 1
    assert log == [[10, 20], "left"]
    with pytest.raises(RuntimeError, match="already awaited"):
        call.send(None)
    log.clear()

    call = f(2)
    assert call.send(None) == "a"
    assert call.throw(ValueError("thrown")) == "c"
    with pytest.raises(StopIteration) as stop:
        call.send(30)
    assert stop.value.value == ([30], "after")
    assert log == [("thrown",), "left"]
    assert f.peek(2) == ([30], "after"), "it is what the body returned"
    log.clear()

    call = f(3)
    assert call.send(None) == "a"
    call.close()
    assert log == ["left"]
    call.close()
    with pytest.raises(RuntimeError):
        call.send(None)
    with pytest.raises(KeyError):
        f.peek(3)


def test_throw_before_the_first_step(local):
    @gecaso.cached(local)
    async def f(x):
        raise AssertionError("it never began")

    call = f(1)
    with pytest.raises(ZeroDivisionError):
        call.throw(ZeroDivisionError)
    with pytest.raises(RuntimeError):
        call.send(None)
    f(2).close()


@pytest.mark.parametrize("how", ["send", "throw", "close"])
def test_hits_by_hand(local, how):
    @gecaso.cached(local)
    async def f(x):
        return x

    asyncio.run(f(1))
    call = f(1)
    if how == "send":
        with pytest.raises(TypeError, match="just-started"):
            call.send("too early")
    elif how == "throw":
        with pytest.raises(ZeroDivisionError):
            call.throw(ZeroDivisionError())
    else:
        call.close()
    if how != "send":
        with pytest.raises((RuntimeError, StopIteration)):
            call.send(None)
    assert asyncio.run(f(1)) == 1


def test_a_value_to_a_call_that_has_not_begun(local):
    @gecaso.cached(local)
    async def f(x):
        return x

    call = f(1)
    with pytest.raises(TypeError, match="just-started"):
        call.send("too early")
    call.close()


def test_a_call_is_awaited_once(storage):
    @gecaso.cached(storage)
    async def f(x):
        return x

    async def main():
        call = f(1)
        assert await call == 1
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await call

    asyncio.run(main())


def test_a_call_that_resumes_itself(local):
    calls = []

    @gecaso.cached(local)
    async def f(x):
        with pytest.raises(ValueError, match="already executing"):
            calls[0].send(None)
        return x

    calls.append(f(1))
    with pytest.raises(StopIteration):
        calls[0].send(None)


def test_results_that_look_like_endings(local):
    for result in [StopIteration(5), (1, 2), ValueError("as a value")]:

        @gecaso.cached(local)
        async def f(x, result=result):
            return result

        async def main(f=f, result=result):
            assert await f(1) is result
            assert await f(1) is result

        asyncio.run(main())


def test_stop_iteration_in_an_asynchronous_body(storage):
    """Python itself makes a RuntimeError of it."""

    @gecaso.cached(storage)
    async def f(x):
        raise StopIteration(x)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="StopIteration"):
            asyncio.run(f(1))


def test_a_dropped_call_frees_the_key(local):
    """A loop is not needed to clean up: the coroutine is closed as it goes."""
    log = []

    @gecaso.cached(local)
    async def f(x):
        try:
            return await yields("waiting")
        finally:
            log.append("left")

    call = f(1)
    assert call.send(None) == "waiting"
    del call
    gc.collect()
    assert log == ["left"]
    call = f(1)
    assert call.send(None) == "waiting"
    with pytest.raises(StopIteration):
        call.send(None)


# Other loops.


def a_program(sleep):
    """Hits, misses, errors and re-entry; returns how many bodies ran."""
    runs = []

    @gecaso.cached(gecaso.LRUStorage(maxsize=50))
    async def f(x):
        runs.append(x)
        await sleep(0)
        if x < 0:
            raise ValueError(x)
        return x if x < 2 else await f(x - 1) + await f(x - 2)

    return f, runs


def test_uvloop():
    uvloop = pytest.importorskip("uvloop")
    f, runs = a_program(asyncio.sleep)

    async def main():
        assert await asyncio.gather(*(f(20) for _ in range(10))) == [6765] * 10
        task = asyncio.create_task(f(-1))
        with pytest.raises(ValueError):
            await task

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert sorted(runs) == list(range(-1, 21))
    asyncio.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(backend):
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    f, runs = a_program(anyio.sleep)
    answers = []

    async def main():
        async def call():
            answers.append(await f(20))

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(call)
        with pytest.raises(ValueError):
            await f(-1)

    anyio.run(main, backend=backend)
    assert answers == [6765] * 10
    assert sorted(runs) == list(range(-1, 21))


def test_trio():
    trio = pytest.importorskip("trio")
    f, runs = a_program(trio.sleep)
    answers = []

    async def main():
        async def call():
            answers.append(await f(20))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(call)
        with pytest.raises(ValueError):
            await f(-1)

    trio.run(main)
    assert answers == [6765] * 10
    assert sorted(runs) == list(range(-1, 21))


def test_trio_cancels_the_first_caller():
    trio = pytest.importorskip("trio")
    from trio.testing import wait_all_tasks_blocked

    runs, answers = [], []

    @gecaso.cached(gecaso.MemoryStorage())
    async def f(x):
        runs.append(x)
        if len(runs) == 1:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return [x]

    async def main():
        async def call():
            answers.append(await f(1))

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                scope = trio.CancelScope()

                async def first():
                    with scope:
                        await f(1)

                nursery.start_soon(first)
                while not runs:
                    await trio.lowlevel.checkpoint()
                for _ in range(3):
                    nursery.start_soon(call)
                await wait_all_tasks_blocked()
                scope.cancel()

    trio.run(main)
    assert answers == [[1]] * 3
    assert len(runs) == 2


def test_a_storage_of_ones_own_under_trio():
    trio = pytest.importorskip("trio")

    class OfTrio(Plain):
        async def get(self, key):
            await trio.lowlevel.checkpoint()
            return await super().get(key)

    storage = OfTrio()

    @gecaso.cached(storage)
    async def f(x):
        await trio.lowlevel.checkpoint()
        return [x]

    async def main():
        assert await f(1) == [1]
        assert await f(1) == [1]
        await f.invalidate(1)
        assert await f(1) == [1]

    trio.run(main)
    assert f.stats().loads == 2


def test_no_loop_at_all():
    """A body that only awaits what needs no loop runs without one."""

    @gecaso.cached(gecaso.MemoryStorage())
    async def f(x):
        return await yields(x)

    call = f("own")
    assert call.send(None) == "own"
    waiting = f("own")
    with pytest.raises(RuntimeError, match="asyncio or trio"):
        waiting.send(None)
    call.close()


# Functions beside it.


def test_synchronous_functions_in_a_loop_over_storages_that_wait():
    storage = Waiting()
    f = gecaso.cached(storage)(lambda x: [x])

    async def main():
        assert f(1) == [1]
        assert f(1) == [1]
        assert await asyncio.to_thread(f, 1) == [1]
        f.invalidate(1).wait()
        assert f(1) == [1]

    asyncio.run(main())
    assert f.stats().loads == 2
    assert f(1) == [1]


def test_a_loop_in_another_thread_drives_the_storage():
    """What `_loop` is for: a client that belongs to a loop."""
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    seen = []

    class Bound(Plain):
        async def get(self, key):
            await asyncio.sleep(0)
            seen.append(asyncio.get_running_loop())
            return await super().get(key)

    try:
        f = gecaso.cached(Bound(), _loop=loop)(lambda x: [x])
        assert f(1) == f(1) == [1]
        assert seen and all(one is loop for one in seen)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def test_redis_with_asyncio(redis_url):
    import redis.asyncio

    class Redis(gecaso.BaseStorage):
        """A client a loop, as redis-py wants it."""

        def __init__(self):
            self.clients = {}

        @property
        def client(self):
            loop = asyncio.get_running_loop()
            if loop not in self.clients:
                self.clients[loop] = redis.asyncio.from_url(redis_url)
            return self.clients[loop]

        async def get(self, key):
            if (data := await self.client.get(key)) is None:
                raise KeyError(key)
            return gecaso.unpack(data)[0]

        async def set(self, key, value, ttl=None):
            await self.client.set(key, gecaso.pack(value), px=ttl and int(ttl * 1000))

        async def remove(self, *keys):
            await self.client.delete(*keys)

    storage = Redis()
    runs = []

    @gecaso.cached(storage, ttl=100, _name="asynchronous")
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        return {"x": x}

    @gecaso.cached(storage, ttl=100, _name="synchronous")
    def g(x):
        runs.append(x)
        return {"x": x}

    async def main():
        await storage.client.flushdb()
        assert await asyncio.gather(*(f(1) for _ in range(20))) == [{"x": 1}] * 20
        assert await f(1) == {"x": 1}
        assert runs == [1]
        assert 0 < await storage.client.pttl(f.key(1)) <= 100_000
        await f.invalidate(1)
        assert await storage.client.get(f.key(1)) is None
        assert await f(1) == {"x": 1}
        assert g(2) == g(2) == {"x": 2}
        assert runs == [1, 1, 2]
        await storage.client.aclose()

    async def close():
        await storage.client.aclose()

    try:
        asyncio.run(main())
        assert g(2) == {"x": 2}
        assert runs == [1, 1, 2]
    finally:
        gecaso._loops.in_background(close, PATIENCE)
