"""What one call may see of another: keys, shared runs, exceptions, re-entry, mutation.

Each of these goes wrong in some cache of functions that people use.
"""

import asyncio
import contextlib
import contextvars
import copy
import dataclasses
import threading

import pytest
from conftest import PATIENCE, until
from storages import Packing, Plain, Waiting

import gecaso

STORAGES = {
    "memory": gecaso.MemoryStorage,
    "unbounded": lambda: gecaso.MemoryStorage(maxsize=None),
    "lru": lambda: gecaso.LRUStorage(maxsize=100),
    "plain": Plain,
    "packing": Packing,
    "waiting": Waiting,
    "lru around": lambda: gecaso.LRUStorage(Plain(), maxsize=100),
}
LOCAL = {name: STORAGES[name] for name in ("memory", "unbounded", "lru")}


@pytest.fixture(params=STORAGES)
def storage(request):
    return STORAGES[request.param]()


@pytest.fixture(params=LOCAL)
def local(request):
    return LOCAL[request.param]()


@pytest.fixture(params=["sync", "async"])
def decorate(request):
    """Decorates a synchronous function as it is, or as an asynchronous one that is run at once."""
    if request.param == "sync":
        return lambda storage, function, **words: gecaso.cached(storage, **words)(function)

    def decorated(storage, function, **words):
        import functools

        @gecaso.cached(storage, **words)
        @functools.wraps(function)
        async def asynchronous(*args, **kwargs):
            await asyncio.sleep(0)
            return function(*args, **kwargs)

        return lambda *args, **kwargs: asyncio.run(asynchronous(*args, **kwargs))

    return decorated


class Apart:
    """Compares by identity."""


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass(frozen=True)
class OtherPoint:
    x: object
    y: object = 0


# Keys.

EACH_OF_ITS_OWN = [
    (1,),
    (1.0,),
    (True,),
    ("1",),
    (b"1",),
    (None,),
    ("None",),
    (0,),
    (0.0,),
    (-0.0,),
    (False,),
    ("",),
    ((),),
    ((1,),),
    ((1.0,),),
    ((True,),),
    (("1",),),
    (((1,),),),
    (((True,),),),
    (frozenset({1}),),
    (frozenset({True}),),
    (frozenset({(1,)}),),
    (frozenset({(1.0,)}),),
    (Point(1),),
    (OtherPoint(1),),
    ("a b",),
    ("a", "b"),
    ("a, b",),
    ("a', 'b",),
    ("a\0b",),
    ("a", ("b",)),
    (("a", "b"),),
    (1, 2),
    (1, 2.0),
    (True, 2),
    (1, (2, 3)),
    ((1, 2), 3),
]


def test_different_arguments_are_different_calls(storage, decorate):
    runs = []

    def body(*args):
        runs.append(args)
        return repr(args)

    f = decorate(storage, body)
    for _ in range(2):
        for args in EACH_OF_ITS_OWN:
            assert f(*args) == repr(args)
    assert len(runs) == len(EACH_OF_ITS_OWN)


def test_names_and_positions_are_different_calls(storage):
    @gecaso.cached(storage)
    def f(*args, **kwargs):
        return repr((args, kwargs))

    calls = [
        ((), {}),
        (("a", 1), {}),
        ((("a", 1),), {}),
        ((), {"a": 1}),
        ((), {"a": "1"}),
        ((), {"b": 1}),
        ((1,), {"a": 1}),
        ((), {"args": 1}),
        ((), {"kwargs": 1}),
    ]
    for _ in range(2):
        for args, kwargs in calls:
            assert f(*args, **kwargs) == repr((args, kwargs))
    assert f.stats().loads == len(calls)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(1),
        lambda f: f(a=1),
        lambda f: f(1, 2),
        lambda f: f(1, b=2),
        lambda f: f(b=2, a=1),
        lambda f: f(1, c=3),
        lambda f: f(1, 2, c=3),
        lambda f: f(c=3, b=2, a=1),
        lambda f: f(*[1], **{"b": 2}),
    ],
)
def test_one_call_however_it_is_written(storage, call):
    @gecaso.cached(storage)
    def f(a, b=2, *, c=3):
        return [a, b, c]

    assert f(1) == [1, 2, 3]
    assert call(f) == [1, 2, 3]
    assert f.stats().loads == 1


def test_the_order_of_names_does_not_matter(storage):
    f = gecaso.cached(storage)(lambda **kwargs: sorted(kwargs.items()))
    assert f(a=1, b=2) == f(b=2, a=1)
    assert f.stats().loads == 1


CHANGEABLE = [[1], {"a": 1}, {1}, ([1],)]


@pytest.mark.parametrize("what", CHANGEABLE, ids=repr)
def test_what_can_change_is_no_key_in_this_process(local, decorate, what):
    """It is told at once, with the argument's name and the ways out; one of them is `_key`."""
    f = decorate(local, lambda items: len(items))
    with pytest.raises(TypeError, match="(?s)items.*hashable.*_skip.*_key"):
        f(what)
    g = decorate(local, lambda items: len(items), _key=lambda items: repr(items))
    assert g(what) == g(what) == len(what)


@pytest.fixture(params=[name for name in STORAGES if name not in LOCAL])
def far(request):
    return STORAGES[request.param]()


def test_what_can_change_is_a_key_outside(far, decorate):
    """There the key is a text of its own, which does not change with the list."""
    runs = []
    f = decorate(far, lambda items: runs.append(items) or len(items))
    others = [[], [1.0], [True], ["1"], {}, {"a": 1.0}, {1: "a"}, {1.0}, {"1"}, ([1.0],), [[1]]]
    for _ in range(2):
        for what in CHANGEABLE + others + [(1,), ((1,),)]:
            assert f(copy.deepcopy(what)) == len(what)
    assert len(runs) == len(CHANGEABLE + others) + 2
    numbers = [1, 2]
    assert f(numbers) == 2
    numbers.append(3)
    assert f(numbers) == 3


def test_objects_by_identity_are_never_mixed_up(local):
    """An address is used again at once: a key made of it, or of a repr, returns what belonged to
    an object that is gone."""
    f = gecaso.cached(local)(lambda thing, number: number)
    for number in range(300):
        assert f(Apart(), number) == number
        assert f(Apart(), 0) == 0
    g = gecaso.cached(local)(id)
    for _ in range(300):
        thing = Apart()
        assert g(thing) == id(thing)
        del thing


def test_objects_without_a_value_have_no_key_outside(decorate):
    """Their repr would be one, and would be wrong."""
    for storage in (Plain(), gecaso.LRUStorage(Plain(), maxsize=2)):
        f = decorate(storage, lambda connection: 1)
        with pytest.raises(TypeError, match="_skip|_key"):
            f(Apart())


def test_equal_objects_are_one_argument(storage):
    f = gecaso.cached(storage)(lambda point: [point.x])
    assert f(Point(1)) == f(Point(1)) == [1]
    assert f.stats().loads == 1


class Bent:
    """Says it is equal to everything, or fails to say."""

    def __init__(self, error=None):
        self.error = error

    def __hash__(self):
        return 7

    def __eq__(self, other):
        if self.error is not None:
            raise self.error
        return True


def test_an_argument_that_cannot_be_compared(local):
    f = gecaso.cached(local)(lambda x: 1)
    assert f(Bent()) == 1
    with pytest.raises(ZeroDivisionError):
        f(Bent(ZeroDivisionError("in eq")))
    assert f(Bent()) == 1


def test_an_argument_that_cannot_be_hashed(local):
    class Unhashable:
        __hash__ = None

    f = gecaso.cached(local)(lambda x: 1)
    with pytest.raises(TypeError):
        f(Unhashable())
    assert f(1) == 1


def test_arguments_that_do_not_fit(storage, decorate):
    f = decorate(storage, lambda a, b=1: a)
    if not hasattr(f, "stats"):
        pytest.skip("the asynchronous twin takes everything")
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"a": 1}), ((1,), {"c": 1})]:
        with pytest.raises(TypeError):
            f(*args, **kwargs)
    assert f(1) == 1


def test_nan_and_recursive_arguments(local):
    f = gecaso.cached(local)(lambda x: 1)
    nan = float("nan")
    assert f(nan) == f(nan) == 1
    endless = []
    endless.append(endless)
    with pytest.raises((RecursionError, ValueError, TypeError)):
        f(endless)
    assert f(2) == 1


def test_two_functions_of_one_name(storage):
    """They are two functions, even if a storage is shared and the name is not enough."""

    def make(result):
        def load(x):
            return result

        return load

    one = gecaso.cached(storage, _name="one")(make(1))
    two = gecaso.cached(storage, _name="two")(make(2))
    assert (one(0), two(0), one(0), two(0)) == (1, 2, 1, 2)


def test_functions_of_two_modules_with_one_name():
    def make(module):
        def load(x):
            return module

        load.__module__ = module
        return load

    storage = Plain()
    one, two = gecaso.cached(storage)(make("one")), gecaso.cached(storage)(make("two"))
    assert (one(0), two(0), one(0), two(0)) == ("one", "two", "one", "two")


# Results.


@pytest.mark.parametrize("result", [None, 0, "", False, (), [], {}, NotImplemented], ids=repr)
def test_every_result_is_kept(storage, decorate, result):
    if result is NotImplemented and isinstance(storage, Packing):
        pytest.skip("is no plain data")
    runs = []
    f = decorate(storage, lambda x: runs.append(x) or result)
    assert f(1) == f(1) == result
    assert len(runs) == 1


def test_exceptions_as_results(local, decorate):
    for result in (StopIteration(1), KeyError("a"), (1, 2), StopAsyncIteration()):
        f = decorate(local, lambda x, result=result: result)
        assert f(1) is result
        assert f(1) is result


def test_a_hit_is_the_stored_object(local):
    f = gecaso.cached(local)(lambda x: [x])
    assert f(1) is f(1)
    f(1).append(2)
    assert f(1) == [1, 2]


def test_with_copy_everybody_has_an_object_of_their_own(local, decorate):
    f = decorate(local, lambda x: {"deep": [x]}, _copy=True)
    first = f(1)
    first["deep"].append("changed")
    second = f(1)
    assert second == {"deep": [1]}
    second["deep"].append("changed")
    assert f(1) == {"deep": [1]}


def test_copy_by_a_function_of_ones_own(local):
    f = gecaso.cached(local, _copy=list)(lambda x: [[x]])
    assert f(1) == f(1)
    assert f(1) is not f(1)
    assert f(1)[0] is f(1)[0]

    g = gecaso.cached(local, _copy=lambda value: 1 / 0)(lambda x: x)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            g(1)


# Exceptions.

SHARED = [ValueError("no"), KeyError("no"), StopIteration(3), StopAsyncIteration(), TimeoutError()]
ALONE = [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", SHARED + ALONE, ids=repr)
def test_an_exception_is_nothing_to_keep(storage, error):
    answers = [error, "fine"]

    @gecaso.cached(storage)
    def f(x):
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    with pytest.raises(type(error)) as raised:
        f(1)
    assert raised.value is error
    assert f(1) == f(1) == "fine"


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no"), TimeoutError()], ids=repr)
def test_an_exception_of_an_asynchronous_function(storage, error):
    answers = [error, "fine"]

    @gecaso.cached(storage)
    async def f(x):
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def main():
        with pytest.raises(type(error)) as raised:
            await f(1)
        assert raised.value is error
        assert await f(1) == await f(1) == "fine"

    asyncio.run(main())


def test_the_traceback_leads_to_the_body(storage):
    @gecaso.cached(storage)
    def f(x):
        raise ValueError("here")

    with pytest.raises(ValueError) as raised:
        f(1)
    assert raised.traceback[-1].name == "f"


# Shared runs.


def gathered(f, *args, callers):
    async def main():
        return await asyncio.gather(*(f(*args) for _ in range(callers)), return_exceptions=True)

    return asyncio.run(main())


def test_a_hundred_tasks_run_one_body(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        for _ in range(3):
            await asyncio.sleep(0)
        return [x]

    assert gathered(f, 1, callers=100) == [[1]] * 100
    assert runs == [1]


def test_a_hundred_tasks_share_an_exception(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        raise ValueError(x)

    answers = gathered(f, 1, callers=100)
    assert all(type(answer) is ValueError for answer in answers)
    assert runs == [1]
    assert all(type(answer) is ValueError for answer in gathered(f, 1, callers=2))
    assert runs == [1, 1]


def test_thirty_two_threads_run_one_body(storage):
    runs, there = [], threading.Barrier(32)

    @gecaso.cached(storage)
    def f(x):
        runs.append(x)
        # All are on their way, but one that has not begun cannot be told from one that waits.
        until(lambda: there.broken or f.stats().misses >= 1)
        return [x]

    answers = []

    def call():
        there.wait(PATIENCE)
        answers.append(f(1))

    in_threads(32, call)
    assert answers == [[1]] * 32
    assert runs == [1]


def test_threads_share_an_exception(local):
    runs, go = [], threading.Event()

    @gecaso.cached(local)
    def f(x):
        runs.append(x)
        assert go.wait(PATIENCE)
        raise ValueError(x)

    answers = []

    def call():
        try:
            f(1)
        except ValueError as error:
            answers.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    threads[0].start()
    until(lambda: runs)
    for thread in threads[1:]:
        thread.start()
    until(lambda: f.stats().misses == 8)
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == 8
    # Those that had looked before, but not yet joined, may have run it themselves.
    assert 1 <= len(runs) <= 8


def in_threads(number, target):
    threads = [threading.Thread(target=target) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_the_first_caller_is_cancelled(storage):
    """The second one gets a result, and so does everybody later."""
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        for _ in range(5):
            await asyncio.sleep(0)
        return [x]

    async def main():
        first = asyncio.create_task(f(1))
        while not runs:
            await asyncio.sleep(0)
        second = asyncio.create_task(f(1))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await asyncio.wait_for(second, PATIENCE) == [1]
        assert await f(1) == [1]
        assert len(runs) == 2

    asyncio.run(main())


def test_a_later_caller_is_cancelled(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        for _ in range(20):
            await asyncio.sleep(0)
        return [x]

    async def main():
        first, second, third = (asyncio.create_task(f(1)) for _ in range(3))
        while not runs:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await first == await third == [1]
        assert runs == [1]

    asyncio.run(main())


def test_everybody_is_cancelled(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        if len(runs) == 1:
            await asyncio.Event().wait()
        return [x]

    async def main():
        tasks = [asyncio.create_task(f(1)) for _ in range(10)]
        while not runs:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
        assert await asyncio.wait_for(f(1), PATIENCE) == [1]

    asyncio.run(main())


def test_a_body_that_cancels_itself(local):
    """Its caller sees that; the others run the body for themselves."""
    runs = []

    @gecaso.cached(local)
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        if len(runs) == 1:
            raise asyncio.CancelledError
        return [x]

    answers = gathered(f, 1, callers=3)
    cancelled = [answer for answer in answers if isinstance(answer, asyncio.CancelledError)]
    assert len(cancelled) == 1
    assert [answer for answer in answers if answer not in cancelled] == [[1]] * 2


# Re-entry.


def test_a_body_that_calls_itself_with_other_arguments(storage, decorate):
    if decorate.__name__ == "decorated":
        pytest.skip("see below")
    runs = []

    @gecaso.cached(storage)
    def fib(n):
        runs.append(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(60) == 1548008755920
    assert sorted(runs) == list(range(61))


def test_an_asynchronous_body_that_calls_itself(storage):
    runs = []

    @gecaso.cached(storage)
    async def fib(n):
        runs.append(n)
        if n < 2:
            return n
        one, two = await asyncio.gather(fib(n - 1), fib(n - 2))
        return one + two

    assert asyncio.run(asyncio.wait_for(fib(30), PATIENCE)) == 832040


def test_a_body_that_calls_itself_with_the_same_arguments(storage):
    depth = []

    @gecaso.cached(storage)
    def f(x):
        depth.append(x)
        return 5 if len(depth) > 1 else f(x)

    assert f(1) == 5
    assert f(1) == 5
    assert len(depth) == 2


def test_an_asynchronous_body_that_awaits_its_own_call(storage):
    depth = []

    @gecaso.cached(storage)
    async def f(x):
        depth.append(x)
        await asyncio.sleep(0)
        return 5 if len(depth) > 1 else await f(x)

    async def main():
        assert await asyncio.wait_for(f(1), PATIENCE) == 5
        assert await f(1) == 5

    asyncio.run(main())
    assert len(depth) == 2


def test_bodies_that_call_each_other_in_a_circle(storage):
    depth = []

    @gecaso.cached(storage)
    def ping(x):
        depth.append("ping")
        return 5 if len(depth) > 4 else pong(x)

    @gecaso.cached(storage)
    def pong(x):
        depth.append("pong")
        return ping(x)

    assert ping(1) == 5
    assert pong(1) == 5


def test_two_threads_that_want_each_others_keys(local):
    """Neither can end before the other: one of them runs the other's body itself."""
    both = threading.Barrier(2)

    @gecaso.cached(local)
    def f(x, y):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return (
            f(y, x)
            if len(chains.setdefault(threading.get_ident(), [])) == 0
            and not chains[threading.get_ident()].append(1)
            else (x, y)
        )

    chains, answers = {}, []
    threads = [
        threading.Thread(target=lambda args=args: answers.append(f(*args)))
        for args in [(1, 2), (2, 1)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(answers) == 2


def test_two_tasks_that_want_each_others_keys(local):
    async def main():
        begun = {key: asyncio.Event() for key in "ab"}
        seen = set()

        @gecaso.cached(local)
        async def f(key, other):
            begun[key].set()
            await begun[other].wait()
            if (key, other) in seen:
                return key
            seen.add((key, other))
            return await f(other, key)

        answers = await asyncio.wait_for(asyncio.gather(f("a", "b"), f("b", "a")), PATIENCE)
        assert set(answers) <= {"a", "b"}

    asyncio.run(main())


# Where a body runs.


def test_the_body_runs_in_its_callers_context(local):
    place = contextvars.ContextVar("place", default="nowhere")

    @gecaso.cached(local)
    async def f(x):
        await asyncio.sleep(0)
        return place.get(), asyncio.current_task()

    async def main():
        place.set("here")
        where, task = await f(1)
        assert where == "here"
        assert task is asyncio.current_task()

    asyncio.run(main())


def test_the_body_runs_in_its_callers_thread(storage):
    f = gecaso.cached(storage)(lambda x: threading.get_ident())
    assert f(1) == threading.get_ident()


def test_a_synchronous_function_inside_a_running_loop(storage):
    f = gecaso.cached(storage)(lambda x: [x])

    async def main():
        assert f(1) == [1]
        assert f(1) == [1]
        return f.stats().loads

    assert asyncio.run(main()) == 1


def test_loops_one_after_another(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        return [x]

    assert [asyncio.run(f(1)) for _ in range(5)] == [[1]] * 5
    assert runs == [1]


def test_a_loop_that_ends_while_a_body_runs(storage):
    """What it left behind keeps nobody waiting."""
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        if len(runs) == 1:
            await asyncio.Event().wait()
        return [x]

    async def leave():
        task = asyncio.create_task(f(1))
        while not runs:
            await asyncio.sleep(0)
        return task

    asyncio.run(leave())
    assert asyncio.run(asyncio.wait_for(f(1), PATIENCE)) == [1]


def test_loops_of_several_threads_share_a_run(storage):
    runs, go = [], threading.Event()

    @gecaso.cached(storage)
    async def f(x):
        runs.append(x)
        while not go.is_set():
            await asyncio.sleep(0)
        return [x]

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(f(1)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: f.stats().misses + f.stats().hits == 8 or len(runs) > 1)
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert answers == [[1]] * 8
    assert runs == [1]


# Garbage collection at every turn.


@pytest.mark.usefixtures("eager_collection")
def test_collections_in_the_middle(local, decorate):
    class Node:
        def __init__(self):
            self.ring = self

    f = decorate(local, lambda x: [Node(), x])
    for _ in range(3):
        for x in range(40):
            node, number = f((x, str(x)))
            assert number == (x, str(x))
            assert node.ring is node


@pytest.mark.usefixtures("eager_collection")
def test_a_destructor_that_calls_the_function():
    """An evicted value is dropped outside of every lock."""
    calls = []

    class Talkative:
        def __del__(self):
            calls.append(f(-1))

    @gecaso.cached(gecaso.LRUStorage(maxsize=2))
    def f(x):
        return 5 if x < 0 else Talkative()

    for x in range(50):
        f(x)
    f.cache_clear()
    assert calls and set(calls) == {5}


def test_arguments_that_call_the_function():
    """Neither hashing nor comparing happens under a lock."""

    class Curious:
        def __init__(self, number):
            self.number = number

        def __hash__(self):
            f(-1)
            return 7

        def __eq__(self, other):
            f(-2)
            return self.number == other.number

    @gecaso.cached(gecaso.LRUStorage(maxsize=2))
    def f(x):
        return x if isinstance(x, int) else x.number

    for _ in range(3):
        for number in range(5):
            assert f(Curious(number)) == number


def test_arguments_that_clear_the_cache():
    class Destructive:
        def __init__(self, number):
            self.number = number

        def __hash__(self):
            return 7

        def __eq__(self, other):
            f.cache_clear()
            return self.number == other.number

    @gecaso.cached(gecaso.MemoryStorage())
    def f(x):
        return [x.number]

    for _ in range(20):
        for number in range(5):
            assert f(Destructive(number)) == [number]
