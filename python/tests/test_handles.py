"""What can be done with a decorated function beside calling it."""

import asyncio
import copy
import datetime
import functools
import inspect
import io
import pickle
import pydoc
import threading
import time

import pytest
from conftest import PATIENCE, until
from storages import Packing, Plain, Waiting

import gecaso

KINDS = [gecaso.MemoryStorage, gecaso.LRUStorage, Plain, Packing, Waiting]


@pytest.fixture(params=KINDS)
def storage(request):
    return request.param()


@pytest.fixture(params=[gecaso.MemoryStorage, gecaso.LRUStorage])
def local(request):
    return request.param()


@gecaso.cached(gecaso.MemoryStorage(), ttl=3600)
def documented(a: int, b: str = "x", *rest: float, c: bool = True, **more: object) -> bytes:
    """What it does."""
    return b""


@gecaso.lru_cache(maxsize=10, typed=True)
def documented_lru(a: int, b: str = "x") -> bytes:
    """What it does."""
    return b""


class Holder:
    @gecaso.cached(gecaso.MemoryStorage())
    def method(self, x):
        return x

    @staticmethod
    @gecaso.cached(gecaso.MemoryStorage())
    def static(x):
        return x


# invalidate, insert, refresh, peek


def test_invalidate_forgets_one_call(storage):
    f = gecaso.cached(storage)(lambda a, b=1: [a, b])
    f(1), f(2)
    f.invalidate(1, b=1).wait()
    assert f.stats().loads == 2
    f(2)
    assert f.stats().loads == 2
    f(1)
    assert f.stats().loads == 3
    f.invalidate("never called").wait()


def test_what_was_loading_before_an_invalidation_is_not_kept(storage):
    begun, go = threading.Event(), threading.Event()
    number = 0

    @gecaso.cached(storage)
    def f(x):
        read = number
        if not go.is_set():
            begun.set()
            assert go.wait(PATIENCE)
        return read

    answers = []
    thread = threading.Thread(target=lambda: answers.append(f(1)))
    thread.start()
    assert begun.wait(PATIENCE)
    number = 1
    f.invalidate(1)
    go.set()
    assert f(1) == 1, "a call that starts later gets what holds now"
    thread.join(PATIENCE)
    assert answers == [0], "the one that had begun may have the old one"
    assert f(1) == 1


def test_what_was_loading_before_a_clear_is_not_kept(storage):
    async def main():
        begun, go = asyncio.Event(), asyncio.Event()
        number = 0

        @gecaso.cached(storage)
        async def f(x):
            read = number
            begun.set()
            await go.wait()
            return read

        old = asyncio.create_task(f(1))
        await begun.wait()
        number = 1
        await f.cache_clear()
        go.set()
        assert await f(1) == 1
        assert await old == 0
        assert await f(1) == 1

    asyncio.run(main())


def test_insert(storage):
    f = gecaso.cached(storage)(lambda a, b=1: [a, b])
    assert f.insert("put", 1, b=2).wait() is None
    assert f(1, 2) == "put"
    assert f(1) == [1, 1]
    f.insert("again", 1, 2).wait()
    assert f(b=2, a=1) == "again"
    assert f.stats().loads == 1
    g = gecaso.cached(storage)(lambda value, args: 0)
    g.insert("put", value=1, args=2).wait()
    assert g(1, 2) == "put", "the function's own names are free"


def test_insert_supersedes_a_load(storage):
    async def main():
        begun, go = asyncio.Event(), asyncio.Event()

        @gecaso.cached(storage)
        async def f(x):
            begun.set()
            await go.wait()
            return "loaded"

        old = asyncio.create_task(f(1))
        await begun.wait()
        await f.insert("put", 1)
        assert await f(1) == "put"
        go.set()
        await old
        assert await f(1) == "put"

    asyncio.run(main())


def test_refresh(storage):
    number = 0
    f = gecaso.cached(storage)(lambda x: [x, number])
    assert f(1) == [1, 0]
    number = 1
    assert f(1) == [1, 0]
    assert f.refresh(1) == [1, 1]
    assert f(1) == [1, 1]
    assert f.refresh(x=2) == [2, 1]


def test_refresh_that_fails_leaves_the_old_one(storage):
    error = None

    @gecaso.cached(storage)
    def f(x):
        if error is not None:
            raise error
        return [x]

    assert f(1) == [1]
    error = ValueError("no")
    with pytest.raises(ValueError):
        f.refresh(1)
    assert f(1) == [1]


def test_asynchronous_refresh_and_receipts(storage):
    number = 0

    @gecaso.cached(storage)
    async def f(x):
        await asyncio.sleep(0)
        return [x, number]

    async def main():
        nonlocal number
        assert await f(1) == [1, 0]
        number = 1
        assert await f.refresh(1) == [1, 1]
        assert await f(1) == [1, 1]
        assert await f.invalidate(1) is None
        assert await f.insert("put", 1) is None
        assert await f(1) == "put"
        assert await f.cache_clear() is None
        assert await f(1) == [1, 1]

    asyncio.run(main())


def test_peek(local):
    f = gecaso.cached(local)(lambda x: [x])
    with pytest.raises(KeyError):
        f.peek(1)
    kept = f(1)
    before = f.stats()
    assert f.peek(1) is kept
    assert f.peek(x=1) is kept
    assert f.stats() == before, "nothing is counted"

    @gecaso.cached(local)
    async def g(x):
        return [x]

    with pytest.raises(KeyError):
        g.peek(1)
    kept = asyncio.run(g(1))
    assert g.peek(1) is kept


def test_peek_changes_nothing_about_what_goes_next():
    f = gecaso.cached(gecaso.LRUStorage(maxsize=2))(lambda x: [x])
    f(1), f(2)
    f.peek(1)
    f(3)
    with pytest.raises(KeyError):
        f.peek(1)
    assert f.peek(2) == [2]


def test_peek_where_it_cannot_look():
    f = gecaso.cached(Plain())(lambda x: x)
    with pytest.raises(TypeError, match="storage.get"):
        f.peek(1)


def test_key(storage):
    f = gecaso.cached(storage, _name="f")(lambda a, b=1: a)
    assert f.key(1) == f.key(a=1) == f.key(1, 1) == f.key(b=1, a=1)
    assert len({f.key(1), f.key(1.0), f.key(True), f.key("1"), f.key(b"1"), f.key(None)}) == 6
    same = gecaso.cached(Plain(), _name="f")(lambda a, b=1: a)
    assert same.key(1) == f.key(1), "another process finds it"
    other = gecaso.cached(Plain(), _name="f", _version=1)(lambda a, b=1: a)
    assert other.key(1) != f.key(1)
    with pytest.raises(TypeError, match="_skip|_key"):
        f.key(object())


def test_clear_touches_only_its_own_function(storage):
    one = gecaso.cached(storage, _name="one")(lambda x: ["one", x])
    two = gecaso.cached(storage, _name="two")(lambda x: ["two", x])
    one(1), two(1)
    one.cache_clear().wait()
    one(1), two(1)
    assert (one.stats().loads, two.stats().loads) == (2, 1)
    two.clear().wait()
    two(1)
    assert two.stats().loads == 2


def test_everybody_sees_a_clear_of_a_shared_storage():
    """Two functions of one name stand for two processes here."""
    storage = Packing()
    here = gecaso.cached(storage, _name="f")(lambda x: ["here"])
    there = gecaso.cached(storage, _name="f")(lambda x: ["there"])
    assert here(1) == there(1) == ["here"]
    here.cache_clear().wait()
    assert here(1) == ["here"]
    assert there.stats().loads == 0
    late = gecaso.cached(storage, _name="f")(lambda x: ["late"])
    assert late(1) == ["here"]
    assert here.stats().loads == 2


def test_a_clear_is_of_what_others_have_stored_too():
    """This process cannot know of those entries: it does not believe them from now on."""
    storage = Packing()
    there = gecaso.cached(storage, _name="f")(lambda x: ["there"])
    here = gecaso.cached(storage, _name="f")(lambda x: ["here"])
    assert there(1) == ["there"]
    here.cache_clear().wait()
    assert here(1) == ["here"]
    assert here(1) == ["here"]
    assert here.stats().loads == 1


# Figures.


def test_figures(storage):
    @gecaso.cached(storage)
    def f(x):
        if x < 0:
            raise ValueError(x)
        return [x]

    for x in (1, 1, 2, 1, -1, -1):
        try:
            f(x)
        except ValueError:
            pass
    stats = f.stats()
    assert (stats.hits, stats.misses, stats.loads) == (2, 4, 4)
    assert stats.load_time > 0
    hits, misses, maxsize, currsize = f.cache_info()
    assert (hits, misses) == (2, 4)
    assert maxsize == getattr(storage, "maxsize", None)
    if isinstance(storage, (gecaso.MemoryStorage, gecaso.LRUStorage)):
        assert currsize == stats.entries == len(storage) == 2
    text = repr(f.cache_info())
    assert text == f"CacheInfo(hits=2, misses=4, maxsize={maxsize}, currsize={currsize})"


def test_cache_parameters():
    assert documented.cache_parameters() == {
        "maxsize": 10_000,
        "typed": True,
        "ttl": 3600,
        "_hash_key": True,
    }
    assert documented_lru.cache_parameters() == {"maxsize": 10, "typed": True}


def test_evictions_and_expirations_are_counted():
    f = gecaso.cached(gecaso.LRUStorage(maxsize=2))(lambda x: x)
    for x in range(5):
        f(x)
    assert f.stats().evictions == 3
    assert f.stats().entries == 2


# The function's own face.


@pytest.mark.parametrize("function", [documented, documented_lru])
def test_it_looks_like_the_function(function):
    assert function.__name__ == function.__qualname__
    assert function.__module__ == __name__
    assert function.__doc__ == "What it does."
    assert function.__wrapped__(1) == b""
    assert inspect.signature(function) == inspect.signature(function.__wrapped__)
    assert function.__annotations__["return"] is bytes
    assert inspect.unwrap(function) is function.__wrapped__
    assert callable(function)
    assert "What it does." in pydoc.render_doc(function)
    assert "def documented" in inspect.getsource(function)


def test_help_shows_the_function_and_its_signature():
    text = io.StringIO()
    pydoc.Helper(output=text).help(documented)
    assert "a: int" in text.getvalue()


def test_repr_names_the_function():
    assert "documented" in repr(documented)


@pytest.mark.parametrize("function", [documented, documented_lru, Holder.method, Holder.static])
def test_pickling_goes_by_name(function):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert copy.deepcopy({"in": [function]})["in"][0] is function


def test_attributes_can_be_set(storage):
    f = gecaso.cached(storage)(lambda x: x)
    f.note = "mine"
    assert f.note == "mine"
    with pytest.raises(AttributeError):
        _ = f.other


def test_it_can_be_wrapped_again(storage):
    runs = []

    def log(function):
        @functools.wraps(function)
        def logged(*args):
            runs.append(args)
            return function(*args)

        return logged

    f = log(gecaso.cached(storage)(log(lambda x: x)))
    assert f(1) == f(1) == 1
    assert runs == [(1,), (1,), (1,)]


def test_what_can_be_decorated(storage):
    class Callable:
        def __call__(self, x):
            return [x]

    instance, partial = Callable(), functools.partial(lambda a, b: [b], 1)
    for what in (instance, instance.__call__, partial, lambda x: [x]):
        f = gecaso.cached(storage, _name="what")(what)
        assert f(1) == [1]
        f.cache_clear().wait()


@pytest.mark.parametrize(
    "what", [classmethod(len), staticmethod(len), property(len), 17, "f", int, None], ids=repr
)
def test_what_cannot_be_decorated(what):
    with pytest.raises(TypeError):
        gecaso.cached(gecaso.MemoryStorage())(what)


def test_generators_cannot_be_decorated():
    def generator():
        yield 1

    async def asynchronous():
        yield 1

    for what in (generator, asynchronous):
        with pytest.raises(TypeError, match="list or a tuple"):
            gecaso.cached(gecaso.MemoryStorage())(what)


def test_without_parentheses():
    @gecaso.cached
    def f(x):
        return [x]

    assert f(1) is f(1)


# The decorator's words.


def test_key_of_ones_own(storage):
    f = gecaso.cached(storage, _key=lambda text, **rest: text.lower())(lambda text, n=0: [text])
    assert f("A") == f("a") == f("a", n=5) == ["A"]
    assert f.stats().loads == 1
    f.invalidate("A").wait()
    assert f("a") == ["a"]
    broken = gecaso.cached(storage, _key=lambda x: 1 / 0)(lambda x: x)
    with pytest.raises(ZeroDivisionError):
        broken(1)


def test_skipped_parameters(storage):
    @gecaso.cached(storage, _skip=("connection", "log"))
    def f(connection, x, *, log=None):
        return [x]

    assert f(object(), 1) == f(object(), 1, log=print) == [1]
    assert f.stats().loads == 1
    assert f.key(object(), 1) == f.key(None, 1)
    g = gecaso.cached(storage, _skip="connection", _name="g")(lambda connection, x: [x])
    assert g(object(), 2) == g(object(), 2) == [2]
    h = gecaso.cached(storage, _skip=["args", "kwargs"], _name="h")(lambda x, *args, **kwargs: [x])
    assert h(1, 2, y=3) == h(1, object(), z=[]) == [1]


def test_name_and_version(storage):
    old = gecaso.cached(storage, _name="shared", _version=1)(lambda x: "old")
    new = gecaso.cached(storage, _name="shared", _version=2)(lambda x: "new")
    assert (old(1), new(1), old(1), new(1)) == ("old", "new", "old", "new")


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ({"_skpi": "x"}, TypeError, "did you mean '_skip'"),
        ({"_hashkey": True}, TypeError, "_hash_key"),
        ({"_nothing_like_it_at_all": 1}, TypeError, "it knows"),
        ({"_skip": "y"}, TypeError, "y"),
        ({"_key": 3}, TypeError, "function"),
        ({"_key": len, "_skip": "x"}, TypeError, "_skip"),
        ({"_version": -1}, TypeError, "_version"),
        ({"_version": True}, TypeError, "_version"),
        ({"_version": 2**32}, TypeError, "_version"),
        ({"_name": 3}, TypeError, "_name"),
        ({"_name": ""}, ValueError, "_name"),
        ({"ttk": 3}, TypeError, "'ttk'.*knows: ttl"),
        ({"TTL": 3}, TypeError, "'TTL'"),
        ({"maxsize": 3}, TypeError, "maxsize"),
    ],
    ids=repr,
)
def test_words_that_are_none(words, error, says):
    with pytest.raises(error, match=says):
        gecaso.cached(gecaso.MemoryStorage(), **words)(lambda x: x)


# Lifetimes.


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (1, 1),
        (0.25, 0.25),
        (datetime.timedelta(minutes=1), 60),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        (" 10 s ", 10),
        (0, 0),
    ],
)
def test_lifetimes_as_people_write_them(ttl, seconds):
    assert gecaso._lifetimes.seconds(ttl) == pytest.approx(seconds)
    f = gecaso.cached(gecaso.MemoryStorage(), ttl=ttl)(lambda x: [x])
    assert f(1) == [1]
    assert f.stats().entries == (seconds != 0)
    recorded = []

    class Recording(Plain):
        async def set(self, key, value, **params):
            recorded.append(params)

    gecaso.cached(Recording(), ttl=ttl)(lambda x: x)(1)
    assert recorded == [{"ttl": ttl}], "a storage of one's own gets it as it was written"


@pytest.mark.parametrize(
    ("ttl", "error"),
    [
        (-1, ValueError),
        (float("nan"), ValueError),
        ("", ValueError),
        ("soon", ValueError),
        ("1h soon", ValueError),
        ("10", ValueError),
        ("1y", ValueError),
        (datetime.timedelta(-1), ValueError),
        (True, TypeError),
        ([1], TypeError),
    ],
    ids=repr,
)
def test_lifetimes_that_are_none(ttl, error):
    with pytest.raises(error, match="ttl"):
        gecaso.cached(gecaso.MemoryStorage(), ttl=ttl)


@pytest.mark.parametrize("ttl", [float("inf"), 1e300, 10**30, datetime.timedelta.max], ids=repr)
def test_lifetimes_without_an_end(ttl):
    f = gecaso.cached(gecaso.MemoryStorage(), ttl=ttl)(lambda x: [x])
    assert f(1) is f(1)


def test_expiry(local):
    f = gecaso.cached(local, ttl=0.05)(lambda x: [x])
    begun = time.monotonic()
    first = f(1)
    until(lambda: f(1) is not first)
    assert time.monotonic() - begun >= 0.05
    f.insert("put", 1)
    assert f(1) == "put"
    until(lambda: f(1) != "put")


def test_expiry_is_counted_from_the_load_not_the_use(local):
    f = gecaso.cached(local, ttl=0.05)(lambda x: object())
    seen = {}
    begun = time.monotonic()
    while time.monotonic() - begun < 0.3:
        seen[id(f(1))] = None
    assert f.stats().loads >= 3


def test_expired_entries_make_room():
    storage = gecaso.LRUStorage(maxsize=10)
    f = gecaso.cached(storage, ttl=0.01)(lambda x: x)
    for x in range(10):
        f(x)
    until(lambda: f(0) == 0 and f.stats().loads > 10)
    assert len(storage) <= 10


def test_ttl_0_stores_nothing_and_still_shares_runs():
    runs = []

    @gecaso.cached(gecaso.MemoryStorage(), ttl=0)
    async def f(x):
        runs.append(x)
        await asyncio.sleep(0)
        return [x]

    async def main():
        await asyncio.gather(f(1), f(1))
        await f(1)

    asyncio.run(main())
    assert runs == [1, 1]


# Ready-made storages.


def test_the_order_of_an_lru_is_exact(rng):
    import collections

    storage = gecaso.LRUStorage(maxsize=8)
    runs = []
    f = gecaso.cached(storage)(lambda x: runs.append(x) or x)
    model = collections.OrderedDict()
    for _ in range(3000):
        x = rng.randrange(14)
        before = len(runs)
        f(x)
        assert (len(runs) > before) == (x not in model)
        model[x] = None
        model.move_to_end(x)
        if len(model) > 8:
            model.popitem(last=False)
        assert len(storage) == len(model)


@pytest.mark.parametrize("kind", [gecaso.MemoryStorage, gecaso.LRUStorage])
@pytest.mark.parametrize("bound", [0, 1, 2, 7, 100])
def test_bounds_are_bounds(kind, bound):
    storage = kind(maxsize=bound)
    one = gecaso.cached(storage)(lambda x: x)
    two = gecaso.cached(storage)(lambda x: x)
    for x in range(3 * bound + 5):
        assert one(x) == two(x) == x
        assert len(storage) <= bound
    assert len(storage) == bound == storage.maxsize


def test_lru_around_a_storage_is_exact_and_bounded(rng):
    import collections

    inner = Plain()
    storage = gecaso.LRUStorage(inner, maxsize=5)
    runs = []
    f = gecaso.cached(storage)(lambda x: runs.append(x) or x)
    model = collections.OrderedDict()
    for _ in range(1000):
        x = rng.randrange(9)
        before = len(runs)
        f(x)
        assert (len(runs) > before) == (x not in model)
        model[x] = None
        model.move_to_end(x)
        if len(model) > 5:
            model.popitem(last=False)
        assert set(inner.kept) == {f.key(x) for x in model}


def test_no_bound():
    for storage in (gecaso.MemoryStorage(maxsize=None), gecaso.LRUStorage(maxsize=None)):
        f = gecaso.cached(storage)(lambda x: [x])
        first = f(0)
        for x in range(20_000):
            f(x)
        assert f(0) is first
        assert len(storage) == 20_000
        assert storage.maxsize is None


@pytest.mark.parametrize("maxsize", [-1, "16", 1.5, True, object()])
def test_bounds_that_are_none(maxsize):
    for kind in (gecaso.MemoryStorage, gecaso.LRUStorage):
        with pytest.raises((TypeError, ValueError), match="maxsize"):
            kind(maxsize=maxsize)


def test_lru_around_what_is_no_storage():
    for what in ({}, Plain, 16):
        with pytest.raises(ValueError, match="BaseStorage"):
            gecaso.LRUStorage(what)
    with pytest.raises(ValueError, match="maxsize"):
        gecaso.LRUStorage(Plain(), maxsize=None)


def test_native_storages_answer_directly(local):
    async def main():
        with pytest.raises(KeyError):
            await local.get("a")
        await local.set("a", [1])
        assert await local.get("a") == [1]
        assert len(local) == 1
        await local.set("a", 2, ttl=0)
        with pytest.raises(KeyError):
            await local.get("a")
        await local.set("a", 1, ttl="1h")
        await local.set("a", 2)
        assert await local.get("a") == 2
        await local.remove("a", "b")
        assert len(local) == 0
        with pytest.raises(TypeError):
            await local.set("a", 1, surprise=2)

    asyncio.run(main())


def test_native_storages_bound_what_is_set_directly():
    async def main():
        storage = gecaso.LRUStorage(maxsize=2)
        for key in "abc":
            await storage.set(key, key)
        assert len(storage) == 2
        with pytest.raises(KeyError):
            await storage.get("a")

    asyncio.run(main())


def test_to_get_is_to_use():
    """Also where a subclass is asked as a storage of one's own."""

    class Logging(gecaso.LRUStorage):
        async def get(self, key):
            return await super().get(key)

    async def main(storage):
        await storage.set("a", 1)
        await storage.set("b", 2)
        assert await storage.get("a") == 1
        await storage.set("c", 3)
        assert await storage.get("a") == 1
        with pytest.raises(KeyError):
            await storage.get("b")

    asyncio.run(main(gecaso.LRUStorage(maxsize=2)))
    f = gecaso.cached(Logging(maxsize=2))(lambda x: object())
    first, second = f(1), f(2)
    assert f(1) is first
    f(3)
    assert f(1) is first
    assert f(2) is not second


def test_subclasses_of_native_storages():
    """One that changes nothing stays native, one that does is asked."""

    class Named(gecaso.LRUStorage):
        def __init__(self, name):
            super().__init__(maxsize=2)
            self.name = name

    class Logging(gecaso.MemoryStorage):
        def __init__(self):
            super().__init__()
            self.log = []

        async def get(self, key):
            self.log.append("get")
            return await super().get(key)

        async def set(self, key, value, **params):
            self.log.append(("set", params))
            await super().set(key, value, **params)

    named = Named("n")
    f = gecaso.cached(named)(lambda x: object())
    assert f(1) is f(1)
    assert len(named) == 1

    logging = Logging()
    g = gecaso.cached(logging, ttl=5)(lambda x: [x])
    assert g(1) == g(1) == [1]
    assert g.stats().loads == 1
    assert ("set", {"ttl": 5}) in logging.log
    assert logging.log.count("get") >= 2


def test_a_subclass_that_forgot_to_call_init():
    class Forgetful(gecaso.MemoryStorage):
        def __init__(self):
            pass

    with pytest.raises((TypeError, ValueError, AttributeError), match="__init__|init"):
        gecaso.cached(Forgetful())(lambda x: x)(1)
