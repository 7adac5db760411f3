"""Storages that misbehave: their cost is bounded, and the call gets its answer."""

import asyncio
import threading
import time
import warnings

import pytest
from conftest import PATIENCE, until
from storages import Failing, Plain, Stalling, Waiting

import gecaso
from gecaso import _far


class Odd(BaseException):
    """No Exception."""


ERRORS = [
    ValueError("no"),
    ConnectionError("gone"),
    TimeoutError("slow"),
    RuntimeError("no running event loop here"),
    StopAsyncIteration(),
    AttributeError("a bug"),
    AssertionError(),
    MemoryError(),
]


@pytest.fixture(params=["sync", "async"])
def decorate(request):
    """A function that counts its runs, and a way to call it at once."""

    def decorated(storage, **words):
        runs = []
        if request.param == "sync":

            @gecaso.cached(storage, **words)
            def f(x):
                runs.append(x)
                return [x]

            return f, f, runs

        @gecaso.cached(storage, **words)
        async def g(x):
            runs.append(x)
            await asyncio.sleep(0)
            return [x]

        return g, lambda x: asyncio.run(g(x)), runs

    return decorated


@pytest.mark.filterwarnings("ignore:.*calls go on without")
@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("methods", [("get",), ("set",), ("get", "set", "remove")], ids=repr)
def test_a_storage_that_fails_is_a_miss(decorate, error, methods):
    storage = Failing(error, methods)
    f, call, runs = decorate(storage)
    for _ in range(3):
        assert call(1) == [1]
    assert runs == [1, 1, 1]
    storage.error = None
    f._part._failures = 0
    assert call(1) == call(1) == [1]


def test_it_warns_once_and_names_the_function(decorate):
    f, call, _ = decorate(Failing(ValueError("the reason")))
    with pytest.warns(RuntimeWarning, match="the reason") as seen:
        call(1), call(2), call(1)
    ours = [str(one.message) for one in seen if issubclass(one.category, RuntimeWarning)]
    assert len(ours) == 1
    assert f.__qualname__ in ours[0]


def test_a_warning_made_an_error_is_no_error_of_the_call(decorate):
    _, call, _ = decorate(Failing(ValueError("the reason")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(1) == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), Odd()], ids=repr)
def test_what_is_no_exception_is_the_callers(error):
    storage = Failing(error)
    f = gecaso.cached(storage)(lambda x: [x])
    with pytest.raises(type(error)):
        f(1)
    storage.error = None
    assert f(1) == [1], "and nothing is left locked"


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_after_failures_in_a_row_it_is_left_alone():
    storage = Failing(ConnectionError("gone"), ("get",))
    asked = 0

    class Counting(Failing):
        async def get(self, key):
            nonlocal asked
            asked += 1
            return await super().get(key)

    storage = Counting(ConnectionError("gone"))
    f = gecaso.cached(storage)(lambda x: [x])
    for x in range(100):
        assert f(x) == [x]
    assert asked <= _far.FAILURES
    storage.error = None
    before = asked
    f._part._closed_until = time.monotonic()  # the pause is over
    assert f(1) == f(1) == [1]
    assert asked > before
    assert f._part.hits == 1


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_storage_that_stalls(decorate):
    storage = Stalling()
    _, call, runs = decorate(storage, _deadline=0.02)
    begun = time.monotonic()
    assert call(1) == [1]
    assert time.monotonic() - begun < 5
    storage.stalls = False
    assert runs == [1]


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_storage_that_stalls_costs_once_for_a_while(decorate):
    storage = Stalling()
    f, call, _ = decorate(storage, _deadline="10ms")
    for x in range(_far.FAILURES + 20):
        assert call(x) == [x]
    begun = time.monotonic()
    for x in range(20):
        call(100 + x)
    if f._part._is_open():
        assert time.monotonic() - begun < 1
    storage.stalls = False


@pytest.mark.filterwarnings("ignore:.*calls go on without")
@pytest.mark.parametrize("kind", ["function", "number", "generator", "future"])
def test_methods_that_are_no_coroutines(decorate, kind):
    class Wrong(Plain):
        def get(self, key):
            return self._wrong(key)

        def _wrong(self, key):
            if kind == "function":
                return [key]
            if kind == "number":
                return 17
            if kind == "generator":
                return iter(())
            return future

    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()
    storage = Wrong()
    _, call, runs = decorate(storage, _deadline=0.05)
    assert call(1) == [1]
    assert runs == [1]


def test_garbage_is_what_the_storage_says_it_is(decorate):
    """It gets and gives values as they are; what it makes of bytes is its own."""
    storage = Plain()
    f, call, runs = decorate(storage)
    for garbage in (None, b"\x00garbage", NotImplemented, asyncio.sleep):
        storage.kept[f.key(1)] = garbage
        assert call(1) is garbage
    assert runs == []


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_bytes_that_are_not_gecasos(decorate):
    from storages import Packing

    storage = Packing()
    f, call, runs = decorate(storage)
    assert call(1) == [1]
    for garbage in (b"", b"garbage", storage.kept[f.key(1)][:-1], b"\x80\x04N.", None, 17):
        storage.kept[f.key(1)] = garbage
        f._part._failures = 0
        assert call(1) == [1]
    assert len(runs) == 7


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_value_that_cannot_be_packed_is_returned_and_warned_of(decorate):
    from storages import Packing

    f = gecaso.cached(Packing())(lambda x: object())
    with pytest.warns(RuntimeWarning, match="set"):
        first = f(1)
    assert f(1) is not first


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_removal_that_fails_is_owed():
    """Until it is done this process does not believe the storage about that key."""
    storage = Failing(None, ("remove",))
    number = 0
    f = gecaso.cached(storage)(lambda x: number)
    assert f(1) == 0
    number = 1
    storage.error = ConnectionError("gone")
    receipt = f.invalidate(1)
    with pytest.raises(ConnectionError):
        receipt.wait()
    assert "failed" in repr(receipt)
    assert f(1) == 1
    storage.kept[f.key(1)] = 0  # as if the removal had never happened
    assert f(1) == 1
    storage.error = None
    f._part._failures = 0
    number = 2
    assert f(1) == 2, "the removal is repeated first"
    assert f(1) == 2
    assert f._part.hits == 1


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_an_insert_that_fails_says_so():
    storage = Failing(ConnectionError("gone"), ("set",))
    f = gecaso.cached(storage)(lambda x: "loaded")
    with pytest.raises(ConnectionError):
        f.insert("put", 1).wait()
    assert f(1) == "loaded"


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_clear_that_fails_is_owed():
    storage = Failing(None, ("remove",))
    number = 0
    f = gecaso.cached(storage)(lambda x: number)
    assert f(1) == 0
    number = 1
    storage.error = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        f.cache_clear().wait()
    assert f(1) == 1, "here it holds at once"
    storage.error = None
    f._part._failures = 0
    assert f(1) == 1
    later = gecaso.cached(storage, _name=f._name)(lambda x: 2)
    assert later(1) == 1, "the clear has arrived: nobody gets the old value"


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_receipts_that_are_awaited_raise_too():
    storage = Failing(ConnectionError("gone"))
    f = gecaso.cached(storage)(lambda x: x)

    @gecaso.cached(storage)
    async def g(x):
        return x

    async def main():
        changes = [f.invalidate(1), f.insert(1, 1), g.invalidate(1), g.insert(1, 1)]
        for receipt in changes:
            for _ in range(2):
                with pytest.raises(ConnectionError, match="gone"):
                    await receipt
            assert "failed" in repr(receipt)

    asyncio.run(main())


def test_receipts(decorate):
    f, call, _ = decorate(Waiting())
    call(1)

    async def main():
        receipt = f.invalidate(1)
        if "pending" in repr(receipt):
            with pytest.raises(RuntimeError, match="await"):
                receipt.wait()
        assert await receipt is None
        assert await receipt is None
        receipt.wait()
        assert "done" in repr(receipt)

    asyncio.run(main())
    f.invalidate(1).wait()


def test_receipts_outside_of_a_loop():
    @gecaso.cached(Waiting())
    async def f(x):
        return x

    assert asyncio.run(f(1)) == 1
    assert f.invalidate(1).wait() is None
    assert asyncio.run(f(1)) == 1
    assert f.stats().loads == 2


def test_a_late_set_does_not_undo_an_invalidation():
    """The write of an old load is under way when the invalidation comes."""
    under_way, go = threading.Event(), threading.Event()

    class Late(Plain):
        async def set(self, key, value, **params):
            if value == "old":
                under_way.set()
                assert go.wait(PATIENCE)
            await super().set(key, value, **params)

    storage = Late()
    answer = "old"
    f = gecaso.cached(storage)(lambda x: answer)
    thread = threading.Thread(target=f, args=(1,))
    thread.start()
    assert under_way.wait(PATIENCE)
    answer = "new"
    f.invalidate(1)
    answers = []
    caller = threading.Thread(target=lambda: answers.append(f(1)))
    caller.start()
    until(lambda: answers or f.stats().misses >= 2)
    go.set()
    for each in (thread, caller):
        each.join(PATIENCE)
    assert answers == ["new"]
    assert f(1) == "new"
    assert storage.kept.get(f.key(1)) in (None, "new")


def test_one_set_and_one_get_a_load(decorate):
    storage = Plain()
    f, call, _ = decorate(storage)
    call(1)
    assert (storage.count("get", f.key(1)), storage.count("set", f.key(1))) == (1, 1)
    call(1)
    assert (storage.count("get", f.key(1)), storage.count("set", f.key(1))) == (2, 1)


def test_a_hundred_tasks_ask_a_storage_once():
    storage = Waiting()

    @gecaso.cached(storage)
    async def f(x):
        return [x]

    async def main():
        await asyncio.gather(*(f(1) for _ in range(100)))
        assert (storage.count("get", f.key(1)), storage.count("set", f.key(1))) == (1, 1)
        await asyncio.gather(*(f(1) for _ in range(100)))
        assert storage.count("set", f.key(1)) == 1
        assert storage.count("get", f.key(1)) == 2

    asyncio.run(main())


def test_a_storage_that_calls_the_function():
    """Odd, and no reason to hang, or to go round and round."""

    class Circular(Plain):
        async def get(self, key):
            assert f(1) == [1]
            return await super().get(key)

    f = gecaso.cached(Circular())(lambda x: [x])
    assert f(1) == f(1) == [1]
    assert (f._part.errors, f._part.hits) == (0, 1)


def test_a_caller_that_is_cancelled_in_the_storage():
    storage = Stalling()

    @gecaso.cached(storage)
    async def f(x):
        return [x]

    async def main():
        task = asyncio.create_task(f(1))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        storage.stalls = False
        assert await asyncio.wait_for(f(1), PATIENCE) == [1]
        assert f._part.errors == 0, "a cancellation is no failure of the storage"

    asyncio.run(main())


def test_bad_deadlines():
    for deadline, error in ((-1, ValueError), ("soon", ValueError), (None, TypeError)):
        with pytest.raises(error, match="_deadline"):
            gecaso.cached(Plain(), _deadline=deadline)(lambda x: x)


@pytest.mark.parametrize("begins", [False, True], ids=["never begun", "cancelled"])
def test_a_removal_that_does_not_come_to_its_end_is_owed(begins):
    """A receipt that is dropped leaves its removal to the loop, which may end first."""

    class Stalling(Plain):
        stalls = False

        async def remove(self, *keys):
            if self.stalls:
                begun.set()
                await asyncio.Event().wait()
            await super().remove(*keys)

    storage = Stalling()
    number = 0

    @gecaso.cached(storage)
    async def f(x):
        return number

    async def main():
        nonlocal number
        assert await f(1) == 0
        number = 1
        storage.stalls = True
        f.invalidate(1)
        if begins:
            await begun.wait()

    begun = asyncio.Event()
    asyncio.run(main())
    storage.stalls = False
    assert asyncio.run(f(1)) == asyncio.run(f(1)) == 1
    assert not f._part._owed and not f._part._doubtful


def test_arguments_become_a_key_once():
    asked = []

    class Named:
        def __gecaso_key__(self):
            asked.append(self)
            return "a name"

    f = gecaso.cached(Plain())(lambda named: [named])
    one = Named()
    assert f(one) is f(one)
    assert len(asked) == 2


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_late_operations_of_several_tasks():
    """Each is ended by its own time, and only that: a cancellation stays one."""
    storage = Stalling()

    @gecaso.cached(storage, _deadline=0.05)
    async def f(x):
        return [x]

    async def cancelled():
        task = asyncio.create_task(f(100))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def counted(x):
        value = await f(x)
        task = asyncio.current_task()
        return value, task.cancelling() if hasattr(task, "cancelling") else 0

    async def main():
        first = [asyncio.create_task(counted(x)) for x in range(2)]
        await cancelled()
        last = asyncio.create_task(counted(2))
        assert await asyncio.gather(*first, last) == [([x], 0) for x in range(3)]
        late = f._part._late
        assert not late._waiting and not late._late

    asyncio.run(main())
    storage.stalls = False


@pytest.mark.filterwarnings("ignore:.*calls go on without")
def test_a_late_operation_that_is_cancelled_at_the_same_time():
    storage = Stalling()

    @gecaso.cached(storage, _deadline=0.01)
    async def f(x):
        return [x]

    async def main():
        task = asyncio.create_task(f(1))
        await asyncio.sleep(0)
        late = f._part._late
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass  # the loop stands still, so that both are due at once
        task.cancel()
        late._ring()
        with pytest.raises(asyncio.CancelledError):
            await task

    if not hasattr(asyncio.Task, "uncancel"):
        pytest.skip("tasks do not count their cancellations before 3.11")
    asyncio.run(main())
    storage.stalls = False
